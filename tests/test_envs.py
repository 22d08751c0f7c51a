"""Registered ids: the Gymnasium and SB3 contracts, determinism, the task's promises.

What a motion's data could break and is quick runs for every id (``env_id``), what it could break
and takes longer for every skill on each character, with the terrains in turn (``covering_id``), and
what does not depend on the motion for each character and terrain (``some_id``).
"""

import itertools
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from motions import moved, swing
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.vec_env import VecEnv

import sfv_gym
from sfv_gym.envs import FixedInitialization, ReferenceStateInitialization, observation_structure
from sfv_gym.envs.imitation_env import ImitationEnv
from sfv_gym.envs.rewards import REWARDS, TrackingErrors
from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.registry import CHARACTER_TITLES, TERRAIN_TITLES, get_entry, load_motion, make_id

IDS = [entry.env_id for entry in sfv_gym.list_envs() if entry.motion]  # see also test_tracker.py
STILL = {"joint_noise": 0.0, "velocity_noise": 0.0, "position_noise": 0.0}


def make_vector(env_id: str, num_envs: int, **options) -> gym.vector.VectorEnv:
    return gym.make_vec(
        env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **options
    ).unwrapped


def zeros(env: gym.vector.VectorEnv) -> np.ndarray:
    return np.zeros(env.action_space.shape, np.float32)


# What does not depend on the motion is tested with two skills, one cyclic and one not.
SOME_IDS = [i for i in IDS if i.split("-")[1] in ("Walk", "Backflip")]


def covering_ids() -> list[str]:
    """Every skill on each character, on one terrain after the other, or on the flat ground alone if
    it is to be had nowhere else, and SOME_IDS."""
    skills = sorted({get_entry(env_id).skill for env_id in IDS})
    terrains = list(TERRAIN_TITLES.values())
    covering = set(SOME_IDS)
    for i, skill in enumerate(skills):
        for k, title in enumerate(CHARACTER_TITLES.values()):
            in_turn = make_id(skill, title, terrains[(i + 2 * k) % len(terrains)])
            covering.add(in_turn if in_turn in IDS else make_id(skill, title))
    return sorted(covering)


@pytest.fixture(params=IDS)
def env_id(request) -> str:
    return request.param


@pytest.fixture(params=covering_ids())
def covering_id(request) -> str:
    return request.param


@pytest.fixture(params=SOME_IDS)
def some_id(request) -> str:
    return request.param


def test_every_skill_is_registered_with_every_character_and_terrain():
    expected = {
        f"SFV-{skill}{character}{terrain}-v0"
        for skill in ("Walk", "Backflip")
        for character in ("", "-Atlas")
        for terrain in ("", "-Slopes", "-Gaps", "-Steps", "-Beam")
    }
    assert expected <= set(IDS)


def test_covering_ids_leave_out_no_skill_character_or_terrain():
    def pairs(ids: list[str]) -> set[tuple[str, str]]:
        entries = [get_entry(env_id) for env_id in ids]
        skills = {(entry.skill, entry.character) for entry in entries}
        return skills | {(entry.terrain, entry.character) for entry in entries}

    assert pairs(covering_ids()) == pairs(IDS)


def test_the_registry_names_what_exists():
    from sfv_gym.characters import CHARACTERS
    from sfv_gym.terrains import TERRAINS

    assert {c.name: c.title for c in CHARACTERS.values()} == CHARACTER_TITLES
    assert set(TERRAINS) == set(TERRAIN_TITLES)


@pytest.mark.filterwarnings("ignore:.*Box observation space m.*infinity.*")
def test_gymnasium_and_sb3_checkers_and_a_picture(covering_id):
    env = gym.make(covering_id, render_mode="rgb_array", width=64, height=64)
    check_env(env.unwrapped, skip_render_check=True)
    sb3_check_env(env.unwrapped, skip_render_check=True)
    if covering_id in SOME_IDS:
        env.reset(seed=0)
        frame = env.render()
        assert frame.shape == (64, 64, 3) and frame.dtype == np.uint8
        assert frame.mean() > 20 and frame.std() > 10  # neither black nor empty
    env.close()


def test_spec_round_trip(covering_id):
    env = gym.make(covering_id)
    again = gym.make(pickle.loads(pickle.dumps(env.spec)))
    first, second = env.reset(seed=3)[0], again.reset(seed=3)[0]
    np.testing.assert_array_equal(first, second)


