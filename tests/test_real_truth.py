"""The truth of real people: cameras read and sight lines met, on scenes that are known exactly."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sfv_gym.benchmarks.studies.reconstruction.calibration import CalibratedCamera, read_cameras
from sfv_gym.benchmarks.studies.reconstruction.command import reconstruction
from sfv_gym.benchmarks.studies.reconstruction.errors import TRUTH_JOINTS
from sfv_gym.benchmarks.studies.reconstruction.real import (
    Filmed,
    measure_real,
    open_views,
    person_landmarks,
    prior_without,
)
from sfv_gym.benchmarks.studies.reconstruction.triangulation import View, triangulate
from sfv_gym.errors import CalibrationError, PoseError, VideoError
from sfv_gym.library import library_clips
from sfv_gym.pose import PoseSequence, get_estimator
from sfv_gym.pose.landmarks import JOINTS
from sfv_gym.reconstruction import reprojected
from sfv_gym.reconstruction.prior import shipped_prior
from sfv_gym.registry import find_motion
from sfv_gym.video import write_video

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("cam01", "cam02", "cam03", "cam04")
SIZE = (1088, 1920)


@pytest.fixture
def truth() -> np.ndarray:
    """A backflip (T, 12, 3)."""
    with np.load(ROOT / "tests" / "data" / "backflip_a.npz") as data:
        names = [str(n) for n in data["joint_names"]]
        return np.asarray(data["joints_world"][:, [names.index(n) for n in TRUTH_JOINTS]], float)


@pytest.fixture
def cameras(truth) -> list[CalibratedCamera]:
    """Four around the person, each held aslant."""
    middle, found = truth.mean((0, 1)), []
    for i, name in enumerate(NAMES):
        angle = np.pi * (0.2 + i / 2)
        place = middle + np.array([4.0 * np.cos(angle), 4.0 * np.sin(angle), 1.0])
        ahead = (middle - place) / np.linalg.norm(middle - place)
        right = np.cross(ahead, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        axes = np.stack((right, np.cross(ahead, right), ahead))
        slant = Rotation.from_rotvec([0.0, 0.0, 0.1 * i]).as_matrix()
        matrix = np.array([[1680.0, 0, 533.0], [0, 1681.0, 950.0], [0, 0, 1]])
        lens = np.array([-0.05, 0.1, 1e-3, 5e-4])
        found.append(CalibratedCamera(name, *SIZE, matrix, lens, slant @ axes, place))
    return found


def filmed(camera: CalibratedCamera, points: np.ndarray) -> np.ndarray:
    """Pixels (T, J, 2) of points, the middle of the first one being (0.5, 0.5)."""
    turn = Rotation.from_matrix(camera.rotation).as_rotvec()
    shift = -camera.rotation @ camera.position
    seen = points.reshape(-1, 1, 3)
    flat, _ = cv2.projectPoints(seen, turn, shift, camera.matrix, camera.distortion)
    return flat.reshape(*points.shape[:-1], 2) + 0.5


def seen_by(camera: CalibratedCamera, pixels: np.ndarray) -> View:
    return View(camera, camera.rays(pixels, *SIZE), np.ones(pixels.shape[:-1]))


def test_sight_lines_meet_where_the_person_is(cameras, truth):
    views = [seen_by(camera, filmed(camera, truth)) for camera in cameras]
    found = triangulate(views)
    assert np.abs(found.points - truth).max() < 1e-5
    assert found.errors.shape == (4, *truth.shape[:2]) and found.errors.max() < 1e-5
    assert np.degrees(found.turned).max() < 1e-3
    three = triangulate(views[1:]).points
    assert np.abs(three - truth).max() < 1e-5


def test_what_one_view_sees_wrongly_counts_for_little(cameras, truth):
    rng = np.random.default_rng(0)
    views = []
    for i, camera in enumerate(cameras):
        pixels = filmed(camera, truth) + rng.normal(scale=3.0, size=(*truth.shape[:2], 2))
        if i == 2:  # an arm taken for another
            pixels[10:20, 4] += 300.0
        views.append(seen_by(camera, pixels))
    far = np.linalg.norm(triangulate(views).points - truth, axis=-1)
    assert far.mean() < 0.01 and far[10:20, 4].mean() < 0.02
    hidden = [replace(view, weights=view.weights.copy()) for view in views]
    hidden[2].weights[10:20, 4] = 0.0
    assert np.linalg.norm(triangulate(hidden).points - truth, axis=-1)[10:20, 4].mean() < 0.01


def test_a_camera_that_was_touched_is_turned_back(cameras, truth):
    touched = cameras[1].turned(np.radians([0.5, -0.6, 0.2]))
    views = [seen_by(camera, filmed(camera, truth)) for camera in cameras]
    views[1] = replace(views[1], camera=touched)
    found = triangulate(views)
    # the four agree again; that all turn together a little, nothing forbids
    assert np.median(found.errors) < 1e-3
    assert 0.3 < np.degrees(found.turned[1]) < 1.2


def test_noise_faster_than_a_person_is_taken_out(cameras, truth):
    fps = 60.0
    t = np.arange(120)[:, None, None] / fps
    slow = truth[:1] + 0.3 * np.sin(2 * np.pi * t) * [1.0, 0.0, 0.0]
    shaken = slow + 0.01 * np.sin(2 * np.pi * 25 * t) * [0.0, 0.0, 1.0]
    views = [seen_by(camera, filmed(camera, shaken)) for camera in cameras]
    smooth = triangulate(views).smooth(fps)
    assert np.abs(smooth - slow)[15:-15].max() < 1e-3


def test_a_video_between_bars(cameras, truth):
    """As Pose2Sim's first two: 1088 x 1920 scaled into 1080 x 1920."""
    camera, pixels = cameras[0], filmed(cameras[0], truth)
    scale = 1080 / 1088
    boxed = pixels * scale + [0.0, (1920 - 1920 * scale) / 2]
    assert camera.scale(1080, 1920) == scale
    assert np.allclose(camera.rays(boxed, 1080, 1920), camera.rays(pixels, *SIZE), atol=1e-9)


