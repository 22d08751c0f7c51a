"""What a motion asks of a character at each frame."""

from __future__ import annotations

import numpy as np

from sfv_gym import skeleton
from sfv_gym.motion import ReferenceMotion
from sfv_gym.motion.clip_objects import touched_tops
from sfv_gym.retargeting.rig import BONES, Rig
from sfv_gym.rotations import quat_conjugate, quat_multiply, quat_rotate, quat_to_matrix
from sfv_gym.spans import blur, runs

_ARM_OUT = 0.2  # sine of the angle that a hanging arm keeps from straight down
_HAND_RADIUS = 0.04  # m, of the canonical hand's sphere


class Targets:
    """The motion's figures at each frame, as far as they do not depend on where the root is.

    Attributes:
        bones: (T, 8, 3) unit vectors of BONES.
        axes: (T, 5, 3, 3) rotation matrices that ORIENTED's bodies should have.
        root_quat: (T, 4) that the character's root should have.
        reach: (T, 4, 3) right foot, right hand, left foot, left hand from the middle of the hips
            or from the shoulder, in lengths of the limb.
        centre: (T, 3) metres, the centre of mass.
        effector_pos, effector_low: (T, 4, 3) metres, middle of soles and hands, and (T, 4) the
            height of their lowest point.
        planted: (T, 4) in 0..1, skeleton.END_EFFECTORS; ``bears`` is the same, with hands left
            out beside a foot, and smooth in time.
        raised: (T, 4) metres, height of the object's top that each is planted on, in the
            character's scene, 0 on the ground; None where the motion has no objects.
        balance: (T, 2) metres, centre of mass from what bears it.
        flights: first and last frame of each of the motion's, as it is played.
    """

    def __init__(self, motion: ReferenceMotion, rig: Rig) -> None:
        # a wrapped motion from its cycle on as it is played: closed, and the cycle over and over
        frames = np.arange(motion.num_frames)
        root_pos, root_quat, joint_quat = motion.pose(frames / motion.fps)
        pos, quat = skeleton.forward_kinematics(root_pos, root_quat, joint_quat)
        planted, in_air = motion.contacts, np.zeros(len(frames), bool)
        for first, last in motion.flights:
            in_air[first : last + 1] = True
        if motion.loop == "wrap":
            first, last = (int(i) for i in motion.loop_range)
            shown = np.where(frames < last, frames, first + (frames - last) % (last - first))
            planted, in_air = planted[shown], in_air[shown]
        start, end = rig.bone_index.T
        bones = pos[:, end] - pos[:, start]
        lengths = np.linalg.norm(bones, axis=-1, keepdims=True)
        self.bones = _arms_off_body(bones / lengths, quat[:, skeleton.link_index("chest")])
        wanted = quat_multiply(quat, np.broadcast_to(rig.rest, quat.shape))
        self.axes = quat_to_matrix(wanted[:, rig.oriented])
        self.root_quat = wanted[:, 0]
        self.root_pos = root_pos
        limb_end = pos[:, end.reshape(4, 2)[:, 1]]
        moved = (self.bones * lengths - bones).reshape(len(pos), 4, 2, 3).sum(2)
        self.reach = (limb_end + moved - limb_starts(pos)) / rig.canonical_limbs[:, None]
        self.centre = skeleton.centre_of_mass(pos, quat)
        soles = skeleton.sole_corners(pos, quat)
        hands = pos[:, rig.effectors[:2]]
        self.effector_pos = np.concatenate((hands, soles.mean(2)), axis=1)
        self.effector_low = np.concatenate(
            (hands[..., 2] - _HAND_RADIUS, soles[..., 2].min(2)), axis=1
        )
        self.planted, self.raised = planted, None
        if motion.objects:
            tops = touched_tops(motion.objects, (root_pos, root_quat, joint_quat), planted)
            self.raised = rig.scale * tops
            self.effector_low = self.effector_low + (rig.scale - 1.0) * tops
        self.fps = motion.fps
        self.flights = runs(in_air)
        bears = self.planted.copy()
        bears[:, :2] *= 1 - self.planted[:, 2:].max(1, keepdims=True)
        self.bears = blur(bears, 2)
        self.bears[bears.max(1) < 0.5] = 0.0
        total = np.maximum(self.bears.sum(1, keepdims=True), 1e-9)
        middle = (self.effector_pos * (self.bears / total)[..., None]).sum(1)
        self.balance = rig.scale * (self.centre - middle)[:, :2]

    def __len__(self) -> int:
        return len(self.centre)


def _arms_off_body(bones: np.ndarray, chest: np.ndarray) -> np.ndarray:
    """Directions (T, 8, 3) of BONES with upper arms that keep an angle from the chest's axis.

    A hinged shoulder cannot turn about an arm that hangs straight down or up: to swing it from
    front to back it would have to spin. Past that direction on the outside there is a way round.

    Args:
        chest: (T, 4) rotations.
    """
    bones = bones.copy()
    for i, (start, _) in enumerate(BONES):
        if not start.endswith("shoulder"):
            continue
        side = -1.0 if start.startswith("right") else 1.0
        local = quat_rotate(quat_conjugate(chest), bones[:, i])
        out = side * local[:, 1]
        least = 0.5 * (out + _ARM_OUT + np.hypot(out - _ARM_OUT, 0.5 * _ARM_OUT))
        local[:, 1] = side * (out + local[:, 2] ** 2 * (least - out))
        local /= np.linalg.norm(local, axis=1, keepdims=True)
        bones[:, i] = quat_rotate(chest, local)
    return bones


def limb_starts(pos: np.ndarray) -> np.ndarray:
    """Where reaches (..., 4, 3) are measured from, given link positions (..., 15, 3)."""
    right, left = skeleton.link_index("right_hip"), skeleton.link_index("left_hip")
    hips = 0.5 * (pos[..., right, :] + pos[..., left, :])
    arms = [pos[..., skeleton.link_index(f"{side}_shoulder"), :] for side in ("right", "left")]
    return np.stack((hips, arms[0], hips, arms[1]), axis=-2)


def close_cycle(hinges: np.ndarray, loop_range: np.ndarray) -> None:
    """Spread a cycle's closing error over it, in place: its ends show the same angles (T, H)."""
    first, last = (int(i) for i in loop_range)
    share = np.clip((np.arange(len(hinges)) - first) / (last - first), 0, 1)
    hinges -= share[:, None] * (hinges[last] - hinges[first])
