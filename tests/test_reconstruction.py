"""Stage 2 on made-up people in front of a made-up camera, where the truth is known exactly."""

import dataclasses
import logging
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from scipy.interpolate import PchipInterpolator  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402

from sfv_gym import skeleton  # noqa: E402
from sfv_gym.errors import MotionError, PoseError  # noqa: E402
from sfv_gym.fitting.balance import out_of_balance  # noqa: E402
from sfv_gym.fitting.ballistics import parabola  # noqa: E402
from sfv_gym.fitting.canonical_body import DOFS, Body  # noqa: E402
from sfv_gym.fitting.solver import smooth_coordinates, solve  # noqa: E402
from sfv_gym.motion import ReferenceMotion  # noqa: E402
from sfv_gym.pose.legs import leg_jumps  # noqa: E402
from sfv_gym.pose.mediapipe import LANDMARKS  # noqa: E402
from sfv_gym.pose.sequence import PoseSequence  # noqa: E402
from sfv_gym.reconstruction import pipeline, reconstruct, reprojected  # noqa: E402
from sfv_gym.reconstruction.camera import Camera, view_rotation  # noqa: E402
from sfv_gym.reconstruction.contacts import (  # noqa: E402
    RUNNING_FLIGHT,
    _while_falling,
    find_contacts,
    find_flights,
)
from sfv_gym.reconstruction.evidence import gather_evidence  # noqa: E402
from sfv_gym.reconstruction.initial import _rotvec, believable  # noqa: E402
from sfv_gym.reconstruction.loops import find_cycle  # noqa: E402
from sfv_gym.reconstruction.markers import markers  # noqa: E402
from sfv_gym.reconstruction.person import PersonProblem  # noqa: E402
from sfv_gym.reconstruction.prior import (  # noqa: E402
    ClipMoments,
    learn_prior,
    mirrored_angles,
    shipped_prior,
)
from sfv_gym.reconstruction.weights import Weights  # noqa: E402
from sfv_gym.registry import find_motion  # noqa: E402
from sfv_gym.rotations import quat_to_rotvec  # noqa: E402

FPS = 30.0
SIZE = 1.08
MARKED = LANDMARKS.marked
EXACT = dataclasses.replace(LANDMARKS, name="exact")
"""MediaPipe's landmarks, without the errors that its joint networks expect."""
FAST = {"progress": False, "iterations": 60}


@dataclasses.dataclass
class Scene:
    """A known person (angles in canonical_body.DOFS, metres) and what a camera sees of them."""

    root_pos: np.ndarray
    angles: np.ndarray
    joints: np.ndarray
    poses: PoseSequence


def _angle(link: str, axis: int = 1) -> int:
    return DOFS.index((skeleton.link_index(link), axis))


def _pose(root_pos: np.ndarray, angles: np.ndarray, root_rot: np.ndarray | None = None):
    body = Body(torch.full((9,), SIZE, dtype=torch.float64))
    rot = np.tile(np.eye(3), (len(angles), 1, 1)) if root_rot is None else root_rot
    return body, body.pose(*(torch.as_tensor(x) for x in (root_pos, rot, angles)))


def observe(
    root_pos: np.ndarray,
    angles: np.ndarray,
    yaw: float,
    noise: float = 1.0,
    roll: float = 0.0,
    pitch: float = 4.0,
    height: float = 1.3,
) -> Scene:
    """Put the person 4.5 m before a camera and detect landmarks.

    Noise is 2 px and 15 mm standard deviation, times ``noise``. The camera is held aslant by
    ``roll`` degrees and looks ``pitch`` degrees down from ``height`` metres.
    """
    rng = np.random.default_rng(3)
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    middle = root_pos[:, :2].mean(0)
    root = (root_pos - [*middle, 0.0]) @ turn.T + [4.5, 0.0, 0.0]
    body, pose = _pose(root, angles, np.tile(turn, (len(root), 1, 1)))
    focal, centre = 790.0, np.array([360.0, 270.0])
    camera = Camera(
        torch.tensor(focal, dtype=torch.float64),
        torch.as_tensor(centre),
        torch.tensor(np.radians([roll, pitch]), dtype=torch.float64),
        torch.tensor(height, dtype=torch.float64),
    )
    points = markers(body, pose, LANDMARKS)
    flat = camera.project(points).numpy()
    solid = (points @ camera.rotation().T).numpy()
    left, right = LANDMARKS.marker("left_hip"), LANDMARKS.marker("right_hip")
    solid -= 0.5 * (solid[:, [left]] + solid[:, [right]])
    rays = (flat[:, LANDMARKS.links != skeleton.link_index("neck")].mean(1) - centre) / focal
    solid = np.einsum("tji,tmj->tmi", view_rotation(rays), solid)
    frames = len(root)
    marks = len(LANDMARKS)
    landmarks_2d, landmarks_3d = np.zeros((frames, marks, 2)), np.zeros((frames, marks, 3))
    landmarks_2d[:, MARKED] = flat + noise * rng.normal(0, 2.0, flat.shape)
    landmarks_3d[:, MARKED] = solid + noise * rng.normal(0, 0.015, solid.shape)
    poses = PoseSequence(
        landmarks=EXACT,
        landmarks_2d=landmarks_2d,
        visibility=np.ones((frames, marks)),
        landmarks_3d=landmarks_3d,
        detected=np.ones(frames, bool),
        fps=FPS,
        width=720,
        height=540,
    )
    return Scene(root, angles, pose.pos.numpy(), poses)


