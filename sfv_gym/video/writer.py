"""Videos and pictures, animated or not, written with the FFmpeg that imageio-ffmpeg carries."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from sfv_gym.errors import OutputError
from sfv_gym.files import atomic_path


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
    arguments = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", str(crf)]
    # the index in front, so that a browser shows the first frame before it has the last byte
    _encode(path, frames, fps, [*arguments, "-preset", "medium", "-movflags", "+faststart"])


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
    shrink = f"fps={min(fps, max_fps):g},scale={width - width % 2}:-2:flags=lanczos"
    suffix = Path(path).suffix.lower()
    if suffix == ".webp":
        arguments = ["-vf", shrink, "-c:v", "libwebp_anim", "-quality", str(quality)]
    elif suffix == ".gif":
        palette = "split[a][b];[a]palettegen=max_colors=96[p];[b][p]paletteuse=dither=bayer"
        arguments = ["-filter_complex", f"{shrink},{palette}"]
    else:
        raise OutputError(f"cannot write {path}: an animation ends in .webp or .gif")
    _encode(path, frames, fps, [*arguments, "-loop", "0"])


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
    shrink = [] if width is None else ["-vf", f"scale={width - width % 2}:-2:flags=area"]
    _encode(path, [picture], 1.0, [*shrink, "-c:v", "libwebp", "-quality", str(quality)])


def _encode(
    path: str | os.PathLike[str], frames: Iterable[np.ndarray], fps: float, arguments: list[str]
) -> None:
    """Pipe raw frames into FFmpeg; ``arguments`` say what it makes of them."""
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise OutputError(f"cannot write {path}: there are no frames")
    height, width = (side - side % 2 for side in first.shape[:2])
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps}"]
    with atomic_path(path) as temporary, tempfile.TemporaryFile() as messages:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *source, "-i", "-"]
        process = subprocess.Popen(
            [*command, "-an", *arguments, str(temporary)], stdin=subprocess.PIPE, stderr=messages
        )
        assert process.stdin is not None
        try:
            broken = False
            for frame in _with_first(first, iterator):
                try:
                    process.stdin.write(_pixels(frame, first.shape, height, width))
                except BrokenPipeError:  # FFmpeg gave up, and says below why
                    broken = True
                    break
            try:
                process.stdin.close()
            except BrokenPipeError:
                broken = True
            if process.wait() != 0 or broken:
                messages.seek(0)
                lines = messages.read().decode(errors="replace").strip().splitlines()
                raise OutputError(f"cannot write {path}: {lines[-1] if lines else 'FFmpeg failed'}")
        finally:
            if process.poll() is None:  # an exception or Ctrl-C came through
                process.kill()
                process.communicate()


def _with_first(first: np.ndarray, rest: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    yield first
    yield from rest


def _pixels(frame: np.ndarray, shape: tuple[int, ...], height: int, width: int) -> bytes:
    if frame.shape != shape or frame.dtype != np.uint8 or frame.ndim != 3 or shape[2] != 3:
        raise ValueError(
            f"frames must be uint8 (H, W, 3) of one size; got {frame.dtype} {frame.shape}, "
            f"the first was {shape}"
        )
    return np.ascontiguousarray(frame[:height, :width]).tobytes()
