"""What Gymnasium, Stable-Baselines3 and planners expect of the environments beyond a rollout."""

import copy
import json
import os
import pickle

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import RecordEpisodeStatistics, TimeAwareObservation
from gymnasium.wrappers.vector import NormalizeObservation
from gymnasium.wrappers.vector import RecordEpisodeStatistics as RecordVectorStatistics
from stable_baselines3.common.vec_env import VecMonitor

from sfv_gym import list_envs
from sfv_gym.envs import DomainRandomization, EarlyTermination, Pushes
from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.envs.task import CONTROL_HZ
from sfv_gym.errors import ActionError, RenderError, SettingError, SFVError, UnknownIdError
from sfv_gym.registry import MAX_EPISODE_STEPS

IDS = [
    f"SFV-{skill}{character}{terrain}-v0"
    for character in ("", "-Atlas")
    for skill, terrain in (("Walk", ""), ("Backflip", ""), ("Walk", "-Slopes"), ("Kick", "-Gaps"),
                           ("Jump", "-Steps"), ("Walk", "-Beam"))
]  # fmt: skip
EVERYTHING = {"randomization": True, "pushes": True, "initialization": "failure"}


@pytest.fixture(params=IDS)
def env_id(request) -> str:
    return request.param


def vector(env_id: str, num_envs: int = 4, **options) -> gym.vector.VectorEnv:
    return gym.make_vec(
        env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **options
    )


def actions(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.15, size=(count, *shape)).astype(np.float32)


def same(a, b) -> None:
    """Two results of step or reset, to the bit."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, tuple | list):
        for one, other in zip(a, b, strict=True):
            same(one, other)
    else:
        np.testing.assert_array_equal(a, b)


COPIES = (
    copy.deepcopy,
    lambda env: pickle.loads(pickle.dumps(env)),
    lambda env: pickle.loads(cloudpickle.dumps(env)),
)


def without_clock(result: tuple) -> tuple:
    """A step of Stable-Baselines3's, without the seconds that its episodes took."""
    for info in result[3]:
        info.get("episode", {}).pop("t", None)
    return result


# --- the state goes along ---------------------------------------------------------------------


def play_single(env: gym.Env, steps: int) -> list:
    record = []
    for action in actions(steps, env.action_space.shape, seed=1):
        record.append(env.step(action))
        if record[-1][2] or record[-1][3]:
            record.append(env.reset())
    return record


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["plain", "everything"])
def test_copies_of_an_environment_go_on_as_the_original(env_id, options):
    env = gym.make(env_id, **options)
    env.reset(seed=3)
    for action in actions(5, env.action_space.shape):
        env.step(action)
    copies = [made(env) for made in COPIES]
    expected = play_single(env, 40), env.reset(seed=8)
    for again in copies:
        same((play_single(again, 40), again.reset(seed=8)), expected)


def test_copies_of_the_vector_and_sb3_environments_go_on(env_id):
    envs = vector(env_id, horizon=12, **EVERYTHING)
    envs.reset(seed=3)
    adapter = SB3VecEnv(vector(env_id, horizon=12, **EVERYTHING).unwrapped)
    adapter.seed(3)
    adapter.reset()
    for action in actions(5, (4, 28)):
        envs.step(action)
        adapter.step(action)
    copies = [(made(envs), made(adapter)) for made in COPIES]
    for action in actions(20, (4, 28), seed=1):
        expected = envs.step(action), without_clock(adapter.step(action))
        for other, other_adapter in copies:
            same((other.step(action), without_clock(other_adapter.step(action))), expected)


def test_an_environment_comes_back_to_a_state(env_id):
    env, other = gym.make(env_id, **EVERYTHING).unwrapped, gym.make(env_id, **EVERYTHING).unwrapped
    env.reset(seed=3)
    for action in actions(5, (28,)):
        env.step(action)
    state = env.get_state()
    first = play_single(env, 40)
    env.set_state(state)
    same(first, play_single(env, 40))
    other.set_state(pickle.loads(pickle.dumps(state)))
    same(first, play_single(other, 40))