SIDES = (("right", 0.0), ("left", np.pi))
"""A left step is half a turn of the phase after a right one."""


def _striding(phase: np.ndarray, hip: tuple[float, float], knee: tuple[float, float]) -> np.ndarray:
    """Angles (T, 28) of legs that swing about the hips' first number by the second, and bend the
    knees by the first and in swing by the second more; the soles stay level."""
    angles = np.zeros((len(phase), len(DOFS)))
    for side, shift in SIDES:
        p = phase + shift
        hips = hip[0] - hip[1] * np.cos(p)
        knees = knee[0] + knee[1] * np.clip(np.sin(p + 3.6), 0, 1) ** 2
        angles[:, _angle(f"{side}_hip")], angles[:, _angle(f"{side}_knee")] = hips, knees
        angles[:, _angle(f"{side}_ankle")] = -(hips + knees)
    return angles


def walking(frames: int = 56, period: int = 32) -> Scene:
    """Walks past the camera; the lower foot stays where it is, which makes the path."""
    phase = 2 * np.pi * np.arange(frames) / period
    angles = _striding(phase, hip=(-0.05, 0.38), knee=(0.12, 0.5))
    for side, shift in SIDES:
        angles[:, _angle(f"{side}_shoulder")] = 0.35 * np.cos(phase + shift)
        angles[:, _angle(f"{side}_elbow")] = -0.4
    body, pose = _pose(np.zeros((frames, 3)), angles)
    soles = body.soles(pose).numpy().mean(2)  # (T, 2, 3)
    root = np.zeros((frames, 3))
    root[:, 2] = -body.soles(pose).numpy()[..., 2].min((1, 2))
    for t in range(1, frames):
        stance = int(np.argmin(soles[t, :, 2]))
        root[t, 0] = root[t - 1, 0] - (soles[t, stance, 0] - soles[t - 1, stance, 0])
    return observe(root, angles, np.radians(80))


AIR = (14, 26)
"""First and last frame off the ground of ``jumping``."""


def jumping(noise: float = 1.0) -> Scene:
    """Crouches, jumps forward for 14/30 s, lands in a crouch; arms swing."""
    frames = 40
    keys = np.array([0, 4, 9, 13, 20, 27, 31, 39])
    bend = PchipInterpolator(keys, [0.1, 0.3, 0.9, 0.15, 0.5, 0.3, 0.85, 0.2])(np.arange(frames))
    arms = PchipInterpolator(keys, [0.1, 0.4, 0.7, -1.2, -1.6, -0.8, 0.0, 0.0])(np.arange(frames))
    angles = np.zeros((frames, len(DOFS)))
    for side in ("right", "left"):
        angles[:, _angle(f"{side}_hip")] = -bend
        angles[:, _angle(f"{side}_knee")] = 1.9 * bend
        angles[:, _angle(f"{side}_ankle")] = -0.9 * bend
        angles[:, _angle(f"{side}_shoulder")] = arms
        angles[:, _angle(f"{side}_elbow")] = -0.5
    angles[:, _angle("right_shoulder", 0)] = -0.5  # one arm aside: left is not right
    body, pose = _pose(np.zeros((frames, 3)), angles)
    soles = body.soles(pose).numpy()
    root = np.zeros((frames, 3))
    root[:, 2] = -soles[..., 2].min((1, 2))
    root[:, 0] = -soles[..., 0].mean((1, 2))
    first, last = AIR
    root[last + 1 :, 0] += 0.5
    com = body.centre_of_mass(pose).numpy()
    ends = com[[first - 1, last + 1]] + root[[first - 1, last + 1]]
    t = np.arange(1, last - first + 2)[:, None] / FPS
    span = (last - first + 2) / FPS
    speed = (ends[1] - ends[0]) / span + [0, 0, 0.5 * 9.81 * span]
    path = ends[0] + speed * t + [0, 0, -0.5 * 9.81] * t**2
    root[first : last + 1] = path - com[first : last + 1]
    return observe(root, angles, np.radians(65), noise)


