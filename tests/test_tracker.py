"""Trackers: many motions in one batch, the reference ahead, motions drawn by how they fail."""

import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from motions import moved, swing
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import sfv_gym
from sfv_gym.characters import get_character
from sfv_gym.envs import FixedInitialization, Observation, observation_structure
from sfv_gym.envs.imitation_env import ImitationEnv
from sfv_gym.envs.motion_sampling import FIRST_RATE, FailureWeightedMotions
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import CONTROL_HZ, Task
from sfv_gym.errors import MotionError, PolicyError, SettingError, UnknownIdError
from sfv_gym.library import library_clips
from sfv_gym.play.agents import AGENTS, policy_agent
from sfv_gym.play.policy import Policy
from sfv_gym.registry import find_motion, library_skills, make_id, tracker_skills
from sfv_gym.retargeting import retarget
from sfv_gym.rotations import (
    heading,
    quat_conjugate,
    quat_multiply,
    quat_rotate,
    quat_to_matrix,
)
from sfv_gym.seeds import Purpose, stream

IDS = ["SFV-Tracker-v0", "SFV-Tracker-Atlas-v0", "SFV-Tracker-Slopes-v0", "SFV-Tracker-Gaps-v0"]
SKILLS = ["walk", "backflip", "roll", "kick"]
STILL = FixedInitialization(joint_noise=0.0, velocity_noise=0.0, position_noise=0.0)


def vector(env_id: str, num_envs: int, **settings) -> gym.vector.VectorEnv:
    return gym.make_vec(
        env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **settings
    ).unwrapped


def actions(steps: int, num_envs: int, scale: float = 0.2) -> np.ndarray:
    return np.random.default_rng(0).normal(scale=scale, size=(steps, num_envs, 28))


# --- ids --------------------------------------------------------------------------------------


def test_the_trackers_are_listed_beside_the_skills():
    entries = {entry.env_id: entry for entry in sfv_gym.list_envs()}
    assert [i for i, entry in entries.items() if entry.motion is None] == sorted(IDS)
    assert entries["SFV-Tracker-Slopes-v0"].terrain == "slopes"
    assert entries["SFV-Tracker-Atlas-v0"].character == "atlas"
    assert set(library_skills()) == {clip.skill for clip in library_clips()}


@pytest.mark.filterwarnings("ignore:.*Box observation space m.*infinity.*")
@pytest.mark.parametrize("env_id", IDS)
def test_trackers_are_environments(env_id):
    env = gym.make(env_id).unwrapped
    check_env(env, skip_render_check=True)
    sb3_check_env(env, skip_render_check=True)
    task = Task.of(env_id)
    assert len(task.motions) == len(tracker_skills()) == len(env.simulation.references)
    assert task.motion_names == tracker_skills()
    assert env.action_space.shape == (task.character.model.nu,)
    parts = env.observation_parts
    assert parts == task.observation_parts == vector(env_id, 1).observation_parts
    assert env.observation_space.shape == (parts[-1].columns.stop,)
    joints = task.character.model.nu
    assert env.observation_space.shape[0] == 61 + 3 * joints + 4 * (9 + joints) + 65 * (
        not task.terrain.is_flat
    )
    names = {part.name for part in parts}
    assert {"reference_joints", "reference_position_16", "reference_rotation_2"} <= names
    assert "phase" not in names
    again = gym.make(gym.envs.registration.EnvSpec.from_json(gym.spec(env_id).to_json()))
    np.testing.assert_array_equal(again.reset(seed=2)[0], env.reset(seed=2)[0])


