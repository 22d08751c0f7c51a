"""Variants of motions: what they are, how they are named, and who can play and teach them."""

from dataclasses import replace

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from motions import swing

import sfv_gym
from sfv_gym import skeleton
from sfv_gym.assessment import assess
from sfv_gym.characters import get_character
from sfv_gym.characters.symmetry import AXIAL, POLAR, Symmetry
from sfv_gym.envs import FixedInitialization, Observation
from sfv_gym.envs.mirroring import mirror_of
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import Task
from sfv_gym.errors import CharacterError, MotionError, SettingError, UnknownIdError
from sfv_gym.motion import Finding, ReferenceMotion, Verdict
from sfv_gym.motion.placing import from_origin
from sfv_gym.motion.variants import mirrored, opposite, time_reversed, warped
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.mirroring import mirrored_policy
from sfv_gym.play.policy import load_policy
from sfv_gym.registry import find_motion, library_skills
from sfv_gym.retargeting import store
from sfv_gym.train.both_sides import BothSides
from sfv_gym.train.specialists import Teachers, find_specialists

STILL = FixedInitialization(joint_noise=0.0, velocity_noise=0.0, position_noise=0.0)
BOTH = Observation(phase=True, window=(2, 4, 8, 16))
LINKS = [skeleton.link_index(opposite(name)) for name in skeleton.LINKS]


def same(one: ReferenceMotion, other: ReferenceMotion, atol: float = 1e-6) -> None:
    assert one.skill == other.skill and one.loop == other.loop
    assert one.fps == pytest.approx(other.fps)
    for name in (
        "root_pos", "root_quat", "joint_quat", "loop_offset", "loop_range", "contacts", "flights",
        "confidence", "person_offsets", "person_root_pos", "person_root_quat", "person_joint_quat",
    ):  # fmt: skip
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=atol)


# --- the motions --------------------------------------------------------------------------------


@pytest.mark.parametrize("skill", library_skills())
def test_twice_gives_the_motion_back(skill):
    motion = find_motion(skill)
    again = mirrored(mirrored(motion))
    same(again, motion)
    assert again.content_hash() == motion.content_hash() and again.camera is None
    assert again.provenance == motion.provenance
    same(time_reversed(time_reversed(motion)), from_origin(motion)[0])


@pytest.mark.parametrize("skill", ["walk", "dance_spin", "get_up_face_up"])
def test_a_mirror_image_is_one(skill):
    motion, image = find_motion(skill), find_motion(f"{skill}+mirrored")
    for person in (False, True):
        there = motion.joint_positions(person)[:, LINKS] * POLAR
        np.testing.assert_allclose(image.joint_positions(person), there, atol=1e-12)
    np.testing.assert_array_equal(image.contacts, motion.contacts[:, [1, 0, 3, 2]])
    late = np.array([motion.duration + 3.7, 0.3])
    np.testing.assert_allclose(
        image.sample(late).root_pos, motion.sample(late).root_pos * POLAR, atol=1e-9
    )
    np.testing.assert_allclose(
        image.sample(late).root_ang_vel, motion.sample(late).root_ang_vel * AXIAL, atol=1e-9
    )
    assert image.skill == f"{skill}+mirrored"
    assert image.provenance["variants"] == [{"of": skill, "made": "mirrored"}]
    assert image.provenance["source"] == motion.provenance["source"]


def test_a_verdict_goes_along():
    findings = (Finding("doubtful", "the left knee, see left_knee", "left leg", (0.2, 0.4)),)
    motion = replace(swing(), verdict=Verdict(findings))
    [image], [slow], [back] = (
        one.verdict.findings
        for one in (mirrored(motion), warped(motion, 0.5), time_reversed(motion))
    )
    assert (image.part, image.reason) == ("right leg", "the right knee, see right_knee")
    assert slow.seconds == (0.4, 0.8) and back.seconds == pytest.approx((1.6, 1.8))


