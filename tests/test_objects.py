"""Objects: what they are, in a motion's file, in physics, observation, reward and figures."""

import itertools
import pickle
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from motions import swing

import sfv_gym
from sfv_gym import Ball, Box
from sfv_gym.envs.measurement import heading_angle
from sfv_gym.envs.mirroring import mirror_of
from sfv_gym.envs.object_batch import DRAWS
from sfv_gym.envs.observations import OBJECT_PARTS, OBJECT_SIZE, observation_structure, slices
from sfv_gym.envs.rewards import REWARDS, TrackingErrors, get_reward, object_term
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import Task
from sfv_gym.envs.terminations import EarlyTermination
from sfv_gym.errors import MotionError, PolicyError, SettingError, SFVError
from sfv_gym.motion import ReferenceMotion
from sfv_gym.motion.placing import from_origin
from sfv_gym.play.agents import AGENTS
from sfv_gym.play.evaluation import OBJECT_DISTANCE, Evaluation, evaluate, play_agent
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.pictures import reference_pictures
from sfv_gym.play.rollout import rollout
from sfv_gym.registry import OBJECT_SKILLS, find_motion, library_skills, tracker_skills
from sfv_gym.rotations import quat_multiply, quat_rotate, rotvec_to_quat

CRATE = Box(size=(0.4, 0.6, 0.5), position=(0.3, 1.6, 0.25), mass=6.0)
VARIED = replace(CRATE, size_range=(0.0, 0.0, 0.1), place_range=0.1, mass_range=0.3)
BENCH = Box(size=(0.5, 1.2, 0.4), position=(-0.2, -1.2, 0.2), size_range=0.1)


def pushed(motion: ReferenceMotion) -> ReferenceMotion:
    """The motion with a crate beside it that goes along x at 0.2 m/s and turns about z."""
    t = np.arange(motion.num_frames) / motion.fps
    path = np.stack((0.3 + 0.2 * t, 1.6 + 0 * t, 0.25 + 0 * t), axis=-1)
    turns = rotvec_to_quat(np.outer(0.1 * t, [0.0, 0.0, 1.0]))
    return replace(motion, objects=(replace(CRATE, position=path, rotation=turns),))


def simulated(objects, n: int = 3, threads: int = 1, **settings) -> ImitationSimulation:
    simulation = ImitationSimulation(Task.of("walk", objects=objects, **settings), n, threads)
    simulation.seed(0)
    simulation.reset(simulation.all_ids)
    return simulation


def still(simulation: ImitationSimulation) -> np.ndarray:
    return np.zeros((simulation.num_envs, simulation.action_size))


# --- what an object is ------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [CRATE, replace(CRATE, rotation=(0.6, 0.8, 0, 0)), BENCH])
def test_a_box_reaches_as_far_as_its_corners(thing):
    corners = np.array(list(itertools.product((-1, 1), repeat=3))) * thing.half
    down = quat_rotate(thing.turns, corners)[:, 2].min()
    np.testing.assert_allclose(thing.drop(thing.half, thing.turns), -down)
    assert Ball(size=0.3, position=(0, 0, 1)).drop(np.full(3, 0.15), thing.turns) == 0.15


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0.0}, "the size of box must lie between"),
        ({"size": (0.4, np.nan, 0.4)}, "the size of box has NaN"),
        ({"size": (0.4, 0.4)}, "the size of box must be 3 numbers"),
        ({"size": "big"}, "the size of box must be numbers"),
        ({"mass": -1.0}, "the mass of box must lie between"),
        ({"mass": None, "position": [(0, 2, 1), (0, 3, 1)]}, "stands fast and has a path"),
        ({"rotation": (1, 1, 0, 0)}, "unit quaternions"),
        ({"position": np.zeros((3, 3)), "rotation": np.ones((2, 4)) / 2}, "3 positions and 2"),
        ({"friction": np.inf}, "the friction of box"),
        ({"size_range": 1.0}, "the size_range of box"),
        ({"mass_range": -0.1}, "the mass_range of box"),
    ],
)
def test_an_object_that_cannot_be_is_refused(values, message):
    with pytest.raises(SettingError, match=message) as error:
        replace(CRATE, **values)
    assert "\n" not in str(error.value)
    if "size" in values and not isinstance(values["size"], str):
        with pytest.raises(SettingError, match="ball"):
            Ball(size=(0.2, 0.3, 0.2), position=(0, 2, 1))


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([replace(CRATE, position=(0, 2, 0.1))], "box 0 is inside the ground: .* 0.15 m"),
        ([replace(CRATE, position=(0, 0, 0.9))], "box 0 is inside the person at the start"),
        ([replace(CRATE, position=(1.5, 0, 0.9))], "box 0 is inside the person at frame"),
        ([CRATE, replace(CRATE, position=(0.5, 1.8, 0.25))], "box 0 and box 1 are inside each"),
        ([replace(CRATE, position=np.tile((0, 2.0, 0.25), (5, 1)))], "has 5 frames, the motion"),
    ],
)
def test_a_scene_that_cannot_be_is_refused_where_it_enters(objects, message):
    with pytest.raises(SettingError, match=message):
        gym.make("SFV-Walk-v0", objects=objects)
    with pytest.raises(MotionError, match=message):
        replace(find_motion("walk"), objects=tuple(objects))


