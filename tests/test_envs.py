"""Every registered id: the Gymnasium and SB3 contracts, determinism, the task's promises."""

import itertools
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.vec_env import VecEnv

import sfv_gym
from sfv_gym.envs import observation_structure
from sfv_gym.envs.observations import OBSERVATION_SIZE
from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.rotations import quat_multiply, quat_rotate

IDS = [entry.env_id for entry in sfv_gym.list_envs()]


def make_vector(env_id: str, num_envs: int, **options) -> gym.vector.VectorEnv:
    return gym.make_vec(
        env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **options
    ).unwrapped


@pytest.fixture(params=IDS)
def env_id(request) -> str:
    return request.param


def test_the_demo_skills_are_registered():
    assert {"SFV-Walk-v0", "SFV-Backflip-v0"} <= set(IDS)


@pytest.mark.filterwarnings("ignore:.*Box observation space m.*infinity.*")
def test_gymnasium_and_sb3_checkers(env_id):
    env = gym.make(env_id, render_mode="rgb_array")
    check_env(env.unwrapped)
    sb3_check_env(env.unwrapped)
    env.close()


def test_spec_round_trip(env_id):
    env = gym.make(env_id)
    again = gym.make(pickle.loads(pickle.dumps(env.spec)))
    first, second = env.reset(seed=3)[0], again.reset(seed=3)[0]
    np.testing.assert_array_equal(first, second)


def rollout(env_id: str, num_envs: int, threads: int, steps: int = 40) -> list[np.ndarray]:
    """What environment 0 of N gives: observations, rewards and ends, step by step."""
    env = make_vector(env_id, num_envs, num_threads=threads)
    observation, _ = env.reset(seed=7)
    record = [observation[0].copy()]
    actions = np.random.default_rng(0).normal(scale=0.2, size=(steps, 28)).astype(np.float32)
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(np.tile(action, (num_envs, 1)))
        record.append(np.append(observation[0], (reward[0], terminated[0], truncated[0])))
    return record