def test_a_state_of_another_environment_is_refused():
    walk = gym.make("SFV-Walk-v0").unwrapped
    for other in (
        gym.make("SFV-Walk-Atlas-v0"),
        vector("SFV-Walk-v0"),
        gym.make("SFV-Walk-Gaps-v0"),
    ):
        other.reset(seed=0)
        with pytest.raises(SettingError, match="set_state"):
            walk.set_state(other.unwrapped.get_state())
    with pytest.raises(SettingError, match="set_state"):
        walk.set_state({})


def test_a_forked_child_goes_on_with_threads_of_its_own(tmp_path):
    envs = vector("SFV-Walk-v0", num_threads=2)
    envs.reset(seed=0)
    action = actions(1, (4, 28))[0]
    envs.step(action)
    expected = copy.deepcopy(envs).step(action)[0]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            np.save(tmp_path / "child.npy", envs.step(action)[0])
            del envs
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "child.npy"), expected)
    np.testing.assert_array_equal(envs.step(action)[0], expected)


# --- specs and limits -------------------------------------------------------------------------


def test_specs_are_json_without_a_path(env_id):
    spec = gym.spec(env_id)
    text = spec.to_json()
    assert os.sep not in json.dumps(json.loads(text)["kwargs"])
    again = gym.make(gym.envs.registration.EnvSpec.from_json(text))
    same(again.reset(seed=2)[0], gym.make(env_id).reset(seed=2)[0])


def test_every_id_has_a_time_limit():
    assert 20 * CONTROL_HZ == MAX_EPISODE_STEPS
    assert {gym.spec(e.env_id).max_episode_steps for e in list_envs()} == {MAX_EPISODE_STEPS}


def test_the_time_limit_and_the_horizon():
    options = {"termination": False, "initialization": "fixed"}
    both = {"horizon": 605, "max_episode_steps": 605}
    for steps, more in ((7, {"max_episode_steps": 7}), (9, {"horizon": 9}), (605, both)):
        env = gym.make("SFV-Squat-v0", **options, **more)
        env.reset(seed=0)
        ends = [env.step(np.zeros(28, np.float32))[3] for _ in range(steps)]
        assert ends == [False] * (steps - 1) + [True]
        assert vector("SFV-Squat-v0", **options, **more).unwrapped.simulation.horizon == steps
    assert vector("SFV-Squat-v0", max_episode_steps=700).unwrapped.simulation.horizon == 700
    with pytest.raises(SettingError, match="max_episode_steps=900"):
        vector("SFV-Walk-v0", horizon=900)


def test_wrappers_that_count_steps():
    env = RecordEpisodeStatistics(
        TimeAwareObservation(gym.make("SFV-Walk-v0", max_episode_steps=5))
    )
    env.reset(seed=0)
    for _ in range(5):
        *_, truncated, info = env.step(np.zeros(28, np.float32))
    assert truncated and info["episode"]["l"] == 5


# --- autoreset --------------------------------------------------------------------------------


def test_same_step_hands_over_the_last_episode(env_id):
    envs = vector(env_id, 6, horizon=4)
    _, reset_info = envs.reset(seed=0)
    for action in actions(9, (6, 28)):
        observation, _, terminated, truncated, info = envs.step(action)
        ended = terminated | truncated
        assert info.keys() - {"final_obs", "_final_obs", "final_info", "_final_info"} == set(
            reset_info
        )
        assert ("final_obs" in info) == ended.any()
        if ended.any():
            same(info["_final_obs"], ended)
            same(info["_final_info"], ended)
            assert info["final_info"].keys() == reset_info.keys()
            same(info["final_info"]["_joint_error"], ended)
            changed = (info["final_obs"] != observation).any(axis=1)
            same(changed, ended)
            # the new episode begins on the reference, but for the noise of its start
            assert (info["joint_error"][ended] < 0.1).all()