def test_motions_and_settings_can_be_others():
    env = gym.make("SFV-Tracker-v0", motions=["walk", swing()]).unwrapped
    assert env.simulation.task.motion_names == ("walk", "motion")
    assert env.observation_space.shape == (293,)
    task = Task.of("SFV-Tracker-Slopes-v0", motions=["kick"], character="atlas", difficulty=0.2)
    assert task.motion.skill == "kick" and task.terrain.difficulty == 0.2
    assert isinstance(task.motion_sampling, FailureWeightedMotions)
    plain = Task.of("SFV-Tracker-v0", observation="phase", motion_sampling="weights")
    assert plain.observation == Task.of("SFV-Walk-v0").observation
    assert Task.of("walk", motions=["kick", "kick", "roll"]).motion_names == (
        "kick", "kick_2", "roll"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"observation": "all"}, UnknownIdError),
        ({"observation": 3}, SettingError),
        ({"motion_sampling": "luck"}, UnknownIdError),
        ({"motion_sampling": 0.5}, SettingError),
        ({"motions": "walk"}, SettingError),
        ({"motions": None}, SettingError),
        ({"motions": []}, SettingError),
        ({"motions": ["SFV-Tracker-v0"]}, SettingError),
        ({"motions": ["wallk"]}, UnknownIdError),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, error):
    with pytest.raises(error):
        gym.make("SFV-Tracker-v0", **settings)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Observation(window=(4, 2)),
        lambda: Observation(window=(0, 2)),
        lambda: Observation(window=(2.5,)),
        lambda: Observation(window=4),
        lambda: Observation(phase=1),
        lambda: FailureWeightedMotions(floor=1.5),
        lambda: FailureWeightedMotions(memory=1.0),
    ],
)
def test_typed_settings_are_checked(make):
    with pytest.raises(SettingError):
        make()


def test_what_takes_one_motion_says_so(tmp_path):
    with pytest.raises(SettingError, match="SFV-Tracker-v0 is of many motions"):
        find_motion("SFV-Tracker-v0")
    with pytest.raises(PolicyError, match="no policy ships for SFV-Tracker-v0"):
        sfv_gym.load_policy("SFV-Tracker-v0")
    swing().save(tmp_path / "tracker.npz")
    with pytest.raises(MotionError, match="not tracker"):
        sfv_gym.register_motion(tmp_path / "tracker.npz")


# --- the reference ahead ----------------------------------------------------------------------


@pytest.mark.parametrize("terrain", ["flat", "slopes"])
def test_the_window_replaces_the_phase_and_nothing_else(terrain):
    """Nor does what is seen change what happens."""
    seen = {}
    for observation in ("phase", "window"):
        envs = vector("SFV-Backflip-v0", 6, terrain=terrain, observation=observation, horizon=30)
        record = [envs.reset(seed=4)[0]]
        record += [envs.step(action)[0] for action in actions(40, 6)]
        seen[observation] = np.array(record)
    structure = {name: observation_structure("humanoid", terrain, name) for name in seen}
    common = [name for name in structure["phase"] if name in structure["window"]]
    assert set(structure["phase"]) - set(common) == {"phase"}
    for name in common:
        one, other = (seen[kind][..., structure[kind][name]] for kind in ("phase", "window"))
        np.testing.assert_array_equal(one, other)


def test_phase_and_window_can_both_be_seen():
    both = Task.of("walk", observation=Observation(window=(3,)))
    simulation, plain = ImitationSimulation(both, 2), ImitationSimulation(Task.of("walk"), 2)
    for one in (simulation, plain):
        one.seed(0)
    seen, expected = (one.reset(one.all_ids) for one in (simulation, plain))
    np.testing.assert_array_equal(seen[:, :147], expected)
    assert seen.shape == (2, 147 + 9 + 28)


