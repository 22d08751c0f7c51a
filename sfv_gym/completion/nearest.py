"""Which states of which motions are nearest to a pose (SFV, motion completion)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sfv_gym.array_types import Bool, Float
from sfv_gym.motion import ReferenceMotion
from sfv_gym.motion.variants import mirrored
from sfv_gym.registry import list_envs, load_motion

CONTACT = 0.01
"""Metres that each hand or foot counts which touches the ground in one of the poses alone."""
DEPTH = 0.3
"""What a distance along the line of sight counts of its length: one picture shows it worst."""
CLOSE, FAR = 0.10, 0.20
"""Metres: up to the first a pose is that of the motion, beyond the second of none."""


@dataclass(frozen=True)
class Match:
    """The state of one skill that is nearest to a pose.

    Attributes:
        skill: name. mirrored: with left and right exchanged.
        time: seconds into the motion.
        pose: metres, root mean square over the links. contacts: how many differ, 0..4.
        distance: metres, what matches are ranked by.
    """

    skill: str
    mirrored: bool
    time: float
    pose: float
    contacts: int
    distance: float

    @property
    def in_words(self) -> str:
        """How near that is."""
        for limit, words in ((CLOSE, "close"), (FAR, "like it")):
            if self.distance <= limit:
                return words
        return "far"


def pose_distance(
    pose: Float[np.ndarray, "15 3"],
    poses: Float[np.ndarray, "T 15 3"],
    sight: Float[np.ndarray, " 3"] | None = None,
    depth: float = DEPTH,
) -> Float[np.ndarray, " T"]:
    """Root mean square (T,) in metres over the links, each of ``poses`` moved, and turned about z,
    so that it lies nearest: tilt counts, and place, height and heading do not.

    A picture does not tell whether a body flies. The turn is Procrustes' in the plane.

    Args:
        sight: along which ``pose`` was seen, of length 1; distances along it count ``depth`` of
            their length. None: they count in full.
    """
    a, b = pose - pose.mean(0), poses - poses.mean(1, keepdims=True)
    along = (a[:, :2] * b[..., :2]).sum((-1, -2))
    across = (a[:, 1] * b[..., 0] - a[:, 0] * b[..., 1]).sum(-1)
    turn = np.arctan2(across, along)[:, None]
    c, s = np.cos(turn), np.sin(turn)
    turned = np.stack(
        (b[..., 0] * c - b[..., 1] * s, b[..., 0] * s + b[..., 1] * c, b[..., 2]), axis=-1
    )
    apart = ((turned - a) ** 2).sum(-1)
    if sight is not None:
        apart -= (1.0 - depth**2) * ((turned - a) @ sight) ** 2
    return np.asarray(np.sqrt(np.maximum(apart, 0.0).mean(-1)))


def nearest(
    still: ReferenceMotion,
    frame: int,
    character: str = "humanoid",
    *,
    contact: float = CONTACT,
    depth: float = DEPTH,
) -> list[Match]:
    """The nearest state of every registered skill, nearest first.

    Velocities are the motions' own, so that they fit the pose.

    Args:
        still: whose ``frame`` is the pose, as its ``camera`` saw it.
        contact, depth: see ``CONTACT`` and ``DEPTH``.
    """
    pose, touching = still.joint_positions()[frame], still.contacts[frame] > 0.5
    sight = None if still.camera is None else still.camera.rotation[2]
    matches = []
    for entry in list_envs():
        if entry.motion is None or entry.character != character or entry.terrain != "flat":
            continue
        best: list[Match] = []
        for flipped, one in enumerate(_states(entry.motion, entry.motion.stat().st_mtime)):
            distance = pose_distance(pose, one.joints, sight, depth)
            differ = (one.touching != touching).sum(1)
            whole = distance + contact * differ
            t = int(np.argmin(whole))
            best.append(
                Match(
                    entry.skill, bool(flipped), t / one.fps, float(distance[t]), int(differ[t]),
                    float(whole[t]),
                )
            )  # fmt: skip
        matches.append(min(best, key=lambda match: match.distance))
    return sorted(matches, key=lambda match: match.distance)


class _States(NamedTuple):
    """A motion's ``joints`` (T, 15, 3) in metres, and what is ``touching`` (T, 4) the ground."""

    fps: float
    joints: Float[np.ndarray, "T 15 3"]
    touching: Bool[np.ndarray, "T 4"]


@lru_cache(maxsize=256)
def _states(motion: Path, changed: float) -> tuple[_States, _States]:
    """Of a motion's file, as of when it was ``changed``, and of its mirror image."""
    loaded = load_motion(motion)
    first, second = (
        _States(one.fps, one.joint_positions(), one.contacts > 0.5)
        for one in (loaded, mirrored(loaded))
    )
    return first, second