def mirrored(poses: PoseSequence) -> PoseSequence:
    """What a mirror would show: left and right change places, x turns round."""
    order = LANDMARKS.mirror
    flat, solid = poses.landmarks_2d[:, order].copy(), poses.landmarks_3d[:, order].copy()
    flat[..., 0] = poses.width - flat[..., 0]
    solid[..., 0] *= -1
    return dataclasses.replace(
        poses, landmarks_2d=flat, landmarks_3d=solid, visibility=poses.visibility[:, order]
    )


@pytest.fixture(scope="module")
def jump() -> tuple[Scene, ReferenceMotion]:
    scene = jumping()
    # four frames lost in mid-air, as detectors do
    for name in ("landmarks_2d", "landmarks_3d"):
        getattr(scene.poses, name)[18:21] = np.nan
    scene.poses.visibility[18:21] = 0
    scene.poses.detected[18:21] = False
    return scene, reconstruct(scene.poses, skill="jump", **FAST)


@pytest.fixture(scope="module")
def walk() -> tuple[Scene, ReferenceMotion]:
    scene = walking()
    return scene, reconstruct(scene.poses, skill="walk", **FAST)


def _root_relative(joints: np.ndarray, truth: np.ndarray) -> float:
    """Mean joint distance in mm, root-centred, one rotation and scale for the clip."""
    a, b = (x - x[:, :1] for x in (joints, truth))
    u, s, vt = np.linalg.svd(a.reshape(-1, 3).T @ b.reshape(-1, 3))
    flip = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    a = a @ ((s * flip).sum() / (a**2).sum() * (u * flip) @ vt)
    return 1e3 * float(np.linalg.norm(a - b, axis=-1).mean())


def _kinematics(motion: ReferenceMotion):
    pos, quat = skeleton.forward_kinematics(motion.root_pos, motion.root_quat, motion.joint_quat)
    return skeleton.sole_corners(pos, quat), skeleton.centre_of_mass(pos, quat)


def test_a_moving_camera_sees_the_person_where_they_were_seen(jump):
    """The fit is of a camera at rest; the overlay is drawn into frames of one that turned."""
    scene, motion = jump
    turns = Rotation.from_rotvec(np.linspace([0, -0.2, 0], [0.05, 0.3, 0.02], len(scene.root_pos)))
    camera = motion.camera
    panned = dataclasses.replace(
        motion, camera=dataclasses.replace(camera, turns=turns.as_rotvec())
    )
    at_rest, seen = (reprojected(m, scene.poses).landmarks_2d for m in (motion, panned))
    rays = np.concatenate(
        ((at_rest - camera.centre_px) / camera.focal_px, np.ones((*at_rest.shape[:2], 1))), 2
    )
    rays = np.einsum("tji,tmj->tmi", turns.as_matrix(), rays)
    expected = camera.centre_px + camera.focal_px * rays[..., :2] / rays[..., 2:]
    np.testing.assert_allclose(seen[:, MARKED], expected[:, MARKED], atol=1e-6)
    assert np.abs(seen - at_rest).max() > 50


def test_slow_motion_is_noticed_and_its_speed_named(caplog):
    """A jump played at 0.4 of its speed hangs in the air for more than a second."""
    slow = dataclasses.replace(jumping().poses, fps=0.4 * FPS)
    with caplog.at_level(logging.WARNING):
        reconstruct(slow, skill="x", **FAST)
    (message,) = [r.getMessage() for r in caplog.records if "--speed" in r.getMessage()]
    assert float(re.search(r"--speed ([\d.]+)", message)[1]) == pytest.approx(0.4, abs=0.08)


def test_jump_is_found_and_falls_with_g(jump):
    scene, motion = jump
    assert motion.num_frames == scene.poses.num_frames
    assert motion.loop == "none"
    [(first, last)] = motion.flights
    assert abs(first - AIR[0]) <= 1 and abs(last - AIR[1]) <= 1
    _, com = _kinematics(motion)
    pull = np.diff(com[first : last + 1], n=2, axis=0) * FPS**2
    assert np.allclose(pull, [0, 0, -9.81], atol=0.02)
    # no blow where the flight meets the ground
    assert np.linalg.norm(np.diff(com, n=2, axis=0) * FPS, axis=1).max() < 2.0


def test_jump_is_close_to_the_truth_and_lost_frames_are_bridged(jump):
    scene, motion = jump
    person = motion.joint_positions(person=True)
    assert _root_relative(person, scene.joints) < 45
    assert _root_relative(person[18:21], scene.joints[18:21]) < 80
    assert (motion.confidence[18:21] == 0).all() and motion.confidence[:18].min() > 0.9
    # gravity and the flight's duration give the size away
    assert motion.person_offsets[4, 2] / skeleton.OFFSETS[4, 2] == pytest.approx(SIZE, rel=0.1)


