"""When a run learns at full rate, when it anneals, and when it ends.

The learning rate falls linearly over the budget: of samples, or of minutes where those are used up
sooner. A run that is good enough before leaves that
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
    """The last part of a run, in samples: from ``start`` on, over ``length``, for ``reason``.

    Attributes:
        seconds: that the run had taken when it began.
    """

    start: int
    length: int
    reason: Reason
    seconds: float = 0.0

    def is_over(self, samples: int) -> bool:
        """Whether the run ends after ``samples``: the learning rate has reached its end."""
        return samples >= self.start + self.length


def annealing_length(config: PPOConfig) -> int:
    """Samples; a run with a small budget anneals over half of it."""
    return min(config.anneal_steps, config.steps // 2)


def begin_annealing(
    config: PPOConfig, curve: Sequence[CurveRow], samples: int, seconds: float = 0.0
) -> Annealing | None:
    """The annealing that is to begin at ``samples``, or None while it is not time.

    Args:
        seconds: that the run has taken.
    """
    length = annealing_length(config)
    if samples + length >= config.steps:
        return Annealing(samples, max(config.steps - samples, 0), "budget", seconds)
    if is_good_enough(config, curve):
        return Annealing(samples, length, "target", seconds)
    return None


def is_out_of_time(config: PPOConfig, seconds: float) -> bool:
    """Whether a run that has taken so long has used up its minutes."""
    return config.minutes > 0 and seconds >= 60.0 * config.minutes


def budget_share(config: PPOConfig, samples: int, seconds: float) -> float:
    """How much of the budget is used up, 0..1: of samples or of minutes, whichever is more."""
    share = _share(samples, config.steps)
    return max(share, _share(seconds, 60.0 * config.minutes)) if config.minutes else share


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


def learning_rate(
    config: PPOConfig, annealing: Annealing | None, samples: int, seconds: float = 0.0
) -> float:
    """Of the update after ``samples``, and after so many ``seconds``."""
    first, last = config.learning_rate, config.final_learning_rate
    if annealing is None:
        return first + budget_share(config, samples, seconds) * (last - first)
    first = learning_rate(config, None, annealing.start, annealing.seconds)
    share = _share(samples - annealing.start, annealing.length)
    if config.minutes:
        left = 60.0 * config.minutes - annealing.seconds
        share = max(share, _share(seconds - annealing.seconds, left))
    return first + share * (last - first)


def _share(part: float, total: float) -> float:
    return min(max(part / max(total, 1e-9), 0.0), 1.0)
