"""Inverse dynamics of a motion against truths of statics and free flight, and of recorded physics.

What physics can do is feasible, and what it cannot is found with its right size.
"""

import json
from dataclasses import replace

import mujoco
import numpy as np
import pytest
from motions import moved

from sfv_gym import skeleton
from sfv_gym.assessment import FIGURES, assess
from sfv_gym.assessment.figures import RESIDUAL_LIMIT
from sfv_gym.assessment.report import plot
from sfv_gym.characters import get_character
from sfv_gym.cli import main as cli
from sfv_gym.errors import MotionError, OutputError, UnknownIdError
from sfv_gym.motion import DOUBTFUL, Finding, ReferenceMotion, Verdict
from sfv_gym.play.agents import choose_agent
from sfv_gym.play.rollout import rollout
from sfv_gym.registry import find_motion
from sfv_gym.rotations import rotvec_to_quat

SOLE = 0.421546 + 0.40987 + 0.05  # metres from the root down to the soles, legs straight
GRAVITY = 9.81


def standing(frames: int = 8, fps: float = 30.0, **rotvecs) -> ReferenceMotion:
    """Upright with straight legs and both soles on the ground; ``rotvecs`` (3,) of some joints."""
    rotvec = np.zeros((frames, len(skeleton.LINKS), 3))
    for name, value in rotvecs.items():
        rotvec[:, skeleton.link_index(name)] = value
    return ReferenceMotion(
        fps=fps,
        root_pos=np.tile([0.0, 0.0, SOLE], (frames, 1)),
        root_quat=np.tile([1.0, 0, 0, 0], (frames, 1)),
        joint_quat=rotvec_to_quat(rotvec),
    )


def recorded(qpos: np.ndarray, fps: float = 30.0) -> ReferenceMotion:
    """The humanoid's states qpos (T, nq) as a motion."""
    joints = get_character("humanoid").joints
    column = np.array([skeleton.link_index(name) for name in joints.names])
    quat = np.tile([1.0, 0, 0, 0], (len(qpos), len(skeleton.LINKS), 1))
    quat[:, column[joints.balls]] = qpos[:, joints.ball_qpos]
    turn = qpos[:, joints.hinge_qpos, None] * joints.hinge_axis
    quat[:, column[joints.hinges]] = rotvec_to_quat(turn)
    return ReferenceMotion(
        fps=fps, root_pos=qpos[:, :3].copy(), root_quat=qpos[:, 3:7].copy(), joint_quat=quat
    )


@pytest.fixture(scope="module")
def thrown() -> ReferenceMotion:
    """A body that is thrown, tumbles and keeps its pose, simulated in steps of 1/6000 s."""
    spec = get_character("humanoid").spec()
    spec.option.timestep = 1 / 6000
    model = spec.compile()
    data = mujoco.MjData(model)
    data.qpos[2] = 5.0
    data.qvel[:6] = 1.0, 0.5, 3.0, 0.5, 4.0, 1.0
    states = []
    for _ in range(24):
        states.append(data.qpos.copy())
        mujoco.mj_step(model, data, 200)
    return recorded(np.array(states))


# --- statics ------------------------------------------------------------------------------------


def test_a_standing_body_needs_its_weight_and_the_ground_gives_it():
    found = assess(standing())
    np.testing.assert_allclose(found.needed_force, np.tile([0.0, 0, 1], (6, 1)), atol=1e-9)
    assert found.residual.max() < 1e-3
    assert found.torque_ratio.max() < 0.15
    assert found.feasible_fraction == 1 and found.troubles() == []
    assert not found.in_flight.any()
    np.testing.assert_allclose(found.zmp_beyond, 0, atol=1e-6)
    np.testing.assert_allclose(found.slide[:, 2:], 0, atol=1e-9)
    assert found.mass == pytest.approx(skeleton.LINK_MASSES.sum())


