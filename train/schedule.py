"""When a run learns at full rate, when it anneals, and when it ends.

The learning rate falls linearly over the budget. A run that is good enough before leaves that
line: from there its rate falls to the final value over a fixed number of samples, and the run ends.
Stopped at once instead, it would end at a rate at which a policy is noisy and still gains much by
a lower one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sfv_gym.train.config import PPOConfig

Reason = Literal["target", "budget"]


@dataclass(frozen=True)
class Annealing:
    """The last part of a run, in samples: from ``start`` on, over ``length``, for ``reason``."""

    start: int
    length: int
    reason: Reason

    def is_over(self, samples: int) -> bool:
        return samples >= self.start + self.length


def annealing_length(config: PPOConfig) -> int:
    """Samples; a run with a small budget anneals over half of it."""
    return min(config.anneal_steps, config.steps // 2)


def begin_annealing(
    config: PPOConfig, curve: Sequence[Mapping[str, Any]], samples: int
) -> Annealing | None:
    """The annealing that is to begin at ``samples``, or None while it is not time."""
    length = annealing_length(config)
    if samples + length >= config.steps:
        return Annealing(samples, max(config.steps - samples, 0), "budget")
    if is_good_enough(config, curve):
        return Annealing(samples, length, "target")
    return None


def is_good_enough(config: PPOConfig, curve: Sequence[Mapping[str, Any]]) -> bool:
    """Whether more samples at the full rate promise little.

    The last ``target_evaluations`` all reached ``target_success``; and, unless ``plateau_steps`` is
    0, the best normalized return has risen by no more than ``plateau_margin`` over the last
    ``plateau_steps`` samples.

    Args:
        curve: rows of ``curve.jsonl``, of this run alone, in order.
    """
    last = curve[-config.target_evaluations :]
    if len(last) < config.target_evaluations:
        return False
    if any(row["success_rate"] < config.target_success for row in last):
        return False
    if config.plateau_steps == 0:
        return True
    border = curve[-1]["samples"] - config.plateau_steps
    before = [row["normalized_return"] for row in curve if row["samples"] <= border]
    best = max(row["normalized_return"] for row in curve)
    return bool(before) and best - max(before) <= config.plateau_margin


def learning_rate(config: PPOConfig, annealing: Annealing | None, samples: int) -> float:
    """Of the update after ``samples``."""
    last = config.final_learning_rate
    if annealing is None:
        return config.learning_rate + _share(samples, config.steps) * (last - config.learning_rate)
    first = learning_rate(config, None, annealing.start)
    return first + _share(samples - annealing.start, annealing.length) * (last - first)


def _share(samples: int, total: int) -> float:
    return min(max(samples / max(total, 1), 0.0), 1.0)
