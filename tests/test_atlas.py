"""Physics truths of Atlas, and what retargeting a motion to it must keep."""

import sys
from dataclasses import replace

import mujoco
import numpy as np
import pytest
from physics import assert_it_comes_to_rest, assert_momentum_is_kept_in_flight

from sfv_gym import skeleton
from sfv_gym.assessment import assess
from sfv_gym.characters import get_character
from sfv_gym.errors import MissingExtraError, MotionError
from sfv_gym.motion import ReferenceMotion
from sfv_gym.retargeting import retarget, store
from sfv_gym.retargeting.kinematic import solve_kinematics
from sfv_gym.retargeting.rig import Retargeted, Rig
from sfv_gym.terrains import Ground, get_terrain

ATLAS = get_character("atlas")
MOTIONS = ("walk", "backflip")
SKILLS = sorted(file.stem for file in store.shipped_folder().glob("*.npz"))


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    spec = ATLAS.spec()
    Ground(get_terrain("flat"), 1).add_to(spec)
    return spec.compile()


@pytest.fixture(scope="module")
def solved(request) -> dict[str, tuple[ReferenceMotion, Retargeted]]:
    out = {}
    for name in MOTIONS:
        motion = ReferenceMotion.load(request.config.rootpath / f"reference_motions/{name}.npz")
        out[name] = motion, store.retargeted(motion, ATLAS)
    return out


def stand(model: mujoco.MjModel) -> mujoco.MjData:
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("stand").id)
    mujoco.mj_forward(model, data)
    return data