def test_things_that_touch_or_stand_fast_in_each_other_are_fine():
    upper = replace(CRATE, position=(0.3, 1.6, 0.75))
    stairs = [replace(BENCH, mass=None), replace(BENCH, position=(-0.2, -1.4, 0.3), size=0.6)]
    assert len(Task.of("walk", objects=[CRATE, upper, *stairs]).scene_objects) == 4


def test_objects_need_flat_ground_and_one_motion():
    with pytest.raises(SettingError, match="flat ground, not on slopes"):
        Task.of("SFV-Walk-Slopes-v0", objects=[CRATE])
    both = [replace(find_motion("kick"), objects=(CRATE,)), find_motion("walk")]
    with pytest.raises(SettingError, match="kick brings some along"):
        Task.of(both)
    assert Task.of(both, objects=()).scene_objects == ()
    assert len(Task.of(["walk", "kick"], objects=[CRATE]).scene_objects) == 1
    for wrong in ("box", 3, ["box"]):
        with pytest.raises(SettingError, match="objects"):
            Task.of("walk", objects=wrong)


# --- motions that bring theirs ----------------------------------------------------------------


def test_a_motion_s_file_keeps_its_objects(tmp_path):
    motion = pushed(find_motion("kick"))
    motion = replace(motion, objects=(*motion.objects, BENCH, Ball(size=0.2, position=(0, -2, 1))))
    motion.save(tmp_path / "push.npz")
    read = ReferenceMotion.load(tmp_path / "push.npz")
    for ours, theirs in zip(motion.objects, read.objects, strict=True):
        assert type(ours) is type(theirs) and ours.mass == theirs.mass
        for name in ("half", "places", "turns", "size_range"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-12)
    assert read.objects[0].moves and len(read.objects[1].places) == 1
    plain = replace(motion, objects=())
    assert read.content_hash() == motion.content_hash() != plain.content_hash()
    assert plain.content_hash() == find_motion("kick").content_hash()
    plain.save(tmp_path / "plain.npz")
    with np.load(tmp_path / "plain.npz") as fields, np.load(tmp_path / "push.npz") as others:
        assert not any(name.startswith("object") for name in fields)
        assert (fields["schema"], others["schema"]) == (2, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"object_type": np.array(["sofa"])}, "unknown type of object 'sofa'; known: box"),
        ({"object_size": np.array([[0.4, -1.0, 0.4]])}, "the size of box"),
        ({"object_mass": np.array([-2.0])}, "the mass of box"),
        ({"object_position": np.full((1, 1, 3), np.nan)}, "the position of box has NaN"),
        ({"object_position": np.zeros((2, 3))}, "object_position has shape"),
        ({"object_ranges": np.zeros((1, 2))}, "object_ranges must hold 5"),
        ({"object_friction": None}, "without object_friction"),
    ],
)
def test_a_damaged_object_in_a_file_is_said(tmp_path, changes, message):
    replace(find_motion("kick"), objects=(CRATE,)).save(tmp_path / "kick.npz")
    with np.load(tmp_path / "kick.npz") as archive:
        fields = {**archive, **changes}
    np.savez(tmp_path / "kick.npz", **{k: v for k, v in fields.items() if v is not None})
    with pytest.raises(MotionError, match=message) as error:
        ReferenceMotion.load(tmp_path / "kick.npz")
    assert "kick.npz" in str(error.value) and "\n" not in str(error.value)


