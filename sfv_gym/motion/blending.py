"""One motion that goes over into another, where their poses meet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from sfv_gym import skeleton
from sfv_gym.array_types import Float
from sfv_gym.errors import MotionError
from sfv_gym.motion.placing import from_origin
from sfv_gym.motion.reference_motion import ReferenceMotion
from sfv_gym.motion.variants import JOIN
from sfv_gym.rotations import (
    heading,
    quat_conjugate,
    quat_multiply,
    quat_rotate,
    quat_slerp,
)

THEN = "then"
FADE_SECONDS = 0.27
"""Over which one pose goes over into the other: eight frames of a usual video."""
SPEED_SECONDS = 0.1
"""So many seconds of a difference of speed count as the way that it makes in them."""
MOST_APART = 0.2
"""Metres, mean over the links: motions that come no nearer to each other do not meet."""
MOST_SLIDE = 0.5
"""m/s along the ground of what is planted in the fade: as much as an assessment finds fine."""
TRIES = 20
"""Pairs of frames that are tried, no two of them alike."""
EFFECTORS = [skeleton.link_index(name) for name in skeleton.END_EFFECTORS]
PLANTED = 0.5
"""Contact above which hand or foot should stand still."""


@dataclass
class _Part:
    """T frames: ``pos`` (T, 3), ``quat`` (T, 4) and ``joints`` (T, 15, 4) of root and joints,
    ``contacts`` (T, 4), and ``flies`` (T,) bool."""

    pos: np.ndarray
    quat: np.ndarray
    joints: np.ndarray
    contacts: np.ndarray
    flies: np.ndarray

    def cut(self, first: int, stop: int | None) -> _Part:
        """Frames of it, copied."""
        return _Part(*(getattr(self, f.name)[first:stop].copy() for f in fields(_Part)))


class _Frames:
    """A motion at equal steps of time.

    Attributes:
        fps: steps a second. time: (T,) s.
        all: the frames.
        links: (T, 15, 3) metres.
        shape: (T, 15, 6) metres: places of the links from the point under the root, in its heading
            frame, and the way that they make from there in SPEED_SECONDS.
    """

    def __init__(self, motion: ReferenceMotion, fps: float, cycles: int) -> None:
        seconds = motion.duration
        if motion.loop == "wrap":
            seconds = motion.cycle_start + cycles * motion.period
        self.fps, self.time = fps, np.arange(int(seconds * fps + 1e-6) + 1) / fps
        pos, quat, joints = motion.pose(self.time)
        own = self.time.copy()
        if motion.loop == "wrap":
            own -= motion.period * np.maximum((own - motion.cycle_start) // motion.period, 0.0)
        at = np.clip(np.rint(own * motion.fps).astype(int), 0, motion.num_frames - 1)
        in_air = np.zeros(motion.num_frames, bool)
        for first, last in motion.flights:
            in_air[first : last + 1] = True
        self.all = _Part(pos, quat, joints, motion.contacts[at], in_air[at])
        self.links, _ = skeleton.forward_kinematics(pos, quat, joints)
        speed = np.gradient(self.links, 1.0 / fps, axis=0)
        back = quat_conjugate(heading(quat))[:, None]
        under = pos[:, None] * [1.0, 1.0, 0.0]
        self.shape = np.concatenate(
            (quat_rotate(back, self.links - under), SPEED_SECONDS * quat_rotate(back, speed)),
            axis=-1,
        )

    def places(self, frame: int) -> Float[np.ndarray, "5 3"]:
        """Of hands, feet and root, in metres."""
        return np.asarray(self.links[frame, [*EFFECTORS, 0]])


def blended(first: ReferenceMotion, second: ReferenceMotion) -> ReferenceMotion:
    """The first motion, and from where their poses are near on the second.

    The first is left in its second half, the second entered in its first half (of a motion that
    wraps: anywhere in a cycle), neither in flight, at the nearest poses from which nothing slides.
    The second is laid so that it heads there as the first does, and what is planted in both stands
    in one place; poses fade over 0.27 s. A second that wraps goes on for ever.

    Raises:
        MotionError: they come nowhere near each other on the ground, a hand or foot would slide, or
            one of them has objects.
    """
    name = f"{first.skill or 'motion'}{JOIN}{THEN}-{second.skill or 'motion'}"
    if first.objects or second.objects:
        raise MotionError(f"{name}: motions with objects do not go over into each other")
    # a whole number of frames for each of the second's, so that its cycle stays one
    fps = second.fps * max(1, math.ceil(first.fps / second.fps - 1e-6))
    half = max(1, round(0.5 * FADE_SECONDS * fps))
    one, other = _Frames(first, fps, cycles=2), _Frames(second, fps, cycles=3)
    slides = []
    for leave, enter in _near(one, other, half, _last_entry(second, other), name):
        fade = _Fade(one, other, leave, enter, half)
        if fade.slide <= MOST_SLIDE:
            return _joined(first, second, fade, name)
        slides.append(fade.slide)
    raise MotionError(
        f"{name}: hand or foot would slide at {min(slides):.2f} m/s where the two meet, more than "
        f"{MOST_SLIDE:g}"
    )


class _Fade:
    """One motion that goes over into the other, around frames of theirs.

    Attributes:
        fps: frames a second.
        frames: before the fade of the first, after it of the second, and between of both.
        turn, place: (4,) wxyz about z, and (3,) metres: where the second was laid.
        shift: what is added to a frame of the second. end: the fade's last frame.
        slide: the largest speed (m/s) along the ground of what is planted.
    """

    def __init__(self, one: _Frames, other: _Frames, leave: int, enter: int, half: int) -> None:
        fps = self.fps = one.fps
        turn = quat_multiply(
            heading(one.all.quat[leave]), quat_conjugate(heading(other.all.quat[enter]))
        )
        planted = np.minimum(one.all.contacts[leave], other.all.contacts[enter])
        weights, places = np.append(planted, 1e-3), [one.places(leave), other.places(enter)]
        gap = places[0] - quat_rotate(turn, places[1])
        self.turn = turn
        self.place = (weights @ gap) / weights.sum() * [1.0, 1.0, 0.0]
        self.shift, self.end = leave - enter, leave + half

        share = np.linspace(0.0, 1.0, 2 * half + 1)
        share = share * share * (3.0 - 2.0 * share)
        before, after = (
            frames.all.cut(at - half, at + half + 1)
            for frames, at in ((one, leave), (other, enter))
        )
        after.pos, after.quat = self._laid(after)
        pos = before.pos + share[:, None] * (after.pos - before.pos)
        quat = quat_slerp(before.quat, after.quat, share)
        joints = quat_slerp(before.joints, after.joints, np.repeat(share[:, None], 15, axis=1))
        contacts = before.contacts + share[:, None] * (after.contacts - before.contacts)
        middle = _Part(pos, quat, joints, contacts, before.flies)
        low = [_lowest(part) for part in (before, after, middle)]
        pos[:, 2] += low[0] + share * (low[1] - low[0]) - low[2]  # onto the ground, as they were
        self.slide = _slide(middle, fps)
        lead, rest = one.all.cut(0, leave - half), other.all.cut(enter + half + 1, None)
        rest.pos, rest.quat = self._laid(rest)
        self.frames = _Part(
            *(
                np.concatenate([getattr(part, field.name) for part in (lead, middle, rest)])
                for field in fields(_Part)
            )
        )

    def _laid(self, part: _Part) -> tuple[np.ndarray, np.ndarray]:
        return quat_rotate(self.turn, part.pos) + self.place, quat_multiply(self.turn, part.quat)


def _joined(
    first: ReferenceMotion, second: ReferenceMotion, fade: _Fade, name: str
) -> ReferenceMotion:
    frames, fps = fade.frames, fade.fps
    loop: dict[str, Any] = {}
    if second.loop == "wrap":
        begin, end = np.rint(np.asarray(second.loop_range) * fps / second.fps).astype(int)
        start = max(begin + fade.shift, fade.end)
        loop = {
            "loop": "wrap",
            "loop_range": np.array([start, start + end - begin]),
            "loop_offset": _moved_cycle(second.loop_offset, fade.turn, fade.place),
        }
    edges = np.flatnonzero(np.diff(np.concatenate(([0], frames.flies, [0])))).reshape(-1, 2)
    motion = ReferenceMotion(
        fps=fps,
        root_pos=frames.pos,
        root_quat=frames.quat,
        joint_quat=frames.joints,
        contacts=frames.contacts,
        flights=edges - [0, 1],
        skill=name,
        provenance={
            "variants": [{"of": first.skill, "made": f"{THEN}-{second.skill}"}],
            "parts": [first.provenance, second.provenance],
        },
        **loop,
    )
    return from_origin(motion)[0]


def _last_entry(second: ReferenceMotion, frames: _Frames) -> int:
    """The last frame that the second may be entered at."""
    seconds = second.duration / 2
    if second.loop == "wrap":  # a whole cycle must follow
        seconds = second.cycle_start + second.period
    return int(np.searchsorted(frames.time, seconds + 1e-6)) - 1


def _near(
    one: _Frames, other: _Frames, half: int, last_entry: int, name: str
) -> Iterator[tuple[int, int]]:
    """Frames at which the first may be left and the second entered, the nearest ones first.
    ``half`` frames around them neither flies. MotionError where none are near."""
    leaves = np.arange(max(half, len(one.time) // 2), len(one.time) - half)
    enters = np.arange(half, min(last_entry + 1, len(other.time) - half))

    def grounded(frames: _Frames, ids: np.ndarray) -> np.ndarray:
        air = frames.all.flies
        return np.array([i for i in ids if not air[i - half : i + half + 1].any()], int)

    leaves, enters = grounded(one, leaves), grounded(other, enters)
    if not len(leaves) or not len(enters):
        raise MotionError(f"{name}: too short, or in the air, where one could go over")
    distance = np.stack(
        [np.linalg.norm(one.shape[i] - other.shape[enters], axis=-1).mean(-1) for i in leaves]
    )
    if distance.min() > MOST_APART:
        raise MotionError(
            f"{name}: their poses do not meet, the nearest are {distance.min():.2f} m apart in the "
            f"mean over the links, more than {MOST_APART:g}"
        )
    for _ in range(TRIES):
        i, j = np.unravel_index(distance.argmin(), distance.shape)
        if distance[i, j] > MOST_APART:
            return
        yield int(leaves[i]), int(enters[j])
        alike = np.ix_(np.abs(leaves - leaves[i]) < half, np.abs(enters - enters[j]) < half)
        distance[alike] = np.inf


def _lowest(part: _Part) -> Float[np.ndarray, " T"]:
    """Height (T,) in metres of the lower sole."""
    soles = skeleton.sole_corners(*skeleton.forward_kinematics(part.pos, part.quat, part.joints))
    return np.asarray(soles[..., 2].min((1, 2)))


def _slide(part: _Part, fps: float) -> float:
    """Largest speed (m/s) along the ground of what is planted: of a foot, that of the corner of
    its sole that moves least, since one that rolls over its toes does not slide."""
    links, turns = skeleton.forward_kinematics(part.pos, part.quat, part.joints)
    soles = skeleton.sole_corners(links, turns)
    hands = links[:, EFFECTORS[:2]]
    speed = np.concatenate(
        (
            fps * np.linalg.norm(np.diff(hands[..., :2], axis=0), axis=-1),
            fps * np.linalg.norm(np.diff(soles[..., :2], axis=0), axis=-1).min(-1),
        ),
        axis=1,
    )
    planted = (part.contacts[1:] >= PLANTED) & (part.contacts[:-1] >= PLANTED)
    return float(np.where(planted, speed, 0.0).max(initial=0.0))


def _moved_cycle(
    offset: Float[np.ndarray, "4"], turn: Float[np.ndarray, "4"], place: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "4"]:
    """The map of one cycle (4,), of a motion that was turned and then moved."""
    yaw = offset[3]
    cycle = np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
    return np.append(quat_rotate(turn, offset[:3]) + place - quat_rotate(cycle, place), yaw)
