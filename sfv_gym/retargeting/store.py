"""Trajectories that were solved for: the library's ship, one's own are kept in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from importlib import resources
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from sfv_gym import skeleton
from sfv_gym.characters import Character
from sfv_gym.characters.symmetry import Symmetry
from sfv_gym.errors import CharacterError, MissingExtraError, MotionError, OutputError
from sfv_gym.files import cache_folder, read_npz, write_npz
from sfv_gym.motion import ReferenceMotion
from sfv_gym.motion.clip_objects import touched_tops
from sfv_gym.motion.placing import from_origin
from sfv_gym.motion.variants import mirrored
from sfv_gym.retargeting.kinematic import solve_kinematics
from sfv_gym.retargeting.rig import Retargeted, Rig
from sfv_gym.rotations import quat_multiply, quat_rotate

RETARGETING_VERSION = 5
"""Part of every key: raised whenever the same input gives another result."""
PLANTED = 0.5
"""Contact above which hand or foot bears the body."""
SYMMETRIC = 1e-3
"""Metres by which a planted hand or foot may be beside its mirror image."""


def retargeted(motion: ReferenceMotion, character: Character) -> Retargeted:
    """The motion in the character's joints: from memory, from what ships, from the cache, as the
    mirror image of one of these, or anew.

    Where a motion begins and where it heads makes no difference: what is kept begins over the
    origin and heads along x. A cache that cannot be read or written costs time, never an error.

    Raises:
        MissingExtraError: it is to be solved anew, for which PyTorch is needed.
        MotionError: the character is not of a free root and hinges.
    """
    at_origin, turn, place = from_origin(motion)
    key = _key(at_origin, character)
    if key not in _recent:
        found = _shipped(motion, character, key) or _read(_cache_path(key), key)
        if found is None:
            found = _of_mirror_image(at_origin, character) or solve(at_origin, character)
            _keep(found, key)
        while len(_recent) >= _RECENT_SIZE:
            del _recent[next(iter(_recent))]
        _recent[key] = found
    kept = _recent[key] = _recent.pop(key)  # the most recent one is last
    qpos = kept.qpos.copy()
    qpos[:, :3] = quat_rotate(turn, qpos[:, :3]) + kept.scale * place
    qpos[:, 3:7] = quat_multiply(turn, qpos[:, 3:7])
    return Retargeted(qpos, kept.scale)


def _of_mirror_image(motion: ReferenceMotion, character: Character) -> Retargeted | None:
    """The mirror image of what was found for the motion's, where that is there and the character
    symmetric, at least in those hands and feet that are planted."""
    image = mirrored(motion)
    key = _key(image, character)
    found = _recent.get(key) or _shipped(image, character, key) or _read(_cache_path(key), key)
    if found is None:
        return None
    try:
        symmetry = Symmetry.of(character)
    except CharacterError:
        return None
    effectors = character.link_ids[[skeleton.link_index(n) for n in skeleton.END_EFFECTORS]]
    planted = motion.contacts.max(0, initial=0.0) >= PLANTED
    if (symmetry.misplaced[effectors] > SYMMETRIC)[planted].any():
        return None
    qpos, _ = symmetry.coordinates(found.qpos, np.zeros((len(found.qpos), character.model.nv)))
    return Retargeted(qpos, found.scale)


def solve(motion: ReferenceMotion, character: Character) -> Retargeted:
    """By inverse kinematics, and from there to what the character's masses and motors can do."""
    try:
        from sfv_gym.retargeting.feasible import ITERATIONS, make_feasible
    except ImportError as error:
        raise MissingExtraError(
            f"a motion of one's own for {character.name} takes more packages ({error}): "
            "pip install sfv-gym[video]"
        ) from error
    rig = Rig(character)
    with Progress(
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(f"retargeting to {character.name}, once", total=ITERATIONS)
        kinematic = solve_kinematics(motion, rig)
        return make_feasible(kinematic, motion, rig, lambda: bar.advance(task))


def save_retargeted(
    motion: ReferenceMotion, character: Character, path: str | os.PathLike[str]
) -> None:
    """Write the character's trajectory, solved anew unless the file is of this motion already.

    Raises:
        OutputError: it cannot be written.
    """
    if not is_saved(motion, character, path):
        at_origin, _, _ = from_origin(motion)
        _write(path, solve(at_origin, character), _key(at_origin, character))


def is_saved(motion: ReferenceMotion, character: Character, path: str | os.PathLike[str]) -> bool:
    """Whether the file holds the character's trajectory of this very motion."""
    at_origin, _, _ = from_origin(motion)
    return _read(Path(path), _key(at_origin, character)) is not None


_RECENT_SIZE = 64
_recent: dict[str, Retargeted] = {}

_MODEL_FIELDS = (
    "body_parentid", "body_pos", "body_quat", "body_ipos", "body_iquat", "body_mass",
    "body_inertia", "jnt_type", "jnt_bodyid", "jnt_pos", "jnt_axis", "jnt_range", "jnt_limited",
    "qpos0", "key_qpos", "actuator_trnid", "actuator_gear", "actuator_forcerange",
    "geom_type", "geom_bodyid", "geom_pos", "geom_quat", "geom_size", "geom_contype",
)  # fmt: skip
"""What of a model decides the result."""


def _key(motion: ReferenceMotion, character: Character) -> str:
    """Of a motion that begins over the origin, and the character's model."""
    model = character.model
    digest = hashlib.sha256(f"{RETARGETING_VERSION} {motion.fps:.6f} {motion.loop}".encode())
    for name in ("root_pos", "root_quat", "joint_quat", "loop_offset", "contacts"):
        rounded = np.round(np.asarray(getattr(motion, name), float), 4) + 0.0  # no negative zeros
        digest.update(rounded.astype("<f4").tobytes())
    for name in ("loop_range", "flights"):
        digest.update(np.asarray(getattr(motion, name), "<i8").tobytes())
    if motion.objects:
        pose = motion.root_pos, motion.root_quat, motion.joint_quat
        tops = touched_tops(motion.objects, pose, motion.contacts)
        if tops.any():  # what nothing stands on makes no difference
            digest.update((np.round(tops, 4) + 0.0).astype("<f4").tobytes())
    for name in _MODEL_FIELDS:
        values = np.asarray(getattr(model, name), np.float64)
        digest.update(f"{name} {values.shape}".encode() + values.astype("<f8").tobytes())
    digest.update(model.names)
    digest.update(repr(sorted(character.links.items())).encode())
    return digest.hexdigest()[:32]


def _shipped(motion: ReferenceMotion, character: Character, key: str) -> Retargeted | None:
    return _read(shipped_folder() / character.name / f"{motion.skill}.npz", key)


def shipped_folder() -> Path:
    """Where the library's motions lie, and in a folder of each character's name what it does."""
    return Path(str(resources.files("sfv_gym.reference_motions")))


def _cache_path(key: str) -> Path:
    return cache_folder() / "retargeted" / f"{key}.npz"


def _keep(found: Retargeted, key: str) -> None:
    with contextlib.suppress(OSError, OutputError):
        _write(_cache_path(key), found, key)


def _write(path: str | os.PathLike[str], found: Retargeted, key: str) -> None:
    write_npz(path, qpos=found.qpos, scale=np.array(found.scale), key=np.array(key))


def _read(path: Path, key: str) -> Retargeted | None:
    """What the file holds; None if there is none, or not of this key."""
    try:
        data = read_npz(path, "trajectory", MotionError)
        if str(data["key"]) != key:
            return None
        found = Retargeted(np.asarray(data["qpos"], np.float64), float(data["scale"]))
    except (MotionError, ValueError, KeyError, TypeError):
        return None
    return found if np.isfinite(found.qpos).all() and np.isfinite(found.scale) else None
