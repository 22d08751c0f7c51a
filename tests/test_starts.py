"""Start-state distributions and early termination."""

import numpy as np
import pytest
from motions import swing

from sfv_gym.envs import (
    AdaptiveStateInitialization,
    EarlyTermination,
    FailureWeightedInitialization,
    FixedInitialization,
    ImitationVectorEnv,
    ReferenceStateInitialization,
)
from sfv_gym.envs.starts import get_initialization
from sfv_gym.envs.starts.adaptive import AdaptiveSampler
from sfv_gym.envs.starts.failure import FailureSampler
from sfv_gym.errors import SFVError

NV = 34


def sampler(settings, num_starts=40, n=4000):
    rng = np.random.default_rng(0)
    return settings.sampler(rng.normal(size=(60, NV)), rng.normal(size=(60, NV)), num_starts, n)


def draw(settings, n=4000, **kwargs):
    rng = np.random.default_rng(1)
    return sampler(settings, n=n, **kwargs).draw(
        np.arange(n), rng.random(n), rng.normal(size=(n, 2 * NV))
    )


def test_rsi_is_uniform_and_may_favour_the_first_frame():
    evenly = draw(ReferenceStateInitialization()).row
    assert set(evenly) == set(range(40))
    assert np.bincount(evenly).max() < 2 * np.bincount(evenly).min()
    favoured = draw(ReferenceStateInitialization(first_frame=0.5)).row
    assert abs((favoured == 0).mean() - (0.5 + 0.5 / 40)) < 0.03
    assert set(favoured) == set(range(40))
    assert (draw(FixedInitialization()).row == 0).all()


def test_noise_has_the_spread_asked_for_and_leaves_root_height_and_rotation():
    settings = ReferenceStateInitialization(joint_noise=0.3, velocity_noise=0.2, position_noise=0.1)
    starts = draw(settings)
    np.testing.assert_allclose(starts.pose[:, :2].std(axis=0), 0.1, rtol=0.1)
    assert (starts.pose[:, 2:6] == 0).all()
    np.testing.assert_allclose(starts.pose[:, 6:].std(axis=0), 0.3, rtol=0.1)
    np.testing.assert_allclose(starts.velocity.std(axis=0), 0.2, rtol=0.1)


def test_failures_draw_starts_to_their_phase():
    one = sampler(FailureWeightedInitialization(bins=10, uniform=0.2))
    assert isinstance(one, FailureSampler)
    rng = np.random.default_rng(2)
    ids = np.arange(4000)
    for _ in range(5):
        rows = one.draw(ids, rng.random(4000), rng.normal(size=(4000, 2 * NV))).row
        one.finished(ids, np.zeros(4000), rows >= 36)  # the last tenth always fails
    share = one.probabilities
    assert share[9] > 0.7 and share.sum() == pytest.approx(1.0)
    assert share[:9].min() >= 0.2 / 10 - 1e-9  # and no phase is forgotten
    rows = one.draw(ids, rng.random(4000), rng.normal(size=(4000, 2 * NV))).row
    assert (rows >= 36).mean() == pytest.approx(share[9], abs=0.03)


def test_failures_leave_the_first_frame_its_share():
    settings = FailureWeightedInitialization(bins=10, uniform=0.2, first_frame=0.5)
    one = sampler(settings)
    one.failure_rate[:9] = 0.0  # only the last tenth fails
    rng = np.random.default_rng(2)
    rows = one.draw(np.arange(4000), rng.random(4000), rng.normal(size=(4000, 2 * NV))).row
    assert (rows == 0).mean() == pytest.approx(0.5 + 0.5 * 0.2 / 40, abs=0.03)
    assert (rows >= 36).mean() == pytest.approx(0.5 * one.probabilities[9], abs=0.03)


@pytest.mark.parametrize("name", ["rsi", "failure", "asi"])
def test_a_sampler_goes_on_from_what_another_has_learned(name):
    settings = get_initialization(name, episodes_per_update=500)
    old, new = sampler(settings, n=500), sampler(settings, n=500)
    rng = np.random.default_rng(5)
    ids, uniform, normal = np.arange(500), rng.random(500), rng.normal(size=(500, 2 * NV))
    starts = old.draw(ids, uniform, normal)
    old.finished(ids, 5.0 * starts.row + 1e4 * starts.pose[:, 8], starts.row > 20)
    kept = old.state()
    new.restore(kept)
    again, expected = new.draw(ids, uniform, normal), old.draw(ids, uniform, normal)
    np.testing.assert_array_equal(again.row, expected.row)
    np.testing.assert_array_equal(again.pose, expected.pose)
    assert (name == "rsi") == (not kept)
    for values in kept.values():
        assert np.ptp(values) > 0


def test_settings_that_a_kind_has_not_are_left_out():
    made = get_initialization("asi", first_frame=0.5, position_noise=0.1)
    assert made == AdaptiveStateInitialization(position_noise=0.1)
    made = get_initialization("rsi", first_frame=0.5, position_noise=0.1)
    assert made == ReferenceStateInitialization(position_noise=0.1, first_frame=0.5)