def sole_corners(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """(2, 4, 3) metres, under the right and the left foot."""
    out = []
    for name in ("r_foot", "l_foot"):
        geom = model.geom(name).id
        corners = np.array([[x, y, -1] for x in (-1, 1) for y in (-1, 1)]) * model.geom_size[geom]
        out.append(data.geom_xpos[geom] + corners @ data.geom_xmat[geom].reshape(3, 3).T)
    return np.array(out)


# --- the model --------------------------------------------------------------------------------


def test_the_model_is_the_published_robot(model):
    assert model.nu == 28 and model.nv == 34
    assert model.body_mass.sum() == pytest.approx(182.417, abs=1e-3)
    assert (model.dof_damping == 0).all()
    for i in range(model.nu):  # one actuator a hinge, in the order of the degrees of freedom
        assert model.actuator(i).name == model.joint(i + 1).name
        assert model.jnt_dofadr[i + 1] == 6 + i
    effort = {
        "back_bky": 445, "neck_ry": 5, "l_leg_kny": 890, "r_arm_shx": 99,
        "l_leg_aky": 740, "r_leg_akx": 360,
    }  # fmt: skip
    for name, limit in effort.items():
        np.testing.assert_allclose(model.actuator(name).forcerange, [-limit, limit])
    np.testing.assert_allclose(model.joint("l_leg_hpz").range, [-0.174358, 0.786794])


def test_left_and_right_mirror_each_other(model):
    data = stand(model)
    for name in ("hand", "larm", "scap", "foot", "lleg"):
        right, left = data.body(f"r_{name}").xpos, data.body(f"l_{name}").xpos
        np.testing.assert_allclose(right * (1, -1, 1), left, atol=0.02)  # the wrists are turned


def test_it_stands_with_flat_feet_and_hanging_arms(model):
    data = stand(model)
    assert abs(sole_corners(model, data)[..., 2]).max() < 1e-3
    np.testing.assert_allclose(data.ctrl, data.qpos[7:])
    for side in "rl":
        arm = data.body(f"{side}_hand").xpos - data.body(f"{side}_scap").xpos
        assert arm[2] < -0.85 * np.linalg.norm(arm)
    feet = sole_corners(model, data).reshape(-1, 3)
    centre = data.subtree_com[1]
    assert feet[:, 0].min() + 0.05 < centre[0] < feet[:, 0].max() - 0.05


def test_momentum_in_free_flight(model):
    rng = np.random.default_rng(1)
    data = stand(model)
    data.qpos[2] = 5.0
    data.qvel[:] = 0.5 * rng.normal(size=model.nv)
    assert_momentum_is_kept_in_flight(model, data, atol=5e-3)


def test_dropped_it_comes_to_rest_on_the_ground(model):
    data = stand(model)
    data.qpos[2] += 0.1
    assert_it_comes_to_rest(model, data, seconds=8)


def test_actuators_hold_the_standing_pose_in_the_air(model):
    spec = ATLAS.spec()
    spec.delete(spec.joint("root"))
    for key in spec.keys:
        spec.delete(key)
    fixed = spec.compile()
    data = mujoco.MjData(fixed)
    pose = model.key("stand").qpos[7:]
    data.qpos[:], data.ctrl[:] = pose, pose
    for _ in range(int(2 / fixed.opt.timestep)):
        mujoco.mj_step(fixed, data)
    assert abs(data.qpos - pose).max() < 0.1
    assert abs(data.qvel).max() < 0.05


def test_random_targets_stay_stable_and_within_the_torque_limits(model):
    rng = np.random.default_rng(0)
    data = stand(model)
    data.qpos[2] = 30.0
    limit = model.actuator_forcerange[:, 1]
    for step in range(300):
        if step % 5 == 0:
            data.ctrl[:] = rng.uniform(*model.jnt_range[1:].T)
        mujoco.mj_step(model, data)
        # the net torque at a joint, limits of its range aside, is its actuator's
        net = data.qfrc_actuator[6:] + data.qfrc_passive[6:]
        assert (abs(net) <= limit + 1e-9).all()
        assert abs(data.qvel[6:]).max() < 100
    assert np.isfinite(data.qpos).all()


# --- retargeting ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MOTIONS)
def test_joints_stay_within_their_limits_and_do_not_jump(name, solved, model):
    motion, found = solved[name]
    assert found.qpos.shape == (motion.num_frames, model.nq)
    np.testing.assert_allclose(np.linalg.norm(found.qpos[:, 3:7], axis=1), 1.0, atol=1e-9)
    hinges = found.qpos[:, 7:]
    assert (hinges >= model.jnt_range[1:, 0] - 1e-9).all()
    assert (hinges <= model.jnt_range[1:, 1] + 1e-9).all()
    assert abs(hinges).max() <= 3.0
    # the fastest joint of the backflip, a shoulder, turns by 0.47 itself; Atlas has it in three
    assert abs(np.diff(hinges, axis=0)).max() < 0.7  # rad in 1/30 s, another branch is > 1
    assert abs(np.diff(found.qpos[:, :3], axis=0)).max() < 0.25  # m
    assert 0.9 < found.scale < 1.0


@pytest.mark.parametrize("name", MOTIONS)
def test_planted_feet_stay_on_the_ground_and_do_not_skate(name, solved, model):
    motion, found = solved[name]
    data = mujoco.MjData(model)
    last = int(motion.loop_range[1])
    corners = []
    for qpos in found.qpos[: last + 1]:
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        corners.append(sole_corners(model, data))
    corners = np.array(corners)
    planted = motion.contacts[: last + 1, 2:] > 0.5
    if motion.loop == "wrap":
        planted[last] = planted[motion.loop_range[0]]
    lowest = corners[..., 2].min(2)
    assert abs(lowest[planted]).max() < 0.015
    assert lowest.min() > -0.015
    middle = corners.mean(2)[..., :2]
    skate = np.linalg.norm(np.diff(middle, axis=0), axis=-1)[planted[1:] & planted[:-1]]
    assert skate.max() < 0.008


@pytest.mark.parametrize(
    ("name", "mean", "largest"),
    # the backflip's arms swing as fast as their motors can
    [("walk", 8.0, 45.0), ("backflip", 9.0, 50.0)],
)
def test_limbs_point_where_the_motion_says(name, mean, largest, solved, model):
    motion, found = solved[name]
    data = mujoco.MjData(model)
    wanted, _ = skeleton.forward_kinematics(motion.root_pos, motion.root_quat, motion.joint_quat)
    bodies = [model.body(ATLAS.links[link]).id for link in skeleton.LINKS]
    bones = [
        (skeleton.link_index(f"{side}_{a}"), skeleton.link_index(f"{side}_{b}"))
        for side in ("right", "left")
        for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
    ]
    start, end = np.array(bones).T
    errors = []
    for t in range(int(motion.loop_range[1]) + 1):
        data.qpos[:] = found.qpos[t]
        mujoco.mj_kinematics(model, data)
        own, original = (p[end] - p[start] for p in (data.xpos[bodies], wanted[t]))
        cosine = (own * original).sum(1) / np.prod(
            [np.linalg.norm(v, axis=1) for v in (own, original)], axis=0
        )
        errors.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    errors = np.array(errors)
    assert errors.mean() < mean
    assert errors.mean(0).max() < 15.0  # of each limb; hanging arms are kept off the body
    assert errors.max() < largest


def test_flight_is_ballistic(solved, model):
    motion, found = solved["backflip"]
    air = np.flatnonzero(motion.contacts.max(1) < 0.5)
    data = mujoco.MjData(model)
    centre = []
    for qpos in found.qpos[air[0] : air[-1] + 1]:
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        centre.append(data.subtree_com[1].copy())
    pull = np.diff(centre, n=2, axis=0) * motion.fps**2
    np.testing.assert_allclose(pull, np.tile([0, 0, -9.81], (len(pull), 1)), atol=0.05)


def test_a_cycle_closes(solved):
    motion, found = solved["walk"]
    first, last = motion.loop_range
    np.testing.assert_allclose(found.qpos[first, 7:], found.qpos[last, 7:], atol=1e-9)
    step = found.qpos[last, :3] - found.qpos[first, :3]
    np.testing.assert_allclose(step, found.scale * motion.loop_offset[:3], atol=0.02)


def test_its_trajectory_has_the_same_angles(solved, tmp_path, monkeypatch):
    """Through quaternions and back, as the environment takes them."""
    monkeypatch.setenv("SFV_GYM_CACHE", str(tmp_path))
    motion, found = solved["backflip"]
    trajectory = retarget(motion, ATLAS)
    state = trajectory.sample(np.arange(motion.num_frames) / motion.fps)
    qpos, _ = ATLAS.joints.coordinates(state, trajectory.joint_names)
    np.testing.assert_allclose(qpos[:, 7:], found.qpos[:, 7:], atol=1e-6)


def test_a_character_with_ball_joints_is_none_of_hinges():
    with pytest.raises(MotionError, match="hinges"):
        Rig(get_character("humanoid"))


# --- what its masses and motors can do ---------------------------------------------------------


@pytest.fixture(scope="module")
def hinged():
    hinge_body = pytest.importorskip("sfv_gym.fitting.hinge_body")
    return hinge_body, hinge_body.HingeBody(Rig(ATLAS))


def swinging(model: mujoco.MjModel, times: np.ndarray) -> np.ndarray:
    """qpos (T, nq) of a smooth motion in the air, all joints at once."""
    rng = np.random.default_rng(3)
    wave = np.sin(rng.uniform(2.0, 4.0, model.nv) * times[:, None] + rng.uniform(0, 6, model.nv))
    qpos = np.tile(model.key("stand").qpos, (len(times), 1))
    qpos[:, 2] += 5.0  # far from any ground
    velocity = 0.2 * wave
    for t, change in enumerate(velocity):
        mujoco.mj_integratePos(model, qpos[t], change, 1.0)
    return qpos


def test_kinematics_momentum_and_torques_are_mujocos(hinged, model):
    hinge_body, body = hinged
    fps = 1000.0  # fine enough for differences to be derivatives
    qpos = swinging(model, np.arange(5) / fps)
    pose = body.pose(
        hinge_body.tensor(qpos[:, :3]),
        hinge_body.matrices(qpos[:, 3:7]),
        hinge_body.tensor(qpos[:, 7:]),
    )
    data = mujoco.MjData(model)
    before, after = np.zeros((2, model.nv))
    mujoco.mj_differentiatePos(model, before, 1 / fps, qpos[1], qpos[2])
    mujoco.mj_differentiatePos(model, after, 1 / fps, qpos[2], qpos[3])
    data.qpos[:], data.qvel[:] = qpos[2], 0.5 * (before + after)
    data.qacc[:] = (after - before) * fps
    mujoco.mj_inverse(model, data)
    mujoco.mj_subtreeVel(model, data)
    np.testing.assert_allclose(pose.pos[2], data.xpos[1:], atol=1e-12)
    np.testing.assert_allclose(body.centre_of_mass(pose)[2], data.subtree_com[1], atol=1e-12)
    spin = body.angular_momentum(pose, fps)[1:3].mean(0)
    np.testing.assert_allclose(spin, data.subtree_angmom[1], atol=0.02 * np.linalg.norm(spin))
    torque = body.torques(pose, fps)[1].numpy()
    # what the joints' own ends push is no motor's
    needed = (data.qfrc_inverse + data.qfrc_constraint)[6:]
    np.testing.assert_allclose(torque, needed, atol=0.02 * abs(torque).max())


def test_ankles_bear_the_weight_on_a_part_of_the_sole(hinged):
    _, body = hinged
    weight = body.mass * 9.81
    for name, whole, part in zip(
        skeleton.END_EFFECTORS, body.touching, body.support_points, strict=True
    ):
        if name.endswith("wrist"):
            np.testing.assert_array_equal(whole, part)
        else:  # 740 N m of aky hold the weight beyond heel and toes, 360 of akx beyond the edges
            sole = np.ptp(whole.numpy(), axis=0)[:2]
            assert (np.array([740, 360]) / weight > 0.5 * sole).all()
            np.testing.assert_allclose(np.ptp(part.numpy(), axis=0)[:2], sole)


@pytest.mark.parametrize(("name", "feasible"), [("kick", 0.6), ("backflip", 0.5)])
def test_what_ships_is_nearer_to_what_it_can_do_than_kinematics(
    name, feasible, request, monkeypatch
):
    motion = ReferenceMotion.load(request.config.rootpath / f"reference_motions/{name}.npz")
    ours = assess(motion, "atlas")
    plain = solve_kinematics(motion, Rig(ATLAS))
    monkeypatch.setattr(store, "retargeted", lambda *_: plain)
    kinematic = assess(motion, "atlas")
    assert ours.feasible_fraction > feasible > 0.4 > kinematic.feasible_fraction
    assert np.percentile(ours.torque_ratio.max(1), 90) < 3.0
    assert np.percentile(kinematic.torque_ratio.max(1), 90) > 3.0


def heights_and_fall(motion: ReferenceMotion) -> tuple[np.ndarray, np.ndarray]:
    """Of what ships: lowest point (T,) in metres, by MuJoCo's own distances, and the vertical
    acceleration (T - 2,) of the centre of mass in m/s2."""
    spec = ATLAS.spec()
    spec.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
    model = spec.compile()
    data, floor = mujoco.MjData(model), model.geom("floor").id
    body = [g for g in range(model.ngeom) if g != floor and model.geom_contype[g]]
    lowest, height = [], []
    for qpos in store.retargeted(motion, ATLAS).qpos:
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        lowest.append(min(mujoco.mj_geomDistance(model, data, floor, g, 5.0, None) for g in body))
        height.append(data.subtree_com[1, 2])
    return np.array(lowest), np.diff(height, n=2) * motion.fps**2


@pytest.mark.parametrize("skill", sorted(p.stem for p in store.shipped_folder().glob("*.npz")))
def test_nothing_hovers_and_nothing_sinks(skill):
    """In flight it falls as everything does, elsewhere something of it is on the ground."""
    motion = ReferenceMotion.load(store.shipped_folder() / f"{skill}.npz")
    lowest, fall = heights_and_fall(motion)
    in_air = np.zeros(len(lowest), bool)
    for first, last in motion.flights:
        in_air[first : last + 1] = True
    inside = in_air[:-2] & in_air[1:-1] & in_air[2:]
    if motion.loop == "wrap":  # beyond its end the cycle is shown again, with its flights
        inside[int(motion.loop_range[1]) - 1 :] = False
    np.testing.assert_allclose(fall[inside], -9.81, atol=0.1)
    clear = lowest > 0.02
    hovering = clear[:-2] & clear[1:-1] & clear[2:] & (fall > -8.0)
    assert not hovering.any(), np.flatnonzero(hovering) + 1
    assert lowest.min() > -0.02


@pytest.mark.parametrize("skill", sorted(p.stem for p in store.shipped_folder().glob("*.npz")))
def test_every_shipped_trajectory_is_of_the_motion_that_ships(skill):
    motion = ReferenceMotion.load(store.shipped_folder() / f"{skill}.npz")
    at_origin, _, _ = store.from_origin(motion)
    assert store._shipped(motion, ATLAS, store._key(at_origin, ATLAS)) is not None


# --- cache ------------------------------------------------------------------------------------


def test_cache_round_trip_and_damage(tmp_path, monkeypatch, solved):
    motion, found = solved["backflip"]
    # one's own, for which nothing ships, and which begins where what is kept begins
    motion = replace(store.from_origin(motion)[0], skill="")
    calls = []

    def fake(*_):
        calls.append(1)
        return Retargeted(found.qpos.copy(), found.scale)

    monkeypatch.setattr(store, "solve", fake)
    monkeypatch.setattr(store, "_recent", {})
    monkeypatch.setenv("SFV_GYM_CACHE", str(tmp_path / "cache"))

    def get() -> Retargeted:
        return store.retargeted(motion, ATLAS)

    first = get()
    first.qpos[:] = 0.0  # the caller's own copy
    np.testing.assert_allclose(get().qpos, found.qpos, atol=1e-12)  # from memory
    assert len(calls) == 1
    store._recent.clear()
    again = get()  # from the file
    np.testing.assert_allclose(again.qpos, found.qpos, atol=1e-12)
    assert again.scale == found.scale and len(calls) == 1

    (file,) = (tmp_path / "cache").rglob("*.npz")
    whole = file.read_bytes()
    for damaged in (b"", b"not a zip", whole[: len(whole) // 2], whole[:-200] + b"x" * 200):
        store._recent.clear()
        file.write_bytes(damaged)
        calls.clear()
        np.testing.assert_allclose(get().qpos, found.qpos, atol=1e-12)
        assert len(calls) == 1
    assert file.read_bytes() == whole

    store._recent.clear()
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("SFV_GYM_CACHE", str(blocked))
    np.testing.assert_allclose(get().qpos, found.qpos, atol=1e-12)


def test_without_pytorch_one_s_own_motion_says_what_is_missing(solved, monkeypatch, tmp_path):
    motion, _ = solved["backflip"]
    monkeypatch.setitem(sys.modules, "sfv_gym.retargeting.feasible", None)
    monkeypatch.setattr(store, "_recent", {})
    monkeypatch.setenv("SFV_GYM_CACHE", str(tmp_path))
    assert len(store.retargeted(motion, ATLAS).qpos) == motion.num_frames  # it ships
    store._recent.clear()
    with pytest.raises(MissingExtraError, match=r"pip install sfv-gym\[video\]"):
        store.retargeted(replace(motion, skill=""), ATLAS)


def test_the_cache_knows_contacts_model_and_links(solved):
    motion, _ = solved["backflip"]

    spec = ATLAS.spec()
    spec.body("r_lleg").pos[2] -= 0.01
    other = replace(ATLAS, mjcf=spec.to_xml())

    def key(motion=motion, character=ATLAS) -> str:
        return store._key(motion, character)

    contacts = motion.contacts.copy()
    contacts[0, 0] = 1.0
    keys = {
        key(),
        key(motion=replace(motion, contacts=contacts)),
        key(character=other),
        key(character=replace(ATLAS, links={**ATLAS.links, "neck": "utorso"})),
    }
    assert len(keys) == 4 and key() in keys
