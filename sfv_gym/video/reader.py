"""Frames of a video file, checked before anything expensive starts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sfv_gym.errors import VideoError

MIN_FRAMES = 5


@dataclass(frozen=True)
class VideoReader:
    """A range of a video's frames; iterate it as often as needed for RGB uint8 (H, W, 3).

    Attributes:
        path: the file. sha256: of its bytes.
        fps: frames per second. width, height: pixels.
        first_frame: index of the range's first frame in the file.
        num_frames: frames in the range that really decode: containers' own counts lie.
    """

    path: Path
    sha256: str
    fps: float
    width: int
    height: int
    first_frame: int
    num_frames: int

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[np.ndarray]:
        with _capture(self.path) as capture:
            for _ in range(self.first_frame):
                capture.grab()
            for _ in range(self.num_frames):
                ok, frame = capture.read()
                if not ok:
                    raise VideoError(f"{self.path}: changed while it was read")
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def open_video(
    path: str | os.PathLike[str], start: float | None = None, end: float | None = None
) -> VideoReader:
    """Open the frames between ``start`` and ``end`` seconds (by default all of them).

    Raises:
        VideoError: no such file, no video, damaged, an empty range, or under 5 frames.
    """
    path = Path(path)
    if not path.is_file():
        raise VideoError(f"{path}: there is no such file")
    for name, value in (("--start", start), ("--end", end)):
        if value is not None and not (np.isfinite(value) and value >= 0):
            raise VideoError(f"{name} must be a number of seconds from 0 on, it is {value}")
    if start is not None and end is not None and end <= start:
        raise VideoError(f"--end {end:g} must be later than --start {start:g}")
    with _capture(path) as capture:
        fps = capture.get(cv2.CAP_PROP_FPS)
        ok, frame = capture.read()
        if not ok:
            raise VideoError(
                f"{path}: not a video that can be read, or a damaged one; convert it to mp4 (H.264)"
            )
        height, width = frame.shape[:2]
        declared = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if not (np.isfinite(fps) and 1.0 <= fps <= 1000.0):
            raise VideoError(f"{path}: no usable frame rate ({fps:g} per second)")
        first = round((start or 0.0) * fps)
        last = None if end is None else round(end * fps)
        decoded = 1
        while (last is None or decoded < last) and capture.grab():
            decoded += 1
    wanted = declared if last is None else min(last, declared)
    if decoded < 0.9 * wanted:
        raise VideoError(
            f"{path}: only {decoded} of {declared} frames can be read, the file is truncated or "
            f"damaged; copy it again, or use its good part with --end {decoded / fps:.2f}"
        )
    count = decoded - first
    if count < MIN_FRAMES:
        raise VideoError(
            f"{path}: {max(count, 0)} frames"
            + (f" between --start and --end ({decoded / fps:.2f} s of video)" if start or end else "")
            + f"; a motion needs at least {MIN_FRAMES}"
        )
    return VideoReader(path, _sha256(path), fps, width, height, first, count)


@contextmanager
def _capture(path: Path) -> Iterator[cv2.VideoCapture]:
    # OpenCV and FFmpeg explain themselves on stderr; our error says it in one line.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        try:
            yield capture
        finally:
            capture.release()
    finally:
        cv2.utils.logging.setLogLevel(level)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
