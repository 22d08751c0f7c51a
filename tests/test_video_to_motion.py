"""From a user's video to the poses that reconstruction gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("av")

import cv2
from clips import counting, write

from sfv_gym import pose, reconstruction
from sfv_gym.errors import MotionError, PoseError, VideoError
from sfv_gym.extract import extract_motion
from sfv_gym.motion import ReferenceMotion
from sfv_gym.pose import jumps
from sfv_gym.pose.mediapipe import LANDMARKS
from sfv_gym.video import VideoReader, open_video, write_video

CLIPS = Path(__file__).parents[1] / "assets" / "clips"
BACKFLIP, WALK = CLIPS / "backflip_a.mp4", CLIPS / "walk.mp4"


def test_the_range_that_shows_the_person(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", counting(30), 30.0)
    video = open_video(tmp_path / "clip.mp4")
    seen = np.zeros(30, bool)
    assert video.range_advice(seen) is None
    seen[:15] = True
    assert str(video.range_advice(seen)).endswith("from 0.00 to 0.50 s only: use --end 0.50")
    seen[:] = True
    seen[5] = False
    assert video.range_advice(seen) is None, "a hole inside is bridged"
    seen[:6] = False
    assert str(video.range_advice(seen)).endswith("use --start 0.20")
    slow = open_video(tmp_path / "clip.mp4", 0.2, 0.8, speed=0.5)
    advised = slow.range_options(3, 10)
    assert advised == "--start 0.30 --end 0.53"
    assert len(open_video(tmp_path / "clip.mp4", 0.30, 0.53, speed=0.5)) == 7


@pytest.mark.network
def test_a_person_who_leaves_the_picture(tmp_path: Path) -> None:
    frames = list(open_video(BACKFLIP, end=12 / 30))
    left = [0, 0, 0, 0, 0, 0, 100, 200, 300, 300, 300, 300]  # the camera turns away
    away = [frame[:, x : x + 420] for frame, x in zip(frames, left, strict=True)]
    write_video(tmp_path / "leaves.mp4", away, 30.0, crf=18)
    video = open_video(tmp_path / "leaves.mp4")
    poses = find(video)
    assert poses.detected[:6].all()
    assert not poses.detected[9:].any()
    assert np.isnan(poses.landmarks_2d[9:]).all()
    assert "only: use --end 0." in str(video.range_advice(poses.detected))
    write_video(tmp_path / "left.mp4", away[4:6] + away[8:], 30.0, crf=18)
    with pytest.raises(PoseError, match="--start and --end"):
        find(open_video(tmp_path / "left.mp4"))


@pytest.mark.network
def test_two_people_side_by_side_give_one(tmp_path: Path) -> None:
    frames = list(open_video(BACKFLIP, end=9 / 30))
    both = [np.hstack([a[:, :420], b[:, :420]]) for a, b in zip(frames, frames[3:], strict=False)]
    write_video(tmp_path / "two.mp4", both, 30.0, crf=18)
    poses = find(open_video(tmp_path / "two.mp4"))
    assert poses.detected.all()
    right = poses.landmarks_2d[:, :, 0].mean(1) > 420
    assert right.all() or not right.any(), "the same person in every frame"
    assert any("2 people" in note for note in poses.source["notes"])


@pytest.mark.network
def test_a_still_grey_portrait_gives_a_standing_pose(tmp_path: Path) -> None:
    frame = next(iter(open_video(BACKFLIP)))[:, 80:400]
    grey = np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    write_video(tmp_path / "still.mp4", [grey] * 5, 30.0, crf=18)
    video = open_video(tmp_path / "still.mp4")
    assert video.height > video.width
    poses = find(video)
    assert poses.detected.all()
    assert np.ptp(poses.landmarks_2d, axis=0).max() < 15.0, "pixels, of a person 380 pixels tall"


def find(video: VideoReader) -> pose.PoseSequence:
    """The plain pose stage: it takes the fewest looks at a frame."""
    return pose.estimate_pose(video, mirror=False, ensemble=False, cache=False, progress=False)


# --- from the video to the motion ------------------------------------------------------------


@pytest.fixture
def reconstructed(monkeypatch: pytest.MonkeyPatch) -> list[pose.PoseSequence]:
    """Poses that reach reconstruction, which is left out; the person is found in every frame."""
    seen: list[pose.PoseSequence] = []

    def estimate(video: VideoReader, **_: object) -> pose.PoseSequence:
        frames = len(video)
        return pose.PoseSequence(
            landmarks=LANDMARKS,
            landmarks_2d=np.ones((frames, 33, 2)),
            visibility=np.ones((frames, 33)),
            landmarks_3d=np.ones((frames, 33, 3)),
            detected=np.ones(frames, bool),
            fps=video.fps,
            width=video.width,
            height=video.height,
            source={"notes": ["found"]},
        )

    def reconstruct(poses: pose.PoseSequence, **settings: object) -> ReferenceMotion:
        seen.append(poses)
        poses.source["focal_px"] = settings["focal_px"]
        raise PoseError("far enough")

    monkeypatch.setattr(pose, "estimate_pose", estimate)
    monkeypatch.setattr(reconstruction, "reconstruct", reconstruct)
    return seen


def test_speed_reaches_reconstruction(
    tmp_path: Path, reconstructed: list[pose.PoseSequence]
) -> None:
    write_video(tmp_path / "slow.mp4", counting(30), 30.0)
    with pytest.raises(PoseError, match="far enough"):
        extract_motion(
            tmp_path / "slow.mp4",
            skill="slow",
            out=tmp_path / "slow.npz",
            speed=0.5,
            focal=0.9,
        )
    (poses,) = reconstructed
    assert poses.fps == 60.0
    assert poses.source["speed"] == 0.5
    assert "0.5 times the real speed" in poses.source["notes"][0]
    assert poses.source["notes"][-1] == "found"
    assert poses.source["focal_px"] == pytest.approx(0.9 * max(poses.width, poses.height))
    with pytest.raises(MotionError, match="focal length"):
        extract_motion(tmp_path / "slow.mp4", skill="a", out=tmp_path / "a.npz", focal=900.0)


def test_frames_that_are_shown_again_become_holes(
    tmp_path: Path, reconstructed: list[pose.PoseSequence]
) -> None:
    chosen = [t for t in range(31) if t < 10 or t % 3 == 0]
    frames = [counting(31)[t] for t in chosen]
    write(tmp_path / "varying.mp4", frames, times=[t / 30.0 for t in chosen])
    with pytest.raises(PoseError, match="far enough"):
        extract_motion(tmp_path / "varying.mp4", skill="a", out=tmp_path / "a.npz")
    (poses,) = reconstructed
    assert poses.detected.sum() == 17, "the frames that the file has"
    assert np.isnan(poses.landmarks_3d[~poses.detected]).all()
    assert (poses.visibility[~poses.detected] == 0).all()
    assert "frame rate varies" in poses.source["notes"][0]


def test_a_jump_of_the_person_is_refused_as_any_cut(
    tmp_path: Path, reconstructed: list[pose.PoseSequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "cut.mp4", counting(30), 30.0)
    monkeypatch.setattr(jumps, "find_jumps", lambda poses, again: [12])
    with pytest.raises(VideoError) as caught:
        extract_motion(tmp_path / "cut.mp4", skill="a", out=tmp_path / "a.npz")
    says = str(caught.value)
    assert "cut at 0.40 s, where the person jumps" in says
    assert says.endswith("the longest one: --start 0.40")
    assert reconstructed == []