def test_variants_carry_objects_or_refuse():
    standing, moving = replace(find_motion("kick"), objects=(CRATE, BENCH)), pushed(swing())
    image = sfv_gym.vary_motion(moving, "mirrored").objects[0]
    np.testing.assert_allclose(image.places, moving.objects[0].places * [1, -1, 1])
    x_axis = np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(
        quat_rotate(image.turns, x_axis),
        quat_rotate(moving.objects[0].turns, x_axis) * [1, -1, 1],
    )
    there_and_back = sfv_gym.vary_motion(sfv_gym.vary_motion(standing, "reversed"), "reversed")
    np.testing.assert_allclose(
        there_and_back.objects[0].places, from_origin(standing)[0].objects[0].places, atol=1e-6
    )
    reached = standing.joint_positions()[-1] - CRATE.places  # the same way apart, seen otherwise
    backwards = sfv_gym.vary_motion(standing, "reversed")
    other = backwards.joint_positions()[0] - backwards.objects[0].places
    np.testing.assert_allclose(
        np.linalg.norm(other, axis=-1), np.linalg.norm(reached, axis=-1), atol=1e-6
    )
    still_there = sfv_gym.vary_motion(replace(swing(), objects=(CRATE,)), "warped-0.8")
    assert still_there.objects[0] is CRATE
    for variant in ("reversed", "warped-0.8", "then-walk"):
        with pytest.raises(MotionError, match="object"):
            sfv_gym.vary_motion(moving, variant)


@pytest.fixture
def push_id(tmp_path):
    """The id of a kick with a crate that moves, registered for one test."""
    kept = [(d, dict(d)) for d in (sfv_gym.registry._ENTRIES, gym.registry)]
    pushed(find_motion("kick")).save(tmp_path / "push.npz")
    yield sfv_gym.register_motion(tmp_path / "push.npz")
    for live, before in kept:
        live.clear()
        live.update(before)


def test_a_registered_motion_has_its_objects_in_every_interface(push_id):
    assert push_id == "SFV-Push-v0"
    single = gym.make(push_id)
    many = gym.make_vec(push_id, num_envs=2, vectorization_mode="vector_entry_point")
    stable = sfv_gym.SB3VecEnv(many.unwrapped)
    size = observation_structure(objects=1)["object_reference_0"].stop
    assert single.observation_space.shape == stable.observation_space.shape == (size,)
    assert many.single_observation_space.shape == (size,)
    assert "object_position_error" in single.reset(seed=0)[1]
    _, _, _, _, info = many.step(many.action_space.sample()) if many.reset(seed=0) else None
    assert info["reward_object"].shape == (2,)
    assert gym.make(push_id, objects=()).observation_space.shape == (147,)
    with pytest.raises(SettingError, match="flat"):
        gym.make("SFV-Push-Slopes-v0")
    for env in (single, many, stable):
        env.close()


def test_the_registry_says_which_skills_bring_objects():
    assert {skill for skill in library_skills() if find_motion(skill).objects} == OBJECT_SKILLS
    assert set(tracker_skills()) == set(library_skills()) - OBJECT_SKILLS


# --- physics and draws ------------------------------------------------------------------------


def test_an_object_is_not_the_character():
    """It moves by itself, and what is measured of the character stays."""
    without, beside = simulated([]), simulated([replace(CRATE, position=(0.3, 2.0, 0.6)), BENCH])
    assert beside.model.nq == without.model.nq + 7
    for _ in range(8):
        one, other = without.step(still(without)), beside.step(still(beside))
        np.testing.assert_allclose(one.observation, other.observation[:, :147], atol=1e-5)
    crate = beside.scenes.qpos[:, without.model.nq :]
    assert (crate[:, 2] < 0.5).all()  # it fell
    beside.reset(beside.all_ids)
    np.testing.assert_allclose(crate[:, 2], 0.6)


def test_a_rollout_does_not_depend_on_how_many_there_are_nor_on_threads():
    things = [VARIED, BENCH, Ball(size=0.2, position=(0.5, 2.0, 0.1), mass=1.0, place_range=0.3)]
    seen = []
    for n, threads in ((1, 1), (4, 2)):
        simulation = simulated(things, n, threads, initialization="rsi", randomization=True)
        rows = [simulation.observe()[0]]
        for step in range(20):
            result = simulation.step(still(simulation))
            rows += [result.observation[0], result.reward[:1]]
            if step == 10:
                rows.append(simulation.reset(simulation.all_ids)[0])
        seen.append(np.concatenate(rows))
    np.testing.assert_array_equal(*seen)