def qualisys(cameras: list[CalibratedCamera]) -> str:
    lines = []
    for camera in cameras:
        k1, k2, p1, p2 = camera.distortion * 64
        axes = np.diag([1.0, -1.0, -1.0]) @ camera.rotation
        turn = " ".join(f'r{i + 1}{j + 1}="{axes[i, j]!r}"' for i in range(3) for j in range(3))
        x, y, z = camera.position * 1000
        (fu, _, cu), (_, fv, cv), _ = camera.matrix * 64
        lines.append(
            f'<camera serial="{camera.name}" model="none"><fov_video left="0" top="0" '
            f'right="{camera.width - 1}" bottom="{camera.height - 1}"/>'
            f'<transform {turn} x="{x}" y="{y}" z="{z}"/>'
            f'<intrinsic focalLengthU="{fu}" focalLengthV="{fv}" centerPointU="{cu}" '
            f'centerPointV="{cv}" radialDistortion1="{k1}" radialDistortion2="{k2}" '
            f'tangentalDistortion1="{p1}" tangentalDistortion2="{p2}"/></camera>'
        )
    text = "".join(lines).replace("np.float64(", "").replace(')"', '"')
    return f"<calibration><cameras>{text}</cameras></calibration>"


def pose2sim(cameras: list[CalibratedCamera]) -> str:
    tables = ["[metadata]\nadjusted = false"]
    for i, camera in enumerate(cameras):
        shift = -camera.rotation @ camera.position
        turn = Rotation.from_matrix(camera.rotation).as_rotvec()
        tables.append(
            f'[cam_{i}]\nname = "{camera.name}"\nsize = [{camera.width}.0, {camera.height}.0]\n'
            f"matrix = {camera.matrix.tolist()}\ndistortions = {camera.distortion.tolist()}\n"
            f"rotation = {turn.tolist()}\ntranslation = {shift.tolist()}\nfisheye = false"
        )
    return "\n".join(tables)


@pytest.mark.parametrize(
    ("file", "written"), [("Calib.qca.txt", qualisys), ("Calib.toml", pose2sim)]
)
def test_calibrations_are_read(file, written, cameras, tmp_path):
    (tmp_path / file).write_text(written(cameras))
    found = read_cameras(tmp_path)
    assert tuple(found) == NAMES
    for camera in cameras:
        other = found[camera.name]
        assert (other.width, other.height) == SIZE
        for name in ("matrix", "distortion", "rotation", "position"):
            assert np.allclose(getattr(other, name), getattr(camera, name), atol=1e-9), name