def test_an_arm_held_out_takes_its_weight_times_its_lever():
    found = assess(standing(right_shoulder=(-np.pi / 2, 0, 0)))
    upper, lower = 0.274788, 0.258947
    moment = GRAVITY * (1.5 * 0.14 + 1.0 * (upper + 0.12) + 0.5 * (upper + lower))
    column = found.joints.index("right_shoulder")
    np.testing.assert_allclose(found.torque[:, column], moment, rtol=1e-6)
    np.testing.assert_allclose(found.torque_ratio[:, column], moment / 100, rtol=1e-6)


def test_who_leans_beyond_the_toes_is_out_of_balance_by_that_much():
    lean = 0.25
    upright = standing()
    turn = rotvec_to_quat(np.array([0.0, lean, 0.0]))
    # about the ankles, which keep the soles flat
    hips = np.array([np.sin(lean), 0, np.cos(lean)]) * (SOLE - 0.05)
    joint_quat = upright.joint_quat.copy()
    for name in ("right_ankle", "left_ankle"):
        joint_quat[:, skeleton.link_index(name)] = rotvec_to_quat(np.array([0.0, -lean, 0.0]))
    leaning = replace(
        upright,
        root_pos=np.tile(hips + np.array([0, 0, 0.05]), (8, 1)),
        root_quat=np.tile(turn, (8, 1)),
        joint_quat=joint_quat,
    )
    found = assess(leaning)
    pos, quat = skeleton.forward_kinematics(leaning.root_pos, leaning.root_quat, leaning.joint_quat)
    toes = skeleton.sole_corners(pos, quat)[0, ..., 0].max()
    beyond = skeleton.centre_of_mass(pos, quat)[0, 0] - toes
    assert beyond > 0.05
    np.testing.assert_allclose(found.zmp_beyond, beyond, atol=1e-4)
    # a body at rest falls about its toes: a = g d / (k^2 + r^2) at the distance r, and what Gauss
    # measures of that, position and rotation together, is g d / sqrt(k^2 + r^2)
    distance = np.hypot(beyond, skeleton.centre_of_mass(pos, quat)[0, 2])
    fall = beyond / np.hypot(found.gyration, distance)
    np.testing.assert_allclose(found.residual, fall, rtol=0.1)
    np.testing.assert_allclose(found.sustained, found.residual, rtol=1e-6)


def test_figures_of_the_pose_itself():
    base = standing()
    gliding = replace(base, root_pos=base.root_pos + np.arange(8)[:, None] * [0.01, 0, 0])
    np.testing.assert_allclose(assess(gliding).slide[:, 2:], 0.3, rtol=1e-6)
    sunk = assess(replace(base, root_pos=base.root_pos - [0, 0, 0.02]))
    np.testing.assert_allclose(sunk.clearance, -0.02, atol=1e-6)
    assert "ankle" in sunk.lowest[0]
    over = assess(standing(left_elbow=(0.0, 0.3, 0.0)))  # it bends the other way
    np.testing.assert_allclose(over.limit_violation, 0.3, rtol=1e-6)
    turned = base.root_quat.copy()
    turned[4:] = [0, 0, 0, 1.0]
    flipped = assess(replace(base, root_quat=turned)).summary()
    assert flipped["turn_speed_max"] > 40 and flipped["turn_worst"].startswith("root")


# --- flight -------------------------------------------------------------------------------------


def test_a_thrown_body_needs_nothing(thrown):
    found = assess(thrown)
    assert found.in_flight.all()
    assert np.linalg.norm(found.residual_force, axis=1).max() < 1e-3
    assert np.linalg.norm(found.residual_torque, axis=1).max() < 2.0
    assert found.feasible_fraction == 1
    assert np.isnan(found.zmp_beyond).all() and np.isnan(found.slide).all()
    assert found.summary()["zmp_beyond_mm_max"] is None


