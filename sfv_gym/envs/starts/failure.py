"""Starts that come more often where episodes have failed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.checks import real, whole
from sfv_gym.envs.starts.base import Initialization, StartSampler, after_first_frame


@dataclass(frozen=True)
class FailureWeightedInitialization(Initialization):
    """RSI that starts more often where episodes have failed early.

    Attributes:
        bins: phases that failures are counted in.
        uniform: the share of starts that stay uniform.
        memory: the weight that a phase's past failures keep when an episode from it ends.
        first_frame: the share of episodes that start at the first frame whatever has failed.
    """

    bins: int = 20
    uniform: float = 0.3
    memory: float = 0.95
    first_frame: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("bins", self.bins, 1, 10_000)
        for name in ("first_frame", "uniform", "memory"):
            real(name, getattr(self, name), 0.0, 1.0, below=True)

    def sampler(self, qvel: np.ndarray, pose: np.ndarray, num_starts: int, n: int) -> StartSampler:
        """One that learns each bin's failure rate, from all environments together."""
        return FailureSampler(self, qvel.shape[1], num_starts, n)


class FailureSampler(StartSampler):
    """Rows in proportion to how often episodes from their bin have failed."""

    learned = ("failure_rate",)
    running = ("_bin",)

    def __init__(
        self, settings: FailureWeightedInitialization, nv: int, num_starts: int, n: int
    ) -> None:
        super().__init__(settings, nv)
        self._uniform, self._memory = settings.uniform, settings.memory
        self._first_frame = settings.first_frame
        self._num_starts = num_starts
        self._bins = min(settings.bins, num_starts)
        self.failure_rate = np.full(self._bins, 0.5)  # (bins,)
        self._bin = np.zeros(n, int)

    @property
    def probabilities(self) -> np.ndarray:
        """(bins,) of a start in each."""
        weight = self.failure_rate + 1e-6
        return self._uniform / self._bins + (1 - self._uniform) * weight / weight.sum()

    def rows(self, ids: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Rows (n,): a bin by its probability, within it evenly."""
        edges = np.concatenate(([0.0], np.cumsum(self.probabilities)))
        edges /= edges[-1]
        drawn = after_first_frame(uniform, self._first_frame)
        chosen = np.clip(np.searchsorted(edges, drawn, side="right") - 1, 0, self._bins - 1)
        within = (drawn - edges[chosen]) / (edges[chosen + 1] - edges[chosen])
        self._bin[ids] = chosen
        row = ((chosen + within) * self._num_starts / self._bins).astype(int)
        return np.clip(row, 0, self._num_starts - 1)

    def finished(self, ids: np.ndarray, returns: np.ndarray, failed: np.ndarray) -> None:
        """Move the failure rate of the bin that each episode started in towards how it ended."""
        for chosen, one in zip(self._bin[ids], failed, strict=True):  # a few a step
            rate = self.failure_rate[chosen]
            self.failure_rate[chosen] = self._memory * rate + (1 - self._memory) * one
