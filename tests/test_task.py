"""Tasks: one value for what is imitated, by whom and where; several motions in one batch."""

import pickle
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import sfv_gym
from sfv_gym import registry, skeleton
from sfv_gym.characters import CHARACTERS, Character, get_character
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.starts import FailureWeightedInitialization
from sfv_gym.envs.task import Task
from sfv_gym.errors import CharacterError, SettingError, UnknownIdError
from sfv_gym.registry import OBJECT_SKILLS
from sfv_gym.terrains import TERRAINS

SKILLS = ["walk", "backflip", "roll", "kick"]
HUMANOID = get_character("humanoid")


def test_an_id_is_a_name_for_a_task():
    task = Task.of("SFV-Kick-Atlas-Slopes-v0", reward="sfv", difficulty=0.3, horizon=90)
    assert task.character.name == "atlas" and task.terrain.difficulty == 0.3
    assert task.motion.content_hash() == registry.find_motion("kick").content_hash()
    assert (task.reward, task.horizon) == ("sfv", 90)
    assert Task.of(task, horizon=None).horizon == 600 and Task.of(task).reward == "sfv"
    env = gym.make("SFV-Kick-Atlas-Slopes-v0", difficulty=0.3).unwrapped
    assert env.observation_space.shape == (task.observation_size,)
    assert env.action_space.shape == (task.action_size,)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"horizont": 5}, SettingError),
        ({"motion_weights": [1.0, 2.0]}, SettingError),
        ({"motion_weights": [0.0]}, SettingError),
        ({"objects": ["a box"]}, SettingError),
        ({"character": 7}, SettingError),
        ({"character": "robot"}, UnknownIdError),
    ],
)
def test_what_makes_no_task_is_refused(settings, error):
    with pytest.raises(error):
        Task.of("walk", **settings)
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'"):
        gym.make("SFV-Walk-v0", frameskip=1)  # as TorchRL tries
    with pytest.raises(SettingError, match="needs a motion"):
        Task.of([])
    with pytest.raises(SettingError, match="one motion"):
        _ = Task.of(["walk", "kick"]).motion


# --- several motions --------------------------------------------------------------------------


def played(simulation: ImitationSimulation, steps: int) -> list[np.ndarray]:
    """Observations, rewards and ends; whoever has ended begins anew."""
    rng = np.random.default_rng(3)
    simulation.seed(11)
    seen = [simulation.reset(simulation.all_ids)]
    for _ in range(steps):
        action = np.tile(0.3 * rng.normal(size=28), (simulation.num_envs, 1))
        result = simulation.step(action)
        over = result.terminated | result.truncated
        seen += [result.observation, result.reward, over]
        if over.any():
            simulation.reset(np.flatnonzero(over))
    return seen


@pytest.mark.parametrize("start", ["rsi", "fixed", "failure"])
def test_every_rollout_of_a_mixed_batch_is_that_of_its_motion_alone(start):
    n = 12
    mixed = ImitationSimulation(Task.of(SKILLS, initialization=start), n)
    chosen = np.arange(n) % len(SKILLS)
    mixed.begin(mixed.all_ids, motions=chosen)
    mixed._choose_motions = lambda ids, motions: None  # each keeps its own
    together = played(mixed, 40)
    for m, skill in enumerate(SKILLS):
        alone = ImitationSimulation(Task.of(skill, initialization=start), n)
        apart = played(alone, 40)
        if start == "failure":  # these starts learn from all of a motion's episodes
            continue
        for one, other in zip(together, apart, strict=True):
            np.testing.assert_array_equal(one[chosen == m], other[chosen == m])


def test_motions_are_drawn_by_their_weights_and_named_in_info():
    envs = gym.make_vec(
        "SFV-Walk-v0",
        num_envs=400,
        vectorization_mode="vector_entry_point",
        motion=SKILLS,
        motion_weights=[1.0, 0.0, 2.0, 1.0],
    )
    _, info = envs.reset(seed=0)
    share = np.bincount(info["motion"], minlength=4) / 400
    np.testing.assert_allclose(share, [0.25, 0.0, 0.5, 0.25], atol=0.08)
    again = envs.reset(seed=0)[1]["motion"]
    np.testing.assert_array_equal(info["motion"], again)
    _, info = envs.reset(options={"motion": 3, "reference_step": 2})
    assert (info["motion"] == 3).all() and (info["reference_step"] == 2).all()
    with pytest.raises(SettingError, match="motion must lie between 0 and 3"):
        envs.reset(options={"motion": 4})
    simulation = envs.unwrapped.simulation
    simulation.set_motion_shares(np.array([0.0, 1.0, 0.0, 0.0]))
    simulation.reset(simulation.all_ids)
    assert (simulation.motion == 1).all()


def test_each_motion_ends_where_its_own_clip_does():
    simulation = ImitationSimulation(
        Task.of(["walk", "backflip"], initialization="fixed", termination=False, horizon=90), 2
    )
    simulation.seed(0)
    simulation.begin(simulation.all_ids, motions=np.array([0, 1]))
    clip = int(Task.of("backflip").motion.duration * 30)
    assert simulation.episode_limit().tolist() == [90, min(clip, 90)]
    for _ in range(clip):
        result = simulation.step(np.zeros((2, 28)))
    assert result.truncated.tolist() == [False, True]


