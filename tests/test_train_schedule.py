"""When a run anneals and ends."""

from dataclasses import replace

import pytest

from sfv_gym.train.config import PPOConfig
from sfv_gym.train.schedule import (
    Annealing,
    begin_annealing,
    budget_share,
    is_good_enough,
    is_out_of_time,
    learning_rate,
)

CONFIG = PPOConfig.for_env(
    "SFV-Walk-v0",
    steps=1000,
    anneal_steps=200,
    target_success=0.95,
    target_evaluations=3,
)


def curve(success: list[float]) -> list[dict[str, float]]:
    """An evaluation every 100 samples."""
    return [{"samples": 100 * (i + 1), "success_rate": s} for i, s in enumerate(success)]


def test_it_is_good_enough_when_success_lasts():
    assert is_good_enough(CONFIG, curve([0.0, 0.5, 1.0, 0.95, 1.0]))
    assert not is_good_enough(CONFIG, curve([0.0, 0.5, 1.0, 0.9, 1.0]))  # one bad one
    assert not is_good_enough(CONFIG, curve([1.0] * 2))  # too early to tell
    assert not is_good_enough(CONFIG, [])
    whole_budget = replace(CONFIG, target_evaluations=0)
    assert not is_good_enough(whole_budget, curve([1.0] * 9))


def test_annealing_begins_at_the_target_or_when_the_budget_ends():
    good = curve([1.0] * 5)
    assert begin_annealing(CONFIG, good, 500) == Annealing(500, 200, "target")
    assert begin_annealing(CONFIG, good[:2], 500) is None
    late = begin_annealing(CONFIG, [], 810)
    assert late == Annealing(810, 190, "budget")
    assert late.is_over(1000) and not late.is_over(999)
    small = PPOConfig.for_env("SFV-Walk-v0", steps=100)  # less than its recipe's annealing
    assert begin_annealing(small, [], 49) is None
    assert begin_annealing(small, [], 50) == Annealing(50, 50, "budget")


def test_the_learning_rate_falls_over_the_budget_and_faster_when_annealing():
    first, last = CONFIG.learning_rate, CONFIG.final_learning_rate
    assert learning_rate(CONFIG, None, 0) == first
    assert learning_rate(CONFIG, None, 1000) == pytest.approx(last)
    annealing = Annealing(500, 200, "target")
    half = 0.5 * (first + last)
    assert learning_rate(CONFIG, None, 500) == pytest.approx(half)
    assert learning_rate(CONFIG, annealing, 500) == pytest.approx(half)
    assert learning_rate(CONFIG, annealing, 600) == pytest.approx(0.5 * (half + last))
    at_the_end = Annealing(800, 200, "budget")  # which is no other line
    for samples in (800, 900, 1000):
        assert learning_rate(CONFIG, at_the_end, samples) == pytest.approx(
            learning_rate(CONFIG, None, samples)
        )
    for samples in (700, 800):
        assert learning_rate(CONFIG, annealing, samples) == pytest.approx(
            CONFIG.final_learning_rate
        )


def test_with_minutes_the_rate_falls_by_whichever_is_used_up_sooner():
    timed = replace(CONFIG, minutes=2.0)
    first, last = CONFIG.learning_rate, CONFIG.final_learning_rate
    half = 0.5 * (first + last)
    assert learning_rate(timed, None, 100, 60.0) == pytest.approx(half)
    assert learning_rate(timed, None, 500, 30.0) == pytest.approx(half)
    assert learning_rate(timed, None, 100, 200.0) == pytest.approx(last)
    assert not is_out_of_time(timed, 119.0) and is_out_of_time(timed, 120.0)
    assert not is_out_of_time(CONFIG, 1e9)  # 0 minutes are no limit
    assert budget_share(CONFIG, 500, 1e9) == 0.5
    annealing = begin_annealing(timed, curve([1.0] * 3), 300, 60.0)
    assert annealing == Annealing(300, 200, "target", 60.0)
    begins = learning_rate(timed, annealing, 300, 60.0)
    assert begins == pytest.approx(half)
    for samples, seconds in ((400, 60.0), (300, 90.0)):
        now = learning_rate(timed, annealing, samples, seconds)
        assert now == pytest.approx(0.5 * (half + last))