@pytest.mark.parametrize("name", ["jump", "walk"])
def test_feet_neither_sink_nor_skate(name, request):
    _, motion = request.getfixturevalue(name)
    soles, _ = _kinematics(motion)
    assert soles[..., 2].min() > -0.005
    planted = motion.contacts[:, 2:] > 0.5
    assert planted.any(1).mean() > 0.5
    assert abs(soles[..., 2].min(-1)[planted]).max() < 0.015
    both = planted[1:] & planted[:-1]
    slide = np.linalg.norm(np.diff(soles[..., :2], axis=0), axis=-1).min(-1)
    assert slide[both].mean() < 0.002 and slide[both].max() < 0.01


def test_walk_wraps_over_a_whole_stride_and_goes_straight(walk):
    scene, motion = walk
    assert motion.loop == "wrap"
    first, last = motion.loop_range
    assert abs((last - first) - 32) <= 1
    assert abs(motion.loop_offset[1]) < 0.02 and motion.loop_offset[3] == 0
    travelled = (scene.joints[last, 0] - scene.joints[first, 0]) @ [
        np.cos(np.radians(80)), np.sin(np.radians(80)), 0,
    ]  # fmt: skip
    assert motion.loop_offset[0] == pytest.approx(travelled / SIZE, rel=0.15)
    assert _root_relative(motion.joint_positions(person=True), scene.joints) < 40
    # seamless: a frame on from the cycle's end is a frame on from its start
    before, after = (
        motion.pose(np.array([motion.cycle_start + motion.period + s for s in (-1e-6, 1e-6)])),
        None,
    )
    after = [x[1] for x in before]
    assert np.linalg.norm(before[0][0] - after[0]) < 1e-3


def test_motion_fields_are_in_their_ranges(walk):
    _, motion = walk
    motion.validate()
    assert abs(motion.root_pos[0, :2]).max() < 1e-9
    quality = motion.provenance["quality"]
    assert quality["limit_violation_rad"] == 0
    assert quality["detected_fraction"] == 1
    assert motion.skill == "walk" and motion.person_scale.shape == (9,)
    right, left = motion.person_offsets[3:9], motion.person_offsets[9:15]
    assert np.allclose(right * [1, -1, 1], left)


def test_a_mirrored_video_gives_the_mirrored_motion():
    scene = jumping()
    one, two = (
        reconstruct(p, skill="jump", progress=False, iterations=30)
        for p in (scene.poses, mirrored(scene.poses))
    )
    swap = [0, 1, 2, *range(9, 15), *range(3, 9)]
    a, b = one.joint_positions(), two.joint_positions()[:, swap] * [1, -1, 1]
    assert np.linalg.norm(a - b, axis=-1).mean() < 0.02
    assert np.array_equal(one.contacts, two.contacts[:, [1, 0, 3, 2]])


def test_the_same_landmarks_give_the_same_motion_on_any_number_of_threads():
    poses, before = jumping().poses, torch.get_num_threads()
    motions = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        motions.append(reconstruct(poses, skill="x", progress=False, iterations=5))
    torch.set_num_threads(before)
    assert np.array_equal(motions[0].joint_quat, motions[1].joint_quat)


def test_smooth_coordinates_favour_the_slow_and_reach_everything():
    shape = smooth_coordinates(40).numpy()
    assert np.allclose(shape, shape.T) and np.linalg.cond(shape) < 10
    slow, fast = np.ones(40), np.resize([1.0, -1.0], 40)
    assert np.allclose(shape @ slow, slow)  # a constant has no acceleration
    assert np.linalg.norm(shape @ fast) < 0.2 * np.linalg.norm(fast)
    assert np.linalg.matrix_rank(smooth_coordinates(40, 6).numpy()) == 6


def test_solver_stays_within_bounds():
    goal = torch.linspace(-1, 1, 21, dtype=torch.float64)
    found, value = solve(
        lambda v: (v["x"] - goal).square().sum(),
        {"x": torch.zeros(21, dtype=torch.float64)},
        bounds={"x": (np.array(-0.5), np.array(0.5))},
        scales={"x": 0.1},
        over_time=("x",),
        iterations=200,
    )
    assert torch.allclose(found["x"], goal.clamp(-0.5, 0.5), atol=1e-2)
    assert value == pytest.approx(float((goal - goal.clamp(-0.5, 0.5)).square().sum()), rel=0.05)


def test_the_objective_changes_as_its_gradient_says():
    problem = PersonProblem(gather_evidence(walking(20).poses))
    rng = np.random.default_rng(5)
    at = {
        name: x + torch.as_tensor(0.01 * rng.normal(size=x.shape))
        for name, x in problem.start.items()
    }
    with torch.no_grad():
        body, _, root, rot, angles = problem.assemble(at)
        contacts = find_contacts(body, body.pose(root, rot, angles), FPS)
    contacts = dataclasses.replace(contacts, flights=((5, 9),))
    leaves = {name: x.requires_grad_() for name, x in at.items()}
    problem.objective(leaves, contacts).backward()
    for name, leaf in leaves.items():
        step = torch.as_tensor(rng.normal(size=leaf.shape))
        ahead, behind = (
            float(problem.objective({**at, name: leaf.detach() + h * step}, contacts).detach())
            for h in (1e-6, -1e-6)
        )
        assert leaf.grad is not None
        slope = float((leaf.grad * step).sum())
        assert (ahead - behind) / 2e-6 == pytest.approx(slope, rel=1e-4, abs=1e-2), name