def test_next_step_and_disabled_play_the_same_episodes(env_id):
    """NEXT_STEP resets in a step of its own, DISABLED where it is told to."""
    after = vector(env_id, 6, horizon=4, autoreset_mode=AutoresetMode.NEXT_STEP)
    told = vector(env_id, 6, horizon=4, autoreset_mode="Disabled")
    assert after.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    same(after.reset(seed=0), told.reset(seed=0))
    ended = np.zeros(6, bool)
    for action in actions(12, (6, 28)):
        observation, reward, terminated, truncated, info = after.step(action)
        assert "final_obs" not in info
        if ended.any():
            assert not (terminated | truncated)[ended].any() and not reward[ended].any()
            # the steps of the others come from the same action: step those after the reset
            with pytest.raises(gym.error.ResetNeeded):
                told.step(action)
            fresh, fresh_info = told.reset(options={"reset_mask": ended})
            same(fresh[ended], observation[ended])
            same(fresh_info["joint_error"][ended], info["joint_error"][ended])
            told = copy.deepcopy(after)
            told.unwrapped.autoreset_mode = AutoresetMode.DISABLED
        else:
            same((observation, reward, terminated, truncated), told.step(action)[:4])
        ended = terminated | truncated
    with pytest.raises(SettingError, match="autoreset_mode"):
        vector(env_id, autoreset_mode="sometimes")


def test_vector_wrappers_accept_it():
    envs = vector("SFV-Backflip-v0", autoreset_mode=AutoresetMode.NEXT_STEP, max_episode_steps=5)
    envs = RecordVectorStatistics(NormalizeObservation(envs))
    envs.reset(seed=0)
    lengths = []
    for action in actions(12, (4, 28)):
        *_, info = envs.step(action)
        lengths += list(info["episode"]["l"][info["_episode"]]) if "episode" in info else []
    assert lengths and max(lengths) == 5


# --- info, options, seeds ---------------------------------------------------------------------


def test_reset_and_step_infos_have_the_same_keys(env_id):
    for options in ({}, {"reward": "sfv", "failure_cost": 3.0}):
        env, envs = gym.make(env_id, **options), vector(env_id, **options)
        assert env.reset(seed=0)[1].keys() == env.step(np.zeros(28))[4].keys()
        _, first = envs.reset(seed=0)
        *_, then = envs.step(np.zeros((4, 28)))
        assert first.keys() == then.keys() and all(f"_{key}" in then for key in env.reset()[1])


def test_an_episode_begins_where_it_is_told_to():
    env, envs = gym.make("SFV-Backflip-v0"), vector("SFV-Backflip-v0")
    for _ in range(3):
        assert env.reset(options={"reference_step": 5})[1]["reference_step"] == 5
    _, info = envs.reset(seed=0, options={"reference_step": np.array([1, 2, 3, 4])})
    same(info["reference_step"], [1, 2, 3, 4])
    mask = np.array([True, False, True, False])
    _, info = envs.reset(options={"reference_step": 7, "reset_mask": mask})
    same(info["reference_step"], [7, 0, 7, 0])
    same(info["_reference_step"], mask)
    same(envs.unwrapped.simulation.start, [7, 2, 7, 4])
    for wrong in (-1, 1000, 2.5, "five", [1, 2]):
        for each in (env, envs):
            with pytest.raises(SettingError, match="reference_step"):
                each.reset(options={"reference_step": wrong})
    for each in (env, envs):
        with pytest.raises(SettingError, match="refrence_step"):
            each.reset(options={"refrence_step": 5})


def test_masks_and_seeds_of_a_vector_environment_are_checked():
    envs = vector("SFV-Walk-v0")
    envs.reset(seed=0)
    for mask, error in (
        ([True] * 4, TypeError), (np.ones(4), TypeError), (np.ones(3, bool), ValueError),
        (np.zeros(4, bool), ValueError),
    ):  # fmt: skip
        with pytest.raises(error, match="reset_mask"):
            envs.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match="num_envs=4"):
        envs.reset(seed=[1, 2])
    same(envs.reset(seed=np.int64(3))[0], envs.reset(seed=3)[0])
    same(envs.reset(seed=[3, 4, 5, 6])[0], envs.reset(seed=3)[0])
    env = gym.make("SFV-Walk-v0")
    same(env.reset(seed=np.int64(3))[0], env.reset(seed=3)[0])