def test_flight_on_a_straight_line_lacks_exactly_the_weight(thrown):
    t = np.arange(thrown.num_frames) / thrown.fps
    rise = np.stack((0 * t, 0 * t, 0.5 * GRAVITY * t**2), axis=-1)
    found = assess(replace(thrown, root_pos=thrown.root_pos + rise))
    np.testing.assert_allclose(found.residual_force, np.tile([0.0, 0, 1], (22, 1)), atol=1e-3)
    assert found.feasible_fraction == 0
    assert [t.cause for t in found.troubles()] == ["in the air, but not falling freely"]


def test_a_spin_that_slows_down_in_the_air_lacks_a_torque(thrown):
    # about z, about which this pose has a principal axis: L = I w, so the torque is I dw/dt
    t = np.arange(24) / 30
    spin = np.stack((0 * t, 0 * t, 4 * t - 1.5 * t**2), axis=-1)
    base = standing(24)
    found = assess(
        replace(base, root_pos=thrown.root_pos * [0, 0, 1], root_quat=rotvec_to_quat(spin))
    )
    model = get_character("humanoid").model
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    mass = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, mass)
    np.testing.assert_allclose(found.needed_torque[:, 2], -3 * mass[5, 5], rtol=0.02)


# --- recorded physics ---------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", ["SFV-Walk-v0", "SFV-Backflip-v0"])
def test_what_a_policy_does_is_feasible(env_id):
    """Nothing but the ground pushed it and no torque was beyond its limit: so it must come out."""
    played = rollout(env_id, choose_agent("policy", env_id), seconds=3.0)
    found = assess(recorded(played.qpos, played.hz))
    assert found.residual.max() < RESIDUAL_LIMIT
    assert found.feasible_fraction >= 0.98
    assert (found.torque_ratio.max(1) <= 1).mean() > 0.9


def test_the_walk_is_mostly_feasible_and_hovering_is_not():
    walk = find_motion("walk")
    found = assess(walk)
    assert found.feasible_fraction > 0.85
    hovering = assess(replace(walk, root_pos=walk.root_pos + np.array([0, 0, 0.1])))
    assert not hovering.in_flight.any() and hovering.feasible_fraction < 0.05
    assert {trouble.cause.split(":")[0] for trouble in hovering.troubles()} == {"it hovers"}
    np.testing.assert_allclose(hovering.needed_force, found.needed_force, atol=1e-6)
    np.testing.assert_allclose(hovering.residual_force, hovering.needed_force, atol=1e-12)


def test_place_and_heading_do_not_matter():
    walk = find_motion("walk")
    here = assess(walk)
    there = assess(moved(walk, np.pi / 2, (3.0, -2.0)))  # the friction pyramid has four sides
    np.testing.assert_allclose(there.residual, here.residual, atol=1e-4)
    np.testing.assert_allclose(there.torque_ratio, here.torque_ratio, atol=1e-3)


def test_a_mirrored_pose_mirrors_the_torques():
    right = assess(standing(right_shoulder=(-1.0, 0.4, 0.0), right_hip=(-0.1, 0, 0)))
    left = assess(standing(left_shoulder=(1.0, 0.4, 0.0), left_hip=(0.1, 0, 0)))
    np.testing.assert_allclose(left.residual, right.residual, atol=1e-5)
    for joint in ("shoulder", "hip", "knee", "ankle"):
        a = right.torque[:, right.joints.index(f"right_{joint}")]
        b = left.torque[:, left.joints.index(f"left_{joint}")]
        np.testing.assert_allclose(a, b, atol=0.05)