def test_a_body_that_turns_about_for_some_frames_is_not_believed():
    yaw = np.radians(12.0) * np.arange(40)  # a fast spin
    turned, seen = np.isin(np.arange(40), [12, 13, 14, 30]), np.ones(40, bool)
    assert np.array_equal(believable(_about_z(yaw + np.pi * turned), seen, FPS), ~turned)
    assert believable(_about_z(yaw), seen, FPS).all()
    # what was filled in between two frames is no bridge between them
    seen[35], yaw[35:] = False, yaw[35:] + np.pi
    yaw[35] -= 0.5 * np.pi
    assert np.array_equal(believable(_about_z(yaw[:38]), seen[:38], FPS), np.arange(38) < 35)


def test_after_a_long_hole_a_body_is_believed_as_before():
    seen = np.ones(60, bool)
    seen[20:50] = False
    yaw = np.where(np.arange(60) < 35, 0.0, np.pi)  # who knows what happened meanwhile
    assert np.array_equal(believable(_about_z(yaw), seen, FPS), seen)


def test_a_leg_that_jumps_away_for_one_frame_is_not_believed():
    poses = walking(40).poses

    def jumps(flat: np.ndarray, fps: float = FPS) -> list[int]:
        moved = dataclasses.replace(poses, landmarks_2d=flat, fps=fps)
        return np.flatnonzero(leg_jumps(moved)).tolist()

    flat, away = poses.landmarks_2d.copy(), 0.5 * poses.standing_height
    assert jumps(flat) == []
    assert jumps(flat, fps=1000.0) == []  # small steps of a fast camera
    left_leg = LANDMARKS.legs[0]
    flat[20, left_leg] += [away, 0.0]
    assert jumps(flat) == [20]
    flat[21:, left_leg] += [away, 0.0]  # what stays there has moved, fast or not
    assert jumps(flat) == []


def test_joints_come_to_rest_at_an_end_whose_detections_are_not_believed():
    poses = walking(40).poses
    last = 34
    flat, solid = poses.landmarks_2d.copy(), poses.landmarks_3d.copy()
    hip = flat[:, LANDMARKS.indices("left_hip", "right_hip")].mean(1, keepdims=True)
    flat[last:] = (2 * hip - flat)[last:]  # on the head, and seen from the other side
    solid[last:] *= [-1.0, -1.0, 1.0]
    evidence = gather_evidence(dataclasses.replace(poses, landmarks_2d=flat, landmarks_3d=solid))
    moved = {}
    for spread in (2.0, 1e6):
        problem = PersonProblem(evidence, Weights(end_velocity=spread))
        angles = problem.fit(problem.start, iterations=60).angles.numpy()
        moved[spread] = np.abs(angles[-1] - angles[last - 1]).max()
    assert moved[2.0] < 0.5 * moved[1e6], moved


def _about_z(yaw: np.ndarray) -> Rotation:
    return Rotation.from_rotvec(yaw[:, None] * [0.0, 0.0, 1.0])


def test_a_runner_whose_path_is_off_still_has_planted_feet():
    scene = walking()
    c, s = np.cos(np.radians(80)), np.sin(np.radians(80))
    turn = np.tile(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), (len(scene.angles), 1, 1))
    faster = scene.root_pos.copy()
    speed = np.linalg.norm(np.diff(faster[:, :2], axis=0), axis=1).mean()
    # planted feet slip along at a third of the root's speed
    faster[:, :2] += np.arange(len(faster))[:, None] * 0.5 * speed * np.array([c, s])
    body, pose = _pose(faster, scene.angles, turn)
    assert find_contacts(body, pose, FPS).effectors()[:, 2:].max(1).mean() > 0.75


STRIDE, HALF_FLIGHT = 20, 2


