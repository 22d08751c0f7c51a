"""Which states of which motions are nearest to a pose (SFV, motion completion)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.array_types import Float
from sfv_gym.motion import ReferenceMotion
from sfv_gym.motion.variants import mirrored
from sfv_gym.registry import list_envs, load_motion

CONTACT = 0.02
"""Metres that each hand or foot counts which touches the ground in one of the poses alone."""
CLOSE, FAR = 0.10, 0.20
"""Metres: up to the first a pose is that of the motion, beyond the second of none. Set by eye, and
not yet calibrated on pictures with truth."""


@dataclass(frozen=True)
class Match:
    """The state of one skill that is nearest to a pose.

    Attributes:
        skill: name. mirrored: with left and right exchanged.
        time: seconds into the motion.
        pose: metres, root mean square over the links. contacts: how many differ, 0..4.
    """

    skill: str
    mirrored: bool
    time: float
    pose: float
    contacts: int

    @property
    def distance(self) -> float:
        """Metres, what matches are ranked by."""
        return self.pose + CONTACT * self.contacts

    @property
    def in_words(self) -> str:
        """How near that is."""
        for limit, words in ((CLOSE, "close"), (FAR, "like it")):
            if self.distance <= limit:
                return words
        return "far"


def pose_distance(
    pose: Float[np.ndarray, "15 3"], poses: Float[np.ndarray, "T 15 3"]
) -> Float[np.ndarray, " T"]:
    """Root mean square (T,) in metres over the links, each pose moved, and turned about z, so that
    it lies nearest: tilt counts, and place, height and heading do not.

    A picture does not tell whether a body flies. The turn is Procrustes' in the plane.
    """
    a, b = pose - pose.mean(0), poses - poses.mean(1, keepdims=True)
    along = (a[:, :2] * b[..., :2]).sum((-1, -2))
    across = (a[:, 0] * b[..., 1] - a[:, 1] * b[..., 0]).sum(-1)
    flat = (a[:, :2] ** 2).sum() + (b[..., :2] ** 2).sum((-1, -2)) - 2 * np.hypot(along, across)
    upright = ((a[:, 2] - b[..., 2]) ** 2).sum(-1)
    return np.asarray(np.sqrt(np.maximum(flat + upright, 0.0) / len(pose)))


def nearest(still: ReferenceMotion, frame: int, character: str = "humanoid") -> list[Match]:
    """The nearest state of every registered skill, nearest first.

    Velocities are the motions' own, so that they fit the pose.

    Args:
        still: whose ``frame`` is the pose.
    """
    pose, touching = still.joint_positions()[frame], still.contacts[frame] > 0.5
    matches = []
    for entry in list_envs():
        if entry.motion is None or entry.character != character or entry.terrain != "flat":
            continue
        motion = load_motion(entry.motion)
        best: list[Match] = []
        for flipped, one in ((False, motion), (True, mirrored(motion))):
            distance = pose_distance(pose, one.joint_positions())
            differ = ((one.contacts > 0.5) != touching).sum(1)
            t = int(np.argmin(distance + CONTACT * differ))
            best.append(
                Match(entry.skill, flipped, t / one.fps, float(distance[t]), int(differ[t]))
            )
        matches.append(min(best, key=lambda match: match.distance))
    return sorted(matches, key=lambda match: match.distance)
