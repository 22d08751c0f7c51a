"""The reference motion, resampled to control steps in a character's coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from sfv_gym import skeleton
from sfv_gym.motion import ReferenceMotion
from sfv_gym.retargeting import JointMap, motion_to_coordinates


@dataclass(frozen=True)
class ReferenceTable:
    """Everything the environment looks up per step; row s is the time s times the control step.

    Attributes:
        qpos: (S, nq), qvel: (S, nv), joint_vector: (S, nu): the reference state.
        target: (S, nu) PD targets that bring the character to row s: the joint vector of the
            reference ``lead`` seconds later, which makes up for the actuators' lag.
        link_pos: (S, 15, 3) metres, world. com: (S, 3).
        phase: (S, 2) sine and cosine of the phase: of the full turn when cyclic, so that the
            end meets the start, of half a turn when not.
        num_starts: rows that an episode may start from.
        last: the row at which an acyclic motion ends; None when cyclic.
    """

    qpos: np.ndarray
    qvel: np.ndarray
    joint_vector: np.ndarray
    target: np.ndarray
    link_pos: np.ndarray
    com: np.ndarray
    phase: np.ndarray
    num_starts: int
    last: int | None

    @classmethod
    def build(
        cls,
        motion: ReferenceMotion,
        model: mujoco.MjModel,
        joints: JointMap,
        control_dt: float,
        horizon: int,
        lead: float,
    ) -> ReferenceTable:
        """Resample ``motion`` for episodes of at most ``horizon`` control steps."""
        cyclic = motion.loop == "wrap"
        if cyclic:
            last = None
            num_starts = max(int((motion.cycle_start + motion.period) / control_dt), 1)
        else:
            last = max(int(motion.duration / control_dt + 1e-6), 1)
            num_starts = max(last - 2, 1)  # a start on the last frames teaches nothing
        rows = num_starts + horizon + 2
        if last is not None:
            rows = min(rows, last + 2)
        t = np.arange(rows) * control_dt
        state = motion.sample(t)
        qpos, qvel = motion_to_coordinates(state, joints, model.nq, model.nv)
        ahead, _ = motion_to_coordinates(motion.sample(t + lead), joints, model.nq, model.nv)
        link_pos, link_quat = skeleton.forward_kinematics(
            state.root_pos, state.root_quat, state.joint_quat
        )
        angle = (2 * np.pi if cyclic else np.pi) * motion.phase(t)
        return cls(
            qpos=qpos,
            qvel=qvel,
            joint_vector=joints.joint_vector(qpos),
            target=joints.joint_vector(ahead),
            link_pos=link_pos,
            com=skeleton.centre_of_mass(link_pos, link_quat),
            phase=np.stack((np.sin(angle), np.cos(angle)), axis=-1),
            num_starts=num_starts,
            last=last,
        )