def running(strides: int = 3) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Root path (T, 3), angles (T, 28) of somebody who runs along x, and the middle frames of the
    flights, two a stride: five frames in which the centre of mass falls freely."""
    frames = strides * STRIDE + 8
    phase = 2 * np.pi * np.arange(frames) / STRIDE
    angles = _striding(phase, hip=(-0.2, 0.6), knee=(0.25, 1.2))
    body, pose = _pose(np.zeros((frames, 3)), angles)
    soles = body.soles(pose).numpy()
    stance = np.argmin(soles[..., 2].min(-1), axis=1)
    root = np.zeros((frames, 3))
    root[:, 2] = -soles[..., 2].min((1, 2))
    middle = soles.mean(2)
    for t in range(1, frames):
        foot = stance[t]
        root[t, 0] = root[t - 1, 0] - (middle[t, foot, 0] - middle[t - 1, foot, 0])
    com = body.centre_of_mass(pose).numpy()[:, 2]
    changes = [int(t) for t in np.flatnonzero(np.diff(stance)) if 3 < t < frames - 5]
    for t in changes:
        air = np.arange(t - HALF_FLIGHT, t + HALF_FLIGHT + 1)
        span = (np.arange(len(air)) + 1) / FPS
        total = (len(air) + 1) / FPS
        before, after = ((com + root[:, 2])[k] for k in (air[0] - 1, air[-1] + 1))
        path = before + (after - before) * span / total + 0.5 * 9.81 * span * (total - span)
        root[air, 2] = path - com[air]
    return root, angles, changes


def test_a_runs_flights_and_contacts_are_those_of_most_of_its_strides():
    root, angles, flights = running()
    along = np.diff(root[:, 0]) * FPS
    assert np.median(along) > 2.0
    # in the second stride the left foot seems to slip along: the path is off there
    spoiled = root.copy()
    body, pose = _pose(root, angles)
    left = np.flatnonzero(find_contacts(body, pose, FPS, period=STRIDE).effectors()[:, 3])
    slipping = left[(left >= STRIDE) & (left < 2 * STRIDE)]
    slip = np.zeros(len(root))
    slip[slipping] = 2.0 * np.median(along) / FPS
    spoiled[:, 0] += np.cumsum(slip)
    alone = find_contacts(*_pose(spoiled, angles), FPS)
    together = find_contacts(*_pose(spoiled, angles), FPS, period=STRIDE)
    assert not alone.effectors()[slipping, 3].any()
    assert together.effectors()[slipping[:-1], 3].all()  # the last is smoothed into the flight
    whole = [t for t in flights if t < 3 * STRIDE]
    assert len(whole) >= 5
    for t in whole:
        assert any(first <= t <= last for first, last in together.flights), (t, together.flights)
    assert not together.effectors()[np.asarray(together.in_air) > 0].any()


def balancing(**camera: float) -> Scene:
    """Stands on the left foot and swings the other leg and the arms."""
    frames = 30
    swing = np.sin(2 * np.pi * np.arange(frames) / frames)
    angles = np.zeros((frames, len(DOFS)))
    angles[:, _angle("right_hip")] = -0.5 + 0.15 * swing
    angles[:, _angle("right_knee")] = 0.9
    for side, up in (("right", -1.0), ("left", 1.0)):
        angles[:, _angle(f"{side}_shoulder", 0)] = up * (0.5 + 0.3 * swing)
    body, pose = _pose(np.zeros((frames, 3)), angles)
    return observe(-body.soles(pose).numpy()[:, 1].mean(1), angles, yaw=2.6, noise=0.3, **camera)


@pytest.mark.parametrize(("pitch", "height"), [(19.0, 2.3), (-8.0, 0.4)])
def test_a_camera_that_is_not_level_is_found(pitch, height):
    scene = balancing(pitch=pitch, height=height)
    problem = PersonProblem(gather_evidence(scene.poses))
    start = problem.gravity_aligned(problem.start)
    assert np.degrees(float(start["tilt"][1])) == pytest.approx(pitch, abs=8.0)
    assert start["tilt"] is not problem.start["tilt"], "the first guess stays as it was"
    fit, _ = pipeline.fit_person(problem, 60)
    roll, found = np.degrees(fit.variables["tilt"].numpy())
    # who stands on one leg may as well lean to the side
    assert found == pytest.approx(pitch, abs=5.0) and abs(roll) < 8.0
    assert float(fit.camera.height) == pytest.approx(height, abs=0.5)


def test_the_progress_bar_counts_every_step(monkeypatch):
    bars = []

    class Spy(pipeline.IterationBar):
        def __init__(self, show):
            super().__init__(show)
            self.steps = 0
            bars.append(self)

        def advance(self):
            self.steps += 1

    monkeypatch.setattr(pipeline, "IterationBar", Spy)
    reconstruct(balancing().poses, skill="balance", loop="none", progress=False, iterations=3)
    assert bars[0].steps == bars[0]._expected


def test_a_person_of_another_size_is_seen_from_the_same_camera():
    evidence = gather_evidence(jumping().poses)
    heights = {
        scale: scale * float(PersonProblem(evidence, Weights(mean_scale=scale)).start["height"])
        for scale in (1.06, 0.7)
    }
    assert heights[0.7] == pytest.approx(heights[1.06])


def test_who_leans_beyond_the_feet_is_out_of_balance():
    frames, sole = 12, _pose(np.zeros((1, 3)), np.zeros((1, len(DOFS))))
    down = sole[0].soles(sole[1]).numpy()[..., 2].min()
    for lean, beyond in ((0.0, 0.0), (0.35, 0.2)):
        # bent at the ankles: the feet stay flat, and everything above them leans forward
        turn = Rotation.from_euler("y", lean).as_matrix()
        angles = np.zeros((frames, len(DOFS)))
        angles[:, [_angle("right_ankle"), _angle("left_ankle")]] = -lean
        root = np.tile(turn @ [0.0, 0.0, -down - 0.06] + [0.0, 0.0, 0.06], (frames, 1))
        body, pose = _pose(root, angles, np.tile(turn, (frames, 1, 1)))
        contacts = find_contacts(body, pose, FPS)
        found = out_of_balance(body, pose, contacts, FPS)
        assert len(found) == frames - 2
        np.testing.assert_allclose(found, beyond, atol=0.08)


def test_who_lies_on_the_back_rests_on_the_trunk():
    frames = 30
    angles = np.zeros((frames, len(DOFS)))
    for side in ("right", "left"):  # legs up: no foot is anywhere near the ground
        angles[:, _angle(f"{side}_hip")] = -1.4
    supine = np.tile(Rotation.from_euler("y", -90, degrees=True).as_matrix(), (frames, 1, 1))
    root = np.zeros((frames, 3))
    body, pose = _pose(root, angles, supine)
    root[:, 2] = -body.round_bottoms(pose).numpy().min()
    contacts = find_contacts(*_pose(root, angles, supine), FPS)
    assert contacts.rounds.amax(1).min() == 1 and contacts.flights == ()
    assert contacts.soles.sum() == 0


def test_an_arm_that_passes_overhead_stays_within_its_joint():
    """Half a turn has two rotation vectors; beyond it the shorter one is not the arm's."""
    limits = np.array(skeleton.ROTATION_LIMITS["right_shoulder"])
    lift = -np.concatenate((np.linspace(2.6, 3.4, 20), np.linspace(3.4, 2.6, 20)))
    true = np.stack((lift, np.full(40, -0.3), np.zeros(40)), axis=1)
    true[20:24] *= 0.3  # a few frames of nonsense must not leave it on the other side
    found = _rotvec(Rotation.from_rotvec(true).as_matrix(), limits)
    np.testing.assert_allclose(found, true, atol=1e-9)
    started = _rotvec(Rotation.from_rotvec(true[12:30]).as_matrix(), limits)
    np.testing.assert_allclose(started, true[12:30], atol=1e-9)  # without a past to go by


