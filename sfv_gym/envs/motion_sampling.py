"""Which of several motions an episode imitates: by weights, or more often what fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.array_types import Bool, Float, Int
from sfv_gym.checks import named, real

FIRST_RATE = 0.5
"""The failure rate of a motion of which nothing is known."""


@dataclass(frozen=True)
class MotionSampling:
    """How the motions of episodes are drawn."""

    def sampler(self, weights: Float[np.ndarray, " M"]) -> MotionSampler:
        """What draws among motions of these weights (M,), which need not sum to 1."""
        raise NotImplementedError


@dataclass(frozen=True)
class WeightedMotions(MotionSampling):
    """By the task's ``motion_weights`` alone."""

    def sampler(self, weights: Float[np.ndarray, " M"]) -> MotionSampler:
        """One that learns nothing."""
        return MotionSampler(weights)


@dataclass(frozen=True)
class FailureWeightedMotions(MotionSampling):
    """More often the motions whose episodes end early.

    Attributes:
        floor: the share of episodes, 0..1, whose motions are drawn by ``motion_weights`` alone, so
            that none starves; in the others by weight times failure rate.
        memory: the weight, below 1, that a motion's past failures keep when an episode of it ends.
    """

    floor: float = 0.3
    memory: float = 0.95

    def __post_init__(self) -> None:
        real("floor", self.floor, 0.0, 1.0)
        real("memory", self.memory, 0.0, 1.0, below=True)

    def sampler(self, weights: Float[np.ndarray, " M"]) -> MotionSampler:
        """One that learns each motion's failure rate, from all environments together."""
        return FailureMotionSampler(weights, self)


MOTION_SAMPLINGS: dict[str, type[MotionSampling]] = {
    "weights": WeightedMotions,
    "failure": FailureWeightedMotions,
}


def get_motion_sampling(sampling: str | MotionSampling) -> MotionSampling:
    """The object itself, or the one of that name with its defaults.

    Raises:
        UnknownIdError: there is none of that name.
        SettingError: it is neither a name nor a ``MotionSampling``.
    """
    found = named("motion_sampling", sampling, MotionSampling, MOTION_SAMPLINGS)
    return found if isinstance(found, MotionSampling) else found()


class MotionSampler:
    """Draws motions by their weights.

    Attributes:
        weights: (M,) they need not sum to 1.
    """

    kept: tuple[str, ...] = ("weights",)
    """Names of the arrays (M,) that decide what it draws."""

    def __init__(self, weights: Float[np.ndarray, " M"]) -> None:
        self.weights = np.array(weights, float)

    @property
    def probabilities(self) -> Float[np.ndarray, " M"]:
        """(M,) of each motion; they sum to 1."""
        return self.weights / self.weights.sum()

    def draw(self, uniform: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Motions (n,) for ``uniform`` (n,) in [0, 1)."""
        edges = np.cumsum(self.probabilities)
        return np.minimum(np.searchsorted(edges, uniform, side="right"), len(edges) - 1)

    def finished(self, motion: Int[np.ndarray, " n"], failed: Bool[np.ndarray, " n"]) -> None:
        """Episodes of motions (n,) are over, which ended early (n,) or not."""

    def forget(self) -> None:
        """Begin anew with what is learned."""

    def snapshot(self) -> dict[str, np.ndarray]:
        """All that decides what will be drawn."""
        return {name: getattr(self, name).copy() for name in self.kept}

    def resume(self, snapshot: dict[str, np.ndarray]) -> None:
        """Go on from what ``snapshot`` returned."""
        for name in self.kept:
            getattr(self, name)[:] = snapshot[name]


class FailureMotionSampler(MotionSampler):
    """Draws motions by weight and failure rate.

    Attributes:
        failure_rate: (M,) moving average of each motion's share of early ends.
    """

    kept = ("weights", "failure_rate")

    def __init__(self, weights: Float[np.ndarray, " M"], settings: FailureWeightedMotions) -> None:
        super().__init__(weights)
        self._settings = settings
        self.failure_rate = np.full(len(self.weights), FIRST_RATE)

    @property
    def probabilities(self) -> Float[np.ndarray, " M"]:
        """(M,) of each motion; they sum to 1."""
        shares = super().probabilities
        failing = shares * (self.failure_rate + 1e-6)  # where nothing fails: by weights
        floor = self._settings.floor
        return floor * shares + (1.0 - floor) * failing / failing.sum()

    def finished(self, motion: Int[np.ndarray, " n"], failed: Bool[np.ndarray, " n"]) -> None:
        """Move the failure rate of each episode's motion towards how it ended."""
        memory = self._settings.memory
        for m, one in zip(motion, failed, strict=True):  # a few a step
            self.failure_rate[m] = memory * self.failure_rate[m] + (1.0 - memory) * one

    def forget(self) -> None:
        """All failure rates are the first one again."""
        self.failure_rate[:] = FIRST_RATE
