"""Small videos for tests, in which every picture tells its index, and what is read from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sfv_gym.errors import VideoError
from sfv_gym.extract import extract_motion

STEP = 6  # grey levels from one frame to the next: more than compression blurs


def counting(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Frame ``t`` has grey level ``20 + STEP * t``, so that a decoded frame tells its index."""
    return [np.full((height, width, 3), 20 + STEP * t, np.uint8) for t in range(count)]


def indices(frames: Iterable[np.ndarray]) -> list[int]:
    return [round((float(frame.mean()) - 20) / STEP) for frame in frames]


def moving(count: int, height: int = 96, width: int = 128, step: float = 6.0) -> list[np.ndarray]:
    """A bright block that moves to the right before stripes, with a sensor's noise."""
    rng = np.random.default_rng(0)
    ground = np.broadcast_to(90 + 40 * (np.arange(height) // 12 % 2)[:, None], (height, width))
    frames = []
    for t in range(count):
        picture = ground + rng.normal(0.0, 2.0, (height, width))
        left = round(8 + step * t) % (width - 32)
        picture[height // 4 : 3 * height // 4, left : left + 24] = 230
        frames.append(np.repeat(picture.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2))
    return frames


def write(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    times: Sequence[float] | None = None,
    fps: float = 30.0,
    setup: Any = None,
    prepare: Any = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write RGB frames with any codec that FFmpeg has.

    Args:
        times: seconds of each frame; by default at ``fps``.
        setup: called with the stream before the first frame. prepare: with each picture.
    """
    unit = Fraction(1, 90000)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = pixels, {**(options or {})}
        if times is not None:
            stream.codec_context.time_base = stream.time_base = unit
        if setup is not None:
            setup(stream)
        for t, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)
            if times is None:
                picture.pts = t
                picture.time_base = 1 / Fraction(fps).limit_denominator(1001)
            else:
                picture.pts, picture.time_base = round(times[t] / unit), unit
            if prepare is not None:
                prepare(picture)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def remuxed(source: Path, out: Path, change: Any = None, **options: str) -> Path:
    """Copy a video's packets into another container.

    Args:
        change: called with the new stream before, and each packet; it may return False to drop it.
    """
    with av.open(str(source)) as old, av.open(str(out), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None and (change is None or change(packet) is not False):
                packet.stream = stream
                new.mux(packet)
    return out


def refusal(path: Path, **options: float) -> str:
    """The one line with which a video is refused, before the pose stage has started."""
    with pytest.raises(VideoError) as caught:
        extract_motion(path, skill="test", out=path.parent / "test.npz", progress=False, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message