def _person_angles(motion: ReferenceMotion) -> torch.Tensor:
    vectors = quat_to_rotvec(motion.person_joint_quat)
    return torch.as_tensor(np.stack([vectors[:, link, axis] for link, axis in DOFS], axis=1))


def test_pose_prior_knows_its_motions_and_their_mirror_images(walk):
    _, motion = walk
    prior = learn_prior([ClipMoments.of(motion)], latent=4)
    angles = _person_angles(motion)
    strange = angles.clone()
    strange[:, _angle("right_knee")] += 1.5  # bent when it should carry
    assert float(prior.deviation(strange)) > 3 * float(prior.deviation(angles))
    twin = torch.as_tensor(mirrored_angles(angles.numpy()))
    assert float(prior.deviation(twin)) == pytest.approx(float(prior.deviation(angles)))
    assert np.allclose(mirrored_angles(mirrored_angles(angles.numpy())), angles)


def test_shipped_prior_can_leave_skills_out():
    seen, unseen = shipped_prior(), shipped_prior(without=("crawl",))
    strangeness = {}
    for skill in ("crawl", "walk"):
        angles = _person_angles(find_motion(skill))
        strangeness[skill] = float(unseen.deviation(angles) / seen.deviation(angles))
    # who has not seen anybody crawl finds it stranger, and a walk no more than before
    assert strangeness["crawl"] > 1.1 > strangeness["walk"]


def test_the_person_projects_onto_the_landmarks(jump):
    scene, motion = jump
    shown = reprojected(motion, scene.poses)
    assert shown.detected.all()
    seen = np.setdiff1d(np.arange(len(scene.joints)), range(18, 21))
    off = (shown.landmarks_2d - scene.poses.landmarks_2d)[seen][:, MARKED]
    assert np.linalg.norm(off, axis=-1).mean() < 6  # of 720 pixels, 2 of them noise
    assert (shown.visibility[:, MARKED] == 1).all() and shown.visibility.min() == 0


