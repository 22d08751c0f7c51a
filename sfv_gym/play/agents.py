"""Who plays: a policy, or one of the agents that need none."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.errors import UnknownIdError
from sfv_gym.play.episodes import Predict

Agent = Callable[[ImitationSimulation, np.random.Generator], Predict]
"""Gives the function from observations (N, D) to actions (N, A) for one simulation."""


def zero_agent(simulation: ImitationSimulation, rng: np.random.Generator) -> Predict:
    """Every action 0."""
    return lambda observation: np.zeros((len(observation), simulation.action_size))


def random_agent(simulation: ImitationSimulation, rng: np.random.Generator) -> Predict:
    """Actions drawn evenly from [-1, 1]."""
    return lambda observation: rng.uniform(-1, 1, (len(observation), simulation.action_size))


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


def choose_agent(
    name: str,
    env_id: str,
    policy: str | os.PathLike[str] | None = None,
    *,
    observation: str | None = None,
) -> Agent:
    """The agent called ``name``: ``"policy"`` (the shipped one, or the file) or of ``AGENTS``.

    Args:
        observation: the environment's, where it is not the id's own.

    Raises:
        UnknownIdError: there is no such agent.
        PolicyError: no policy ships for the id, or the file is damaged or does not fit it.
    """
    if name == "policy":
        from sfv_gym.play.policy import load_policy

        return policy_agent(load_policy(env_id, policy, observation=observation).predict)
    if name not in AGENTS:
        raise UnknownIdError(f"unknown agent {name!r}; known: policy, {', '.join(AGENTS)}")
    return AGENTS[name]
