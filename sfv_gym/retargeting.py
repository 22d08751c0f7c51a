"""Canonical motion to a character's generalized coordinates.

The humanoid is the canonical skeleton, so its joints take the motion's rotations as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from sfv_gym import skeleton
from sfv_gym.motion import MotionState
from sfv_gym.rotations import quat_to_rotvec


@dataclass(frozen=True)
class JointMap:
    """Where each actuated link's joint lies in qpos, qvel and ctrl of a model.

    Attributes:
        balls: (B,) canonical link indices with a ball joint; ``ball_qpos`` (B, 4) and
            ``ball_dof`` (B, 3) index qpos and qvel.
        hinges: (H,) link indices that turn about y; ``hinge_qpos`` and ``hinge_dof`` (H,).
    """

    balls: np.ndarray
    ball_qpos: np.ndarray
    ball_dof: np.ndarray
    hinges: np.ndarray
    hinge_qpos: np.ndarray
    hinge_dof: np.ndarray

    @classmethod
    def of(cls, model: mujoco.MjModel) -> JointMap:
        balls: list[tuple[int, int, int]] = []
        hinges: list[tuple[int, int, int]] = []
        for i, name in enumerate(skeleton.LINKS[1:], start=1):
            if name in skeleton.FIXED_LINKS:
                continue
            joint = model.joint(name)
            (hinges if name in skeleton.HINGE_LINKS else balls).append(
                (i, joint.qposadr[0], joint.dofadr[0])
            )
        ball, hinge = np.array(balls), np.array(hinges)
        return cls(
            balls=ball[:, 0],
            ball_qpos=ball[:, 1:2] + np.arange(4),
            ball_dof=ball[:, 2:3] + np.arange(3),
            hinges=hinge[:, 0],
            hinge_qpos=hinge[:, 1],
            hinge_dof=hinge[:, 2],
        )

    def joint_vector(self, qpos: np.ndarray) -> np.ndarray:
        """Joint coordinates (N, nu) of qpos (N, nq): rotation vectors and angles, dof order."""
        out = np.empty((len(qpos), self.ball_dof.size + self.hinge_dof.size))
        out[:, self.ball_dof - 6] = quat_to_rotvec(qpos[:, self.ball_qpos])
        out[:, self.hinge_dof - 6] = qpos[:, self.hinge_qpos]
        return out


def motion_to_coordinates(
    state: MotionState, joints: JointMap, nq: int, nv: int
) -> tuple[np.ndarray, np.ndarray]:
    """qpos (N, nq) and qvel (N, nv) of the humanoid in the motion's states."""
    n = len(state.root_pos)
    qpos, qvel = np.zeros((n, nq)), np.zeros((n, nv))
    qpos[:, :3], qpos[:, 3:7] = state.root_pos, state.root_quat
    qvel[:, :3], qvel[:, 3:6] = state.root_vel, state.root_ang_vel
    qpos[:, joints.ball_qpos] = state.joint_quat[:, joints.balls]
    qvel[:, joints.ball_dof] = state.joint_ang_vel[:, joints.balls]
    qpos[:, joints.hinge_qpos] = quat_to_rotvec(state.joint_quat[:, joints.hinges])[..., 1]
    qvel[:, joints.hinge_dof] = state.joint_ang_vel[:, joints.hinges, 1]
    return qpos, qvel