def test_a_mixed_simulation_is_copied_with_its_state():
    task = Task.of(SKILLS, initialization=FailureWeightedInitialization(bins=3))
    simulation = ImitationSimulation(task, 6)
    played(simulation, 20)
    copy = pickle.loads(pickle.dumps(simulation))
    for one in (simulation, copy):
        one.reset(one.all_ids)
    np.testing.assert_array_equal(simulation.motion, copy.motion)
    np.testing.assert_array_equal(simulation.observe(), copy.observe())
    state = simulation.starts.state()
    assert sorted(state) == [f"failure_rate.{m}" for m in range(4)]
    copy.starts.restore(state)


# --- characters and terrains from outside -----------------------------------------------------


@pytest.fixture
def restored():
    """The registry as it was, after a test that adds to it."""
    kept = [(d, dict(d)) for d in (
        CHARACTERS, TERRAINS, registry.CHARACTER_TITLES, registry.TERRAIN_TITLES,
        registry._ENTRIES, gym.registry,
    )]  # fmt: skip
    yield
    for live, before in kept:
        live.clear()
        live.update(before)


def test_a_character_of_a_file_has_ids(tmp_path, restored):
    spec = HUMANOID.spec()
    for name in ("right_ankle", "left_ankle"):
        for geom in spec.body(name).geoms:
            geom.mass *= 2.0
    (tmp_path / "heavy.xml").write_text(spec.to_xml())
    heavy = Character.from_file(tmp_path / "heavy.xml", HUMANOID.links, HUMANOID.fall_geoms)
    assert heavy.is_canonical and heavy.name == "heavy"
    ids = sfv_gym.register_character(heavy)
    skills = {entry.skill for entry in sfv_gym.list_envs() if entry.motion}
    assert "SFV-Walk-Heavy-Slopes-v0" in ids and len(ids) == 5 * len(skills) - 4 * len(
        OBJECT_SKILLS
    )
    env = gym.make("SFV-Punch-Heavy-v0").unwrapped
    env.reset(seed=0)
    assert env.step(np.zeros(28))[1] > 0.5
    assert env.simulation.model.body_mass.sum() == pytest.approx(47.0)
    copy = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(env.step(np.zeros(28))[0], copy.step(np.zeros(28))[0])
    with pytest.raises(CharacterError, match="taken"):
        sfv_gym.register_character(replace(heavy, name="other", title="Atlas"))


def test_meshes_of_a_file_come_with_it(tmp_path):
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.05
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "hand.obj").write_text(
        "".join(f"v {x} {y} {z}\n" for x, y, z in corners)
        + "f 1 2 4\nf 1 4 3\nf 5 7 8\nf 5 8 6\nf 1 5 6\nf 1 6 2\nf 3 4 8\nf 3 8 7\n"
        "f 1 3 7\nf 1 7 5\nf 2 6 8\nf 2 8 4\n"
    )
    text = HUMANOID.mjcf.replace(
        '<compiler angle="radian"', '<compiler meshdir="meshes" angle="radian"'
    ).replace("<asset>", '<asset><mesh name="hand" file="hand.obj"/>')
    text = text.replace(
        '<geom name="right_wrist" class="right" type="sphere" size="0.04"',
        '<geom name="right_wrist" class="right" type="mesh" mesh="hand"',
    )
    (tmp_path / "handy.xml").write_text(text)
    handy = Character.from_file(tmp_path / "handy.xml", HUMANOID.links, HUMANOID.fall_geoms)
    (tmp_path / "meshes" / "hand.obj").unlink()  # what it needs it holds
    assert pickle.loads(pickle.dumps(handy)).model.nmesh == 1
    env = gym.make("SFV-Punch-v0", character=handy)
    assert np.isfinite(env.reset(seed=0)[0]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('<freejoint name="root"/>', ""), "free joint"),
        (lambda text: text.replace('type="hinge" axis="0 1 0"', 'type="slide"'), "balls and hing"),
        (
            lambda text: text.replace('<position name="neck_y" class="neck_y" joint="neck"/>', ""),
            "27 actuators for 28",
        ),
        (lambda text: text.replace('forcerange="-60 60"', ""), "right_elbow has no forcerange"),
        (lambda text: text.replace(' class="neck_x" joint', ' class="neck_z" joint'), "neck_x doe"),
        (lambda text: text.replace('pos="0 0 0.89"', 'pos="0 0 0.89" euler="3.14 0 0"'), "stand"),
        (lambda text: text.replace('name="left_knee" pos', 'name="knee" pos'), "no body left_knee"),
        (lambda text: "<mujoco><nonsense/></mujoco>", "does not compile"),
        (lambda text: "no xml", "does not compile"),
    ],
)  # fmt: skip
def test_what_is_no_character_says_what_it_lacks(change, message):
    with pytest.raises(CharacterError, match=message):
        replace(HUMANOID, name="mine", mjcf=change(HUMANOID.mjcf))


def test_links_and_fall_geoms_are_checked():
    few = {link: link for link in skeleton.LINKS[:5]}
    with pytest.raises(CharacterError, match="must name a body for"):
        replace(HUMANOID, links=few)
    with pytest.raises(CharacterError, match="no geom bottom"):
        replace(HUMANOID, fall_geoms=("bottom",))
    with pytest.raises(CharacterError, match="cannot be read"):
        Character.from_file("nowhere.xml", HUMANOID.links, HUMANOID.fall_geoms)


def test_other_proportions_are_another_skeleton():
    longer = HUMANOID.spec()
    longer.body("right_knee").pos[2] -= 0.05
    assert HUMANOID.is_canonical
    assert not replace(HUMANOID, name="longer", mjcf=longer.to_xml()).is_canonical
    assert not get_character("atlas").is_canonical
