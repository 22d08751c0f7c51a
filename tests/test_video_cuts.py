"""Cuts are refused with a range to take; motion, however fast, is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("av")

import cv2
from clips import refusal

from sfv_gym.video import check_one_shot, open_video, write_video
from sfv_gym.video.cuts import cut_scores, find_cuts, thumbnails

CLIPS = Path(__file__).parents[1] / "assets" / "clips"
BACKFLIP, WALK = CLIPS / "backflip_a.mp4", CLIPS / "walk.mp4"


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