def test_step_before_reset():
    for env, shape in (
        (gym.make("SFV-Walk-v0").unwrapped, (28,)),
        (vector("SFV-Walk-v0"), (4, 28)),
    ):
        with pytest.raises(gym.error.ResetNeeded):
            env.step(np.zeros(shape))


@pytest.mark.parametrize("name", ["failure", "asi"])
def test_starts_that_learn_are_reproducible_with_a_seed(name):
    envs = vector("SFV-Backflip-v0", 32, initialization=name)

    def starts() -> list[np.ndarray]:
        envs.reset(seed=4)
        for action in actions(60, (32, 28)):
            envs.step(action)
        return envs.unwrapped.simulation.start.copy()

    same(starts(), starts())


# --- one's own reward, shorthand, wrong settings -------------------------------------------------


def test_one_s_own_reward_and_weights():
    def own(errors):
        value = np.exp(-errors.centre_of_mass)
        return value, {"reward_centre": value}

    env = gym.make("SFV-Walk-v0", reward=own)
    env.reset(seed=0)
    _, reward, *_, info = env.step(np.zeros(28))
    assert info["reward_centre"] == reward > 0
    weights = {"pose": 0.65, "velocity": 0.1, "end_effector": 0.15, "centre_of_mass": 0.1}
    results = []
    for given in ("sfv", weights):
        env = gym.make("SFV-Walk-v0", reward=given)
        env.reset(seed=0)
        results.append(env.step(np.zeros(28)))
    same(*results)
    with pytest.raises(UnknownIdError, match="poze"):
        gym.make("SFV-Walk-v0", reward={"poze": 1.0})
    with pytest.raises(SettingError, match="shape"):
        gym.make("SFV-Walk-v0", reward=lambda errors: (errors.rotation, {})).reset(seed=0)


def test_a_failure_costs_what_the_environment_was_told():
    options = {"action_mode": "residual", "initialization": "rsi"}
    dear, free = (vector("SFV-Walk-v0", 8, failure_cost=cost, **options) for cost in (5.0, 0.0))
    dear.reset(seed=0)
    free.reset(seed=0)
    failures = 0
    for _ in range(60):
        fall = np.ones((8, 28), np.float32)
        (_, reward, failed, _, info), (_, plain, *_) = dear.step(fall), free.step(fall)
        np.testing.assert_allclose(reward, plain - 5.0 * failed)
        if failed.any():
            same(info["final_info"]["reward_failure"][failed], np.full(failed.sum(), -5.0))
        failures += failed.sum()
    assert failures >= 8


