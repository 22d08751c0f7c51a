"""A skill's policy that goes on from a pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.completion.nearest import Match
from sfv_gym.envs.mirroring import mirror_of
from sfv_gym.envs.starts import Initialization, Starts, StartSampler
from sfv_gym.envs.task import CONTROL_HZ, Task
from sfv_gym.motion import ReferenceMotion
from sfv_gym.play.agents import policy_agent
from sfv_gym.play.mirroring import mirrored_policy
from sfv_gym.play.policy import load_policy
from sfv_gym.play.rollout import Rollout, rollout
from sfv_gym.rotations import (
    heading,
    quat_conjugate,
    quat_multiply,
    quat_to_rotvec,
    rotvec_to_quat,
)

SHARES = (1.0, 0.5, 0.0)
"""Of the picture's pose in the start; the rest is the motion's. The first that stays up counts."""
UP = 1.0
"""Seconds that a start has to stay up."""


@dataclass(frozen=True)
class PosedInitialization(Initialization):
    """Starts at one step of the motion, its pose moved towards another, raised out of the ground.

    Attributes:
        step: of the reference. share: 0..1 of the way to ``qpos`` (nq,) that the pose is moved;
            root position and heading stay the motion's. joints: the character's.
    """

    step: int = 0
    share: float = 0.0
    qpos: tuple[float, ...] = ()
    balls: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = ()
    hinges: tuple[tuple[int, int], ...] = ()

    def sampler(self, qvel: np.ndarray, pose: np.ndarray, num_starts: int, n: int) -> StartSampler:
        """One that draws nothing."""
        row = min(self.step, num_starts - 1)
        return _PosedSampler(self, row, self._way(pose[row]))

    def _way(self, at: np.ndarray) -> np.ndarray:
        """(nv,) what takes the reference's pose (nv,) to the picture's, each in its own frame."""
        way = np.zeros_like(at)
        if not self.share:
            return way
        wanted = np.array(self.qpos)
        root = rotvec_to_quat(at[3:6])
        tilt = quat_multiply(quat_conjugate(heading(wanted[3:7])), wanted[3:7])
        goals = [(np.arange(3, 6), quat_multiply(heading(root), tilt))]
        goals += [(np.array(dof), wanted[list(where)]) for where, dof in self.balls]
        for dof, goal in goals:
            back = quat_conjugate(rotvec_to_quat(at[dof]))
            turn = quat_multiply(back, goal)
            way[dof] = quat_to_rotvec(turn * (1.0 if turn[0] >= 0 else -1.0))
        for where, dof_index in self.hinges:
            way[dof_index] = wanted[where] - at[dof_index]
        return self.share * way


class _PosedSampler(StartSampler):
    may_penetrate = True

    def __init__(self, settings: Initialization, row: int, way: np.ndarray) -> None:
        super().__init__(settings, len(way))
        self._row, self._way = row, way

    def draw(self, ids: np.ndarray, uniform: np.ndarray, normal: np.ndarray) -> Starts:
        """The one start."""
        moved = np.tile(self._way, (len(ids), 1))
        return Starts(np.full(len(ids), self._row), moved, np.zeros_like(moved))


def play_on(
    still: ReferenceMotion, frame: int, match: Match, env_id: str, seconds: float
) -> tuple[Rollout, float]:
    """The policy of ``env_id`` goes on from the picture's pose.

    The start has as much of the picture's pose as stays up for ``UP`` seconds, of ``SHARES``; if
    none does, as much as stays up longest. Who is no canonical humanoid starts in the motion's.

    Returns:
        The rollout, and the share of the picture's pose in its start.

    Raises:
        PolicyError: no policy ships for it.
    """
    policy = load_policy(env_id)
    task = Task.of(env_id)
    character = task.character
    if match.mirrored:
        task = Task.of(task, motions=[f"{match.skill}+mirrored"])
        policy = mirrored_policy(policy, mirror_of(task.observation_parts, character))
    joints = character.joints
    shares: tuple[float, ...] = (0.0,)
    qpos = np.zeros(0)
    if character.is_canonical:
        at = np.array([frame]) / still.fps
        shares, qpos = SHARES, joints.coordinates(still.sample(at), still.joint_names)[0][0]
    played = []
    for share in shares:
        start = PosedInitialization(
            step=round(match.time * CONTROL_HZ),
            share=share,
            qpos=tuple(qpos.tolist()),
            balls=tuple(
                (tuple(where), tuple(dof))
                for where, dof in zip(
                    joints.ball_qpos.tolist(), joints.ball_dof.tolist(), strict=True
                )
            ),
            hinges=tuple(zip(joints.hinge_qpos.tolist(), joints.hinge_dof.tolist(), strict=True)),
        )
        one = rollout(
            task, policy_agent(policy.predict), seconds=seconds, start=start,
            name=env_id,
        )  # fmt: skip
        played.append((one, share))
        if stays_up(one):
            return one, share
    return max(played, key=lambda pair: pair[0].failed_at or 0)


def stays_up(played: Rollout) -> bool:
    """Whether it goes on for ``UP`` seconds, or to the motion's end, without early termination."""
    return played.failed_at is None or played.failed_at > UP * played.hz
