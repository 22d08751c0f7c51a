"""Videos in and out: what is written is what is read, and wrong input ends in one clear line."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("av")

import cv2

from sfv_gym.errors import OutputError, VideoError
from sfv_gym.files import atomic_path
from sfv_gym.video import open_video, write_animation, write_picture, write_video

STEP = 6  # grey levels from one frame to the next: more than compression blurs


def grey_frames(count: int, height: int = 48, width: int = 64) -> Iterator[np.ndarray]:
    """Frame ``t`` is grey level ``20 + STEP * t``, so that a decoded frame tells its index."""
    for t in range(count):
        yield np.full((height, width, 3), 20 + STEP * t, np.uint8)


def noisy_frames(count: int) -> list[np.ndarray]:
    """Frames that do not compress, so that a cut through the file loses most of them."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (96, 128, 3), np.uint8) for _ in range(count)]


def indices(frames: Iterator[np.ndarray]) -> list[int]:
    return [round((float(frame.mean()) - 20) / STEP) for frame in frames]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(path, grey_frames(30), 25.0)
    return path


def test_reads_what_was_written(clip: Path) -> None:
    video = open_video(clip)
    assert (video.fps, video.width, video.height) == (25.0, 64, 48)
    assert (video.first_frame, video.num_frames, len(video)) == (0, 30, 30)
    assert len(video.sha256) == 64
    assert indices(iter(video)) == list(range(30))
    assert indices(iter(video)) == list(range(30)), "a second pass gives the same"


def test_colours_are_rgb(tmp_path: Path) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 230
    write_video(tmp_path / "red.mp4", [red] * 6, 30.0)
    frame = next(iter(open_video(tmp_path / "red.mp4")))
    assert frame.dtype == np.uint8
    np.testing.assert_allclose(frame.mean((0, 1)), [230, 0, 0], atol=8)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.4, None, range(10, 30)),
        (None, 0.4, range(10)),
        (0.2, 0.6, range(5, 15)),
        (0.2, 99.0, range(5, 30)),
    ],
)
def test_range_in_seconds(
    clip: Path, start: float | None, end: float | None, expected: range
) -> None:
    video = open_video(clip, start, end)
    assert video.first_frame == expected[0]
    assert indices(iter(video)) == list(expected)


def test_odd_sides_lose_their_last_pixel(tmp_path: Path) -> None:
    write_video(tmp_path / "odd.mp4", grey_frames(6, height=49, width=65), 30.0)
    video = open_video(tmp_path / "odd.mp4")
    assert (video.width, video.height) == (64, 48)


def truncated(tmp_path: Path, share: float, index_first: bool) -> Path:
    """A video of which ``share`` is left, with the index in front or at the (lost) end."""
    path = tmp_path / "cut.mp4"
    write_video(path, noisy_frames(40), 30.0)
    data = path.read_bytes()
    if not index_first:
        where = data.index(b"moov") - 4
        length = int.from_bytes(data[where : where + 4], "big")
        data = data[:where] + data[where + length :] + data[where : where + length]
    path.write_bytes(data[: int(share * len(data))])
    return path


