"""Pictures with truth: where the right skill stands, and whether the film stays up.

Estimating a pose takes longest, and does not depend on how motions are ranked: poses are kept
beside the pictures, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TypedDict

from rich.console import Console
from rich.progress import Progress

from sfv_gym.benchmarks.studies.stills.frames import Frame
from sfv_gym.completion.nearest import CLOSE, CONTACT, DEPTH, FAR, nearest
from sfv_gym.completion.picture import pose_of, posed, read_picture
from sfv_gym.completion.pipeline import go_on
from sfv_gym.completion.playing import UP
from sfv_gym.errors import SFVError
from sfv_gym.motion import ReferenceMotion
from sfv_gym.registry import list_envs

KEPT = 10
"""Matches of a picture that are written down."""


class Found(TypedDict):
    """A skill's nearest state, see ``completion.nearest.Match``."""

    skill: str
    mirrored: bool
    time: float
    distance: float
    contacts: int


class Played(TypedDict):
    """The film of the nearest skill that has a policy.

    ``seconds``: how long it stays up, at most ``UP``. ``ended``: the motion is over before that,
    and it stayed up to its end.
    """

    skill: str
    policy: str
    share: float
    seconds: float
    stays_up: bool
    ended: bool


class PictureFigures(TypedDict):
    """What came of one picture; ``error`` where no pose was found in it.

    ``rank``: of the right skill, from 1 on; None where there is an error.
    """

    frame: str
    skill: str
    rank: int | None
    nearest: list[Found]
    played: Played | None
    error: str


class Figures(TypedDict):
    """What ``stills.json`` holds of pictures with truth."""

    seed: int
    skills: int
    limits: dict[str, float]
    pictures: list[PictureFigures]


def measure(frames: Sequence[Frame], seed: int, out: Path, console: Console) -> Figures:
    """The figures of ``frames``; their pictures and poses stay in ``out``.

    Raises:
        VideoError: a clip cannot be read.
        OutputError: something cannot be written.
    """
    found = []
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("", total=len(frames))
        for frame in frames:
            bar.update(task, description=frame.name)
            found.append(_picture(frame, out))
            bar.advance(task)
    skills = {e.skill for e in list_envs() if e.character == "humanoid" and e.motion}
    return {
        "seed": seed,
        "skills": len(skills),
        "limits": {"close": CLOSE, "far": FAR, "contact": CONTACT, "depth": DEPTH},
        "pictures": found,
    }


def still_of(picture: Path) -> ReferenceMotion:
    """The pose in a picture, kept beside it until the picture is another.

    Raises:
        PoseError: nobody is found in it.
    """
    kept = picture.with_suffix(".npz")
    made_from = hashlib.sha256(picture.read_bytes()).hexdigest()
    if kept.is_file():
        still = ReferenceMotion.load(kept)
        if still.made_from == made_from:
            return still
    still = posed(pose_of(read_picture(picture)))
    still.made_from = made_from
    still.save(kept)
    return still


def _picture(frame: Frame, out: Path) -> PictureFigures:
    found: PictureFigures = {
        "frame": frame.name, "skill": frame.skill, "rank": None, "nearest": [], "played": None,
        "error": "",
    }  # fmt: skip
    picture = frame.save(out)
    try:
        still = still_of(picture)
    except SFVError as error:
        found["error"] = str(error).replace(str(picture), picture.name)
        return found
    matches = nearest(still, still.num_frames // 2)
    names = [match.skill for match in matches]
    found["rank"] = names.index(frame.skill) + 1 if frame.skill in names else len(names) + 1
    found["nearest"] = [
        {
            "skill": one.skill, "mirrored": one.mirrored, "time": round(one.time, 3),
            "distance": round(one.distance, 4), "contacts": one.contacts,
        }
        for one in islice(matches, KEPT)
    ]  # fmt: skip
    found["played"] = _first_film(still)
    return found


def _first_film(still: ReferenceMotion) -> Played | None:
    """None where no skill with a policy is near."""
    for one, rolled in go_on(still, seconds=UP):
        if not one.is_near:
            break
        if rolled is None or one.policy is None or one.share is None:
            continue
        steps = len(rolled.qpos) - 1
        up = steps if rolled.failed_at is None else rolled.failed_at
        return {
            "skill": one.skill,
            "policy": one.policy,
            "share": one.share,
            "seconds": round(up / rolled.hz, 3),
            "stays_up": bool(one.stays_up),
            "ended": rolled.failed_at is None and steps < round(UP * rolled.hz),
        }
    return None