def test_true_takes_the_defaults():
    options = {"pushes": (True, Pushes()), "randomization": (True, DomainRandomization())}
    for name, (short, long) in options.items():
        first, second = (vector("SFV-Walk-v0", **{name: value}) for value in (short, long))
        same(first.reset(seed=0)[0], second.reset(seed=0)[0])
        for action in actions(40, (4, 28)):
            same(first.step(action)[0], second.step(action)[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"horizon": 0}, {"horizon": 2.5}, {"horizon": True}, {"target_lead": np.nan},
        {"target_lead": 1e9}, {"difficulty": 0.3}, {"failure_cost": np.inf},
        {"failure_cost": -1.0}, {"termination": 3}, {"pushes": 5}, {"randomization": "much"},
        {"initialization": 4}, {"reward": 7}, {"terrain": 3}, {"width": 0}, {"height": 10**6},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_make_no_sense_are_named(wrong):
    (name,) = wrong
    for make in (gym.make, vector):
        with pytest.raises(SettingError, match=name):
            make("SFV-Walk-v0", **wrong)


@pytest.mark.parametrize(
    "wrong", [{"num_envs": 0}, {"num_envs": -3}, {"num_threads": -1}, {"frames": 3}], ids=str
)
def test_settings_of_the_vector_environment_are_named(wrong):
    (name,) = wrong
    with pytest.raises(SettingError, match=name):
        gym.make_vec(
            "SFV-Walk-v0", **{"num_envs": 2, **wrong}, vectorization_mode="vector_entry_point"
        )


def test_wrong_objects_are_named():
    with pytest.raises(SettingError, match="force"):
        Pushes(force=np.nan)
    with pytest.raises(SettingError, match="interval"):
        Pushes(duration=2.0, interval=1.0)
    with pytest.raises(SettingError, match="link_distance"):
        EarlyTermination(link_distance=np.nan)
    with pytest.raises(SettingError, match="difficulty"):
        gym.make("SFV-Walk-Slopes-v0", difficulty="x")
    with pytest.raises(UnknownIdError, match="render_mode"):
        vector("SFV-Walk-v0", render_mode="human")
    env = gym.make("SFV-Walk-v0")
    env.reset(seed=0)
    for action in (np.zeros(28, complex), np.full(28, "x"), np.full(28, None)):
        with pytest.raises(ActionError, match="real numbers"):
            env.unwrapped.step(action)
    with pytest.raises(SFVError, match="unknown environment id"):
        gym.make("SFV-Walk-v0", motion="no_such_skill")


def test_a_window_without_a_screen_says_what_to_do(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    env = gym.make("SFV-Walk-v0", render_mode="human")
    with pytest.raises(RenderError, match="rgb_array"):
        env.reset(seed=0)


# --- Stable-Baselines3 --------------------------------------------------------------------------


def test_sb3_infos_hold_the_figures():
    adapter = VecMonitor(
        SB3VecEnv(vector("SFV-Walk-v0", horizon=5).unwrapped), info_keywords=("joint_error",)
    )
    adapter.seed(0)
    adapter.reset()
    assert all("joint_error" in info for info in adapter.venv.reset_infos)
    for _ in range(5):
        *_, done, infos = adapter.step(np.zeros((4, 28), np.float32))
        assert all("joint_error" in info for info in infos)
    assert done.all()
    assert all(info["episode"]["joint_error"] > 0 and info["episode"]["t"] > 0 for info in infos)


def test_sb3_attributes_are_of_all_environments_or_refused():
    adapter = SB3VecEnv(vector("SFV-Walk-Slopes-v0").unwrapped)
    assert adapter.get_attr("num_envs", indices=[1, 2]) == [4, 4]
    assert adapter.env_method("set_difficulty", 0.2) == [None] * 4
    for refused in (
        lambda: adapter.env_method("set_difficulty", 0.2, indices=[0]),
        lambda: adapter.set_attr("simulation", None),
        lambda: adapter.set_attr("render_mode", "rgb_array", indices=1),
    ):
        with pytest.raises(SettingError):
            refused()
    with pytest.raises(SettingError, match="SAME_STEP"):
        SB3VecEnv(vector("SFV-Walk-v0", autoreset_mode="NextStep").unwrapped)


# --- what must stay ---------------------------------------------------------------------------


@pytest.mark.parametrize("skill", ["Walk", "Backflip"])
def test_rollouts_are_those_that_were_recorded(skill, request):
    """Of the release before get_state and autoreset_mode, to the bit on the machine that recorded
    them; another processor's arithmetic may differ in the last digit, which falls amplify."""
    kept = np.load(request.config.rootpath / "tests" / "data" / "recorded_rollout.npz")
    envs = vector(f"SFV-{skill}-v0", reward="sfv")
    observation, _ = envs.reset(seed=123)
    seen, rewards, ends = [observation], [], []
    for action in actions(60, (4, 28), seed=5):
        observation, reward, terminated, truncated, _ = envs.step(action)
        seen.append(observation)
        rewards.append(reward)
        ends.append((terminated, truncated))
    np.testing.assert_array_equal(seen, kept[f"{skill}_observation"])
    np.testing.assert_array_equal(rewards, kept[f"{skill}_reward"])
    np.testing.assert_array_equal(ends, kept[f"{skill}_end"])