def test_a_warped_motion_is_faster_and_nothing_else():
    motion, fast = find_motion("walk"), find_motion("walk+warped-1.2")
    t = np.linspace(0.0, 5.0, 7)
    one, other = motion.sample(1.2 * t), fast.sample(t)
    np.testing.assert_allclose(other.root_pos, one.root_pos, atol=1e-9)
    np.testing.assert_allclose(other.joint_quat, one.joint_quat, atol=1e-9)
    np.testing.assert_allclose(other.root_vel, 1.2 * one.root_vel, atol=1e-9)
    with pytest.raises(MotionError, match="backflip cannot be warped: it flies"):
        find_motion("backflip+warped-0.9")
    with pytest.raises(SettingError, match="rate"):
        find_motion("walk+warped-3")


def test_backwards_is_backwards():
    motion, back = from_origin(find_motion("walk"))[0], find_motion("walk+reversed")
    links, there = motion.joint_positions(), back.joint_positions()
    between = np.linalg.norm(links[:, :, None] - links[:, None], axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(there[:, :, None] - there[:, None], axis=-1), between[::-1], atol=1e-9
    )
    np.testing.assert_allclose(back.root_quat[0, [1, 2]], motion.root_quat[-1, [1, 2]], atol=0.05)
    np.testing.assert_allclose(back.root_pos[0, :2], 0.0, atol=1e-12)
    assert back.loop == "wrap" and back.period == motion.period
    a, b = back.loop_range
    # one cycle on, the path has moved by the offset
    step = back.sample(np.array([a, b]) / back.fps).root_pos
    np.testing.assert_allclose(step[1] - step[0], back.loop_offset[:3], atol=0.02)
    assert back.loop_offset[0] < -1.0  # it heads along x still, and goes against it
    flights = find_motion("jump+reversed").flights
    np.testing.assert_array_equal(flights, 52 - find_motion("jump").flights[:, ::-1])


@pytest.mark.parametrize("variant", ["mirrored", "reversed"])
@pytest.mark.parametrize("skill", ["walk", "jump", "get_up_face_down"])
def test_physics_allows_it_as_much_as_the_motion(skill, variant):
    own, other = (assess(find_motion(s)) for s in (skill, f"{skill}+{variant}"))
    assert other.feasible_fraction > own.feasible_fraction - 0.05


@pytest.mark.parametrize("name", ["walk+then-walk_b", "squat+then-backflip"])
def test_a_blend_goes_from_one_into_the_other(name):
    first, _, second = name.partition("+then-")
    motion, one, other = find_motion(name), find_motion(first), find_motion(second)
    assert motion.skill == name and motion.loop == other.loop
    t = np.arange(3) / 10
    np.testing.assert_allclose(motion.sample(t).joint_quat, one.sample(t).joint_quat, atol=1e-6)
    speed = np.linalg.norm(np.diff(motion.joint_positions(), axis=0), axis=-1) * motion.fps
    most = max(
        (np.linalg.norm(np.diff(m.joint_positions(), axis=0), axis=-1) * m.fps).max()
        for m in (one, other)
    )
    assert speed.max() < 1.1 * most  # no jump
    if other.loop == "wrap":
        assert motion.period == pytest.approx(other.period)
        np.testing.assert_allclose(
            np.linalg.norm(motion.loop_offset[:2]), np.linalg.norm(other.loop_offset[:2]), rtol=1e-6
        )
        start, end = motion.loop_range
        np.testing.assert_allclose(
            motion.joint_quat[start], motion.joint_quat[end], atol=0.1
        )  # within the cycle's own closing error
    else:
        np.testing.assert_allclose(motion.joint_quat[-1], other.joint_quat[-1], atol=1e-6)
    assert len(motion.flights) == len(other.flights)
    assert [part["source"] for part in motion.provenance["parts"]] == [
        one.provenance["source"], other.provenance["source"]
    ]  # fmt: skip


def test_what_does_not_meet_is_refused():
    with pytest.raises(MotionError, match="their poses do not meet"):
        find_motion("get_up_face_up+then-crawl")
    with pytest.raises(MotionError, match=r"walk\+then-kick: hand or foot would slide"):
        find_motion("walk+then-kick")


def test_a_character_on_its_reference_has_the_full_reward():
    names = ["walk+mirrored", "kick+reversed", "roll+warped-1.1", "walk+then-walk_b"]
    task = Task.of("SFV-Tracker-v0", motions=names, initialization=STILL)
    simulation = ImitationSimulation(task, 4)
    simulation.seed(0)
    _, parts = simulation.begin(simulation.all_ids, motions=np.arange(4))
    rewards = sum(part for name, part in parts.items() if name.startswith("reward"))
    np.testing.assert_allclose(rewards, 1.0, atol=1e-6)


