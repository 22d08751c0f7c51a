"""Where a character's joints lie in a model's coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np

from sfv_gym import skeleton
from sfv_gym.motion import MotionState
from sfv_gym.rotations import quat_to_rotvec


@dataclass(frozen=True)
class JointMap:
    """Where each actuated joint lies in qpos, qvel and ctrl of a model with a free root.

    Attributes:
        names: of all J joints but the root's, in the order of their degrees of freedom.
        balls: (B,) indices in ``names`` of the ball joints; ``ball_qpos`` (B, 4) and
            ``ball_dof`` (B, 3) index qpos and qvel.
        hinges: (H,) indices of the hinges; ``hinge_qpos`` and ``hinge_dof`` (H,), and
            ``hinge_axis`` (H, 3) in the link's frame.
    """

    names: tuple[str, ...]
    balls: np.ndarray
    ball_qpos: np.ndarray
    ball_dof: np.ndarray
    hinges: np.ndarray
    hinge_qpos: np.ndarray
    hinge_dof: np.ndarray
    hinge_axis: np.ndarray

    @classmethod
    def of(cls, model: mujoco.MjModel) -> JointMap:
        """The joints of the character in ``model``, which may be a scene of which it is the first
        body: those of its root's tree, but for the root's own, which is joint 0."""
        joints = np.flatnonzero(model.body_rootid[model.jnt_bodyid] == 1)[1:]
        kind = model.jnt_type[joints]
        balls = np.flatnonzero(kind == mujoco.mjtJoint.mjJNT_BALL)
        hinges = np.flatnonzero(kind == mujoco.mjtJoint.mjJNT_HINGE)
        qpos, dof = model.jnt_qposadr[joints], model.jnt_dofadr[joints]
        return cls(
            names=tuple(model.joint(j).name for j in joints),
            balls=balls,
            ball_qpos=qpos[balls, None] + np.arange(4),
            ball_dof=dof[balls, None] + np.arange(3),
            hinges=hinges,
            hinge_qpos=qpos[hinges],
            hinge_dof=dof[hinges],
            hinge_axis=model.jnt_axis[joints[hinges]],
        )

    @cached_property
    def quat_qpos(self) -> np.ndarray:
        """(1 + B, 4) where the root's and the balls' quaternions lie in qpos."""
        return np.vstack((np.arange(3, 7), self.ball_qpos.reshape(-1, 4)))

    @cached_property
    def quat_dof(self) -> np.ndarray:
        """(1 + B, 3) where their angular velocities lie in qvel."""
        return np.vstack((np.arange(3, 6), self.ball_dof.reshape(-1, 3)))

    def joint_vector(self, qpos: np.ndarray) -> np.ndarray:
        """Joint coordinates (N, nu) of qpos (N, nq): rotation vectors and angles, dof order."""
        out = np.empty((len(qpos), self.ball_dof.size + self.hinge_dof.size))
        out[:, self.ball_dof - 6] = quat_to_rotvec(qpos[:, self.ball_qpos])
        out[:, self.hinge_dof - 6] = qpos[:, self.hinge_qpos]
        return out

    def coordinates(
        self, state: MotionState, joint_names: tuple[str, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates qpos (N, nq) and qvel (N, nv) of a trajectory's states.

        Args:
            joint_names: of the columns of ``state.joint_quat``, all of ``names`` among them.
        """
        n = len(state.root_pos)
        column = np.array([joint_names.index(name) for name in self.names])
        qpos = np.zeros((n, 7 + self.ball_qpos.size + self.hinge_qpos.size))
        qvel = np.zeros((n, 6 + self.ball_dof.size + self.hinge_dof.size))
        qpos[:, :3], qpos[:, 3:7] = state.root_pos, state.root_quat
        qvel[:, :3], qvel[:, 3:6] = state.root_vel, state.root_ang_vel
        balls, hinges = column[self.balls], column[self.hinges]
        qpos[:, self.ball_qpos] = state.joint_quat[:, balls]
        qvel[:, self.ball_dof] = state.joint_ang_vel[:, balls]
        turn = quat_to_rotvec(state.joint_quat[:, hinges])
        qpos[:, self.hinge_qpos] = (turn * self.hinge_axis).sum(-1)
        qvel[:, self.hinge_dof] = (state.joint_ang_vel[:, hinges] * self.hinge_axis).sum(-1)
        return qpos, qvel

    def target_range(self, model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
        """Middle and half width (nu,) in rad of what absolute actions reach, in dof order: the
        joints' limits; of a ball joint that is not of the canonical skeleton half a turn."""
        limits = np.zeros((self.ball_dof.size + self.hinge_dof.size, 2))
        half_turn = ((-np.pi, np.pi),) * 3
        for ball, dof in zip(self.balls, self.ball_dof, strict=True):
            limits[dof - 6] = skeleton.ROTATION_LIMITS.get(self.names[ball], half_turn)
        for hinge, dof in zip(self.hinges, self.hinge_dof, strict=True):
            limits[dof - 6] = model.joint(self.names[hinge]).range
        return limits.mean(-1), 0.5 * (limits[:, 1] - limits[:, 0])
