"""Episodes played side by side: the one loop that steps them.

Evaluations, rollouts, pushes and torque records are sums over what it yields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sfv_gym.envs.simulation import ImitationSimulation, StepResult

Predict = Callable[[np.ndarray], np.ndarray]
"""Actions (N, A) for observations (N, D)."""


@dataclass(frozen=True)
class EpisodeStep:
    """A control step of N episodes, just played.

    Attributes:
        result: what the step gave.
        playing: (N,) to whose episode the step belongs.
        ended: (N,) whose episode ends with it.
    """

    result: StepResult
    playing: np.ndarray
    ended: np.ndarray


def episodes(
    simulation: ImitationSimulation, predict: Predict, seed: int, *, play_on: bool = False
) -> Iterator[EpisodeStep]:
    """Begin an episode in every environment, at once, and play them, a step at a time, until all
    have ended.

    After the call the simulation is where the episodes begin, between steps it is where the last
    one has left it. An environment whose episode has ended is stepped on beside the others, and
    counts no more.

    Args:
        seed: environment i draws from ``seed + i``.
        play_on: early termination ends nothing: episodes last to their horizon or the clip's end.
    """
    simulation.seed(seed)
    return _steps(simulation, predict, simulation.reset(simulation.all_ids), play_on)


def _steps(
    simulation: ImitationSimulation, predict: Predict, observation: np.ndarray, play_on: bool
) -> Iterator[EpisodeStep]:
    playing = np.ones(simulation.num_envs, bool)
    while playing.any():
        result = simulation.step(predict(observation))
        over = result.truncated if play_on else result.terminated | result.truncated
        yield EpisodeStep(result, playing, playing & over)
        observation, playing = result.observation, playing & ~over
