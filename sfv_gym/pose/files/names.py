"""What motion capture calls its joints: names of many programs to ours."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sfv_gym.errors import PoseFileError
from sfv_gym.pose.landmarks import JOINTS
from sfv_gym.pose.layouts import EXTRA

# Without side, lower case, words put together; of several that a file has the first counts. Where
# an upper arm is called so, its joint is the shoulder, and what is called shoulder is the clavicle.
_PARTS: dict[str, tuple[str, ...]] = {
    "shoulder": ("upperarm", "uparm", "arm", "shldr", "shoulder"),
    "elbow": ("elbow", "forearm", "lowerarm", "loarm"),
    "wrist": ("wrist", "hand"),
    "hip": ("upleg", "upperleg", "thigh", "hip"),
    "knee": ("knee", "lowerleg", "loleg", "calf", "shin", "leg"),
    "ankle": ("ankle", "foot"),
    "heel": ("heel",),
    "foot_index": ("footindex", "bigtoe", "toebase", "toe", "toes", "toe0", "ankleend", "footend"),
    "ear": ("ear",),
    "head": ("head",),
    "nose": ("nose",),
}
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_FILLERS = {"bip", "bip01", "bip001", "def", "jnt", "joint"}
_WORDS = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")


def columns_of(names: Iterable[str]) -> dict[str, int]:
    """Column of each of our landmarks among a file's names: those of JOINTS, and what there is of
    EXTRA.

    Raises:
        PoseFileError: a joint is missing.
    """
    known: dict[tuple[str, str], int] = {}
    for column, name in enumerate(names):
        known.setdefault(_parsed(name), column)
    found: dict[str, int] = {}
    for landmark in (*JOINTS, *EXTRA):
        side, _, part = landmark.partition("_")
        if side not in ("left", "right"):
            side, part = "", landmark
        candidates = _PARTS[part]
        if part == "foot_index" and (side, "ankle") in known:  # SMPL's foot is its toes
            candidates = (*candidates, "foot")
        place = next((known[side, c] for c in candidates if (side, c) in known), None)
        if place is not None:
            found[landmark] = place
    if missing := [name for name in JOINTS if name not in found]:
        raise PoseFileError(
            f"no joints for {', '.join(missing)}: joints must be called as Mixamo, SMPL, COCO or "
            "sfv export call them, such as LeftForeArm, left_elbow or LElbow"
        )
    for part in ("heel", "foot_index", "ear"):  # a pair or none
        pair = [f"left_{part}", f"right_{part}"]
        if sum(name in found for name in pair) == 1:
            for name in pair:
                found.pop(name, None)
    return found


def _parsed(name: str) -> tuple[str, str]:
    """Side (empty for none) and part of a joint's name."""
    bare = re.split(r"[:|]", name)[-1]
    if re.fullmatch(r"[LR][A-Z]{3,}", bare):  # LHEEL
        bare = f"{bare[0]} {bare[1:]}"
    words = [word.lower() for word in _WORDS.findall(bare)]
    sides = [_SIDES[word] for word in words if word in _SIDES]
    rest = [word for word in words if word not in _SIDES and word not in _FILLERS]
    return (sides[0] if sides else ""), "".join(rest)