def test_slow_frames_are_assessed_between_them_without_jerks():
    """Knees that bend as a sine, at 5 frames a second: as smooth as at 30."""

    def crouch(fps):
        t = np.arange(round(2 * fps) + 1) / fps
        bend = 0.5 + 0.2 * np.cos(np.pi * t)
        base = standing(len(t), fps)
        quat = base.joint_quat.copy()
        for side in ("right", "left"):
            for name, sign in (("hip", -1), ("knee", 2), ("ankle", -1)):
                axis = np.stack((0 * bend, sign * bend, 0 * bend), axis=-1)
                quat[:, skeleton.link_index(f"{side}_{name}")] = rotvec_to_quat(axis)
        drop = 0.421546 * (1 - np.cos(bend)) + 0.40987 * (1 - np.cos(bend))
        path = base.root_pos - drop[:, None] * [0, 0, 1]
        path[:, 0] = -(0.421546 - 0.40987) * np.sin(bend)
        return assess(replace(base, root_pos=path, joint_quat=quat))

    slow, quick = crouch(5.0), crouch(30.0)
    assert slow.window == pytest.approx(0.2) and quick.window == pytest.approx(1 / 30)
    assert slow.feasible_fraction == quick.feasible_fraction == 1
    knee = quick.joints.index("right_knee")
    np.testing.assert_allclose(slow.torque[:, knee], quick.torque[5:-5, knee], rtol=0.15)


def test_atlas_stands_too():
    found = assess(standing(4), "atlas")
    assert found.mass == pytest.approx(182.4, abs=0.5)
    np.testing.assert_allclose(found.needed_force[:, 2], 1, atol=0.05)
    assert set(found.joints) == set(get_character("atlas").joints.names)


# --- what users see -----------------------------------------------------------------------------


def test_summary_names_every_figure_and_is_json():
    summary = assess(find_motion("walk")).summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    for figure in FIGURES:
        assert {f"{figure.key}_p95", f"{figure.key}_max"} <= set(summary)
    assert summary["flight_force_max"] is None  # nobody flies in a walk


def test_wrong_input_is_named():
    with pytest.raises(UnknownIdError, match="did you mean SFV-Walk-v0"):
        find_motion("wolk")
    with pytest.raises(MotionError, match="no such motion file"):
        find_motion("none.npz")
    with pytest.raises(UnknownIdError, match="unknown character"):
        assess(standing(), "bob")
    with pytest.raises(MotionError, match="to know an acceleration"):
        assess(standing(2))
    with pytest.raises(OutputError, match="svg"):
        plot(assess(standing()), "a.png")
    with pytest.raises(OutputError, match="single step"):
        plot(assess(standing(3)), "a.svg")


def test_command(monkeypatch, capsys, tmp_path):
    def sfv(*arguments):
        monkeypatch.setattr("sys.argv", ["sfv", "assess", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, capsys.readouterr()

    stands = standing()
    stands.verdict = Verdict((Finding(DOUBTFUL, "hidden", "left leg", (0.1, 0.5)),))
    stands.save(tmp_path / "stand.npz")
    code, shown = sfv(str(tmp_path / "stand.npz"), "--plot", str(tmp_path / "stand.svg"))
    assert code == 0 and "100 % of the steps are feasible" in " ".join(shown.out.split())
    assert "Reconstruction: doubtful" in shown.out and "left leg, 0.10-0.50 s: hidden" in shown.out
    code, shown = sfv(str(tmp_path / "stand.npz"), "--json")
    assert json.loads(shown.out)["verdict"]["findings"][0]["part"] == "left leg"
    picture = (tmp_path / "stand.svg").read_text()
    assert picture.startswith("<svg") and "polyline" in picture
    code, shown = sfv("SFV-Walk-v0", "--json")
    assert code == 0 and json.loads(shown.out)["feasible_fraction"] > 0.85
    code, shown = sfv("none.npz")
    assert code == 2 and shown.out == "" and shown.err.startswith("error:")
    code, shown = sfv("--help")
    assert code == 0 and "Example: sfv assess" in shown.out


def test_it_changes_nothing(thrown):
    before = thrown.content_hash()
    first, second = assess(thrown), assess(thrown)
    np.testing.assert_array_equal(first.residual, second.residual)
    assert thrown.content_hash() == before
    assert first.residual.dtype == np.float64