def test_draws_keep_to_their_ranges_and_objects_stand_on_the_ground():
    n = 64
    simulation = simulated([VARIED, BENCH], n)
    bodies = [simulation.model.body(f"object_{k}").id for k in range(2)]
    geoms = [simulation.model.geom(f"object_{k}").id for k in range(2)]
    half = simulation.physics.expand("geom_size")[:, geoms]
    mass = simulation.physics.expand("body_mass")[:, bodies[0]]
    place = simulation.physics.data("xpos")[:, bodies]
    np.testing.assert_array_equal(half[:, 0, :2], np.tile(VARIED.half[:2], (n, 1)))
    for values, middle, width in (
        (half[:, 0, 2], 0.25, 0.025),
        (half[:, 1, 0], 0.25, 0.025),
        (mass, 6.0, 1.8),
        (place[:, 0, 0], 0.3, 0.1),
        (place[:, 0, 1], 1.6, 0.1),
    ):
        assert abs(values - middle).max() <= width + 1e-9 and np.ptp(values) > 1.2 * width
    np.testing.assert_allclose(place[..., 2], half[..., 2])
    np.testing.assert_array_equal(place[:, 1, :2], np.tile(BENCH.places[0, :2], (n, 1)))
    # a box's own inertia, by the textbook
    inertia = simulation.physics.expand("body_inertia")[:, bodies[0]]
    x, y, z = (2.0 * half[:, 0, k] for k in range(3))
    pairs = np.stack((y**2 + z**2, x**2 + z**2, x**2 + y**2), axis=-1)
    np.testing.assert_allclose(inertia, mass[:, None] * pairs / 12.0)
    # and it stays where it stands, whatever its size
    for _ in range(15):
        result = simulation.step(still(simulation))
    assert result.parts["object_position_error"].max() < 0.005
    assert simulation.scenes.objects.num_uniform == 2 * DRAWS


def test_an_object_that_stands_fast_bears_the_character_and_a_light_one_gives_way():
    """A person dropped onto a table stays up there; one who walks into a crate shoves it."""
    table = Box(size=(2.0, 2.0, 0.5), position=(0.0, 0.0, 0.25))
    simulation = ImitationSimulation(Task.of("balance", objects=[], termination=False))
    simulation.reset(simulation.all_ids, np.zeros(1, int))
    on_ground = simulation.qpos[0, 2]
    raised = replace(find_motion("balance"))
    raised.root_pos = raised.root_pos + np.array([0.0, 0.0, 0.5])
    simulation = ImitationSimulation(Task.of(raised, objects=[table], termination=False))
    simulation.reset(simulation.all_ids, np.zeros(1, int))
    for _ in range(10):
        simulation.step(still(simulation))
    assert simulation.qpos[0, 2] == pytest.approx(on_ground + 0.5, abs=0.05)

    crate = Box(size=(0.3, 0.8, 0.6), position=(0.0, 3.0, 0.3), mass=2.0, friction=0.3)
    simulation = simulated([crate], termination=False, initialization="fixed")
    place = simulation.scenes.qpos[:, -7:]
    place[:, :2] = simulation.qpos[:, :2] + [0.5, 0.0]  # right in its way
    before = place[:, 0].copy()
    for _ in range(20):
        simulation.step(still(simulation))
    assert (place[:, 0] > before + 0.05).all()


# --- what is seen and measured ----------------------------------------------------------------


def test_an_observation_holds_pose_velocity_size_and_path_in_the_heading_frame():
    turned = rotvec_to_quat(np.array([0.2, -0.3, 0.9]))
    thing = replace(VARIED, rotation=turned, position=(0.3, 1.2, 0.6))
    simulation = simulated([BENCH, thing], 4)
    rng = np.random.default_rng(0)
    for _ in range(5):
        simulation.step(rng.uniform(-1, 1, (4, 28)))
    seen, columns = simulation.observe(), slices(simulation.task.observation_parts)
    part = {name: seen[:, columns[f"{name}_1"]] for name, *_ in OBJECT_PARTS}
    qpos = simulation.scenes.qpos
    cos, sin = heading_angle(simulation.qpos)
    back = rotvec_to_quat(np.stack((0 * cos, 0 * cos, -np.arctan2(sin, cos)), axis=-1))
    place, turn, speed = qpos[:, -7:-4], qpos[:, -4:], simulation.scenes.qvel[:, -6:]
    objects, ids = simulation.scenes.objects, simulation.all_ids
    wanted = objects.targets(ids, simulation.reference_row(ids) + 1)[0][:, 1]
    for name, vector in {
        "object_position": place - simulation.qpos[:, :3],
        "object_velocity": speed[:, :3],
        "object_angular_velocity": quat_rotate(turn, speed[:, 3:]),
        "object_reference": wanted - place,
    }.items():
        np.testing.assert_allclose(part[name], quat_rotate(back, vector), atol=2e-6, err_msg=name)
    relative = quat_multiply(back, turn)
    axes = [quat_rotate(relative, np.array(axis)) for axis in ((1.0, 0, 0), (0, 0, 1.0))]
    np.testing.assert_allclose(part["object_rotation"], np.hstack(axes), atol=2e-6)
    np.testing.assert_allclose(part["object_size"], 2.0 * objects.drawn["object_half"][:, 1])
    assert (seen[:, columns["object_velocity_0"]] == 0.0).all()  # it stands fast


