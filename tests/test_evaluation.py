"""The evaluation protocol, and what the shipped policies promise."""

import json

import mujoco
import numpy as np
import pytest

import sfv_gym
from sfv_gym.characters import get_character
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import Task
from sfv_gym.play.agents import policy_agent
from sfv_gym.play.evaluation import Evaluation, evaluate, mean_interval, share_interval
from sfv_gym.play.rollout import rollout


def test_doing_nothing_fails_and_figures_are_in_range():
    figures = evaluate(lambda obs: np.zeros((len(obs), 28)), "SFV-Backflip-v0", episodes=8)
    assert figures.success_rate == 0.0
    assert 0.0 < figures.normalized_return < 0.7
    assert figures.episodes == 8 and figures.start == "fixed"
    assert 0 < figures.mpjpe_root_mm < 500


def test_starts_all_over_the_clip_end_with_it():
    figures = evaluate(
        lambda obs: np.zeros((len(obs), 28)), "SFV-Backflip-v0", episodes=16, start="rsi"
    )
    assert 0.0 < figures.mean_seconds < figures.horizon_steps / 30
    assert figures.success_rate > 0.0  # those that start in the last frames only have to stand


def test_the_same_seed_gives_the_same_figures():
    def predict(obs):
        return 0.1 * np.tanh(obs[:, :28])

    runs = [evaluate(predict, "SFV-Walk-v0", episodes=n, seed=5, horizon=60) for n in (6, 6)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (5, 10), (10, 10), (97, 100), (0, 1)])
def test_intervals_of_shares_hold_the_share(successes, trials):
    low, high = share_interval(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    assert high - low > 0.02


def test_intervals_of_shares_are_wilson_s():
    assert share_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=5e-5)


def test_intervals_of_means_hold_the_true_mean_as_often_as_they_say():
    rng, held = np.random.default_rng(1), 0
    for _ in range(200):
        low, high = mean_interval(rng.normal(0.6, 0.2, size=64))
        held += low <= 0.6 <= high
    assert 0.89 <= held / 200 <= 0.99
    values = rng.normal(size=20)
    assert mean_interval(values) == mean_interval(values)


def test_intervals_of_means_of_few_or_equal_values():
    assert mean_interval(np.array([0.5])) is None
    assert mean_interval(np.full(7, 0.25)) == (0.25, 0.25)


def test_figures_have_intervals_and_come_back_from_json():
    found = evaluate(lambda obs: np.zeros((len(obs), 28)), "SFV-Backflip-v0", episodes=8)
    for name in ("normalized_return", "normalized_return_sfv"):
        low, high = getattr(found, f"{name}_interval")
        assert low < getattr(found, name) < high
    assert found.success_interval == share_interval(0, 8)
    written = json.loads(json.dumps(found.as_dict()))
    assert Evaluation.from_dict(written) == found and written == found.as_dict()
    for name in list(written):
        if name.endswith("_interval"):
            del written[name]
    old = Evaluation.from_dict({**written, "rsi": {}})  # a card of before there were intervals
    assert old.success_interval is None and old.success_rate == found.success_rate


def test_velocity_and_acceleration_errors_are_those_of_the_links_paths():
    """Recomputed from the paths that a rollout records."""
    env_id, hz = "SFV-Walk-v0", 30
    policy = sfv_gym.load_policy(env_id)
    figures = evaluate(policy.predict, env_id, episodes=1, seed=4, horizon=30)
    played = rollout(env_id, policy_agent(policy.predict), seed=4, seconds=1.0)
    assert figures.completion_rate == 1.0 and len(played.reward) == 30
    links = np.array([played.model.body(b).id for b in get_character("humanoid").links.values()])
    data = mujoco.MjData(played.model)

    def paths(states: np.ndarray) -> np.ndarray:
        positions = []
        for qpos in states:
            data.qpos[:] = qpos
            mujoco.mj_kinematics(played.model, data)
            positions.append(data.xpos[links].copy())
        return np.array(positions)

    offset = paths(played.qpos) - paths(played.reference_qpos)
    errors = [np.linalg.norm(np.diff(offset, n, axis=0), axis=-1).mean() * hz**n for n in (1, 2)]
    assert figures.velocity_error_mm_s == pytest.approx(1000 * errors[0], rel=1e-4)
    assert figures.acceleration_error_m_s2 == pytest.approx(errors[1], rel=1e-4)
    assert figures.mpjpe_mm == pytest.approx(
        1000 * np.linalg.norm(offset[1:], axis=-1).mean(), rel=1e-4
    )


def test_on_slopes_the_offset_is_from_the_raised_reference():
    simulation = ImitationSimulation(Task.of("SFV-Walk-Slopes-v0"), 3)
    simulation.seed(0)
    simulation.reset(simulation.all_ids)
    for _ in range(10):
        result = simulation.step(simulation.reference_action())
    distance = np.linalg.norm(simulation.link_offset(), axis=-1)
    np.testing.assert_allclose(distance.mean(-1), result.parts["joint_error"], rtol=1e-9)
    np.testing.assert_allclose(distance.max(-1), result.parts["link_distance"], rtol=1e-9)


@pytest.mark.parametrize("env_id", ["SFV-Walk-v0", "SFV-Backflip-v0"])
def test_shipped_policies_succeed_from_the_first_frame(env_id):
    """A walk of 20 s, a whole backflip: at least 18 of 20 episodes."""
    policy = sfv_gym.load_policy(env_id)
    figures = evaluate(policy.predict, env_id, episodes=20, seed=123)
    assert figures.completion_rate >= 0.9
    assert figures.success_rate >= 0.9
    assert figures.mpjpe_root_mm < 100
