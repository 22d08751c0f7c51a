"""Other motions of one: its mirror image, faster or slower, backwards.

Each function takes a motion and returns a new one, whose name (``skill``) and provenance say what
was done. The camera is left out: no video shows the new motion.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sfv_gym import skeleton
from sfv_gym.array_types import Float
from sfv_gym.checks import real
from sfv_gym.errors import MotionError
from sfv_gym.files import JSON
from sfv_gym.motion.placing import from_origin
from sfv_gym.motion.reference_motion import ReferenceMotion
from sfv_gym.motion.verdict import Finding, Verdict
from sfv_gym.rotations import quat_rotate

MIRRORED, REVERSED, WARPED = "mirrored", "reversed", "warped"
JOIN = "+"
"""Between a motion's name and what was done to it: it stands in no skill's name, and is itself to
shells and in file names."""
LEAST_RATE, MOST_RATE = 0.5, 2.0
"""Of ``warped``: beyond, nobody would move like this."""

_REFLECTED = np.array([1.0, -1.0, 1.0])
_REFLECTED_QUAT = np.array([1.0, -1.0, 1.0, -1.0])
_SIDES = {"left": "right", "right": "left"}


def opposite(name: str) -> str:
    """``left_knee`` for ``right_knee``; any word that names no side stays."""
    return re.sub(r"(?<![a-z])(left|right)(?![a-z])", lambda side: _SIDES[side[0]], name)


_LINKS = [skeleton.link_index(opposite(name)) for name in skeleton.LINKS]
_EFFECTORS = [skeleton.END_EFFECTORS.index(opposite(n)) for n in skeleton.END_EFFECTORS]


def mirrored(motion: ReferenceMotion) -> ReferenceMotion:
    """Its reflection in the plane y = 0, in which it heads at its first frame, with left and right
    exchanged. The mirror image of a mirror image is the motion itself, but for the camera."""

    def path(pos: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3"]:
        return pos * _REFLECTED

    def joints(quat: Float[np.ndarray, "T 15 4"]) -> Float[np.ndarray, "T 15 4"]:
        return quat[:, _LINKS] * _REFLECTED_QUAT

    return replace(
        _named(motion, MIRRORED, undoes=True),
        root_pos=path(motion.root_pos),
        root_quat=motion.root_quat * _REFLECTED_QUAT,
        joint_quat=joints(motion.joint_quat),
        loop_offset=motion.loop_offset * [1.0, -1.0, 1.0, -1.0],
        contacts=motion.contacts[:, _EFFECTORS],
        person_offsets=motion.person_offsets[_LINKS] * _REFLECTED,
        person_root_pos=path(motion.person_root_pos),
        person_root_quat=motion.person_root_quat * _REFLECTED_QUAT,
        person_joint_quat=joints(motion.person_joint_quat),
        objects=tuple(thing.reflected() for thing in motion.objects),
        verdict=_judged(
            motion, lambda f: replace(f, part=opposite(f.part), reason=opposite(f.reason))
        ),
    )


def warped(motion: ReferenceMotion, rate: float) -> ReferenceMotion:
    """The same poses ``rate`` times as fast.

    Raises:
        SettingError: the rate is not between 0.5 and 2.
        MotionError: the motion flies, or moves an object: a body falls and slides no faster than
            it does.
    """
    rate = real("rate", rate, LEAST_RATE, MOST_RATE)
    _check_nothing_moved(motion, WARPED)
    if len(motion.flights):
        raise MotionError(
            f"{motion.skill or 'the motion'} cannot be warped: it flies, and no body falls faster "
            "or slower than it does"
        )

    def retimed(finding: Finding) -> Finding:
        span = finding.seconds
        return replace(finding, seconds=None if span is None else (span[0] / rate, span[1] / rate))

    return replace(
        _named(motion, f"{WARPED}-{rate:g}"),
        fps=motion.fps * rate,
        verdict=_judged(motion, retimed),
    )


def time_reversed(motion: ReferenceMotion) -> ReferenceMotion:
    """Backwards in time: a walk backwards, lying down for getting up.

    Accelerations stay as they are, so that a flight is one still, and what the ground and the
    joints must give is the same. It begins over the origin and heads along x. Backwards twice is
    the motion itself, but for the camera.

    Raises:
        MotionError: it moves an object, and friction knows one direction of time.
    """
    _check_nothing_moved(motion, REVERSED)
    last = motion.num_frames - 1
    x, y, z, yaw = motion.loop_offset
    back = np.array([np.cos(yaw / 2), 0.0, 0.0, -np.sin(yaw / 2)])

    def turned(finding: Finding) -> Finding:
        span = finding.seconds
        if span is None:
            return finding
        return replace(finding, seconds=(motion.duration - span[1], motion.duration - span[0]))

    played = replace(
        _named(motion, REVERSED, undoes=True),
        **{
            name: getattr(motion, name)[::-1].copy()
            for name in (
                "root_pos", "root_quat", "joint_quat", "contacts", "confidence",
                "person_root_pos", "person_root_quat", "person_joint_quat",
            )
        },
        loop_range=last - np.asarray(motion.loop_range)[::-1],
        loop_offset=np.append(-quat_rotate(back, np.array([x, y, z])), -yaw),
        flights=last - np.asarray(motion.flights, int)[::-1, ::-1],
        verdict=_judged(motion, turned),
    )  # fmt: skip
    return from_origin(played)[0]


def _check_nothing_moved(motion: ReferenceMotion, done: str) -> None:
    if any(thing.moves for thing in motion.objects):
        raise MotionError(
            f"{motion.skill or 'the motion'} cannot be {done}: it moves an object, which would not "
            "go that way by itself"
        )


def with_variant(provenance: JSON, of: str, done: str) -> JSON:
    """Provenance that says what was done, to which motion, after all that was done before."""
    return {**provenance, "variants": [*provenance.get("variants", []), {"of": of, "made": done}]}


def _named(motion: ReferenceMotion, done: str, undoes: bool = False) -> ReferenceMotion:
    """The motion without its camera, under the name of the new one.

    Args:
        undoes: the same done last is undone by it.
    """
    provenance, skill, end = motion.provenance, motion.skill, JOIN + done
    if undoes and skill.endswith(end):
        before = provenance.get("variants", [])[:-1]
        provenance = {k: v for k, v in provenance.items() if k != "variants"}
        if before:
            provenance["variants"] = before
        skill = skill.removesuffix(end)
    else:
        provenance, skill = with_variant(provenance, skill, done), (skill or "motion") + end
    return replace(motion, skill=skill, provenance=provenance, made_from="", camera=None)


def _judged(motion: ReferenceMotion, change: Callable[[Finding], Finding]) -> Verdict | None:
    if motion.verdict is None:
        return None
    return Verdict(tuple(change(finding) for finding in motion.verdict.findings))
