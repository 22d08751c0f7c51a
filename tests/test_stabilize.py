"""A camera that pans or zooms is taken out of the landmarks."""

import cv2
import numpy as np
import pytest

from sfv_gym.errors import MotionError, PoseError
from sfv_gym.extract import extract_motion
from sfv_gym.pose import PoseSequence
from sfv_gym.pose.mediapipe import LANDMARKS
from sfv_gym.pose.stabilize import follow_camera, moves, stabilize

WIDTH, HEIGHT, FRAMES = 320, 240, 16
FOCAL = 352.0
CENTRE = np.array([WIDTH / 2, HEIGHT / 2])


def intrinsics(focal: float) -> np.ndarray:
    return np.array([[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]])


def yaw(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def panned(degrees: float, zoom: float = 1.0) -> tuple[list[np.ndarray], PoseSequence, np.ndarray]:
    """Frames of a far wall, a person before it who stays in the picture, and the person's place
    as a camera with the middle frame's view sees it.

    Args:
        zoom: focal length of the last frame over the first one's.
    """
    rng = np.random.default_rng(0)
    wall = cv2.GaussianBlur(rng.integers(0, 255, (900, 2400), np.uint8), (0, 0), 3)
    wall = cv2.normalize(wall, None, 0, 255, cv2.NORM_MINMAX)
    angles = np.radians(degrees) * np.linspace(-0.5, 0.5, FRAMES)
    angles -= angles[FRAMES // 2]
    focals = FOCAL * zoom ** np.linspace(-0.5, 0.5, FRAMES)
    focals *= FOCAL / focals[FRAMES // 2]
    shape = rng.uniform(-15, 15, (33, 2))
    frames, seen, still = [], [], []
    for angle, focal in zip(angles, focals, strict=True):
        camera = yaw(-angle)  # world to camera
        plane = np.array([[1, 0, -1200], [0, 1, -450], [0, 0, FOCAL]], float)  # wall at FOCAL
        view = cv2.warpPerspective(wall, intrinsics(focal) @ camera @ plane, (WIDTH, HEIGHT))
        frames.append(np.repeat(view[..., None], 3, axis=2))
        ahead = yaw(angle) @ [0.02, 0.0, 1.0]  # the person runs, and the camera follows
        still.append(CENTRE + FOCAL * ahead[:2] / ahead[2] + shape)
        rays = np.concatenate(((still[-1] - CENTRE) / FOCAL, np.ones((33, 1))), 1) @ camera.T
        seen.append(CENTRE + focal * rays[:, :2] / rays[:, 2:])
    poses = PoseSequence(
        landmarks=LANDMARKS,
        landmarks_2d=np.array(seen),
        visibility=np.ones((FRAMES, 33)),
        landmarks_3d=np.zeros((FRAMES, 33, 3)),
        detected=np.ones(FRAMES, bool),
        fps=30.0,
        width=WIDTH,
        height=HEIGHT,
    )
    return frames, poses, np.array(still)


@pytest.mark.parametrize(("degrees", "zoom"), [(30.0, 1.0), (0.0, 1.5), (20.0, 1.4)])
def test_landmarks_are_where_a_camera_at_rest_sees_them(degrees, zoom):
    frames, poses, still = panned(degrees, zoom)
    assert abs(poses.landmarks_2d - still).max() > 4.0
    path = follow_camera(poses, frames, FOCAL)
    assert path.lost == 0 and not path.steady
    assert np.degrees(np.ptp(path.turns[:, 1])) == pytest.approx(degrees, abs=1.0)
    assert path.zoomed == pytest.approx(zoom, rel=0.02)
    assert path.zooms[FRAMES // 2] == 1.0 and not path.turns[FRAMES // 2].any()
    out = stabilize(poses, path, FOCAL)
    assert abs(out.landmarks_2d - still).max() < 3.0
    note = f"camera turned by {np.degrees(path.widest):.0f} degrees"
    assert out.source["camera"] == "moving" and note in out.source["notes"][-1]
    assert ("zoomed" in out.source["notes"][-1]) == (zoom > 1.0)


def test_a_camera_at_rest_changes_nothing():
    frames, poses, _ = panned(0.0)
    out = stabilize(poses, follow_camera(poses, frames, FOCAL), FOCAL)
    np.testing.assert_allclose(out.landmarks_2d, poses.landmarks_2d, atol=0.1)


def test_a_camera_that_moves_is_noticed():
    for degrees, zoom in ((12.0, 1.0), (0.0, 1.2)):
        frames, poses, _ = panned(degrees, zoom)
        assert moves(poses, frames, FOCAL)
    # of 16 frames every fourth is looked at
    assert len(follow_camera(poses, frames, FOCAL, quick=True).turns) == FRAMES // 4
    frames, poses, _ = panned(0.0, 1.1)
    assert not moves(poses, frames, FOCAL), "so little zoom is a guess"
    frames, poses, _ = panned(0.0)
    assert not moves(poses, frames, FOCAL)
    blank = [np.full_like(frame, 90) for frame in frames]
    assert not moves(poses, blank, FOCAL), "nothing to tell by"


def test_frames_without_a_person_stay_without():
    frames, poses, still = panned(20.0)
    poses.landmarks_2d[5], poses.detected[5] = np.nan, False
    out = stabilize(poses, follow_camera(poses, frames, FOCAL), FOCAL)
    assert np.isnan(out.landmarks_2d[5]).all()
    assert abs(np.delete(out.landmarks_2d - still, 5, 0)).max() < 3.0


def test_a_camera_that_cannot_be_followed_is_an_error(tmp_path, monkeypatch):
    frames, poses, _ = panned(10.0)
    blank = [np.full_like(frame, 90) for frame in frames]
    with pytest.raises(PoseError, match="could not be followed"):
        stabilize(poses, follow_camera(poses, blank, FOCAL), FOCAL)
    frames, poses, _ = panned(40.0)
    monkeypatch.setitem(stabilize.__globals__, "MAX_PAN", np.radians(10.0))
    with pytest.raises(PoseError, match="choose a shorter range"):
        stabilize(poses, follow_camera(poses, frames, FOCAL), FOCAL)
    with pytest.raises(MotionError, match="camera must be one of"):
        extract_motion("a.mp4", skill="run", out=tmp_path / "run.npz", camera="drone")
