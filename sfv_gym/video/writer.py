"""Videos and pictures, animated or not, written by FFmpeg through PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np

from sfv_gym.errors import OutputError
from sfv_gym.files import atomic_path
from sfv_gym.video.filters import chain_of, pulled

MAX_DENOMINATOR = 1001  # of a rate: 30000/1001 is television's


def write_video(
    path: str | os.PathLike[str], frames: Iterable[np.ndarray], fps: float, *, crf: int = 23
) -> None:
    """Write RGB uint8 frames (H, W, 3) as an H.264 mp4 that browsers play, whole or not at all.

    An odd last row or column is cut off, since H.264's yuv420p needs even sides.

    Args:
        crf: quality; 18 is near lossless, 28 is small.

    Raises:
        OutputError: the folder cannot be written, the disk is full, or there are no frames.
    """
    pictures = _pictures(path, frames, fps)
    # the index in front, so that a browser shows the first frame before it has the last byte
    options = {"crf": str(crf), "preset": "medium"}
    _encode(path, pictures, "libx264", "yuv420p", options, {"movflags": "+faststart"})


def write_animation(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    fps: float,
    *,
    width: int = 720,
    max_fps: float = 15.0,
    quality: int = 60,
) -> None:
    """Write RGB uint8 frames as an endless animated picture; the suffix says .webp or .gif.

    A second of two people side by side, 720 pixels wide, takes about 100 kB as .webp and five
    times that as .gif.

    Args:
        fps: frames per second of what comes in.
        width: pixels of the picture, whose height follows.
        max_fps: frames are left out down to this rate.
        quality: 0..100, of .webp.

    Raises:
        OutputError: as for `write_video`, or another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".webp", ".gif"):
        raise OutputError(f"cannot write {path}: an animation ends in .webp or .gif")
    pictures = _filtered(
        _pictures(path, frames, fps),
        ("fps", f"{_rate(min(fps, max_fps))}"),
        ("scale", f"{width - width % 2}:-2:flags=lanczos"),
        palette=96 if suffix == ".gif" else 0,
    )
    endless = {"loop": "0"}
    if suffix == ".gif":
        _encode(path, pictures, "gif", "pal8", {}, endless)
    else:
        options = {"quality": str(quality)}
        _encode(path, pictures, "libwebp_anim", "bgra", options, endless)


def write_picture(
    path: str | os.PathLike[str],
    picture: np.ndarray,
    *,
    width: int | None = None,
    quality: int = 70,
) -> None:
    """Write one RGB uint8 picture (H, W, 3) as .webp.

    Args:
        width: pixels to shrink it to, whose height follows; its own by default.
        quality: 0..100.

    Raises:
        OutputError: as for `write_video`, or another suffix.
    """
    if Path(path).suffix.lower() != ".webp":
        raise OutputError(f"cannot write {path}: a picture ends in .webp")
    pictures = _pictures(path, [picture], 1.0)
    if width is not None:
        pictures = _filtered(pictures, ("scale", f"{width - width % 2}:-2:flags=area"))
    _encode(path, pictures, "libwebp", "bgra", {"quality": str(quality)}, {})


def _rate(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(MAX_DENOMINATOR)


def _pictures(
    path: str | os.PathLike[str], frames: Iterable[np.ndarray], fps: float
) -> Iterator[av.VideoFrame]:
    """Frames (H, W, 3) for FFmpeg, with their times, less an odd last row or column."""
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise OutputError(f"cannot write {path}: there are no frames")
    height, width = (side - side % 2 for side in first.shape[:2])

    def made() -> Iterator[av.VideoFrame]:
        for t, frame in enumerate(chain([first], iterator)):
            if frame.shape != first.shape or frame.dtype != np.uint8 or frame.ndim != 3:
                raise ValueError(
                    f"frames must be uint8 (H, W, 3) of one size; got {frame.dtype} {frame.shape}, "
                    f"the first was {first.shape}"
                )
            pixels = np.ascontiguousarray(frame[:height, :width])
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts, picture.time_base = t, 1 / _rate(fps)
            yield picture

    return made()


def _filtered(
    pictures: Iterator[av.VideoFrame], *filters: tuple[str, str], palette: int = 0
) -> Iterator[av.VideoFrame]:
    first = next(pictures)
    graph = chain_of(first, *filters, palette=palette)
    for picture in chain([first], pictures, [None]):
        graph.vpush(picture)
        yield from pulled(graph)


def _encode(
    path: str | os.PathLike[str],
    pictures: Iterator[av.VideoFrame],
    codec: str,
    pixels: str,
    codec_options: dict[str, str],
    container_options: dict[str, str],
) -> None:
    """Write the pictures to a file, whose suffix says in which container."""
    first = next(pictures)
    assert first.time_base is not None
    with atomic_path(path) as temporary:
        try:
            container = av.open(str(temporary), "w", options=container_options)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise OutputError(f"cannot write {path}: {_reason(error)}") from None
        try:
            with container:
                stream = container.add_stream(codec, rate=1 / first.time_base)
                assert isinstance(stream, av.VideoStream)
                stream.width, stream.height, stream.pix_fmt = first.width, first.height, pixels
                stream.options = {**codec_options}
                for picture in chain([first], pictures):
                    container.mux(stream.encode(picture))
                container.mux(stream.encode(None))
        except av.FFmpegError as error:
            raise OutputError(f"cannot write {path}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
