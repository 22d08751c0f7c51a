"""Users' own clips: what is wrong ends in one clear line, what is only unusual just works."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("imageio_ffmpeg")

import cv2
import imageio_ffmpeg

from sfv_gym import pose, reconstruction
from sfv_gym.cli.motions import _skill_of
from sfv_gym.errors import MotionError, PoseError, VideoError
from sfv_gym.extract import extract_motion
from sfv_gym.motion import ReferenceMotion
from sfv_gym.pose.mediapipe import LANDMARKS
from sfv_gym.registry import is_skill_name
from sfv_gym.video import VideoReader, check_one_shot, open_video, write_video
from sfv_gym.video.cuts import cut_scores, find_cuts, thumbnails
from sfv_gym.video.timing import plan, repaired, resample

CLIPS = Path(__file__).parents[1] / "assets" / "clips"
BACKFLIP, WALK = CLIPS / "backflip_a.mp4", CLIPS / "walk.mp4"
STEP = 6  # grey levels from one frame to the next: more than compression blurs


def ffmpeg(*arguments: str | Path) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def counting(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Frame ``t`` has grey level ``20 + STEP * t``, so that a decoded frame tells its index."""
    return [np.full((height, width, 3), 20 + STEP * t, np.uint8) for t in range(count)]


def indices(frames: Sequence[np.ndarray]) -> list[int]:
    return [round((float(frame.mean()) - 20) / STEP) for frame in frames]