def rollout(env_id: str, num_envs: int, threads: int, steps: int = 20) -> list[np.ndarray]:
    """What environment 0 of N gives: observations, rewards and ends, step by step."""
    env = make_vector(env_id, num_envs, num_threads=threads, horizon=15)
    observation, _ = env.reset(seed=7)
    record = [observation[0].copy()]
    size = env.single_action_space.shape[0]
    actions = np.random.default_rng(0).normal(scale=0.2, size=(steps, size)).astype(np.float32)
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(np.tile(action, (num_envs, 1)))
        record.append(np.append(observation[0], (reward[0], terminated[0], truncated[0])))
    assert any(r[-1] or r[-2] for r in record[1:])  # a reset is part of it
    return record


def test_rollouts_do_not_depend_on_batch_size_or_threads(covering_id):
    expected = rollout(covering_id, 1, 1)
    for num_envs, threads in ((1, 2), (2, 1), (33, 2)):
        for a, b in zip(expected, rollout(covering_id, num_envs, threads), strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_single_environment_is_the_vector_environment(some_id):
    env, vector = gym.make(some_id).unwrapped, make_vector(some_id, 3)
    np.testing.assert_array_equal(env.reset(seed=9)[0], vector.reset(seed=9)[0][0])
    action = np.full(env.action_space.shape, 0.05, np.float32)
    single, many = env.step(action), vector.step(np.tile(action, (3, 1)))
    np.testing.assert_array_equal(single[0], many[0][0])
    assert single[1] == many[1][0]


def test_different_environments_of_a_batch_start_differently(some_id):
    observation, _ = make_vector(some_id, 4).reset(seed=0)
    assert len(np.unique(observation[:, 0])) == 4


@pytest.mark.parametrize("reward", list(REWARDS))
def test_reward_parts_sum_to_the_reward(some_id, reward):
    env = make_vector(some_id, 8, reward=reward)
    env.reset(seed=0)
    for _ in range(5):
        _, value, terminated, truncated, info = env.step(zeros(env))
        ended = terminated | truncated
        total = np.sum([v for k, v in info.items() if k.startswith("reward_")], axis=0)
        if ended.any():  # those of the step, while the others are the new episode's
            last = info["final_info"]
            parts = [v for k, v in last.items() if k.startswith("reward_")]
            total = np.where(ended, np.sum(parts, axis=0), total)
        np.testing.assert_allclose(total, value, atol=1e-12)
        assert (value >= 0).all() and (value <= 1).all()


def test_rewards_of_given_errors():
    """By hand: SFV sec. 6, and half of that plus half of the centre of mass's term."""
    errors = TrackingErrors(
        rotation=np.array([[0.3, 0.4]]),
        angular_velocity=np.array([[1.0, 2.0]]),
        end_effector=np.array([[0.1, 0.0, 0.0, 0.2]]),
        centre_of_mass=np.array([0.3]),
    )
    pose, velocity, effector, centre = np.exp([-0.5, -0.5, -2.0, -0.9])
    sfv = 0.65 * pose + 0.10 * velocity + 0.15 * effector + 0.10 * centre
    expected = {"pose": pose, "sfv": sfv, "place": 0.5 * sfv + 0.5 * centre}
    assert expected.keys() == REWARDS.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(REWARDS[name](errors)[0], [value])


def test_a_start_without_noise_is_on_the_reference(env_id):
    """The reference agent's first state has zero pose error, on any terrain."""
    env = make_vector(env_id, 16, initialization=ReferenceStateInitialization(**STILL))
    env.reset(seed=0)
    simulation = env.simulation
    _, errors, distance = simulation._measure(simulation.all_ids)
    # arccos of unit quaternions loses half the digits near one
    assert errors.rotation.max() < 1e-6
    assert distance.max() < 1e-6
    assert simulation.reward(errors)[0].min() > 1 - 1e-6


def test_zero_and_random_agents_stay_finite(covering_id):
    """For 500 steps, or for 150: several episodes of each, as most end within a second."""
    env = make_vector(covering_id, 2)
    rng = np.random.default_rng(1)
    env.reset(seed=1)
    action = zeros(env)
    for _ in range(500 if covering_id in SOME_IDS else 150):
        action[1] = rng.uniform(-1, 1, action.shape[1])
        observation, reward, *_ = env.step(action)
        assert np.isfinite(observation).all() and np.isfinite(reward).all()
    assert env.simulation.physics.warnings == 0


def test_same_step_autoreset_hands_over_the_last_observation(some_id):
    env = make_vector(some_id, 16, horizon=3)
    env.reset(seed=0)
    for _ in range(3):
        observation, _, terminated, truncated, info = env.step(zeros(env))
    done = terminated | truncated
    assert done.any()
    np.testing.assert_array_equal(info["_final_obs"], done)
    changed = (info["final_obs"] != observation).any(axis=1)
    np.testing.assert_array_equal(changed, done)
    assert (env.simulation.elapsed[done] == 0).all()


def test_sb3_adapter_reports_ends_as_sb3_expects(some_id):
    env = SB3VecEnv(make_vector(some_id, 8, horizon=4))
    assert isinstance(env, VecEnv)
    same = make_vector(some_id, 8, horizon=4)
    env.seed(0)
    env.reset()
    same.reset(seed=list(range(8)))
    returns, lengths, seen = np.zeros(8), np.zeros(8, int), 0
    for _ in range(8):
        observation, reward, done, infos = env.step(zeros(same))
        expected, value, terminated, truncated, info = same.step(zeros(same))
        assert reward.dtype == np.float32
        np.testing.assert_array_equal(observation, expected)
        np.testing.assert_array_equal(done, terminated | truncated)
        returns += value
        lengths += 1
        for i in np.flatnonzero(done):
            seen += 1
            np.testing.assert_array_equal(infos[i]["terminal_observation"], info["final_obs"][i])
            assert infos[i]["TimeLimit.truncated"] == (truncated[i] and not terminated[i])
            assert infos[i]["episode"]["l"] == lengths[i]
            assert infos[i]["episode"]["r"] == pytest.approx(returns[i])
            returns[i], lengths[i] = 0.0, 0
    assert seen >= 8


def test_observations_and_rewards_do_not_depend_on_heading_or_place(some_id):
    """Turn and move motion and character together: nothing that is seen may change."""
    entry = get_entry(some_id)
    motion = load_motion(entry.motion)
    options = {
        "character": entry.character,
        "terrain": entry.terrain,
        # the start noise is drawn in world axes, so this test goes without it
        "initialization": FixedInitialization(**STILL),
    }
    here = ImitationEnv(motion, **options)
    anywhere = ImitationEnv(moved(motion, 2.0, (3.0, -5.0)), **options)
    np.testing.assert_allclose(here.reset(seed=0)[0], anywhere.reset(seed=0)[0], atol=1e-4)
    # a quarter turn, because the pyramids that stand for friction cones lie along x and y
    there = ImitationEnv(moved(motion, np.pi / 2, (3.0, -5.0)), **options)
    a, b = here.reset(seed=0)[0], there.reset(seed=0)[0]
    np.testing.assert_allclose(a, b, atol=1e-4)
    for _ in range(5):
        a, b = here.step(np.zeros(28)), there.step(np.zeros(28))
        np.testing.assert_allclose(a[0], b[0], atol=2e-3)
        assert abs(a[1] - b[1]) < 1e-3


def test_observation_structure_covers_the_observation(some_id):
    entry = get_entry(some_id)
    structure = observation_structure(entry.character, entry.terrain)
    slices = list(structure.values())
    env = gym.make(some_id).unwrapped
    assert slices[0].start == 0 and slices[-1].stop == env.observation_space.shape[0]
    assert all(a.stop == b.start for a, b in itertools.pairwise(slices))
    assert ("height_map" in structure) == (entry.terrain != "flat")


def test_truncation_at_the_horizon_and_at_the_end_of_a_clip():
    env = make_vector("SFV-Backflip-v0", 4, initialization="fixed", termination=False)
    env.reset(seed=0)
    last = int(env.simulation.references.last[0])
    for step in range(1, last + 1):
        *_, terminated, truncated, _ = env.step(np.zeros((4, 28), np.float32))
        assert not terminated.any()
        assert truncated.all() == (step == last)


def test_an_episode_has_at_least_a_step():
    with pytest.raises(sfv_gym.errors.SFVError, match="horizon"):
        gym.make("SFV-Walk-v0", horizon=0)


def test_unknown_names_are_named():
    for option in ("character", "terrain", "reward", "action_mode", "initialization"):
        with pytest.raises(sfv_gym.errors.UnknownIdError, match="nonsense"):
            gym.make("SFV-Walk-v0", **{option: "nonsense"})
    with pytest.raises(sfv_gym.errors.UnknownIdError, match="SFV-Walk-v0"):
        sfv_gym.registry.get_entry("SFV-Wlak-v0")


def test_wrong_actions_are_refused_and_change_nothing(some_id):
    env, other = make_vector(some_id, 4), make_vector(some_id, 4)
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
    swing(period=60).save(tmp_path / "arm_swing.npz")
    env_id = sfv_gym.register_motion(tmp_path / "arm_swing.npz")
    assert env_id == "SFV-ArmSwing-v0"
    env = gym.make(env_id)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    swing().save(tmp_path / "Bad Name.npz")
    with pytest.raises(sfv_gym.errors.MotionError, match="snake_case"):
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