def test_the_mirror_image_of_a_scene_is_seen_by_the_mirror():
    motion = pushed(find_motion("kick"))
    images = [motion, sfv_gym.vary_motion(motion, "mirrored")]
    tasks = [Task.of(one, initialization="fixed") for one in images]
    mirror = mirror_of(tasks[0].observation_parts, tasks[0].character)
    one, other = (ImitationSimulation(task) for task in tasks)
    for simulation in (one, other):
        simulation.seed(0)
    noiseless = [np.zeros(1, int)]
    for simulation in (one, other):
        simulation.reset(simulation.all_ids, *noiseless)
        row = simulation.reference_row(simulation.all_ids)
        simulation.scenes.put(
            simulation.all_ids,
            simulation.references.qpos[row],
            simulation.references.qvel[row],
            row,
        )
    tail = slice(-OBJECT_SIZE, None)
    image = mirror.observation(one.observe())
    np.testing.assert_allclose(image[:, tail], other.observe()[:, tail], atol=1e-6)
    np.testing.assert_allclose(mirror.observation(image), one.observe(), atol=1e-6)


def test_a_policy_s_layout_says_that_it_sees_objects():
    plain, among = (PolicyLayout.of(Task.of("walk", objects=o)) for o in ([], [CRATE]))
    with pytest.raises(PolicyError, match="does not see object_position_0"):
        plain.check_same(among)
    with pytest.raises(PolicyError, match="sees object_position_0"):
        among.check_same(plain)
    assert among.without("object_") == plain and among.without("height_map") == among
    np.testing.assert_array_equal(plain.columns_in(among), np.arange(plain.size))


def test_the_path_is_the_table_and_a_cycle_carries_it_on():
    motion = pushed(find_motion("kick"))
    simulation = ImitationSimulation(Task.of(motion))
    rows = np.arange(20)
    pos, quat = simulation.scenes.objects.targets(np.zeros(20, int), rows)
    np.testing.assert_allclose(pos[:, 0, 0], 0.3 + 0.2 * rows / 30.0, atol=1e-3)
    np.testing.assert_allclose(2 * np.arcsin(quat[:, 0, 3]), 0.1 * rows / 30.0, atol=1e-3)
    cycle = swing(period=60)
    crate = pushed(cycle).objects[0]
    t = np.arange(cycle.num_frames) / cycle.fps
    along = replace(crate, position=np.stack((0.3 + 0.5 * t, 1.6 + 0 * t, 0.25 + 0 * t), axis=-1))
    along = replace(along, rotation=(1.0, 0, 0, 0))
    simulation = ImitationSimulation(Task.of(replace(cycle, objects=(along,))))
    pos, _ = simulation.scenes.objects.targets(np.zeros(200, int), np.arange(200))
    np.testing.assert_allclose(pos[:, 0, 0], 0.3 + 0.5 * np.arange(200) / 30.0, atol=1e-6)


def test_an_object_shoved_off_its_path_costs_reward_and_ends_the_episode():
    simulation = simulated([CRATE, BENCH], termination=EarlyTermination(link_distance=None))
    before = simulation.step(still(simulation))
    assert before.parts["object_position_error"].max() < 0.001
    np.testing.assert_allclose(before.parts["reward_object"], 0.3, atol=1e-3)
    np.testing.assert_allclose(
        before.parts["reward_pose"] + before.parts["reward_object"], before.reward
    )
    base, _ = REWARDS["pose"](before.errors)
    np.testing.assert_allclose(before.parts["reward_pose"], 0.7 * base)
    simulation.scenes.qpos[0, -7] += 0.3
    simulation.scenes.qpos[1, -7] += 0.7
    after = simulation.step(still(simulation))
    np.testing.assert_allclose(after.parts["object_position_error"], [0.3, 0.7, 0.0], atol=0.01)
    assert after.parts["reward_object"][0] == pytest.approx(0.3 * np.exp(-1.8), abs=0.02)
    assert after.terminated.tolist() == [False, True, False]
    assert not EarlyTermination.none()(
        np.zeros(1, bool), *[np.zeros(1)] * 4, np.full((1, 1), 9.0)
    ).any()


