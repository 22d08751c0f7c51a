"""What every format writes: a tree of links and its poses over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym import skeleton
from sfv_gym.motion import ReferenceMotion

TO_Y_UP: np.ndarray = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
"""Our axes (x ahead, y left, z up) to those of BVH and glTF (x left, y up, z ahead)."""

TIPS: dict[str, tuple[float, float, float]] = {
    "neck": (0.0, 0.0, 0.2775),
    "right_ankle": (0.1335, 0.0, -0.05),
    "left_ankle": (0.1335, 0.0, -0.05),
    "right_wrist": (0.0, 0.0, -0.08),
    "left_wrist": (0.0, 0.0, -0.08),
}
"""Metres in the link's frame: where the links without children end, on the character."""


@dataclass(frozen=True)
class Poses:
    """The links of ``skeleton.LINKS`` over T frames, z up, metres.

    Attributes:
        name: of the motion.
        fps: frames per second.
        offsets: (15, 3) each link's origin in its parent's frame.
        root_pos: (T, 3) world. root_quat: (T, 4) wxyz.
        joint_quat: (T, 15, 4) wxyz, link to parent; entry 0 is the identity.
    """

    name: str
    fps: float
    offsets: np.ndarray
    root_pos: np.ndarray
    root_quat: np.ndarray
    joint_quat: np.ndarray

    @property
    def local_quat(self) -> np.ndarray:
        """(T, 15, 4) wxyz, link to parent, the root to the world."""
        return np.concatenate((self.root_quat[:, None], self.joint_quat[:, 1:]), axis=1)

    @property
    def positions(self) -> np.ndarray:
        """(T, 15, 3) metres, world."""
        return skeleton.forward_kinematics(
            self.root_pos, self.root_quat, self.joint_quat, self.offsets
        )[0]

    def stretch(self, link: int) -> float:
        """How much longer a link is than the character's."""
        children = [i for i, parent in enumerate(skeleton.PARENTS) if parent == link]
        if not children:
            return 1.0
        own, usual = self.offsets[children[0]], skeleton.OFFSETS[children[0]]
        return float(np.linalg.norm(own) / np.linalg.norm(usual))


def poses_of(motion: ReferenceMotion, *, person: bool) -> Poses:
    """The character's poses, or the person's own."""
    name = motion.skill or "motion"
    if not person:
        return Poses(name, motion.fps, skeleton.OFFSETS, motion.root_pos, motion.root_quat,
                     motion.joint_quat)  # fmt: skip
    return Poses(name, motion.fps, motion.person_offsets, motion.person_root_pos,
                 motion.person_root_quat, motion.person_joint_quat)  # fmt: skip