# --- their names --------------------------------------------------------------------------------


def test_variants_have_names():
    walk = find_motion("walk")
    same(sfv_gym.vary_motion(walk, "mirrored"), find_motion("walk+mirrored"))
    both = find_motion("SFV-Walk-v0+mirrored+warped-0.9")
    assert both.skill == "walk+mirrored+warped-0.9" and both.fps == pytest.approx(27)
    assert len(both.provenance["variants"]) == 2
    env = gym.make("SFV-Tracker-v0", motions=["walk+mirrored", "kick+reversed", walk]).unwrapped
    names = ("walk+mirrored", "kick+reversed", "walk")
    assert env.simulation.task.motion_names == names


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "walk+flipped",
            UnknownIdError,
            "'flipped' of a motion; known: mirrored, reversed, warped",
        ),
        ("walk+", UnknownIdError, "known: mirrored"),
        ("walk+warped-fast", UnknownIdError, "warped-0.9"),
        ("walk+warped-nan", SettingError, "rate"),
        ("walk+then-wallk", UnknownIdError, "SFV-Walk-v0"),
        ("wallk+mirrored", UnknownIdError, "SFV-Walk-v0"),
        ("none.npz+mirrored", MotionError, "none.npz"),
    ],
)
def test_names_of_none_are_refused(name, error, message):
    with pytest.raises(error, match=message):
        find_motion(name)


def test_a_file_has_variants_too(tmp_path):
    find_motion("kick+mirrored").save(tmp_path / "kick+mirrored.npz")
    back = find_motion(f"{tmp_path / 'kick+mirrored.npz'}+mirrored")
    assert back.skill == "kick"
    np.testing.assert_allclose(back.root_pos, find_motion("kick").root_pos, atol=1e-6)