def test_rewards_of_weights_and_of_one_s_own_name_the_object_s_part():
    errors = TrackingErrors(
        np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 4)), np.zeros(2),
        np.array([[0.0, 0.0], [0.2, 0.0]]), np.array([[0.0, 0.0], [0.0, 1.0]]),
    )  # fmt: skip
    np.testing.assert_allclose(object_term(errors), [1.0, np.exp(-0.4 - 0.5)])
    value, parts = get_reward({"pose": 0.5, "object": 0.5})(errors)
    np.testing.assert_allclose(value, 0.5 + 0.5 * object_term(errors))
    np.testing.assert_allclose(sum(parts.values()), value)
    alone = replace(errors, object_position=None, object_rotation=None)
    assert "reward_object" not in get_reward({"pose": 0.5, "object": 0.5})(alone)[1]
    for name in REWARDS:
        value, parts = get_reward(name)(errors)
        np.testing.assert_allclose(sum(parts.values()), value)
        np.testing.assert_array_equal(get_reward(name)(alone)[0], REWARDS[name](alone)[0])


def test_a_state_comes_back_with_its_objects():
    simulation = simulated([VARIED, BENCH])
    state = pickle.loads(pickle.dumps(simulation.get_state()))
    first = [simulation.step(still(simulation)).observation for _ in range(3)]
    simulation.reset(simulation.all_ids)
    simulation.set_state(state)
    again = [simulation.step(still(simulation)).observation for _ in range(3)]
    np.testing.assert_array_equal(first, again)
    copy = pickle.loads(pickle.dumps(simulation))
    np.testing.assert_array_equal(copy.observe(), simulation.observe())
    with pytest.raises(SFVError, match="set_state"):
        simulated([CRATE]).set_state(state)


def test_figures_of_an_evaluation_and_its_success_count_the_object():
    motion = find_motion("squat")
    settings = {"termination": False, "horizon": 20, "episodes": 4}
    stays = play_agent(AGENTS["reference"], Task.of(motion, objects=[CRATE]), **settings)
    assert stays.summary().object_position_mm < 5.0 and stays.summary().object_rotation_rad < 0.05
    # a crate in the air falls, and ends farther than it may from where it is to be
    falls = replace(CRATE, position=(0.3, 1.6, 0.3 + 0.25 + OBJECT_DISTANCE))
    lost = play_agent(AGENTS["reference"], Task.of(motion, objects=[falls]), **settings)
    np.testing.assert_array_equal(lost.completed, stays.completed)
    assert stays.success.any() and not lost.success.any()
    figures = stays.summary().as_dict()
    assert Evaluation.from_dict(figures) == stays.summary()
    plain = evaluate(lambda o: np.zeros((len(o), 28)), Task.of(motion), episodes=2, horizon=5)
    assert plain.object_position_mm is None and "object_position_mm" not in plain.as_dict()


def test_atlas_has_its_objects_larger_as_its_motion_is():
    motion = replace(find_motion("walk"), objects=(CRATE, BENCH))
    simulation = ImitationSimulation(Task.of(motion, character="atlas"))
    simulation.reset(simulation.all_ids)
    half = simulation.model.geom("object_0").size
    scale = half[0] / CRATE.half[0]
    assert 0.9 < scale < 0.99
    np.testing.assert_allclose(half, scale * CRATE.half)
    place = simulation.physics.data("xpos")[0, simulation.model.body("object_0").id]
    np.testing.assert_allclose(place, scale * CRATE.places[0])
    assert simulation.model.body("object_0").mass[0] == pytest.approx(6.0 * scale**3)


def test_films_show_the_objects_where_they_are():
    motion = pushed(find_motion("kick"))
    played = rollout(Task.of(motion), AGENTS["reference"], seconds=0.3)
    assert played.qpos.shape == played.reference_qpos.shape == (10, played.model.nq)
    np.testing.assert_allclose(
        played.reference_qpos[:, -7], 0.3 + 0.2 * np.arange(10) / 30, atol=1e-3
    )
    among, alone = (
        next(reference_pictures(one, np.array([0.0]), width=96, height=72))
        for one in (motion, replace(motion, objects=()))
    )
    assert (among != alone).any(-1).mean() > 0.003
