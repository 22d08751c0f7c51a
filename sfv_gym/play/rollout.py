"""One episode, played from the clip's first frame and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

import mujoco
import numpy as np

from sfv_gym.envs.rewards import REWARDS
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.starts import Initialization
from sfv_gym.envs.task import CONTROL_HZ, Task, TaskSettings
from sfv_gym.play.agents import Agent
from sfv_gym.play.episodes import episodes


@dataclass(frozen=True)
class Rollout:
    """S control steps of one episode, ``hz`` a second.

    Attributes:
        model: the character on its terrain, among its objects.
        qpos, reference_qpos: (S + 1, nq) the states and those of the reference, from the start: the
            character's coordinates, then those of each object that may be moved.
        ground: (S + 1,) metres, the height that the reference is raised by under the root.
        reward, reward_sfv: (S,) both rewards of each step, in 0..1.
        joint_error, joint_error_root: (S,) metres, mean distance of the 15 links from the
            reference's, in the world and relative to the root.
        failed_at: the step at which early termination would have ended it; None if none.
    """

    env_id: str
    model: mujoco.MjModel
    hz: float
    qpos: np.ndarray
    reference_qpos: np.ndarray
    ground: np.ndarray
    reward: np.ndarray
    reward_sfv: np.ndarray
    joint_error: np.ndarray
    joint_error_root: np.ndarray
    failed_at: int | None

    @property
    def seconds(self) -> float:
        """Simulated time of the S steps, those after a failure included."""
        return len(self.reward) / self.hz

    def has_failed(self, step: int) -> bool:
        """Whether early termination would have ended it by state ``step`` in 0..S."""
        return self.failed_at is not None and step >= self.failed_at


def rollout(
    task: Task | str,
    agent: Agent,
    *,
    seconds: float = 10.0,
    seed: int = 0,
    start: str | Initialization = "fixed",
    name: str | None = None,
    **settings: Unpack[TaskSettings],
) -> Rollout:
    """Play one episode, on after any early termination, which the result notes.

    Args:
        task: or an environment id.
        agent: who plays: one of ``AGENTS``, or ``policy_agent(policy.predict)``.
        seconds: the longest to play; a motion that does not wrap ends with its last frame.
        seed: of the start noise, and of what the agent draws.
        start: ``"fixed"``: the clip's first frame; ``"rsi"``: a drawn one; or an object.
        name: what it is called; by default the id.
        settings: of the task, in place of its own.
    """
    settings["initialization"] = start
    settings["horizon"] = max(1, round(seconds * CONTROL_HZ))
    simulation = ImitationSimulation(Task.of(task, **settings))
    predict = agent(simulation, np.random.default_rng(seed))
    played = episodes(simulation, predict, seed, play_on=True)
    states, references = [simulation.scenes.qpos[0].copy()], [simulation.reference_scene()[0]]
    curves: dict[str, list[float]] = {
        name: [] for name in ("reward", "reward_sfv", "joint_error", "joint_error_root")
    }
    failed_at: int | None = None
    for number, step in enumerate(played, start=1):
        result = step.result
        states.append(simulation.scenes.qpos[0].copy())
        references.append(simulation.reference_scene()[0])
        curves["reward"].append(float(REWARDS["pose"](result.errors)[0][0]))
        curves["reward_sfv"].append(float(REWARDS["sfv"](result.errors)[0][0]))
        for name in ("joint_error", "joint_error_root"):
            curves[name].append(float(result.parts[name][0]))
        if result.terminated[0] and failed_at is None:
            failed_at = number
    path = np.array(states)
    return Rollout(
        env_id=name or (task if isinstance(task, str) else ""),
        model=simulation.physics.model_of(0),  # with the terrain and objects that were drawn
        hz=float(simulation.control_hz),
        qpos=path,
        reference_qpos=np.array(references),
        ground=simulation.ground.height_offset(simulation.all_ids, path[None, :, :2])[0],
        failed_at=failed_at,
        **{name: np.array(values) for name, values in curves.items()},
    )
