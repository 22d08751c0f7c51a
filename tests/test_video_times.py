"""Times of frames: whatever the file does, what lasted a second lasts a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("av")

import av
from clips import counting, indices, moving, refusal, remuxed, write

from sfv_gym.video import open_video, write_video
from sfv_gym.video.repeats import repeated_pictures
from sfv_gym.video.timing import orderly, plan, repaired, resample


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
    for wrong in (0.0, np.nan):
        bad[[10, 39]] = wrong
        times, jumps = repaired(bad)
        np.testing.assert_allclose(times, good, atol=1e-9)
        assert jumps == 0
    for none in (np.zeros(40), np.full(40, np.nan)):
        assert repaired(none) == (None, 0)


@pytest.mark.parametrize("jump", [-4.0, -0.1, 5.0, 95443.7])
def test_a_clock_that_jumps_goes_on_as_if_it_had_not(jump: float) -> None:
    """Streams that were put together; 33 bits of a 90 kHz clock that are full."""
    good = np.arange(60) / 30.0
    times, jumps = repaired(good - 3.0 + np.where(np.arange(60) >= 20, jump, 0.0))
    np.testing.assert_allclose(times, good, atol=1e-9)
    assert jumps == 1


def test_the_last_frame_of_a_trim_may_lie_apart() -> None:
    timing = plan(np.r_[np.arange(46), 47] / 30.0, 30.0)
    assert timing is not None
    assert (timing.rate, timing.varying, len(timing.indices)) == (30.0, False, 47)


def test_times_of_decoding_where_those_of_showing_go_to_and_fro() -> None:
    decoded = np.arange(40) / 30.0
    shown = decoded + np.where(np.arange(40) % 2, 1.5, -1.5) / 30.0
    np.testing.assert_array_equal(orderly(shown, decoded), decoded)
    np.testing.assert_array_equal(orderly(decoded + 0.1, shown), decoded + 0.1)


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
    path = tmp_path / f"varying{suffix}"
    chosen = [t for t in range(31) if t < 10 or t % 3 == 0]
    write(path, [counting(31)[t] for t in chosen], times=[t / 30.0 for t in chosen])
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


def test_a_slow_motion_ramp_keeps_its_times(tmp_path: Path) -> None:
    """A third of a second at 240 frames per second, then 30: none of them is a repeat."""
    times = [*(t / 240.0 for t in range(80)), *(80 / 240.0 + t / 30.0 for t in range(90))]
    path = write(tmp_path / "ramp.mp4", moving(170, width=256, step=1.0), times=times)
    video = open_video(path)
    assert video.fps == pytest.approx(30.0, rel=0.01)
    assert not any(video.repeated)
    shown = np.array(times)[list(video.frames)]
    np.testing.assert_allclose(shown, np.arange(len(video)) / video.fps, atol=0.5 / 30.0)
    assert any("slow-motion ramp" in note and "--speed" in note for note in video.notes)


@pytest.mark.parametrize("start", [5.0, 1000.0])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_video_that_starts_late(tmp_path: Path, suffix: str, start: float) -> None:
    times = [start + t / 30.0 for t in range(20)]
    video = open_video(write(tmp_path / f"late{suffix}", counting(20), times=times))
    assert video.fps == pytest.approx(30.0)
    assert indices(video) == list(range(20))
    assert video.start == 0.0


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_clock_that_jumps_ahead(tmp_path: Path, suffix: str) -> None:
    times = [t / 30.0 + (300.0 if t >= 10 else 0.0) for t in range(20)]
    video = open_video(write(tmp_path / f"jumps{suffix}", counting(20), times=times))
    assert indices(video) == list(range(20))
    assert any("clock jumps" in note for note in video.notes)


def test_a_lossless_trim_shows_what_its_edit_list_says(tmp_path: Path) -> None:
    """The lead-in, from the key picture before on, is in the file and is not shown."""
    source = write(tmp_path / "whole.mp4", counting(38), options={"g": "38", "bf": "0"})

    def later(packet: av.Packet) -> None:
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift

    with av.open(str(source)) as container:
        unit = container.streams.video[0].time_base
    shift = round(12 / 30.0 / unit)
    trimmed = remuxed(source, tmp_path / "trim.mp4", later, use_editlist="1")
    assert indices(open_video(trimmed)) == list(range(12, 38))


# --- repeated pictures -----------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "coded"), [(12, 30), (15, 30), (24, 30), (25, 30), (12, 60)])
def test_repeated_pictures_are_left_out(tmp_path: Path, rate: int, coded: int) -> None:
    frames = moving(2 * rate, step=60.0 / rate)
    shown = [t * rate // coded for t in range(2 * coded)]
    path = write(tmp_path / "again.mp4", [frames[t] for t in shown], fps=coded)
    video = open_video(path)
    assert video.fps == pytest.approx(rate, rel=0.02)
    assert not any(video.repeated)
    assert [shown[i] for i in video.frames] == list(range(2 * rate))
    assert any("repeat the one before" in note for note in video.notes)


def test_who_stands_still_is_no_repeat(tmp_path: Path) -> None:
    """For a second in the middle, with a sensor's noise and with none."""
    frames = moving(60, step=2.0)
    clean = [np.where(f > 200, 230, 90).astype(np.uint8) for f in frames]
    for name, pictures in (("noisy", frames), ("clean", clean)):
        still = [*pictures[:20], *[pictures[20]] * 30, *pictures[20:40]]
        if name == "noisy":
            rng = np.random.default_rng(1)
            still = [(f + rng.normal(0, 2, f.shape)).clip(0, 255).astype(np.uint8) for f in still]
        video = open_video(write(tmp_path / f"{name}.mp4", still))
        assert len(video) == 70
        assert not any(video.repeated)
        assert video.notes == ()


def test_what_counts_as_a_repeat() -> None:
    change = np.tile([0.02, 2.0, 0.02, 0.01, 2.2], 12)
    change[0] = np.inf
    expected = change < 0.1
    np.testing.assert_array_equal(repeated_pictures(change), expected)
    rare = np.full(60, 2.0)
    rare[[20, 40]] = 0.01
    assert not repeated_pictures(rare).any(), "a light that flickers"
    assert not repeated_pictures(np.full(60, 0.01)).any(), "a picture that stands still"
    assert not repeated_pictures(np.array([np.inf])).any()
