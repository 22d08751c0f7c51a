"""BVH, the motion of a hierarchy as Biovision wrote it and motion capture still does.

The format, as in M. Meredith and S. Maddock, "Motion Capture File Formats Explained" (2001): a
HIERARCHY of joints, each with an OFFSET from its parent and CHANNELS, whose rotations are applied
in the order in which they stand; then MOTION, one line of channels a frame. Position channels take
the place of the offset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from sfv_gym.errors import PoseFileError


@dataclass
class _Joint:
    name: str
    parent: int
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))
    channels: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Hierarchy:
    """What a BVH file holds.

    Attributes:
        names: (J,) of the joints; an end site is its parent's name and ``End``.
        positions: (T, J, 3) in the file's own units and axes.
        fps: frames per second.
    """

    names: tuple[str, ...]
    positions: np.ndarray
    fps: float


def read_bvh(path: Path) -> Hierarchy:
    """Every joint's positions.

    Raises:
        PoseFileError: the file is none, or cut off.
    """
    words = path.read_text(encoding="utf-8", errors="replace").split()
    if not words or words[0].upper() != "HIERARCHY":
        raise PoseFileError("not a BVH file: it does not begin with HIERARCHY")
    try:
        joints, at = _hierarchy(words)
        frames, seconds, first = _motion_header(words, at)
    except (IndexError, ValueError) as error:
        raise PoseFileError(f"damaged BVH file: {error}") from None
    count = sum(len(joint.channels) for joint in joints)
    if len(words) - first < frames * count:
        raise PoseFileError(
            f"cut off: {frames} frames of {count} channels are announced, there are "
            f"{(len(words) - first) // max(count, 1)}"
        )
    try:
        values = np.array(words[first : first + frames * count], float).reshape(frames, count)
    except ValueError as error:
        raise PoseFileError(f"damaged BVH file: {error}") from None
    names = tuple(joint.name for joint in joints)
    return Hierarchy(names, _positions(joints, values), 1.0 / seconds)


def _hierarchy(words: list[str]) -> tuple[list[_Joint], int]:
    """The joints, parents first, and where MOTION stands."""
    joints: list[_Joint] = []
    stack: list[int] = []
    at = 1
    while words[at].upper() != "MOTION":
        word = words[at].upper()
        if word in ("ROOT", "JOINT"):
            end = words.index("{", at)
            joints.append(_Joint(" ".join(words[at + 1 : end]), stack[-1] if stack else -1))
            at = end
        elif word == "END":
            joints.append(_Joint(f"{joints[stack[-1]].name}End", stack[-1]))
            at = words.index("{", at)
        elif word == "}":
            stack.pop()
            at += 1
        elif word == "OFFSET":
            joints[stack[-1]].offset = np.array(words[at + 1 : at + 4], float)
            at += 4
        elif word == "CHANNELS":
            count = int(words[at + 1])
            channels = [c.lower() for c in words[at + 2 : at + 2 + count]]
            for channel in channels:
                if channel[:1] not in "xyz" or channel[1:] not in ("position", "rotation"):
                    raise ValueError(f"unknown channel {channel}")
            joints[stack[-1]].channels = channels
            at += 2 + count
        else:
            raise ValueError(f"unexpected {words[at]!r}")
        if words[at] == "{":
            stack.append(len(joints) - 1)
            at += 1
    if not joints or stack:
        raise ValueError("its braces do not match")
    return joints, at


def _motion_header(words: list[str], at: int) -> tuple[int, float, int]:
    """Number of frames, seconds of one, and where their values begin."""
    if [word.lower() for word in (words[at + 1], *words[at + 3 : at + 5])] != [
        "frames:", "frame", "time:",
    ]:  # fmt: skip
        raise ValueError("no Frames: and Frame Time: after MOTION")
    frames, seconds = int(words[at + 2]), float(words[at + 5])
    if frames < 1 or not (np.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{frames} frames of {seconds} s")
    return frames, seconds, at + 6


def _positions(joints: list[_Joint], values: np.ndarray) -> np.ndarray:
    frames, column = len(values), 0
    places: list[np.ndarray] = []
    turns: list[Rotation] = []
    for joint in joints:
        block = values[:, column : column + len(joint.channels)]
        column += len(joint.channels)
        move = np.tile(joint.offset, (frames, 1))
        order, angles = "", []
        for channel, channel_values in zip(joint.channels, block.T, strict=True):
            if channel.endswith("position"):
                move[:, "xyz".index(channel[0])] = channel_values
            else:
                order += channel[0].upper()
                angles.append(channel_values)
        turn = Rotation.identity(frames)
        for axis, angle in zip(order, angles, strict=True):
            turn = turn * Rotation.from_euler(axis, angle[:, None], degrees=True)
        if joint.parent < 0:
            places.append(move)
            turns.append(turn)
        else:
            parent = turns[joint.parent]
            places.append(places[joint.parent] + parent.apply(move))
            turns.append(parent * turn)
    return np.stack(places, axis=1)