def test_landmarks_of_the_person_are_those_of_the_overlay():
    motion = find_motion(library_clips()[0].skill)
    landmarks, frames = get_estimator("mediapipe").landmarks, len(motion.root_pos)
    shape = (frames, len(landmarks))
    poses = PoseSequence(
        landmarks, np.zeros((*shape, 2)), np.ones(shape), np.zeros((*shape, 3)),
        np.ones(frames, bool), motion.fps, *SIZE,
    )  # fmt: skip
    camera = motion.camera
    seen = (person_landmarks(motion, landmarks) - camera.position) @ camera.rotation.T
    flat = camera.centre_px + camera.focal_px * seen[..., :2] / seen[..., 2:]
    shown = reprojected(motion, poses).landmarks_2d[:, landmarks.joints]
    assert camera.turns is None and np.allclose(flat, shown, atol=1e-6)


def test_the_prior_does_not_know_the_scene():
    known = find_motion("balance").provenance["source"]["sha256"]
    assert prior_without([known]) is shipped_prior(("balance",))
    assert prior_without(["another"]) is shipped_prior(())


def test_what_a_camera_did_not_see_has_no_weight(cameras):
    landmarks = get_estimator("mediapipe").landmarks
    shape = (5, len(landmarks))
    detected = np.array([True, True, False, True, True])
    flat = np.where(detected[:, None, None], np.full((*shape, 2), 500.0), np.nan)
    poses = PoseSequence(
        landmarks, flat, np.full(shape, 0.7), np.zeros((*shape, 3)), detected, 60.0, 1080, 1920
    )
    one = Filmed(cameras[0], None, poses)
    assert one.view.weights.shape == (5, len(JOINTS))
    assert (one.view.weights[2] == 0).all() and (one.view.weights[[0, 4]] == 0.7).all()
    assert one.focal_px == pytest.approx(1680 * 1080 / 1088)


def test_views_that_do_not_belong_together(cameras, truth):
    views = [seen_by(camera, filmed(camera, truth[::6])) for camera in cameras]
    with pytest.raises(PoseError, match="a truth takes 3"):
        triangulate(views[:2])
    pairs = zip(views, cameras[::-1], strict=True)
    strangers = [replace(view, camera=camera) for view, camera in pairs]
    with pytest.raises(CalibrationError, match="do not agree"):
        triangulate(strangers)
    for view in views[1:]:
        view.weights[3] = 0.0
    with pytest.raises(PoseError, match="frame 3: seen by fewer than two of 4 views"):
        triangulate(views)


def test_bad_input(cameras, tmp_path):
    calibration, videos = tmp_path / "calibration", tmp_path / "videos"
    with pytest.raises(CalibrationError, match="0 files"):
        measure_real(tmp_path)
    calibration.mkdir(), videos.mkdir()
    file = calibration / "Calib.qca.txt"
    for text in ("", "<calibration>", "<a><camera serial='cam01'/></a>", "\x00"):
        file.write_text(text)
        with pytest.raises(CalibrationError, match="not a calibration"):
            read_cameras(calibration)
    file.write_text("<calibration/>")
    with pytest.raises(CalibrationError, match="no cameras"):
        read_cameras(calibration)
    for wrong, said in (
        ({"rotation": np.eye(3) * 2}, "rotation"),
        ({"position": np.array([np.nan, 0, 0])}, "finite"),
        ({"width": 0}, "positive"),
    ):
        with pytest.raises(CalibrationError, match=said):
            replace(cameras[0], **wrong)
    file.write_text(qualisys(cameras).replace('right="1087"', 'right="-1"'))
    with pytest.raises(CalibrationError, match=r"Calib\.qca\.txt: camera cam01"):
        read_cameras(calibration)
    file.write_text(qualisys(cameras))
    with pytest.raises(VideoError, match=r"no <camera>\.mp4"):
        reconstruction(real=tmp_path, docs=tmp_path / "out")
    frames = [np.zeros((64, 64, 3), np.uint8)] * 8
    write_video(videos / "cam01.mp4", frames, 30.0)
    write_video(videos / "cam02.mp4", frames[:6], 30.0)
    with pytest.raises(VideoError, match="not equally long"):
        open_views(tmp_path)
    (videos / "cam02.mp4").rename(videos / "left.mp4")
    with pytest.raises(CalibrationError, match="no camera is called left"):
        open_views(tmp_path)
    (calibration / "Calib.toml").write_text(pose2sim(cameras))
    with pytest.raises(CalibrationError, match="2 files"):
        read_cameras(calibration)
    file.unlink()
    (calibration / "Calib.toml").write_text("[cam_1]\nname = 'cam01'\nsize = [1, 2]")
    with pytest.raises(CalibrationError, match="not a calibration"):
        read_cameras(calibration)
