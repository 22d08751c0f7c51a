"""One episode, played from the clip's first frame, and who plays it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from sfv_gym.envs.imitation_env import make_simulation
from sfv_gym.envs.rewards import REWARDS
from sfv_gym.envs.simulation import CONTROL_HZ, ImitationSimulation
from sfv_gym.errors import UnknownIdError
from sfv_gym.registry import get_entry

Predict = Callable[[np.ndarray], np.ndarray]
Agent = Callable[[ImitationSimulation, np.random.Generator], Predict]
"""Gives the function from observations (N, D) to actions (N, A) for one simulation."""


@dataclass(frozen=True)
class Rollout:
    """S control steps of one episode, ``hz`` a second.

    Attributes:
        model: the character on its terrain.
        qpos, reference_qpos: (S + 1, nq) the states and those of the reference, from the start.
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
        return len(self.reward) / self.hz

    def has_failed(self, step: int) -> bool:
        """Whether early termination would have ended it by state ``step`` in 0..S."""
        return self.failed_at is not None and step >= self.failed_at


def rollout(
    env_id: str,
    agent: Agent,
    *,
    seconds: float = 10.0,
    seed: int = 0,
    start: str = "fixed",
    **options: Any,
) -> Rollout:
    """Play one episode, on after any early termination, which the result notes.

    Args:
        agent: who plays: one of ``AGENTS``, or ``policy_agent(policy.predict)``.
        seconds: the longest to play; a motion that does not wrap ends with its last frame.
        seed: of the start noise, and of what the agent draws.
        start: ``"fixed"``: the clip's first frame; ``"rsi"``: a drawn one.
        options: further keywords of the environment.
    """
    entry = get_entry(env_id)
    settings = {"character": entry.character, "terrain": entry.terrain, **options}
    simulation = make_simulation(
        entry.motion,
        num_envs=1,
        initialization=start,
        horizon=max(1, round(seconds * CONTROL_HZ)),
        **settings,
    )
    simulation.seed(seed)
    observation = simulation.reset(simulation.all_ids)
    predict = agent(simulation, np.random.default_rng(seed))
    qpos = simulation.batch.bind("qpos")[0]  # a view: it follows the simulation
    states, references = [qpos.copy()], [simulation.reference_qpos()[0]]
    curves: dict[str, list[float]] = {
        name: [] for name in ("reward", "reward_sfv", "joint_error", "joint_error_root")
    }
    failed_at: int | None = None
    done = False
    while not done:
        result = simulation.step(predict(observation))
        observation = result.observation
        states.append(qpos.copy())
        references.append(simulation.reference_qpos()[0])
        curves["reward"].append(float(REWARDS["pose"](result.errors)[0][0]))
        curves["reward_sfv"].append(float(REWARDS["sfv"](result.errors)[0][0]))
        for name in ("joint_error", "joint_error_root"):
            curves[name].append(float(result.parts[name][0]))
        if result.terminated[0] and failed_at is None:
            failed_at = len(curves["reward"])
        done = bool(result.truncated[0])
    path = np.array(states)
    return Rollout(
        env_id=env_id,
        model=simulation.batch.get_model(0),  # with the terrain that was drawn
        hz=float(simulation.control_hz),
        qpos=path,
        reference_qpos=np.array(references),
        ground=simulation.ground.lift(simulation.all_ids, path[None, :, :2])[0],
        failed_at=failed_at,
        **{name: np.array(values) for name, values in curves.items()},
    )


# --- who plays --------------------------------------------------------------------------------


def zero_agent(simulation: ImitationSimulation, rng: np.random.Generator) -> Predict:
    """Every action 0."""
    return lambda observation: np.zeros((len(observation), simulation.model.nu))


def random_agent(simulation: ImitationSimulation, rng: np.random.Generator) -> Predict:
    """Actions drawn evenly from [-1, 1]."""
    return lambda observation: rng.uniform(-1, 1, (len(observation), simulation.model.nu))


def reference_agent(simulation: ImitationSimulation, rng: np.random.Generator) -> Predict:
    """The reference's own PD targets."""
    return lambda observation: simulation.reference_action()


def policy_agent(predict: Predict) -> Agent:
    """The actions that ``predict`` gives for the observations."""
    return lambda simulation, rng: predict


AGENTS: dict[str, Agent] = {
    "zero": zero_agent,
    "random": random_agent,
    "reference": reference_agent,
}


def choose_agent(name: str, env_id: str, policy: str | os.PathLike[str] | None = None) -> Agent:
    """The agent called ``name``: ``"policy"`` (the shipped one, or the file) or of ``AGENTS``.

    Raises:
        UnknownIdError: there is no such agent.
        PolicyError: no policy ships for the id, or the file is damaged.
    """
    if name == "policy":
        from sfv_gym.policy import load_policy

        return policy_agent(load_policy(env_id, policy).predict)
    if name not in AGENTS:
        raise UnknownIdError(f"unknown agent {name!r}; known: policy, {', '.join(AGENTS)}")
    return AGENTS[name]