def bad_file(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / f"{kind}.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("this is a shopping list, not a video\n" * 100)
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(50_000))
    elif kind == "short":
        write_video(path, grey_frames(2), 30.0)
    elif kind == "no_index":
        path = truncated(tmp_path, 0.5, index_first=False)
    elif kind == "cut":
        path = truncated(tmp_path, 0.5, index_first=True)
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "there is no such file"),
        ("folder", "this is a folder"),
        ("empty", "not a video"),
        ("text", "not a video"),
        ("noise", "not a video"),
        ("no_index", "not a video, or one cut off"),
        ("cut", "of 40 frames can be read"),
        ("short", "2 frames; a motion needs at least 5"),
    ],
)
def test_bad_files(tmp_path: Path, kind: str, says: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = bad_file(tmp_path, kind)
    with pytest.raises(VideoError) as caught:
        open_video(path)
    message = str(caught.value)
    assert says in message
    assert str(path) in message
    assert "\n" not in message
    assert capfd.readouterr().err == "", "FFmpeg stays silent"


def test_the_good_part_of_a_truncated_file_can_be_used(tmp_path: Path) -> None:
    path = truncated(tmp_path, 0.5, index_first=True)
    assert len(open_video(path, end=10 / 30)) == 10


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        (0.5, 0.5, "later than"),
        (0.5, 0.2, "later than"),
        (-1.0, None, "from 0 on"),
        (math.nan, None, "from 0 on"),
        (5.0, None, "the video ends after 1.20 s"),
        (0.4, 0.5, "between --start and --end; a motion needs at least 5"),
    ],
)
def test_bad_ranges(clip: Path, start: float, end: float | None, says: str) -> None:
    with pytest.raises(VideoError, match=says):
        open_video(clip, start, end)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_video_leaves_nothing_behind(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield from grey_frames(10)
        raise error

    old = tmp_path / "old.mp4"
    old.write_bytes(b"what was there before")
    for path in (tmp_path / "new.mp4", old):
        with pytest.raises(error):
            write_video(path, frames(), 30.0)
    assert os.listdir(tmp_path) == ["old.mp4"]
    assert old.read_bytes() == b"what was there before"


def test_what_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path, frames in [
        (file / "video.mp4", grey_frames(6)),  # its folder is a file
        (tmp_path, grey_frames(6)),  # it is a folder
        (tmp_path / "video.nonsense", grey_frames(6)),  # FFmpeg does not know the format
        (tmp_path / "video.mp4", iter(())),
    ]:
        with pytest.raises(OutputError, match=f"cannot write {path}: ") as caught:
            write_video(path, frames, 30.0)
        assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        write_video(folder / "video.mp4", grey_frames(6), 30.0)


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    frames = [*grey_frames(3), *grey_frames(3, height=50)]
    with pytest.raises(ValueError, match="of one size"):
        write_video(tmp_path / "video.mp4", frames, 30.0)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    write_animation(path, grey_frames(30), 30.0, width=32)
    data = path.read_bytes()
    if suffix == ".gif":
        assert data.startswith(b"GIF89a")
        assert b"NETSCAPE2.0\x03\x01\x00\x00" in data, "repeats for ever"
        video = open_video(path)
        assert (video.width, video.height) == (32, 24)
        assert video.num_frames == pytest.approx(15, abs=1), "thinned out to 15 per second"
    else:
        assert data[8:12] == b"WEBP"
        assert data.count(b"ANMF") == pytest.approx(15, abs=1)
        assert data[data.index(b"ANIM") + 12 :][:2] == b"\x00\x00", "repeats for ever"


def test_a_picture_is_shrunk_and_keeps_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "picture.webp"
    picture = np.full((60, 100, 3), (200, 60, 30), np.uint8)
    picture[:, 50:] = (20, 90, 210)
    write_picture(path, picture, width=50)
    shown = cv2.imread(str(path))[..., ::-1]
    assert shown.shape == (30, 50, 3)
    np.testing.assert_allclose(shown[15, 5], (200, 60, 30), atol=6)
    np.testing.assert_allclose(shown[15, 45], (20, 90, 210), atol=6)
    write_picture(path, picture)
    assert cv2.imread(str(path)).shape == (60, 100, 3)


def test_animations_of_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a picture ends in \.webp"):
        write_picture(tmp_path / "picture.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(OutputError, match=r"ends in \.webp or \.gif"):
        write_animation(tmp_path / "picture.png", grey_frames(6), 30.0)


def test_atomic_path_keeps_the_suffix_and_makes_the_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "data.npz"
    with atomic_path(target) as temporary:
        assert temporary.suffix == ".npz"
        assert temporary.parent == target.parent
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["data.npz"]
