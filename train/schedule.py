"""When a run learns at full rate, when it anneals, and when it ends.

The learning rate falls linearly over the budget. A run that is good enough before leaves that
line: from there its rate falls to the final value over a fixed number of samples, and the run ends.
Stopped at once instead, it would end at a rate at which a policy is noisy and still gains much by
a lower one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sfv_gym.train.config import PPOConfig
from sfv_gym.train.runs import CurveRow

Reason = Literal["target", "budget"]


@dataclass(frozen=True)
class Annealing:
    """The last part of a run, in samples: from ``start`` on, over ``length``, for ``reason``."""

    start: int
    length: int
    reason: Reason

    def is_over(self, samples: int) -> bool:
        """Whether the run ends after ``samples``: the learning rate has reached its end."""
        return samples >= self.start + self.length


def annealing_length(config: PPOConfig) -> int:
    """Samples; a run with a small budget anneals over half of it."""
    return min(config.anneal_steps, config.steps // 2)


def begin_annealing(config: PPOConfig, curve: Sequence[CurveRow], samples: int) -> Annealing | None:
    """The annealing that is to begin at ``samples``, or None while it is not time."""
    length = annealing_length(config)
    if samples + length >= config.steps:
        return Annealing(samples, max(config.steps - samples, 0), "budget")
    if is_good_enough(config, curve):
        return Annealing(samples, length, "target")
    return None


def is_good_enough(config: PPOConfig, curve: Sequence[CurveRow]) -> bool:
    """Whether the last ``target_evaluations`` all reached ``target_success``; with 0, never.

    Args:
        curve: rows of ``curve.jsonl``, of this run alone, in order.
    """
    asked = config.target_evaluations
    last = curve[-asked:] if asked else []
    return len(last) == asked > 0 and all(
        row["success_rate"] >= config.target_success for row in last
    )


def learning_rate(config: PPOConfig, annealing: Annealing | None, samples: int) -> float:
    """Of the update after ``samples``."""
    last = config.final_learning_rate
    if annealing is None:
        return config.learning_rate + _share(samples, config.steps) * (last - config.learning_rate)
    first = learning_rate(config, None, annealing.start)
    return first + _share(samples - annealing.start, annealing.length) * (last - first)


def _share(samples: int, total: int) -> float:
    return min(max(samples / max(total, 1), 0.0), 1.0)
