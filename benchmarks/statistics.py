"""Statistics of scores over seeds and tasks, after Agarwal et al. 2021 (rliable).

Scores are (R, T): R seeds of an algorithm on T tasks; leading axes are samples of the bootstrap.
The definitions are those of the package rliable, against whose values they are tested. They are
written here because rliable's bootstrap draws from NumPy's global generator, whatever seed it is
given, so that its intervals cannot be made again, and because it brings four large packages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]
"""From scores (..., R, T) to values (...) or (..., K)."""

LEVEL = 0.95
REPETITIONS = 2000
CHUNK = 2**22
"""Numbers that a chunk of the bootstrap holds at once."""


@dataclass(frozen=True)
class Interval:
    """A value (or an array of them) and its percentile bootstrap interval."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean: that of the middle half of all runs on all tasks."""
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = int(0.25 * flat.shape[-1])
    return flat[..., cut : flat.shape[-1] - cut].mean(-1)


def mean(scores: np.ndarray) -> np.ndarray:
    """Over all runs on all tasks, each run weighing the same."""
    return scores.mean((-2, -1))


def median(scores: np.ndarray) -> np.ndarray:
    """Median over tasks of the mean over seeds."""
    return np.median(scores.mean(-2), axis=-1)


def optimality_gap(scores: np.ndarray, target: float = 1.0) -> np.ndarray:
    """How far scores fall short of ``target`` on average; what is above it does not help."""
    return target - np.minimum(scores, target).mean((-2, -1))


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share (..., K) of runs on all tasks that score above each of ``thresholds`` (K,)."""
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    return (flat[..., None] > thresholds).mean(-2)


def probability_of_improvement(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Probability that a run of ours beats one of theirs on the same task, averaged over tasks.

    Args:
        ours, theirs: (..., R, T) and (..., R', T); ties count half.
    """
    difference = ours[..., :, None, :] - theirs[..., None, :, :]
    return ((difference > 0) + 0.5 * (difference == 0)).mean((-3, -2, -1))


def bootstrap(
    scores: np.ndarray,
    statistic: Statistic,
    rng: np.random.Generator,
    *,
    repetitions: int = REPETITIONS,
    level: float = LEVEL,
) -> Interval:
    """Stratified bootstrap: seeds are drawn with replacement, for each task on its own.

    Args:
        scores: (R, T), or (R, T, K) for curves, whose K points are drawn together.
        statistic: takes (..., R, T) or, for curves, (..., K, R, T).
    """

    def sample(count: int) -> np.ndarray:
        return statistic(_last(_resample(scores, count, rng)))

    return _interval(statistic(_last(scores[None]))[0], sample, scores.size, repetitions, level)


def bootstrap_pair(
    ours: np.ndarray,
    theirs: np.ndarray,
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rng: np.random.Generator,
    *,
    repetitions: int = REPETITIONS,
    level: float = LEVEL,
) -> Interval:
    """The same for a statistic of two algorithms, whose seeds are drawn independently."""

    def sample(count: int) -> np.ndarray:
        return statistic(_resample(ours, count, rng), _resample(theirs, count, rng))

    size = ours.size * len(theirs)
    return _interval(statistic(ours, theirs), sample, size, repetitions, level)


def _resample(scores: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, R, T[, K]): for each task, as many seeds as there are, drawn with replacement."""
    runs, tasks = scores.shape[:2]
    drawn = rng.integers(runs, size=(count, runs, tasks))
    return scores[drawn, np.arange(tasks)]


def _last(samples: np.ndarray) -> np.ndarray:
    """Curves (n, R, T, K) -> (n, K, R, T); scores (n, R, T) stay."""
    return np.moveaxis(samples, -1, 1) if samples.ndim == 4 else samples


def _interval(
    value: np.ndarray,
    sample: Callable[[int], np.ndarray],
    size: int,
    repetitions: int,
    level: float,
) -> Interval:
    chunk = max(1, CHUNK // max(size, 1))
    counts = [min(chunk, repetitions - done) for done in range(0, repetitions, chunk)]
    values = np.concatenate([sample(count) for count in counts])
    low, high = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return Interval(np.asarray(value), low, high)
