"""The evaluation protocol, and what the shipped policies promise."""

import mujoco
import numpy as np
import pytest

import sfv_gym
from sfv_gym.characters import get_character
from sfv_gym.envs.imitation_env import make_simulation
from sfv_gym.evaluation import evaluate
from sfv_gym.registry import get_entry
from sfv_gym.rollout import policy_agent, rollout


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
    simulation = make_simulation(
        get_entry("SFV-Walk-v0").motion, num_envs=3, terrain="slopes", initialization="rsi"
    )
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
