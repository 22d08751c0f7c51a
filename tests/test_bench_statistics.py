"""Statistics: rliable's values on a fixed score matrix, and what holds for any scores."""

import json
from pathlib import Path

import numpy as np
import pytest

from sfv_gym.benchmarks import statistics

RLIABLE = json.loads((Path(__file__).parent / "data" / "rliable.json").read_text())
OURS, THEIRS = np.array(RLIABLE["ours"]), np.array(RLIABLE["theirs"])
MEASURES = ("iqm", "mean", "median", "optimality_gap")
# of intervals by two bootstraps with different draws
TOLERANCE = 0.006


@pytest.mark.parametrize("name", MEASURES)
def test_aggregates_are_those_of_rliable(name):
    found = statistics.bootstrap(
        OURS, getattr(statistics, name), np.random.default_rng(0), repetitions=20_000
    )
    assert found.value == pytest.approx(RLIABLE["values"][name], abs=1e-12)
    assert (found.low, found.high) == pytest.approx(RLIABLE["intervals"][name], abs=TOLERANCE)


def test_performance_profiles_are_those_of_rliable():
    thresholds = np.array(RLIABLE["thresholds"])
    found = statistics.bootstrap(
        OURS,
        lambda scores: statistics.performance_profile(scores, thresholds),
        np.random.default_rng(0),
        repetitions=20_000,
    )
    np.testing.assert_allclose(found.value, RLIABLE["profile"], atol=1e-12)
    # a share of 24 runs goes in steps: a quantile may fall on either side of one
    interval = np.column_stack((found.low, found.high))
    np.testing.assert_allclose(interval, RLIABLE["profile_intervals"], atol=1 / 24 + 1e-9)


def test_probability_of_improvement_is_that_of_rliable():
    found = statistics.bootstrap_pair(
        OURS,
        THEIRS,
        statistics.probability_of_improvement,
        np.random.default_rng(0),
        repetitions=20_000,
    )
    assert found.value == pytest.approx(RLIABLE["probability_of_improvement"], abs=1e-12)
    wanted = RLIABLE["probability_of_improvement_interval"]
    assert (found.low, found.high) == pytest.approx(wanted, abs=0.01)


def test_one_beats_the_other_as_often_as_not_the_other_way_round():
    forth = statistics.probability_of_improvement(OURS, THEIRS)
    back = statistics.probability_of_improvement(THEIRS, OURS)
    assert forth + back == pytest.approx(1.0)
    assert statistics.probability_of_improvement(OURS, OURS) == pytest.approx(0.5)


def test_the_same_seed_gives_the_same_interval_and_another_one_does_not():
    first, again, other = (
        statistics.bootstrap(OURS, statistics.iqm, np.random.default_rng(seed))
        for seed in (3, 3, 4)
    )
    assert (first.low, first.high) == (again.low, again.high)
    assert (first.low, first.high) != (other.low, other.high)


def test_what_is_resampled_stays_within_its_task():
    """Seeds are exchanged, tasks are not: without spread over seeds there is no interval."""
    same = np.tile([0.1, 0.5, 0.9], (4, 1))
    found = statistics.bootstrap(same, statistics.mean, np.random.default_rng(0))
    assert found.low == found.value == found.high == pytest.approx(0.5)


def test_points_of_a_curve_are_drawn_together():
    """A curve that rises in every run rises in every sample of them."""
    curves = OURS[:, :, None] + np.array([0.0, 0.1, 0.3])
    found = statistics.bootstrap(curves, statistics.iqm, np.random.default_rng(0))
    np.testing.assert_allclose(np.diff(found.value), [0.1, 0.2], atol=1e-12)
    np.testing.assert_allclose(np.diff(found.low), [0.1, 0.2], atol=1e-12)
    alone = statistics.bootstrap(curves[:, :, 0], statistics.iqm, np.random.default_rng(0))
    assert (found.low[0], found.high[0]) == pytest.approx((alone.low, alone.high))


def test_chunks_do_not_change_the_shape(monkeypatch):
    monkeypatch.setattr(statistics, "CHUNK", 100)
    found = statistics.bootstrap(OURS, statistics.iqm, np.random.default_rng(0), repetitions=50)
    assert np.shape(found.low) == np.shape(found.value) == ()
    assert found.low <= found.value <= found.high


def test_a_bootstrap_interval_holds_the_truth_about_as_often_as_it_says():
    """Of the mean of 20 normal seeds; the percentile interval is a little too narrow."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        scores = rng.normal(0.5, 0.1, (20, 3))
        found = statistics.bootstrap(scores, statistics.mean, rng, repetitions=300)
        held += bool(found.low <= 0.5 <= found.high)
    assert 0.88 < held / 300 <= 1.0
