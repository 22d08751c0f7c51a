"""Physics truths of the humanoid."""

import mujoco
import numpy as np
import pytest
from physics import assert_it_comes_to_rest, assert_momentum_is_kept_in_flight

from sfv_gym import skeleton
from sfv_gym.benchmarks.studies.torques import joint_torques
from sfv_gym.characters import get_character
from sfv_gym.characters.joints import JointMap
from sfv_gym.play.policy import load_policy
from sfv_gym.terrains import Ground, get_terrain


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    spec = get_character("humanoid").spec()
    Ground(get_terrain("flat"), 1).add_to(spec)
    return spec.compile()


def test_the_model_is_the_published_character(model):
    assert model.nu == 28 and model.nv == 34
    assert model.body_mass.sum() == pytest.approx(45.0)
    for name, offset, mass in zip(
        skeleton.LINKS, skeleton.OFFSETS, skeleton.LINK_MASSES, strict=True
    ):
        body = model.body(name)
        assert body.mass[0] == pytest.approx(mass)
        if name != "root":
            np.testing.assert_allclose(body.pos, offset, atol=1e-6)
            assert (
                model.body(body.parentid[0]).name
                == skeleton.LINKS[skeleton.PARENTS[skeleton.link_index(name)]]
            )


def test_the_skeleton_and_the_fits_body_have_the_models_figures(model):
    """The skeleton reads the MJCF as text: it may not load MuJoCo."""
    for i, name in enumerate(skeleton.LINKS):
        link, shape = model.body(name), model.geom(name)
        np.testing.assert_allclose(link.ipos, skeleton.LINK_CENTRES[i], atol=1e-9)
        np.testing.assert_allclose(shape.pos, skeleton.LINK_CENTRES[i], atol=1e-9)
        if name.endswith("ankle"):
            np.testing.assert_allclose(2 * shape.size, skeleton.FOOT_BOX)
    for name in skeleton.HINGE_LINKS:
        np.testing.assert_allclose(model.joint(name).range, skeleton.ROTATION_LIMITS[name][1])


def test_the_fits_body_has_the_models_shapes_and_inertia(model):
    body = pytest.importorskip("sfv_gym.fitting.canonical_body")
    shapes = {}
    for name in skeleton.LINKS:
        shape = model.geom(name)
        if shape.type == mujoco.mjtGeom.mjGEOM_SPHERE:
            shapes[name] = shape.pos, shape.size[0]
        elif shape.type == mujoco.mjtGeom.mjGEOM_CAPSULE:  # its upper end
            shapes[name] = shape.pos + shape.size[1] * np.array([0, 0, 1]), shape.size[0]
    assert len(body._ROUND) == len(shapes) == len(skeleton.LINKS) - 2
    for name, centre, radius in body._ROUND:
        np.testing.assert_allclose(centre, shapes[name][0], atol=1e-9)
        assert radius == shapes[name][1]
    # a ball's or a rod's, rounded: within a third of the shape's
    across = [model.body(name).inertia.max() for name in skeleton.LINKS]
    np.testing.assert_allclose(body._OWN_INERTIA, across, rtol=0.33, atol=5e-4)


def test_actuators_are_in_the_order_of_the_degrees_of_freedom(model):
    for i in range(model.nu):
        joint = model.actuator_trnid[i, 0]
        name = model.actuator(i).name
        assert name.startswith(model.joint(joint).name)
        if name[-2] == "_":
            assert model.actuator_gear[i, "xyz".index(name[-1])] == 1
        first = model.jnt_dofadr[joint]
        axis = {"x": 0, "y": 1, "z": 2}[name[-1]] if name[-2] == "_" else 0
        assert first + axis - 6 == i


def test_no_torque_can_exceed_the_published_limit(model):
    """Actuators saturated in every direction at once, no damping besides them."""
    assert (model.dof_damping == 0).all() and (model.jnt_stiffness == 0).all()
    joints = JointMap.of(model)
    limit = model.actuator_forcerange[:, 1]
    np.testing.assert_array_equal(model.actuator_forcerange[:, 0], -limit)
    for ball, dof in zip(joints.balls, joints.ball_dof - 6, strict=True):
        corner = np.linalg.norm(limit[dof])
        published = skeleton.TORQUE_LIMITS[joints.names[ball]]
        assert 0.99 * published < corner <= published
    for hinge, dof in zip(joints.hinges, joints.hinge_dof - 6, strict=True):
        assert limit[dof] == skeleton.TORQUE_LIMITS[joints.names[hinge]]


@pytest.mark.parametrize("env_id", ["SFV-Backflip-v0", "SFV-Walk-v0"])
def test_net_torques_of_the_trained_policies_stay_within_the_limits(env_id):
    figures = joint_torques(env_id, load_policy(env_id).predict, episodes=4, seconds=2.0)
    assert {joint.joint for joint in figures} == set(skeleton.TORQUE_LIMITS)
    for joint in figures:
        assert 0.05 * joint.limit < joint.peak <= joint.limit + 1e-9


def test_kinematics_agree_with_mujoco(model):
    rng = np.random.default_rng(0)
    data, joints = mujoco.MjData(model), JointMap.of(model)
    data.qpos[:7] = [0.3, -0.2, 1.0, *np.array([1, 2, 3, 4]) / np.sqrt(30)]
    joint_quat = np.tile([1.0, 0, 0, 0], (15, 1))
    balls = rng.normal(size=(len(joints.balls), 4))
    ball_links = [skeleton.link_index(joints.names[i]) for i in joints.balls]
    hinge_links = [skeleton.link_index(joints.names[i]) for i in joints.hinges]
    joint_quat[ball_links] = balls / np.linalg.norm(balls, axis=1, keepdims=True)
    angles = rng.uniform(-1, 1, len(joints.hinges))
    joint_quat[hinge_links] = np.stack(
        (np.cos(angles / 2), 0 * angles, np.sin(angles / 2), 0 * angles), axis=-1
    )
    data.qpos[joints.ball_qpos], data.qpos[joints.hinge_qpos] = joint_quat[ball_links], angles
    mujoco.mj_forward(model, data)
    pos, quat = skeleton.forward_kinematics(data.qpos[:3], data.qpos[3:7], joint_quat)
    links = [model.body(name).id for name in skeleton.LINKS]
    np.testing.assert_allclose(data.xpos[links], pos, atol=1e-6)
    np.testing.assert_allclose(skeleton.centre_of_mass(pos, quat), data.subtree_com[1], atol=1e-6)


def test_momentum_in_free_flight(model):
    data = mujoco.MjData(model)
    rng = np.random.default_rng(1)
    data.qpos[:] = model.qpos0
    data.qpos[2] = 5.0
    data.qvel[:] = rng.normal(size=model.nv)
    assert_momentum_is_kept_in_flight(model, data, atol=2e-3)


def test_a_dropped_character_comes_to_rest_on_the_ground(model):
    data = mujoco.MjData(model)
    data.qpos[2] = 1.0
    assert_it_comes_to_rest(model, data, seconds=6)


def test_actuators_hold_the_standing_pose_in_the_air(model):
    """Held by its root, with targets at zero, the limbs stay within a few degrees."""
    spec = get_character("humanoid").spec()
    spec.delete(spec.joint("root"))
    fixed = spec.compile()
    data = mujoco.MjData(fixed)
    for _ in range(int(2 / fixed.opt.timestep)):
        mujoco.mj_step(fixed, data)
    assert abs(data.actuator_length).max() < 0.1