@pytest.mark.parametrize("character", ["humanoid", "atlas"])
@pytest.mark.parametrize("terrain", ["flat", "slopes"])
@pytest.mark.parametrize("skill", ["walk", "backflip"])
def test_the_window_is_the_reference_so_many_steps_later(skill, character, terrain):
    """Sampled anew from the motion: over the end of a cycle with what a cycle adds to the path,
    over the horizon, and at rest on a clip's last frame. The character has left its reference."""
    window = (1, 2, 7, 40)
    task = Task.of(
        skill,
        character=character,
        terrain=terrain,
        observation=Observation(phase=False, window=window),
        termination=False,
        horizon=50,
    )
    body, n = get_character(character), 3
    trajectory, joints = retarget(find_motion(skill), body), body.joints
    simulation = ImitationSimulation(task, n)
    simulation.seed(1)
    references = simulation.references
    starts = np.array([0, references.num_starts[0] // 2, references.num_starts[0] - 1])
    observation = simulation.reset(simulation.all_ids, starts)
    structure = observation_structure(character, terrain, task.observation)
    clip = np.inf if trajectory.loop == "wrap" else references.end[0]
    offset = 0.0
    for action in actions(50, n, 0.1):
        observation = simulation.step(action).observation
        qpos = simulation.qpos
        at = np.minimum(starts + simulation.elapsed, clip)
        to_heading = quat_conjugate(heading(qpos[:, 3:7]))
        for k in window:
            later = trajectory.sample(np.minimum(at + k, clip) / CONTROL_HZ)
            reference, _ = joints.coordinates(later, trajectory.joint_names)
            goal = reference[:, :3].copy()
            goal[:, 2] += simulation.ground.height_offset(simulation.all_ids, goal[:, :2])
            offset = max(offset, np.abs(goal - reference[:, :3]).max())
            turn = quat_multiply(quat_conjugate(qpos[:, 3:7]), reference[:, 3:7])
            matrix = quat_to_matrix(turn)
            wanted = {
                "position": quat_rotate(to_heading, goal - qpos[:, :3]),
                "rotation": np.concatenate((matrix[:, :, 0], matrix[:, :, 2]), axis=1),
                "joints": joints.joint_vector(reference) - joints.joint_vector(qpos),
            }
            for name, value in wanted.items():
                part = observation[:, structure[f"reference_{name}_{k}"]]
                np.testing.assert_allclose(part, value, atol=2e-4, err_msg=f"{name} {k}")
    assert (offset > 0.0) == (terrain == "slopes")
    if skill == "walk":
        assert references.qpos[0, 0] + 1.0 < references.qpos[references.end[0], 0]
        assert starts[2] + 50 + 40 > trajectory.period * CONTROL_HZ


@pytest.mark.parametrize("terrain", ["flat", "slopes"])
@pytest.mark.parametrize("character", ["humanoid", "atlas"])
def test_the_window_does_not_depend_on_heading_or_place(character, terrain):
    options = {
        "character": character,
        "terrain": terrain,
        "observation": "window",
        # the start noise is drawn in world axes
        "initialization": STILL,
    }
    for skill in ("walk", "backflip"):
        motion = find_motion(skill)
        here = ImitationEnv(motion, **options)
        anywhere = ImitationEnv(moved(motion, 2.0, (3.0, -5.0)), **options)
        np.testing.assert_allclose(here.reset(seed=0)[0], anywhere.reset(seed=0)[0], atol=1e-4)
        # a quarter turn, because the pyramids that stand for friction cones lie along x and y
        there = ImitationEnv(moved(motion, np.pi / 2, (3.0, -5.0)), **options)
        here.reset(seed=0)
        there.reset(seed=0)
        for _ in range(5):
            one, other = here.step(np.zeros(28))[0], there.step(np.zeros(28))[0]
            np.testing.assert_allclose(one, other, atol=2e-3)


def test_every_rollout_of_a_tracker_is_that_of_its_motion_alone():
    n = 12
    chosen = np.arange(n) % len(SKILLS)

    def play(skills: list[str], motions: np.ndarray) -> list[np.ndarray]:
        simulation = ImitationSimulation(Task.of("SFV-Tracker-v0", motions=skills), n)
        simulation.seed(11)
        seen = [simulation.begin(simulation.all_ids, motions=motions)[0]]
        for action in actions(40, 1):
            result = simulation.step(np.tile(action, (n, 1)))
            seen += [result.observation, result.reward, result.terminated, result.truncated]
        return seen

    together = play(SKILLS, chosen)
    for m, skill in enumerate(SKILLS):
        for one, other in zip(together, play([skill], np.zeros(n, int)), strict=True):
            np.testing.assert_array_equal(one[chosen == m], other[chosen == m])


# --- which motions ----------------------------------------------------------------------------


def test_motions_that_fail_are_drawn_more_often_and_none_starves():
    weights = np.array([1.0, 1.0, 2.0, 0.0])
    shares = weights / weights.sum()
    sampler = FailureWeightedMotions(floor=0.2, memory=0.9).sampler(weights)
    np.testing.assert_allclose(sampler.probabilities, shares)  # nothing is known
    for _ in range(200):
        sampler.finished(np.array([0, 1, 2]), np.array([True, False, False]))
    np.testing.assert_allclose(sampler.failure_rate, [1.0, 0.0, 0.0, FIRST_RATE], atol=1e-6)
    probabilities = sampler.probabilities
    assert (probabilities >= 0.2 * shares).all() and probabilities[0] > 0.84
    assert probabilities[3] == 0.0 and probabilities.sum() == pytest.approx(1.0)
    drawn = sampler.draw(np.linspace(0.0, 1.0, 100_000, endpoint=False))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 1e5, probabilities, atol=1e-4)
    for _ in range(200):  # it has been learned
        sampler.finished(np.array([0]), np.array([False]))
    np.testing.assert_allclose(sampler.probabilities, shares, atol=1e-3)
    sampler.forget()
    assert (sampler.failure_rate == FIRST_RATE).all()
    only_weights = FailureWeightedMotions(floor=1.0).sampler(weights)
    only_weights.finished(np.array([0]), np.array([True]))
    np.testing.assert_allclose(only_weights.probabilities, shares)


def played(envs: gym.vector.VectorEnv, steps: int, **settings) -> list[np.ndarray]:
    seen = [envs.reset(**settings)[0]] if settings else []
    for action in actions(steps, envs.num_envs):
        observation, reward, terminated, truncated, info = envs.step(action)
        seen += [observation, reward, terminated, truncated, info["motion"]]
    return seen


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_batch_learns_failure_rates_from_how_its_episodes_end():
    envs = vector("SFV-Tracker-v0", 8, motions=SKILLS, horizon=25)
    _, info = envs.reset(seed=3)
    motion, expected = info["motion"], np.full(len(SKILLS), FIRST_RATE)
    memory = envs.simulation.task.motion_sampling.memory
    for action in actions(80, 8):
        *_, terminated, truncated, info = envs.step(action)
        for i in np.flatnonzero(terminated | truncated):
            rate = expected[motion[i]]
            expected[motion[i]] = memory * rate + (1 - memory) * terminated[i]
        motion = info["motion"]
    np.testing.assert_allclose(envs.simulation.motion_sampler.failure_rate, expected)
    assert len(np.unique(expected.round(3))) == len(SKILLS)


def test_the_same_seed_and_actions_give_the_same_rollout():
    envs = vector("SFV-Tracker-v0", 8, motions=SKILLS, horizon=20)
    first = played(envs, 70, seed=3)
    assert (envs.simulation.motion_sampler.failure_rate != FIRST_RATE).any()
    assert same(first, played(envs, 70, seed=3))
    assert same(first, played(vector("SFV-Tracker-v0", 8, motions=SKILLS, horizon=20), 70, seed=3))
    assert not same(first, played(envs, 70, seed=4))


@pytest.mark.parametrize("settings", [{}, {"initialization": "failure"}])
def test_an_episode_before_a_seed_teaches_nothing(settings):
    env = gym.make("SFV-Tracker-v0", motions=SKILLS, horizon=3, **settings).unwrapped
    env.reset(seed=0)
    over = False
    while not over:
        *_, terminated, truncated, _ = env.step(np.zeros(28))
        over = terminated or truncated
    env.reset(seed=0)
    assert (env.simulation.motion_sampler.failure_rate == FIRST_RATE).all()
    for rates in env.simulation.starts.state().values():
        assert (rates == 0.5).all()


def test_copies_and_states_go_on_alike():
    envs = vector("SFV-Tracker-Slopes-v0", 6, motions=SKILLS, horizon=12)
    played(envs, 30, seed=1)
    envs.simulation.set_motion_shares(np.array([1.0, 2.0, 3.0, 4.0]))
    state, copy = envs.get_state(), pickle.loads(pickle.dumps(envs))
    expected = played(envs, 40)
    assert same(expected, played(copy, 40))
    envs.set_state(state)
    assert same(expected, played(envs, 40))
    other = vector("SFV-Tracker-Slopes-v0", 6, motions=SKILLS, horizon=12)
    other.set_state(pickle.loads(pickle.dumps(state)))
    assert same(expected, played(other, 40))
    with pytest.raises(SettingError, match="set_state"):
        vector("SFV-Tracker-Slopes-v0", 6, motions=SKILLS[:3], horizon=12).set_state(state)


# --- playing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AGENTS)
def test_every_motion_is_evaluated_as_if_it_were_alone(name):
    found = sfv_gym.evaluate_motions(
        AGENTS[name], "SFV-Tracker-v0", motions=["walk", "kick"], episodes=3, horizon=40
    )
    assert found.env_id == "SFV-Tracker-v0" and list(found.motions) == ["walk", "kick"]
    for figure in ("success_rate", "normalized_return", "normalized_return_sfv"):
        values = [getattr(one, figure) for one in found.motions.values()]
        assert getattr(found, figure) == pytest.approx(np.mean(values))
    assert 0.0 < found.normalized_return < 1.0
    if name != "zero":  # the others need the simulation, or its seed
        return
    for skill, evaluation in found.motions.items():
        alone = sfv_gym.evaluate(
            lambda observation: np.zeros((len(observation), 28)),
            make_id(skill),
            episodes=3,
            horizon=40,
            seed=stream(Purpose.PUBLICATION),
            name="SFV-Tracker-v0",
        )
        assert evaluation == alone


def test_a_policy_plays_every_motion_of_its_tracker(tmp_path):
    """A file that sees what the tracker shows; on terrain it sees more."""
    path, size = tmp_path / "policy.safetensors", Task.of("SFV-Tracker-v0").observation_size
    layer = np.zeros((28, size), np.float32), np.zeros(28, np.float32)
    mean, std = np.zeros(size, np.float32), np.ones(size, np.float32)
    Policy(mean, std, [layer], {"motion_hash": "of another motion"}).save(path)
    loaded = sfv_gym.load_policy("SFV-Tracker-v0", path)
    options = {"motions": ["walk", "kick"], "episodes": 2, "horizon": 20}
    found, expected = (
        sfv_gym.evaluate_motions(agent, "SFV-Tracker-v0", **options)
        for agent in (policy_agent(loaded.predict), AGENTS["zero"])
    )
    assert found == expected
    with pytest.raises(PolicyError, match="does not fit SFV-Tracker-Slopes-v0"):
        sfv_gym.load_policy("SFV-Tracker-Slopes-v0", path)


def test_the_reference_agent_replays_the_drawn_motion():
    played = sfv_gym.rollout("SFV-Tracker-Atlas-v0", AGENTS["reference"], seconds=1.0, seed=2)
    assert len(played.reward) == 30 and played.reward[0] > 0.8


def test_the_command_line_evaluates_every_motion(sfv):
    command = ("eval", "SFV-Tracker-Slopes-v0", "--agent", "zero", "--episodes", "1")
    code, out, _ = sfv(*command, "--json")
    figures = json.loads(out)
    assert code == 0 and list(figures["motions"]) == list(tracker_skills())
    assert {"success_rate", "normalized_return", "normalized_return_sfv"} <= set(figures)
    assert figures["rsi"]["start"] == "rsi" and figures["start"] == "fixed"
    code, out, _ = sfv(*command, "--start", "fixed")
    assert code == 0 and "backflip" in out and f"{figures['normalized_return']:.3f}" in out
    code, out, err = sfv("eval", "SFV-Tracker-v0")
    assert code == 2 and "no policy ships" in err
    assert json.loads(sfv("envs", "--skill", "tracker", "--json")[1])[0]["motion"] is None


def test_training_all_leaves_trackers_out(sfv):
    code, _, err = sfv("train-all", "--skill", "tracker")
    assert code == 2 and "nothing to train" in err
