"""The evaluation protocol, and what the shipped policies promise."""

import numpy as np
import pytest

import sfv_gym
from sfv_gym.evaluation import evaluate


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


@pytest.mark.parametrize("env_id", ["SFV-Walk-v0", "SFV-Backflip-v0"])
def test_shipped_policies_succeed_from_the_first_frame(env_id):
    """A walk of 20 s, a whole backflip: at least 18 of 20 episodes."""
    policy = sfv_gym.load_policy(env_id)
    figures = evaluate(policy.predict, env_id, episodes=20, seed=123)
    assert figures.completion_rate >= 0.9
    assert figures.success_rate >= 0.9
    assert figures.mpjpe_root_mm < 100
