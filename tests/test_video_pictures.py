"""From what is stored to what a player shows: upright, square pixels, RGB, deinterlaced."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("av")

import av
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from clips import counting, indices, moving, write
from PIL import Image

from sfv_gym.errors import VideoError
from sfv_gym.video import open_video, write_video


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


def with_matrix(path: Path, out: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write the clip with a display matrix (a, b, c, d).

    The matrix of the track header is nine numbers, sixteen bits after the point, and thirty in the
    last column.
    """
    data = bytearray(path.read_bytes())
    a, b, c, d = ((1 << 16) * v for v in matrix)
    at = data.index(b"tkhd") + 4 + 40  # version, flags, times, id, duration, layer, volume
    numbers = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(v.to_bytes(4, "big", signed=True) for v in numbers)
    out.write_bytes(data)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_all_eight_orientations(tmp_path: Path, quarters: int, mirrored: bool) -> None:
    """What is stored turned (and mirrored) comes out as its display matrix says."""
    upright = marked(96, 64)
    stored = np.rot90(upright, quarters)  # anticlockwise: the matrix turns clockwise
    matrix = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)][quarters]
    if mirrored:  # in what is stored, and first of all in the matrix
        stored = stored[:, ::-1]
        matrix = (-matrix[0], -matrix[1], matrix[2], matrix[3])
    write_video(tmp_path / "stored.mp4", [np.ascontiguousarray(stored)] * 6, 30.0)
    with_matrix(tmp_path / "stored.mp4", tmp_path / "phone.mp4", matrix)
    video = open_video(tmp_path / "phone.mp4")
    assert (video.width, video.height) == (64, 96), "portrait"
    frame = next(iter(video))
    assert frame.shape == (96, 64, 3)
    assert_upright(frame)


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(Fraction(16, 11), (93, 96)), (Fraction(1, 2), (64, 192)), (Fraction(1, 99), (64, 96))],
)
def test_oblong_pixels_become_square(
    tmp_path: Path, aspect: Fraction, size: tuple[int, int]
) -> None:
    """But not by a hundred to one, which is a mistake in the file."""

    def setup(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = aspect

    path = write(tmp_path / "wide.mp4", [marked(96, 64)] * 6, setup=setup)
    video = open_video(path)
    assert (video.width, video.height) == size
    assert_upright(next(iter(video)))


@pytest.mark.parametrize("width", [3840, 7680])
def test_large_pictures_are_scaled_down(tmp_path: Path, width: int) -> None:
    large = marked(width * 9 // 16, width)
    path = write(tmp_path / "large.mp4", [large] * 5, options={"preset": "ultrafast"})
    video = open_video(path)
    assert (video.width, video.height) == (1920, 1080)
    assert_upright(next(iter(video)))
    assert open_video(path, max_side=4096).width == min(width, 4096)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("av1.mp4", "libsvtav1", "yuv420p"),
        ("vp9.webm", "libvpx-vp9", "yuv420p"),
        ("alpha.webm", "libvpx-vp9", "yuva420p"),
        ("vp8.webm", "libvpx", "yuv420p"),
        ("prores.mov", "prores_ks", "yuv422p10le"),
        ("alpha.mov", "prores_ks", "yuva444p10le"),
        ("mjpeg.mov", "mjpeg", "yuvj420p"),
        ("png.mov", "png", "rgba"),
        ("hevc.mp4", "libx265", "yuv420p10le"),
        ("mpeg2.ts", "mpeg2video", "yuv420p"),
        ("mpeg2.mpg", "mpeg2video", "yuv420p"),
        ("full.mp4", "libx264", "yuv444p"),
        ("raw.h264", "libx264", "yuv420p"),
        ("lossless.mkv", "ffv1", "yuv420p"),
        ("flash.flv", "flv", "yuv420p"),
        ("picture.gif", "gif", "rgb8"),
        ("picture.apng", "apng", "rgb24"),
    ],
)
def test_what_is_in_use(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = write(tmp_path / name, counting(12), codec=codec, pixels=pixels, options=quiet)
    video = open_video(path)
    assert video.fps == pytest.approx(30.0, rel=0.01)  # GIF counts hundredths of a second
    assert indices(video) == list(range(12))


def test_animated_webp(tmp_path: Path) -> None:
    frames = [Image.fromarray(frame) for frame in counting(12)]
    path = tmp_path / "picture.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40, loop=0)
    video = open_video(path)
    assert video.fps == pytest.approx(25.0)
    assert indices(video) == list(range(12))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(VideoError, match="not a video"):
        open_video(path)


def test_odd_sides(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.mp4", counting(6, 49, 65), pixels="yuv444p")
    assert next(iter(open_video(path))).shape == (49, 65, 3)


def test_greyscale(tmp_path: Path) -> None:
    def limited(picture: av.VideoFrame) -> None:
        picture.color_range = ColorRange.JPEG

    path = write(tmp_path / "grey.mp4", counting(6), pixels="gray", prepare=limited,
                 setup=lambda stream: setattr(stream, "color_range", ColorRange.JPEG))  # fmt: skip
    frames = list(open_video(path))
    assert frames[0].shape == (48, 64, 3)
    assert np.ptp(frames[3], axis=2).max() <= 1
    assert indices(frames) == list(range(6))


def test_high_dynamic_range_looks_as_on_a_plain_screen(tmp_path: Path) -> None:
    """Half of the light is half of the light; what is stored would look dull."""
    light = np.repeat(np.linspace(0.0, 1.0, 8), 16)[None, :] * np.ones((64, 1))
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (light * 203.0 / 10000.0) ** m1  # SMPTE 2084, white at 203 candela per square metre
    stored = np.round(64 + 876 * ((c1 + c2 * power) / (1 + c3 * power)) ** m2).astype("<u2")

    def hdr(picture: av.VideoFrame) -> None:
        for plane, values in zip(
            picture.planes, (stored, *[np.full((32, 64), 512, "<u2")] * 2), strict=True
        ):
            padded = np.zeros((plane.height, plane.line_size // 2), "<u2")
            padded[:, : values.shape[1]] = values
            plane.update(padded.tobytes())
        picture.color_trc, picture.color_primaries = ColorTrc.SMPTE2084, ColorPrimaries.BT2020
        picture.colorspace, picture.color_range = Colorspace.BT2020, ColorRange.MPEG

    path = write(
        tmp_path / "hdr.mp4",
        [np.zeros((64, 128, 3), np.uint8)] * 5,
        codec="libx265",
        pixels="yuv420p10le",
        options={
            "x265-params": "log-level=none:lossless=1:colorprim=bt2020:transfer=smpte2084:"
            "colormatrix=bt2020nc"
        },
        prepare=hdr,
    )
    frame = next(iter(open_video(path)))
    steps = frame[32, 8::16].mean(-1) / 255.0
    assert np.ptp(frame, axis=2).max() <= 3, "grey stays grey"
    assert (np.diff(steps) > 0.02).all()
    assert steps[0] < 0.05
    assert steps[-1] > 0.75, "white is nearly white; as it is stored it would be at 0.58"


# --- interlaced ------------------------------------------------------------------------------


def woven(frames: list[np.ndarray], top_first: bool) -> list[np.ndarray]:
    """Two moments each in the rows of one picture."""
    out = []
    for first, second in zip(frames[::2], frames[1::2], strict=True):
        picture = second.copy()
        picture[not top_first :: 2] = first[not top_first :: 2]
        out.append(picture)
    return out


def interlaced(path: Path, frames: list[np.ndarray], top_first: bool) -> Path:
    """H.264 of fields, or marked so."""
    order = "tff=1" if top_first else "bff=1"
    return write(path, frames, options={"x264-params": order, "crf": "10"}, fps=25.0)


def combing(frame: np.ndarray) -> float:
    """How much more neighbouring rows differ than every other one."""
    grey = frame.astype(float).mean(-1)
    return float(np.abs(np.diff(grey, axis=0)).mean() / np.abs(grey[2:] - grey[:-2]).mean())


@pytest.mark.parametrize("top_first", [True, False])
def test_interlaced_pictures_show_one_moment(tmp_path: Path, top_first: bool) -> None:
    frames = moving(40, step=4.0)
    pictures = woven(frames, top_first)
    video = open_video(interlaced(tmp_path / "fields.mp4", pictures, top_first))
    assert video.top_field_first is top_first
    assert any("interlaced" in note for note in video.notes)
    shown = list(video)
    assert len(shown) == 20
    assert video.fps == 25.0
    assert np.mean([combing(f) for f in shown]) < 0.6 * np.mean([combing(f) for f in pictures])
    for got, first, second in zip(shown[2:-2], frames[4:-4:2], frames[5:-4:2], strict=True):
        error, other = (np.abs(got.astype(float) - f).mean() for f in (first, second))
        assert error < 0.5 * other, "the first of the two moments"


def test_progressive_pictures_marked_as_interlaced_stay_as_they_are(tmp_path: Path) -> None:
    frames = moving(20)
    video = open_video(interlaced(tmp_path / "marked.mp4", frames, True))
    assert video.top_field_first is None
    assert video.notes == ()
    error = [np.abs(a.astype(float) - b).mean() for a, b in zip(video, frames, strict=True)]
    assert max(error) < 3.0, "grey levels"


# --- sizes that change -----------------------------------------------------------------------


def test_a_resolution_that_changes_in_the_stream(tmp_path: Path) -> None:
    a = write(tmp_path / "a.ts", counting(10))
    b = write(tmp_path / "b.ts", counting(20, 96, 128)[10:])
    (tmp_path / "both.ts").write_bytes(a.read_bytes() + b.read_bytes())
    video = open_video(tmp_path / "both.ts")
    assert {frame.shape for frame in video} == {(48, 64, 3)}
    assert indices(video) == list(range(20))