# --- who has a mirror image ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["humanoid", "atlas"])
def test_a_character_moves_as_its_mirror_image(name):
    character = get_character(name)
    symmetry, model, rng = Symmetry.of(character), character.model, np.random.default_rng(0)
    qpos = character.standing + rng.normal(scale=0.4, size=(20, model.nq))
    for quat in character.joints.quat_qpos:
        qpos[:, quat] /= np.linalg.norm(qpos[:, quat], axis=1, keepdims=True)
    qvel = rng.normal(size=(20, model.nv))
    there = symmetry.coordinates(qpos, qvel)
    for one, other in zip(symmetry.coordinates(*there), (qpos, qvel), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    data, image = mujoco.MjData(model), mujoco.MjData(model)
    ours = symmetry.misplaced < 1e-9
    assert ours.all() == (name == "humanoid")
    for i in range(20):
        data.qpos[:], data.qvel[:] = qpos[i], qvel[i]
        image.qpos[:], image.qvel[:] = there[0][i], there[1][i]
        for one in (data, image):
            mujoco.mj_kinematics(model, one)
            mujoco.mj_comPos(model, one)
            mujoco.mj_comVel(model, one)
        off = np.abs(data.xpos * POLAR - image.xpos[symmetry.bodies]).max(1)
        assert off[ours].max() < 1e-12 and off.max() <= 0.0185


def test_how_far_the_models_are_from_their_mirror_images():
    """The humanoid is its own. Atlas, as published, is not: the left forearm is another one, and
    the back's centres of mass are off the middle."""
    assert set(Symmetry.of(get_character("humanoid")).asymmetries().values()) == {0.0}
    atlas = Symmetry.of(get_character("atlas")).asymmetries()
    for name in ("mass", "limits", "motors"):
        assert atlas[name] < 1e-9
    assert 0.018 < atlas["places"] < 0.0185 and 0.026 < atlas["centre"] < 0.027
    feet = [skeleton.link_index(f"{side}_ankle") for side in ("left", "right")]
    one = Symmetry.of(get_character("atlas"))
    assert one.misplaced[one.character.link_ids[feet]].max() < 1e-9


def test_a_character_with_one_arm_has_none():
    humanoid = get_character("humanoid")
    odd = replace(
        humanoid, mjcf=humanoid.mjcf.replace('pos="-0.02405 0.18311', 'pos="-0.1 0.18311')
    )
    with pytest.raises(CharacterError, match="right_shoulder has no mirror image"):
        Symmetry.of(odd)


@pytest.fixture
def nothing_kept(monkeypatch):
    """What was solved for before is forgotten, but for what ships."""
    read = store._read
    monkeypatch.setattr(
        store, "_read", lambda path, key: None if "retargeted" in path.parts else read(path, key)
    )
    monkeypatch.setattr(store, "_keep", lambda *_: None)
    monkeypatch.setattr(store, "_recent", {})


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("skill", ["walk", "kick"])
def test_atlas_does_a_mirror_image_without_solving(skill, monkeypatch):
    monkeypatch.setattr(store, "solve", None)
    atlas = get_character("atlas")
    other, one = (store.retargeted(find_motion(n), atlas) for n in (f"{skill}+mirrored", skill))
    image, _ = Symmetry.of(atlas).coordinates(one.qpos, np.zeros((len(one.qpos), atlas.model.nv)))
    np.testing.assert_allclose(other.qpos, image, atol=1e-9)
    assert one.scale == other.scale


@pytest.mark.usefixtures("nothing_kept")
def test_hands_on_the_ground_are_solved_for_anew(monkeypatch):
    """Atlas's left hand is beside the right one's mirror image."""
    solved = []

    def solve(motion, character):
        solved.append(motion.skill)
        return store.Retargeted(np.ones((motion.num_frames, character.model.nq)), 1.0)

    monkeypatch.setattr(store, "solve", solve)
    store.retargeted(find_motion("cartwheel+mirrored"), get_character("atlas"))
    assert solved == ["cartwheel+mirrored"]


# --- policies -----------------------------------------------------------------------------------


def pair(skill: str, env_id: str, **settings) -> tuple[ImitationSimulation, ImitationSimulation]:
    """Simulations of a motion and of its mirror image, both at their beginning."""
    settings = {"initialization": STILL, "termination": False, **settings}
    found = tuple(
        ImitationSimulation(Task.of(env_id, motions=[name], **settings), 1)
        for name in (skill, f"{skill}+mirrored")
    )
    for simulation in found:
        simulation.seed(0)
    return found


@pytest.mark.parametrize("skill", ["walk", "kick", "roll"])
def test_a_mirrored_specialist_plays_the_mirrored_rollout(skill):
    """To the last digits of what is seen, for a second and a half: in each part of all layouts."""
    one, other = pair(skill, f"SFV-{skill.title()}-v0", observation=BOTH)
    policy, layout = load_policy(f"SFV-{skill.title()}-v0"), PolicyLayout.of(one.task)
    own = PolicyLayout.of(Task.of(skill))
    columns = own.columns_in(layout)
    mirror = mirror_of(one.task.observation_parts, one.task.character)
    image = mirrored_policy(policy, mirror_of(own.parts, one.task.character))
    symmetry = Symmetry.of(one.task.character)
    seen, there = (s.reset(s.all_ids) for s in (one, other))
    for _ in range(45):
        np.testing.assert_allclose(mirror.observation(seen), there, atol=2e-5)
        np.testing.assert_allclose(mirror.observation(mirror.observation(seen)), seen)
        qpos, _ = symmetry.coordinates(one.qpos, np.zeros((1, 34)))
        np.testing.assert_allclose(other.qpos, qpos, atol=2e-6)
        action, back = policy.predict(seen[:, columns]), image.predict(there[:, columns])
        np.testing.assert_allclose(mirror.action(action), back, atol=2e-5)
        step, step_there = one.step(action), other.step(back)
        np.testing.assert_allclose(step.reward, step_there.reward, atol=1e-5)
        seen, there = step.observation, step_there.observation
    again = mirrored_policy(image, mirror_of(own.parts, one.task.character))
    assert again.content_hash() == policy.content_hash()


def test_atlas_sees_a_mirror_image_but_for_its_hands():
    one, other = pair("walk", "SFV-Walk-Atlas-v0", observation=BOTH)
    mirror = mirror_of(one.task.observation_parts, one.task.character)
    seen, there = (s.reset(s.all_ids) for s in (one, other))
    assert np.abs(mirror.observation(seen) - there).max() < 0.02


def test_the_ground_has_no_mirror_image():
    task = Task.of("SFV-Walk-Slopes-v0")
    with pytest.raises(SettingError, match="height_map"):
        mirror_of(task.observation_parts, task.character)


def test_teachers_of_variants():
    skills = ["kick", "kick+mirrored", "walk+warped-0.9", "kick+reversed", "walk+then-walk_b"]
    found, without = find_specialists("SFV-Tracker-v0", skills, None)
    assert [one.skill for one in found] == skills[:3] and without == skills[3:]
    assert found[0].policy.content_hash() != found[1].policy.content_hash()
    assert all(one.knows_the_motion for one in found)
    with pytest.raises(UnknownIdError, match="flipped"):
        find_specialists("SFV-Tracker-v0", ["kick+flipped"], None)


def test_through_a_mirror_a_motion_is_its_mirror_image():
    """What the student sees, does and is told, of two motions in one batch."""
    skills, n = ("kick", "punch"), 4
    images = [f"{skill}+mirrored" for skill in skills]
    settings = {"observation": BOTH, "initialization": STILL, "termination": False}
    task, other = (Task.of("SFV-Tracker-v0", motions=m, **settings) for m in (skills, images))
    student = Task.of("SFV-Tracker-v0")
    shown = PolicyLayout.of(task)
    columns = PolicyLayout.of(student).columns_in(shown)
    sides, rng = BothSides(student, n, 0.5), np.random.default_rng(0)
    through = np.array([1, 3])  # every other one
    plain, image = ImitationSimulation(task, n), ImitationSimulation(other, n)
    teachers = [
        Teachers(find_specialists("SFV-Tracker-v0", m, None)[0], shown) for m in (skills, images)
    ]
    motion = np.array([0, 0, 1, 1])
    for simulation in (plain, image):
        simulation.seed(0)
    seen, there = (s.begin(s.all_ids, motions=motion)[0] for s in (plain, image))
    for _ in range(15):
        view = sides.observation(seen[:, columns])
        np.testing.assert_allclose(view[through], there[through][:, columns], atol=2e-5)
        np.testing.assert_array_equal(view[::2], seen[::2, columns])
        labels = sides.action(teachers[0].actions(seen, motion))
        right = teachers[1].actions(there, motion)
        np.testing.assert_allclose(labels[through], right[through], atol=2e-5)
        action = np.clip(labels + rng.normal(scale=0.05, size=labels.shape), -1, 1)
        seen = plain.step(sides.action(action)).observation
        there = image.step(action).observation


def test_the_normalisation_is_the_same_on_both_sides():
    """Atlas counts some angles from another side."""
    task, rng = Task.of("SFV-Tracker-Atlas-v0"), np.random.default_rng(0)
    both = BothSides(task, 2, 0.5).with_images(rng.normal(1.0, 2.0, (50, task.observation_size)))
    mirror = mirror_of(task.observation_parts, task.character).observation
    np.testing.assert_allclose(mirror(both.mean(0)), both.mean(0), atol=1e-12)
    np.testing.assert_allclose(both.std(0)[mirror.order], both.std(0), atol=1e-12)


def test_without_a_mirror_nothing_is_changed():
    values = np.ones((3, 358))
    sides = BothSides(Task.of("SFV-Tracker-Slopes-v0"), 3, 0.5)
    assert "height_map" in sides.missing
    assert sides.observation(values) is values and sides.with_images(values) is values
    assert not BothSides(Task.of("SFV-Tracker-Slopes-v0"), 3, 0.0).missing


def test_the_command_line_plays_a_variant(sfv):
    code, out, _ = sfv(
        "eval", "SFV-Kick-v0", "--agent", "reference", "--motion", "kick+mirrored", "--episodes",
        "1", "--start", "fixed",
    )  # fmt: skip
    assert code == 0 and "kick+mirrored" in out
    code, _, err = sfv("eval", "SFV-Kick-v0", "--motion", "kick+flipped")
    assert code == 2 and "mirrored" in err
