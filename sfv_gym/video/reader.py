"""Frames of a video file, checked before anything expensive starts."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sfv_gym.errors import VideoError

MIN_FRAMES = 5
MIN_DECODED_SHARE = 0.9
"""Of the frames that the container announces; fewer mean a file that is cut off. Containers are
often wrong by a frame or two, so not 1."""


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

    Every frame up to ``end`` is decoded once to count it, which costs a few milliseconds each.

    Raises:
        VideoError: no such file, no video, damaged, an empty range, or under 5 frames.
    """
    path = Path(path)
    _check_range(start, end)
    if path.is_dir():
        raise VideoError(f"{path}: this is a folder; name a video file in it")
    if not path.is_file():
        raise VideoError(f"{path}: there is no such file")
    try:
        sha256 = _sha256(path)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error.strerror or error}") from None
    with _capture(path) as capture:
        ok, frame = capture.read()
        if not ok:
            raise VideoError(
                f"{path}: not a video, or one cut off before its index; copy it again, or convert "
                "it to mp4 (H.264)"
            )
        height, width = frame.shape[:2]
        fps = capture.get(cv2.CAP_PROP_FPS)
        if not (math.isfinite(fps) and 1.0 <= fps <= 1000.0):
            raise VideoError(
                f"{path}: no usable frame rate ({fps:g} per second); convert it to mp4 (H.264)"
            )
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)  # negative where the container has none
        first = round((start or 0.0) * fps)
        last = math.inf if end is None else round(end * fps)
        decoded = 1
        while decoded < last and capture.grab():
            decoded += 1
    if decoded < MIN_DECODED_SHARE * min(last, announced):
        raise VideoError(
            f"{path}: only {decoded} of {announced:.0f} frames can be read, the file is cut off or "
            f"damaged; copy it again"
            + (f", or use its good part with --end {decoded / fps:.2f}" if decoded > 30 else "")
        )
    _check_length(path, decoded, first, last, fps)
    return VideoReader(path, sha256, fps, width, height, first, decoded - first)


def _check_range(start: float | None, end: float | None) -> None:
    for name, value in (("--start", start), ("--end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise VideoError(f"{name} must be a number of seconds from 0 on, it is {value}")
    if end is not None and end <= (start or 0.0):
        raise VideoError(f"--end {end:g} must be later than --start {start or 0.0:g}")


def _check_length(path: Path, decoded: int, first: int, last: float, fps: float) -> None:
    if decoded - first >= MIN_FRAMES:
        return
    if first == 0 and decoded < last:
        raise VideoError(
            f"{path}: {decoded} frames; a motion needs at least {MIN_FRAMES}: take a longer video"
        )
    ends = "" if decoded >= last else f"; the video ends after {decoded / fps:.2f} s"
    raise VideoError(
        f"{path}: {max(decoded - first, 0)} frames between --start and --end{ends}; a motion "
        f"needs at least {MIN_FRAMES}: choose a longer range"
    )


@contextmanager
def _capture(path: Path) -> Iterator[cv2.VideoCapture]:
    # OpenCV and FFmpeg explain themselves on stderr; our error says it in one line.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        # FFmpeg alone: other backends take a picture, or a name with digits, for a video
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        yield capture
    finally:
        capture.release()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
