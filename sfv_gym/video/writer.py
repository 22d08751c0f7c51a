"""Videos and animated pictures, written with the FFmpeg that imageio-ffmpeg carries."""

from __future__ import annotations

import os
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

    Args:
        crf: quality; 18 is near lossless, 28 is small.
    """
    arguments = ["-crf", str(crf), "-preset", "medium", "-movflags", "+faststart"]
    _encode(path, frames, fps, codec="libx264", pixels="yuv420p", arguments=arguments)


def write_animation(
    path: str | os.PathLike[str], frames: Iterable[np.ndarray], fps: float, *, width: int = 720
) -> None:
    """Write RGB uint8 frames as an endless animated picture; the suffix says .webp or .gif."""
    suffix = Path(path).suffix
    if suffix == ".webp":
        arguments = ["-vf", f"scale={width}:-2", "-loop", "0", "-quality", "60"]
        _encode(path, frames, fps, codec="libwebp", pixels="yuva420p", arguments=arguments)
    elif suffix == ".gif":
        palette = f"scale={width}:-2,split[a][b];[a]palettegen=max_colors=96[p];[b][p]paletteuse"
        _encode(path, frames, fps, codec="gif", pixels="rgb8", arguments=["-filter_complex", palette])
    else:
        raise OutputError(f"cannot write {path}: an animation ends in .webp or .gif")


def _encode(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    fps: float,
    *,
    codec: str,
    pixels: str,
    arguments: list[str],
) -> None:
    iterator = iter(frames)
    try:
        first = next(iterator)
    except StopIteration:
        raise OutputError(f"cannot write {path}: there are no frames") from None
    # yuv420p halves the colour planes, so both sides must be even
    height, width = (side - side % 2 for side in first.shape[:2])
    with atomic_path(path) as temporary:
        writer = imageio_ffmpeg.write_frames(
            str(temporary),
            (width, height),
            fps=fps,
            codec=codec,
            pix_fmt_out=pixels,
            macro_block_size=2,
            quality=None,
            output_params=arguments,
            ffmpeg_log_level="error",
        )
        writer.send(None)
        try:
            writer.send(np.ascontiguousarray(first[:height, :width]))
            for frame in iterator:
                writer.send(np.ascontiguousarray(frame[:height, :width]))
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error}") from None
        finally:
            writer.close()