def test_asi_climbs_the_gradient_of_the_return_within_a_run():
    """Returns that grow with one coordinate, and from one phase, move the distribution there, in as
    many updates as a run of a million and a half samples has."""
    one = sampler(AdaptiveStateInitialization(), n=2000)
    assert isinstance(one, AdaptiveSampler)
    rng = np.random.default_rng(3)
    ids = np.arange(2000)
    for _ in range(15):
        starts = one.draw(ids, rng.random(2000), rng.normal(size=(2000, 2 * NV)))
        coordinate = one._drawn[:, 7]
        one.finished(ids, 3.0 * coordinate + 5.0 * (starts.row == 12), np.zeros(2000, bool))
    assert one.probabilities[3] > 0.25  # row 12 of 40 starts is phase 3 of 10
    assert (one.mean[:, 7] > 1.0).all()
    assert abs(np.delete(one.mean, 7, axis=1)).max() < 0.2


def test_asi_learns_nothing_from_returns_that_say_nothing():
    one = sampler(AdaptiveStateInitialization(), n=2000)
    rng = np.random.default_rng(3)
    ids = np.arange(2000)
    for _ in range(15):
        one.draw(ids, rng.random(2000), rng.normal(size=(2000, 2 * NV)))
        one.finished(ids, rng.normal(size=2000), np.zeros(2000, bool))
    for returns in (np.zeros(2000), np.full(2000, 7.0)):
        one.finished(ids, returns, np.zeros(2000, bool))
    assert one.probabilities.min() > 0.05 and one.probabilities.max() < 0.2
    assert np.sqrt(np.mean(one.mean**2)) < 0.3


def test_an_update_of_asi_is_as_large_as_its_settings_say():
    """Against the Kullback-Leibler divergence of the distributions before and after."""
    settings = AdaptiveStateInitialization(phases=2, phase_step=1e-3, state_step=1e-3)
    one = sampler(settings, num_starts=2, n=2000)
    rng = np.random.default_rng(4)
    ids = np.arange(2000)
    one.draw(ids, rng.random(2000), rng.normal(size=(2000, 2 * NV)))
    before = one.probabilities
    one.finished(ids, one._drawn[:, 3] + 2.0 * one._phase, np.zeros(2000, bool))
    after = one.probabilities
    assert np.sum(before * np.log(before / after)) == pytest.approx(1e-3, rel=0.05)
    std = np.exp(one.log_std)
    moved = -one.log_std + 0.5 * (std**2 + one.mean**2) - 0.5  # from N(0, 1), each coordinate
    np.testing.assert_allclose(moved.sum(1), 1e-3, rtol=0.05)


@pytest.mark.parametrize("name", ["failure", "asi"])
def test_adaptive_starts_hear_of_every_episode(name):
    env = ImitationVectorEnv(swing(), 8, initialization=name, horizon=5)
    heard = []
    original = env.simulation.starts.finished

    def listen(ids, motion, returns, failed):
        heard.extend(zip(ids, returns, failed, strict=True))
        original(ids, motion, returns, failed)

    env.simulation.starts.finished = listen
    env.reset(seed=0)
    expected, running = [], np.zeros(8)
    for _ in range(12):
        _, reward, terminated, truncated, _ = env.step(np.zeros((8, 28)))
        running += reward
        for i in np.flatnonzero(terminated | truncated):
            expected.append((i, running[i], terminated[i]))
            running[i] = 0.0
    assert len(heard) == len(expected) >= 16
    for got, wanted in zip(heard, expected, strict=True):
        assert got == pytest.approx(wanted)


def test_asi_starts_are_raised_out_of_the_ground():
    wide = AdaptiveStateInitialization(spread=1.0)
    motion = swing()
    motion.root_pos[::2, 2] += 0.2  # a height that varies, so that ASI varies it
    env = ImitationVectorEnv(motion, 64, initialization=wide)
    env.reset(seed=0)
    simulation = env.simulation
    assert (
        simulation._measurement.clearance(simulation._all_shapes, simulation.all_ids).min() > -1e-6
    )


def test_wrong_settings_are_refused():
    for wrong in (
        lambda: ReferenceStateInitialization(first_frame=1.0),
        lambda: FailureWeightedInitialization(uniform=-0.1),
        lambda: FailureWeightedInitialization(first_frame=1.0),
        lambda: AdaptiveStateInitialization(phases=0),
        lambda: get_initialization("nonsense"),
    ):
        with pytest.raises(SFVError):
            wrong()


def test_each_termination_test_alone():
    low, high = np.array([0.1, -0.1]), np.array([0.0, 9.0])
    zero, falls = np.zeros(2), np.ones(2, bool)
    none = EarlyTermination.none()
    assert not none(~falls, low, high, high, high).any()
    one = {"fall_contact": False, "link_distance": None, "root_angle": None}
    assert EarlyTermination(**one)(falls, low, zero, zero, zero).tolist() == [False, True]
    for k, name in enumerate(("link_distance", "root_angle", "root_distance")):
        values = [zero, zero, zero]
        values[k] = high
        ended = EarlyTermination(**{**one, name: 1.0})(~falls, low, *values)
        assert ended.tolist() == [False, True]


def test_ground_skills_are_exempt_from_fall_contact():
    assert ImitationVectorEnv(swing(), 1).simulation.fall_counts.all()
    lying = swing()
    lying.root_pos[20:, 2] = 0.03
    assert not ImitationVectorEnv(lying, 1).simulation.fall_counts.any()
    both = ImitationVectorEnv([swing(), lying], 1).simulation
    assert both.fall_counts.tolist() == [True, False]
    forced = EarlyTermination(fall_contact=True)
    assert ImitationVectorEnv(lying, 1, termination=forced).simulation.fall_counts.all()