def refusal(path: Path, **options: float) -> str:
    """The one line with which a video is refused, before the pose stage has started."""
    with pytest.raises(VideoError) as caught:
        extract_motion(path, skill="test", out=path.parent / "test.npz", progress=False, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- files that are no video -----------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_a_picture(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"picture{suffix}"
    cv2.imwrite(str(path), counting(1)[0])
    assert "a single picture" in refusal(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["sound.wav", "sound.m4a", "sound.mp4"])
def test_sound_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", path)
    assert "only sound" in refusal(path)


def test_an_empty_file_and_an_address(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "the file is empty" in refusal(tmp_path / "empty.mp4")
    with pytest.raises(VideoError, match="this is an address; download"):
        open_video("https://example.org/jump.mp4")
    with pytest.raises(VideoError, match="not an ordinary file"):
        open_video(os.devnull)


@pytest.mark.parametrize("name", ["x" * 300 + ".mp4", "zero\0byte.mp4"])
def test_impossible_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(VideoError, match=r"cannot be read|no such file"):
        open_video(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.mp4"
    write_video(path, counting(6), 30.0)
    path.chmod(0)
    assert "cannot be read: Permission denied" in refusal(path)


@pytest.mark.parametrize(
    "name", ["my first jump.mp4", "прыжок 跳.mp4", "take:1.mp4", "%03d.mp4", "-i.mp4", "JUMP.MP4"]
)
def test_unusual_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "plain.mp4", counting(6), 30.0)
    (tmp_path / "plain.mp4").rename(tmp_path / name)
    assert indices(list(open_video(name))) == list(range(6))


@pytest.mark.parametrize(
    ("file", "skill"),
    [("My first jump.mp4", "my_first_jump"), ("20260102_101530.mp4", "clip_20260102_101530"),
     ("прыжок 跳.mp4", "clip"), ("_run-2_.MOV", "run_2")],
)  # fmt: skip
def test_any_file_name_gives_a_skill(file: str, skill: str) -> None:
    assert _skill_of(Path("clips") / file) == skill
    assert is_skill_name(skill)


# --- times -----------------------------------------------------------------------------------


def test_steady_times_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    for fps in (1.0, 5.0, 23.976, 30.0, 60.0):
        times = (np.arange(100) + rng.uniform(-0.2, 0.2, 100)) / fps + 7.0
        timing = plan(times, fps)
        assert timing is not None
        assert (timing.rate, timing.varying) == (fps, False)
        np.testing.assert_array_equal(timing.indices, np.arange(100))


def test_a_wrong_claim_is_corrected_by_the_times() -> None:
    timing = plan(np.arange(100) / 25.0, 90000.0)
    assert timing is not None
    assert timing.rate == pytest.approx(25.0)
    assert plan(np.zeros(100), float("nan")) is None, "nothing to go by"
    fallback = plan(np.zeros(100), 24.0)
    assert fallback is not None
    assert fallback.rate == 24.0


def test_a_varying_rate_keeps_the_fast_part() -> None:
    for slow, rate in ((8, 30.0), (40, 61 / (0.4 * (20 / 30 + 40 * 0.2)))):
        times = np.r_[0.0, np.cumsum(np.r_[np.full(20, 1 / 30), np.full(slow, 0.2)])]
        timing = plan(times, 15.0)
        assert timing is not None
        assert timing.rate == pytest.approx(rate)
        assert (~timing.repeated).mean() > 0.3, "holes do not outnumber the frames by far"


def test_single_bad_times_are_repaired() -> None:
    good = np.arange(40) / 30.0
    bad = good.copy()
    bad[[10, 39]] = 0.0
    np.testing.assert_allclose(repaired(bad), good, atol=1e-9)
    assert repaired(np.zeros(40)) is None


def test_resampling_keeps_the_course_of_time() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.02, 0.06, 200))
    times -= times[0]
    chosen, again = resample(times, 30.0)
    error = np.abs(times[chosen] - np.arange(len(chosen)) / 30.0)
    assert error.max() <= 0.03 + 1e-9, "half the longest step"
    assert (np.diff(chosen) >= 0).all()
    assert len(set(chosen[~again].tolist())) == (~again).sum(), "each frame belongs to one time"
    assert (chosen[again] == chosen[np.flatnonzero(again) - 1]).any()


@pytest.mark.parametrize(
    ("fps", "speed", "kept"),
    [(240.0, 1.0, 60.0), (120.0, 1.0, 60.0), (119.88, 1.0, 59.94), (100.0, 1.0, 50.0),
     (60.0, 1.0, 60.0), (59.94, 1.0, 59.94), (30.0, 0.25, 60.0), (30.0, 0.125, 60.0),
     (25.0, 4.0, 6.25)],
)  # fmt: skip
def test_at_most_60_frames_per_second_of_real_time(fps: float, speed: float, kept: float) -> None:
    timing = plan(np.arange(480) / fps, fps, speed)
    assert timing is not None
    assert timing.rate / speed == pytest.approx(kept)
    np.testing.assert_allclose(timing.indices / fps, np.arange(len(timing.indices)) / timing.rate)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_varying_frame_rate(tmp_path: Path, suffix: str) -> None:
    """Every frame of the first third of a second, then every third: the rest is no faster."""
    write_video(tmp_path / "steady.mp4", counting(31), 30.0)
    path = tmp_path / f"varying{suffix}"
    choose = "select='lt(n,10)+not(mod(n,3))'"
    ffmpeg("-i", tmp_path / "steady.mp4", "-vf", choose, "-fps_mode", "vfr", path)
    video = open_video(path)
    assert video.fps == pytest.approx(30.0, rel=0.02)
    assert len(video) == pytest.approx(31, abs=1)
    shown = np.array(indices(list(video)))
    assert np.abs(shown - np.arange(len(shown))).max() <= 1, "what lasted a second lasts a second"
    own = ~np.array(video.repeated)
    np.testing.assert_array_equal(shown[own], np.flatnonzero(own))
    assert "frame rate varies" in video.notes[0]
    part = open_video(path, 0.5, 0.8)
    assert part.start == pytest.approx(0.5, abs=0.02)
    assert abs(indices(list(part))[0] - 15) <= 1


def test_slow_motion(tmp_path: Path) -> None:
    write_video(tmp_path / "slow.mp4", counting(30), 30.0)
    video = open_video(tmp_path / "slow.mp4", 0.2, 0.8, speed=0.25)
    assert video.fps == 60.0
    assert video.file_fps == 15.0
    assert indices(list(video)) == list(range(6, 24, 2)), "the file's own seconds"
    assert (len(video) - 1) / video.fps == pytest.approx(0.25 * 16 / 30.0)
    assert video.seconds(3) == pytest.approx(0.4)
    assert any("0.25 times the real speed" in note for note in video.notes)


@pytest.mark.parametrize("speed", [0.0, -1.0, 0.01, 11.0, float("nan"), float("inf")])
def test_speeds_that_cannot_be(tmp_path: Path, speed: float) -> None:
    write_video(tmp_path / "clip.mp4", counting(6), 30.0)
    assert "--speed must be from 0.02 to 10" in refusal(tmp_path / "clip.mp4", speed=speed)


@pytest.mark.parametrize(("fps", "fine"), [(0.5, False), (1.0, True), (5.0, True), (240.0, True)])
def test_frame_rates(tmp_path: Path, fps: float, fine: bool) -> None:
    write_video(tmp_path / "clip.mp4", counting(32), fps)
    if fine:
        video = open_video(tmp_path / "clip.mp4")
        assert video.fps == pytest.approx(min(fps, 60.0))
        assert any("fast motion is lost" in note for note in video.notes) == (fps < 12)
        assert indices(list(video)) == list(range(0, 32, max(1, round(fps / 60))))
    else:
        assert "no usable frame rate" in refusal(tmp_path / "clip.mp4")


# --- shapes ----------------------------------------------------------------------------------


def marked(height: int, width: int) -> np.ndarray:
    """Red above, blue below, white on the left edge: tells its orientation."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: height // 2, :, 0] = frame[height // 2 :, :, 2] = 220
    frame[:, : width // 8] = 220
    return frame


def assert_upright(frame: np.ndarray) -> None:
    height, width = frame.shape[:2]
    assert frame[:, : width // 10].mean() > 180, "white on the left"
    red, _, blue = frame[: height // 2 - 4, width // 4 :].mean((0, 1))
    assert red > 150 > 100 > blue, "red above"
    red, _, blue = frame[height // 2 + 4 :, width // 4 :].mean((0, 1))
    assert blue > 150 > 100 > red, "blue below"


def turned(path: Path, out: Path, quarters: int) -> None:
    """Write the clip with a display matrix that turns it clockwise by ``quarters``.

    The matrix of the track header is nine numbers, sixteen bits after the point, and thirty in the
    last column.
    """
    data = bytearray(path.read_bytes())
    unit = 1 << 16
    a, b = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters % 4]
    matrix = [a * unit, b * unit, 0, -b * unit, a * unit, 0, 0, 0, 1 << 30]
    at = data.index(b"tkhd") + 4 + 40  # version, flags, times, id, duration, layer, volume
    data[at : at + 36] = b"".join(v.to_bytes(4, "big", signed=True) for v in matrix)
    out.write_bytes(data)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_phones_rotation_is_applied(tmp_path: Path, quarters: int) -> None:
    upright = marked(96, 64)
    stored = np.ascontiguousarray(np.rot90(upright, quarters))  # anticlockwise: the file undoes it
    write_video(tmp_path / "stored.mp4", [stored] * 6, 30.0)
    turned(tmp_path / "stored.mp4", tmp_path / "phone.mp4", quarters)
    video = open_video(tmp_path / "phone.mp4")
    assert (video.width, video.height) == (64, 96), "portrait"
    frame = next(iter(video))
    assert frame.shape == (96, 64, 3)
    assert_upright(frame)


def test_oblong_pixels_become_square(tmp_path: Path) -> None:
    write_video(tmp_path / "plain.mp4", [marked(96, 64)] * 6, 30.0)
    ffmpeg("-i", tmp_path / "plain.mp4", "-vf", "setsar=16/11", tmp_path / "wide.mp4")
    video = open_video(tmp_path / "wide.mp4")
    assert (video.width, video.height) == (93, 96)
    assert_upright(next(iter(video)))


def test_4k_is_scaled_down(tmp_path: Path) -> None:
    write_video(tmp_path / "hd.mp4", [marked(540, 960)] * 5, 30.0)
    options = ["-vf", "scale=3840:2160", "-preset", "ultrafast"]
    ffmpeg("-i", tmp_path / "hd.mp4", *options, tmp_path / "4k.mp4")
    video = open_video(tmp_path / "4k.mp4")
    assert (video.width, video.height) == (1920, 1080)
    assert_upright(next(iter(video)))
    assert open_video(tmp_path / "4k.mp4", max_side=4096).width == 3840


def test_greyscale(tmp_path: Path) -> None:
    write_video(tmp_path / "colour.mp4", counting(6), 30.0)
    ffmpeg("-i", tmp_path / "colour.mp4", "-pix_fmt", "gray", tmp_path / "grey.mp4")
    frames = list(open_video(tmp_path / "grey.mp4"))
    assert frames[0].shape == (48, 64, 3)
    assert indices(frames) == list(range(6))


# --- cuts ------------------------------------------------------------------------------------


def two_shots(first: int, second: int) -> list[np.ndarray]:
    """The end of one shipped clip and the start of another, of one size."""
    size = (320, 240)
    a, b = (list(open_video(clip, 0.3, 1.6)) for clip in (BACKFLIP, WALK))
    return [cv2.resize(frame, size) for frame in [*a[:first], *b[:second]]]


def test_a_cut_is_refused_with_a_range_to_take(tmp_path: Path) -> None:
    write_video(tmp_path / "cut.mp4", two_shots(12, 24), 30.0)
    says = refusal(tmp_path / "cut.mp4")
    assert "cut at 0.40 s, where the scene changes" in says
    assert says.endswith("the longest one: --start 0.40")
    check_one_shot(open_video(tmp_path / "cut.mp4", 0.40))
    check_one_shot(open_video(tmp_path / "cut.mp4", None, 0.40))
    says = refusal(tmp_path / "cut.mp4", start=0.1, end=0.6)
    assert says.endswith("the longest one: --start 0.10 --end 0.40")
    assert "take a video of one shot" in refusal(tmp_path / "cut.mp4", start=0.3, end=0.5)


def test_several_cuts_are_named_by_time(tmp_path: Path) -> None:
    frames = two_shots(24, 24)
    shots = [frames[:10], frames[24:40], frames[10:24]]
    write_video(tmp_path / "cuts.mp4", [f for shot in shots for f in shot], 30.0)
    says = refusal(tmp_path / "cuts.mp4")
    assert "at 0.33, 0.87 s" in says
    assert says.endswith("--start 0.34 --end 0.86")
    check_one_shot(open_video(tmp_path / "cuts.mp4", 0.34, 0.86))


@pytest.mark.parametrize("clip", [BACKFLIP, WALK])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_motion_is_no_cut(clip: Path, stride: int) -> None:
    """Acrobatics, and a light that flickers; at a low frame rate, too."""
    assert cut_scores(thumbnails(open_video(clip))[::stride]).max() < 0.8


def test_what_changes_much_without_a_cut() -> None:
    rng = np.random.default_rng(0)
    wide = cv2.resize(rng.integers(0, 255, (18, 60, 3), np.uint8), (400, 18))
    pan = np.stack([wide[:, 12 * t : 12 * t + 32] for t in range(30)])
    assert find_cuts(pan) == [], "a fast pan"
    assert find_cuts(np.repeat(pan, 2, axis=0)) == [], "with every frame twice"
    still = np.repeat(pan[:1], 30, axis=0)
    flash = still.copy()
    flash[15] = 255
    assert find_cuts(flash) == [], "a camera's flash"
    darker = still.copy()
    darker[15:] = still[15:] // 2
    assert find_cuts(darker) == [], "a light that goes out"
    other = still.copy()
    other[15:] = pan[20]
    assert find_cuts(other) == [15], "to another view"


def test_a_picture_that_stands_still_is_said(tmp_path: Path) -> None:
    frame = next(iter(open_video(BACKFLIP)))
    write_video(tmp_path / "frozen.mp4", [frame] * 10, 30.0)
    assert "stands still" in check_one_shot(open_video(tmp_path / "frozen.mp4"))[0]
    assert check_one_shot(open_video(BACKFLIP)) == ()


# --- where the person is ---------------------------------------------------------------------


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
    write_video(tmp_path / "steady.mp4", counting(31), 30.0)
    choose = "select='lt(n,10)+not(mod(n,3))'"
    ffmpeg(
        "-i", tmp_path / "steady.mp4", "-vf", choose, "-fps_mode", "vfr", tmp_path / "varying.mp4"
    )
    with pytest.raises(PoseError, match="far enough"):
        extract_motion(tmp_path / "varying.mp4", skill="a", out=tmp_path / "a.npz")
    (poses,) = reconstructed
    assert poses.detected.sum() == 17, "the frames that the file has"
    assert np.isnan(poses.landmarks_3d[~poses.detected]).all()
    assert (poses.visibility[~poses.detected] == 0).all()
    assert "frame rate varies" in poses.source["notes"][0]