def test_rollouts_do_not_depend_on_batch_size_or_threads(env_id):
    expected = rollout(env_id, 1, 1)
    for num_envs, threads in ((1, 2), (2, 1), (64, 1), (64, 2)):
        for a, b in zip(expected, rollout(env_id, num_envs, threads), strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_single_environment_is_the_vector_environment(env_id):
    env, vector = gym.make(env_id).unwrapped, make_vector(env_id, 3)
    np.testing.assert_array_equal(env.reset(seed=9)[0], vector.reset(seed=9)[0][0])
    action = np.full(28, 0.05, np.float32)
    single, many = env.step(action), vector.step(np.tile(action, (3, 1)))
    np.testing.assert_array_equal(single[0], many[0][0])
    assert single[1] == many[1][0]


def test_different_environments_of_a_batch_start_differently(env_id):
    observation, _ = make_vector(env_id, 4).reset(seed=0)
    assert len(np.unique(observation[:, 0])) == 4


@pytest.mark.parametrize("reward", ["pose", "sfv"])
def test_reward_parts_sum_to_the_reward(env_id, reward):
    env = make_vector(env_id, 8, reward=reward)
    env.reset(seed=0)
    for _ in range(5):
        _, value, *_, info = env.step(np.zeros((8, 28), np.float32))
        parts = [v for k, v in info.items() if k.startswith("reward_")]
        np.testing.assert_allclose(np.sum(parts, axis=0), value, atol=1e-12)
        assert (value >= 0).all() and (value <= 1).all()


def test_a_start_without_noise_is_on_the_reference(env_id):
    from sfv_gym.envs import Initialization

    still = Initialization(joint_noise=0.0, velocity_noise=0.0, position_noise=0.0)
    env = make_vector(env_id, 16, initialization=still)
    env.reset(seed=0)
    simulation = env.simulation
    errors, figures = simulation._errors(simulation.start)
    # arccos and atan2 of unit quaternions lose half the digits near zero
    assert errors.rotation.max() < 1e-6
    assert figures["link_distance"].max() < 1e-6


def test_random_and_zero_actions_stay_finite(env_id):
    env = make_vector(env_id, 32)
    rng = np.random.default_rng(1)
    env.reset(seed=1)
    for step in range(150):
        action = rng.uniform(-1, 1, (32, 28)) * (step % 2)
        observation, reward, *_ = env.step(action.astype(np.float32))
        assert np.isfinite(observation).all() and np.isfinite(reward).all()
    assert env.batch.warning.sum() == 0


def test_same_step_autoreset_hands_over_the_last_observation(env_id):
    env = make_vector(env_id, 16, horizon=3)
    env.reset(seed=0)
    for _ in range(3):
        observation, _, terminated, truncated, info = env.step(np.zeros((16, 28), np.float32))
    done = terminated | truncated
    assert done.any()
    np.testing.assert_array_equal(info["_final_obs"], done)
    changed = (info["final_obs"] != observation).any(axis=1)
    np.testing.assert_array_equal(changed, done)
    assert (env.simulation.elapsed[done] == 0).all()


def test_sb3_adapter_reports_ends_as_sb3_expects(env_id):
    env = SB3VecEnv(make_vector(env_id, 8, horizon=4))
    assert isinstance(env, VecEnv)
    env.seed(0)
    env.reset()
    seen = 0
    for _ in range(8):
        observation, reward, done, infos = env.step(np.zeros((8, 28), np.float32))
        assert reward.dtype == np.float32
        for i in np.flatnonzero(done):
            seen += 1
            assert infos[i]["terminal_observation"].shape == observation[i].shape
            assert infos[i]["episode"]["l"] <= 4
            assert infos[i]["TimeLimit.truncated"] == (infos[i]["episode"]["l"] == 4) or (
                not infos[i]["TimeLimit.truncated"]
            )
    assert seen >= 8


def test_observation_structure_covers_the_observation():
    slices = list(observation_structure().values())
    assert slices[0].start == 0 and slices[-1].stop == OBSERVATION_SIZE
    assert all(a.stop == b.start for a, b in itertools.pairwise(slices))


def test_observations_and_rewards_do_not_depend_on_heading_or_place(env_id):
    """Turn and move motion and character together: nothing that is seen may change."""
    from motions import turned

    from sfv_gym.envs.imitation_env import ImitationEnv
    from sfv_gym.registry import get_entry, load_motion

    motion = load_motion(get_entry(env_id).motion)
    # the start noise is drawn in world axes, so this test goes without it
    still = {"initialization": _still()}
    here = ImitationEnv(motion, **still)
    anywhere = ImitationEnv(turned(motion, yaw=2.0, shift=(3.0, -5.0)), **still)
    np.testing.assert_allclose(here.reset(seed=0)[0], anywhere.reset(seed=0)[0], atol=1e-5)
    # a quarter turn, because the pyramids that stand for friction cones lie along x and y
    there = ImitationEnv(turned(motion, yaw=np.pi / 2, shift=(3.0, -5.0)), **still)
    a, b = here.reset(seed=0)[0], there.reset(seed=0)[0]
    np.testing.assert_allclose(a, b, atol=1e-5)
    for _ in range(5):
        a, b = here.step(np.zeros(28)), there.step(np.zeros(28))
        np.testing.assert_allclose(a[0], b[0], atol=1e-3)
        assert abs(a[1] - b[1]) < 1e-4


def _still():
    from sfv_gym.envs import Initialization

    return Initialization(kind="fixed", joint_noise=0, velocity_noise=0, position_noise=0)


def test_truncation_at_the_horizon_and_at_the_end_of_a_clip():
    env = make_vector("SFV-Backflip-v0", 4, initialization="fixed", termination=False)
    env.reset(seed=0)
    last = env.simulation.reference.last
    for step in range(1, last + 1):
        *_, terminated, truncated, _ = env.step(np.zeros((4, 28), np.float32))
        assert not terminated.any()
        assert truncated.all() == (step == last)


def test_start_steps_are_spread_and_may_favour_the_first_frame():
    from sfv_gym.envs import Initialization

    uniform = np.random.default_rng(0).random(4000)
    evenly = Initialization().draw_step(uniform, 40)
    assert set(evenly) == set(range(40))
    assert np.bincount(evenly).max() < 2 * np.bincount(evenly).min()
    favoured = Initialization(first_frame=0.5).draw_step(uniform, 40)
    assert abs((favoured == 0).mean() - (0.5 + 0.5 / 40)) < 0.03
    assert set(favoured) == set(range(40))
    assert (Initialization(kind="fixed").draw_step(uniform, 40) == 0).all()


def test_unknown_names_are_named():
    for option in ("character", "terrain", "reward", "action_mode", "initialization"):
        with pytest.raises(sfv_gym.errors.UnknownIdError, match="nonsense"):
            gym.make("SFV-Walk-v0", **{option: "nonsense"})
    with pytest.raises(sfv_gym.errors.UnknownIdError, match="SFV-Walk-v0"):
        sfv_gym.registry.get_entry("SFV-Wlak-v0")


def test_wrong_actions_are_refused_and_change_nothing(env_id):
    env, other = make_vector(env_id, 4), make_vector(env_id, 4)
    env.reset(seed=0)
    other.reset(seed=0)
    bad = np.zeros((4, 28), np.float32)
    bad[2, 5] = np.nan
    with pytest.raises(sfv_gym.errors.ActionError, match="1 of 4 actions hold NaN"):
        env.step(bad)
    with pytest.raises(sfv_gym.errors.ActionError, match="shape"):
        env.step(np.zeros((4, 27), np.float32))
    good = np.full((4, 28), 0.1, np.float32)
    np.testing.assert_array_equal(env.step(good)[0], other.step(good)[0])


def test_own_motions_are_registered(tmp_path):
    from motions import swing

    swing(period=60).save(tmp_path / "arm_swing.npz")
    env_id = sfv_gym.register_motion(tmp_path / "arm_swing.npz")
    assert env_id == "SFV-ArmSwing-v0"
    env = gym.make(env_id)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    with pytest.raises(sfv_gym.errors.MotionError, match="snake_case"):
        swing().save(tmp_path / "Bad Name.npz")
        sfv_gym.register_motion(tmp_path / "Bad Name.npz")


def test_absolute_actions_replay_the_reference_targets():
    """The same PD targets through both action modes give the same motion."""
    step = {}
    for mode in ("residual", "absolute"):
        env = gym.make("SFV-Backflip-v0", action_mode=mode, initialization="fixed").unwrapped
        env.reset(seed=0)
        action = env.simulation.reference_action()[0]
        assert np.abs(action).max() < 1.001  # the knee's limit is rounded in the figures
        step[mode] = env.step(action)
    np.testing.assert_allclose(step["residual"][0], step["absolute"][0], atol=0.02)


def test_heading_turn_helper_is_a_rotation():
    from motions import swing, turned

    motion = swing()
    other = turned(motion, yaw=np.pi / 2, shift=(1.0, 0.0))
    np.testing.assert_allclose(other.root_pos[-1, :2], [1.0, motion.root_pos[-1, 0]], atol=1e-9)
    up = quat_rotate(other.root_quat[0], np.array([0.0, 0, 1]))
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-9)
    assert np.allclose(quat_multiply(other.root_quat, other.root_quat * [1, -1, -1, -1])[:, 0], 1)