def test_the_file_keeps_the_person_and_the_character(jump, tmp_path):
    _, motion = jump
    motion.save(tmp_path / "jump.npz")
    again = ReferenceMotion.load(tmp_path / "jump.npz")
    for person in (True, False):
        assert np.allclose(again.joint_positions(person), motion.joint_positions(person), atol=1e-4)
    np.testing.assert_array_equal(again.person_scale, motion.person_scale)  # not rounded
    np.testing.assert_array_equal(again.camera.position, motion.camera.position)
    assert again.camera.turns is None and again.skill == "jump"
    # the person is about as large as in the scene, the character is not
    thigh = np.linalg.norm(np.diff(motion.joint_positions(True)[:, [3, 4]], axis=1), axis=-1)
    assert thigh.mean() == pytest.approx(SIZE * 0.4215, rel=0.1)


def test_parabola_recovers_a_noisy_fall():
    t = np.arange(15)[:, None] / FPS
    path = [0, 0, 1] + [0.3, -0.1, 2.0] * t - [0, 0, 4.905] * t**2
    noisy = path + np.random.default_rng(0).normal(0, 0.005, path.shape)
    assert abs(parabola(noisy, 0, 14, FPS) - path).max() < 0.01


def test_flights_need_time_and_height():
    touching = np.ones(40, bool)
    touching[10:20] = touching[25:27] = False
    lowest = np.zeros(40)
    lowest[10:20] = lowest[25:27] = 0.2
    assert find_flights(touching, lowest, FPS) == ((10, 19),)
    assert find_flights(touching, 0.3 * lowest, FPS) == ()
    low = find_flights(touching, 0.2 * lowest, FPS, **RUNNING_FLIGHT)  # 4 cm; two frames are few
    assert low == ((10, 19),)


def test_a_flight_begins_when_the_body_falls_and_not_when_the_last_foot_is_high():
    """Pushes off until frame 9, then falls freely; a foot sweeps over the ground until frame 14."""
    t = np.arange(30) / FPS
    height = np.where(t < 10 / FPS, 0.8 + 3.0 * t**2, 0.0)
    fall = t[10:] - 10 / FPS
    height[10:] = 0.8 + 3.0 / 9.0 + 2.0 * fall - 4.905 * fall**2
    touching = np.zeros(30, bool)
    touching[:8] = touching[24:] = True
    first, last = _while_falling((15, 20), touching, height, FPS, -9.81)
    assert 10 <= first <= 12  # neither where it still pushes nor at the sweeping foot's end
    assert last == 23
    assert _while_falling((15, 20), np.ones(30, bool), height, FPS, -9.81) == (15, 20)


def test_contacts_of_a_known_walk():
    scene = walking()
    c, s = np.cos(np.radians(80)), np.sin(np.radians(80))
    turn = np.tile(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), (len(scene.angles), 1, 1))
    contacts = find_contacts(*_pose(scene.root_pos, scene.angles, turn), FPS)
    feet = contacts.effectors()[:, 2:]
    assert feet.max(1).mean() > 0.8 and contacts.flights == ()
    assert 0.3 < feet[:, 0].mean() < 0.9 and 0.3 < feet[:, 1].mean() < 0.9


def test_a_motion_without_a_cycle_has_none():
    scene = jumping()
    quat = np.tile([1.0, 0, 0, 0], (len(scene.joints), 1))
    assert find_cycle(scene.joints, quat, FPS) is None
    still = np.repeat(scene.joints[:1], 60, axis=0)
    assert find_cycle(still, np.tile([1.0, 0, 0, 0], (60, 1)), FPS) is None


def _broken(**changes: object) -> PoseSequence:
    return dataclasses.replace(jumping().poses, **changes)


def test_bad_poses_are_refused():
    poses = jumping().poses
    nobody = np.zeros(40, bool)
    with pytest.raises(PoseError, match="0 of 40"):
        reconstruct(_broken(detected=nobody), skill="x", progress=False)
    with pytest.raises(PoseError, match="landmarks_2d"):
        reconstruct(_broken(landmarks_2d=poses.landmarks_2d[:, :17]), skill="x", progress=False)
    short = {n: getattr(poses, n)[:4] for n in ("landmarks_2d", "landmarks_3d", "visibility")}
    with pytest.raises(PoseError, match="4 frames"):
        reconstruct(_broken(detected=poses.detected[:4], **short), skill="x", progress=False)
    with pytest.raises(PoseError, match="fps"):
        reconstruct(_broken(fps=float("nan")), skill="x", progress=False)
    with pytest.raises(PoseError, match="focal"):
        reconstruct(poses, skill="x", focal_px=-3.0, progress=False)


def test_bad_loops_are_refused():
    with pytest.raises(MotionError, match="loop"):
        reconstruct(jumping().poses, skill="x", loop="yes", progress=False)
    poses = jumping().poses
    names = ("landmarks_2d", "landmarks_3d", "visibility", "detected")
    short = dataclasses.replace(poses, **{n: getattr(poses, n)[:14] for n in names})
    with pytest.raises(MotionError, match="no cycle"):
        reconstruct(short, skill="x", loop="wrap", progress=False, iterations=5)
