"""Frames of a video file, checked before anything expensive starts."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sfv_gym.errors import VideoError
from sfv_gym.video.timing import Timing, plan

MIN_FRAMES = 5
MIN_DECODED_SHARE = 0.9
"""Of the frames that the container announces; fewer mean a file that is cut off. Containers are
often wrong by a frame or two, so not 1."""
MIN_FPS, MAX_FILE_FPS = 1.0, 1000.0
FRAMES_BEYOND = 2  # decoded after --end, to know which frame lies nearest to it


MAX_SIDE = 1920
"""Pixels of the longer side that frames are scaled down to. The pose networks look at 256 x 256
pixels of a person, and larger frames take longer in every stage."""
MIN_SPEED, MAX_SPEED = 0.02, 10.0
MAX_MISSING = 0.1  # share of the frames without the person, before and after, that needs no word
LOW_FPS = 12.0
"""Frames per second of real time below which fast motion falls between the frames."""


@dataclass(frozen=True)
class VideoReader:
    """A range of a video's frames; iterate it as often as needed for RGB uint8 (H, W, 3).

    Frames come upright, with square pixels, at most `MAX_SIDE` pixels on the longer side, and at a
    constant rate of at most `timing.MAX_FPS`, whatever the file holds.

    Attributes:
        path: the file. sha256: of its bytes.
        fps: frames per second of real time. width, height: pixels, of the frames that come.
        frames: (T,) index in the file of each; repeats one where the file has none for its time.
        repeated: (T,) whether a frame is shown again for want of one of its own.
        speed: seconds of real time per second of the file: 1/4 where it shows slow motion.
        start: the file's second of the first frame.
        ended: whether the range was asked to end before the file does.
        notes: what was done to the frames, for the user.
    """

    path: Path
    sha256: str
    fps: float
    width: int
    height: int
    frames: tuple[int, ...]
    repeated: tuple[bool, ...]
    speed: float = 1.0
    start: float = 0.0
    ended: bool = False
    notes: tuple[str, ...] = ()

    @property
    def first_frame(self) -> int:
        """Index of the range's first frame in the file."""
        return self.frames[0]

    @property
    def num_frames(self) -> int:
        """Frames in the range that really decode: containers' own counts lie."""
        return len(self.frames)

    @property
    def file_fps(self) -> float:
        """Frames per second of the file's own time, at which it looks as it does in a player."""
        return self.fps * self.speed

    def seconds(self, frame: float) -> float:
        """The file's second of frame ``frame`` of the range, as --start and --end count it."""
        return self.start + frame / self.file_fps

    def range_options(self, first: int, last: int) -> str:
        """``--start`` and ``--end`` that give frames ``first`` to ``last - 1`` and none else."""
        options = []
        if first > 0 or self.start > 0:
            options.append(f"--start {math.ceil(100 * self.seconds(first) - 1e-6) / 100:.2f}")
        if last < len(self) or self.ended:
            options.append(f"--end {math.floor(100 * self.seconds(last) + 1e-6) / 100:.2f}")
        return " ".join(options)

    def range_advice(self, seen: np.ndarray) -> str | None:
        """What range to take where the person is missing for long before or after.

        Args:
            seen: (T,) bool, whether the person is in the frame.
        """
        at = np.flatnonzero(seen)
        if not len(at) or len(self) - (at[-1] - at[0] + 1) <= MAX_MISSING * len(self):
            return None
        first, last = int(at[0]), int(at[-1]) + 1
        return (
            f"the person is in the picture from {self.seconds(first):.2f} to "
            f"{self.seconds(last):.2f} s only: use {self.range_options(first, last)}"
        )

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[np.ndarray]:
        with _capture(self.path) as capture:
            at = -1
            frame: np.ndarray | None = None
            for wanted in self.frames:
                if wanted > at:
                    for _ in range(wanted - at):
                        if not capture.grab():
                            raise VideoError(f"{self.path}: changed while it was read")
                    ok, raw = capture.retrieve()
                    if not ok:
                        raise VideoError(f"{self.path}: changed while it was read")
                    at, frame = wanted, self._finished(raw)
                assert frame is not None
                yield frame.copy() if self.repeated else frame  # who draws into it spoils no other

    def _finished(self, frame: np.ndarray) -> np.ndarray:
        if frame.shape[:2] != (self.height, self.width):
            size = (self.width, self.height)
            frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def open_video(
    path: str | os.PathLike[str],
    start: float | None = None,
    end: float | None = None,
    *,
    speed: float = 1.0,
    max_side: int = MAX_SIDE,
) -> VideoReader:
    """Open the frames between ``start`` and ``end`` seconds (by default all of them).

    Every frame up to ``end`` is decoded once to count it, which costs a few milliseconds each.

    Args:
        start, end: in the file's own seconds, as a player shows them.
        speed: how fast the file plays what it shows: 0.25 for a quarter of the real speed.
        max_side: frames are scaled down to that many pixels on the longer side.

    Raises:
        VideoError: no such file, no video, damaged, an empty range, or under 5 frames.
    """
    _check_range(start, end)
    if not (math.isfinite(speed) and MIN_SPEED <= speed <= MAX_SPEED):
        raise VideoError(
            f"--speed must be from {MIN_SPEED:g} to {MAX_SPEED:g}, it is {speed:g}: 0.25 where the "
            "video plays at a quarter of the real speed"
        )
    path = _checked_file(path)
    try:
        sha256 = _sha256(path)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error.strerror or error}") from None
    with _capture(path) as capture:
        if not capture.grab():
            raise VideoError(f"{path}: {_why_unreadable(path)}")
        ok, frame = capture.retrieve()
        if not ok:
            raise VideoError(f"{path}: {_why_unreadable(path)}")
        size = _upright_size(capture, frame)
        claimed = capture.get(cv2.CAP_PROP_FPS)
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)  # negative where the container has none
        times = _times(capture, claimed, end)
    count = len(times)
    if count == 1 and announced <= 1:
        raise VideoError(f"{path}: this is a single picture; a motion needs a video")
    timing = plan(times, claimed, speed)
    if timing is None or not MIN_FPS <= timing.file_rate <= MAX_FILE_FPS:
        rate = claimed if timing is None else timing.file_rate
        raise VideoError(
            f"{path}: no usable frame rate ({rate:g} per second); convert it to mp4 (H.264)"
        )
    first = round((start or 0.0) * timing.rate)
    last = math.inf if end is None else round(end * timing.rate)
    _check_whole(path, timing, count, announced, claimed, end)
    picked = len(timing.indices)
    _check_length(path, picked, first, last, timing.rate)
    chosen = slice(first, None if math.isinf(last) else int(last))
    width, height = _limited(size, max_side)
    fps = timing.rate / speed
    return VideoReader(
        path=path,
        sha256=sha256,
        fps=fps,
        width=width,
        height=height,
        frames=tuple(timing.indices[chosen].tolist()),
        repeated=tuple(timing.repeated[chosen].tolist()),
        speed=speed,
        start=first / timing.rate,
        ended=end is not None,
        notes=tuple(_notes(timing, fps, speed)),
    )


def _checked_file(path: str | os.PathLike[str]) -> Path:
    if str(path).lower().startswith(("http:/", "https:/")):  # Path drops a slash
        raise VideoError(f"{path}: this is an address; download the video and name the file")
    path = Path(path)
    try:
        if path.is_dir():
            raise VideoError(f"{path}: this is a folder; name a video file in it")
        if not path.is_file():
            what = "this is not an ordinary file" if path.exists() else "there is no such file"
            raise VideoError(f"{path}: {what}")
    except (OSError, ValueError) as error:  # a name that is too long, a folder that is closed
        raise VideoError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from None
    return path


def _times(capture: cv2.VideoCapture, claimed: float, end: float | None) -> np.ndarray:
    """Seconds (N,) that the container gives each frame, from the one just grabbed on.

    It stops some frames after ``end``: enough to know which of them lies nearest to it.
    """
    times = [1e-3 * capture.get(cv2.CAP_PROP_POS_MSEC)]
    fps = claimed if math.isfinite(claimed) and claimed > 0 else math.inf
    beyond = 0
    while beyond < FRAMES_BEYOND and capture.grab():
        times.append(1e-3 * capture.get(cv2.CAP_PROP_POS_MSEC))
        # both clocks, since either may be wrong
        if end is not None and times[-1] - times[0] > end and len(times) > end * fps:
            beyond += 1
    return np.array(times)


def _check_whole(
    path: Path, timing: Timing, count: int, announced: float, claimed: float, end: float | None
) -> None:
    """Refuse a file that stops early, by its frames and by their times.

    Containers of varying rate announce the frames that a constant rate would have had.
    """
    until = math.inf if end is None else end
    frames = min(announced, until * timing.file_rate)
    seconds = min(announced / claimed if claimed > 0 else 0.0, until)
    covered = len(timing.indices) / timing.rate
    if count >= MIN_DECODED_SHARE * frames or covered >= MIN_DECODED_SHARE * seconds:
        return
    raise VideoError(
        f"{path}: only {count} of {announced:.0f} frames can be read, the file is cut off or "
        "damaged; copy it again"
        + (f", or use its good part with --end {covered:.2f}" if count > 30 else "")
    )


def _upright_size(capture: cv2.VideoCapture, frame: np.ndarray) -> tuple[int, int]:
    """Width and height of a frame that OpenCV has turned upright, once its pixels are square."""
    height, width = frame.shape[:2]
    wide, high = (capture.get(p) for p in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
    if not (wide > 0 and high > 0):
        return width, height
    if (
        capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90
    ):  # the ratio is of the frame as stored
        wide, high = high, wide
    return round(width * max(wide / high, 1.0)), round(height * max(high / wide, 1.0))


def _limited(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    scale = min(1.0, max_side / max(size))
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def _notes(timing: Timing, fps: float, speed: float) -> Iterator[str]:
    if timing.varying:
        yield f"the frame rate varies: {timing.rate:.4g} frames per second are taken by their times"
    if timing.file_rate / speed > 1.01 * fps:
        yield f"{timing.file_rate / speed:.4g} frames per second, of which {fps:.4g} are used"
    if fps < LOW_FPS:
        yield f"{fps:.3g} frames per second of real time: fast motion is lost between them"
    if speed != 1.0:
        yield f"the video plays at {speed:g} times the real speed"


def _check_range(start: float | None, end: float | None) -> None:
    for name, value in (("--start", start), ("--end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise VideoError(f"{name} must be a number of seconds from 0 on, it is {value}")
    if end is not None and end <= (start or 0.0):
        raise VideoError(f"--end {end:g} must be later than --start {start or 0.0:g}")


def _check_length(path: Path, frames: int, first: int, last: float, rate: float) -> None:
    chosen = max(min(frames, last) - first, 0)
    if chosen >= MIN_FRAMES:
        return
    if first == 0 and frames < last:
        raise VideoError(
            f"{path}: {frames} frames; a motion needs at least {MIN_FRAMES}: take a longer video"
        )
    ends = "" if frames >= last else f"; the video ends after {frames / rate:.2f} s"
    raise VideoError(
        f"{path}: {chosen} frames between --start and --end{ends}; a motion "
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
        # FFmpeg takes "a:b.mp4" for an address, but not with a slash in front
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        yield capture
    finally:
        capture.release()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _why_unreadable(path: Path) -> str:
    """What FFmpeg itself says of a file that OpenCV shows no frame of."""
    if path.stat().st_size == 0:
        return "the file is empty, not a video; copy it again"
    import imageio_ffmpeg

    try:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path.absolute())]
        told = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False
        ).stderr.decode(errors="replace")
    except (OSError, RuntimeError, subprocess.SubprocessError):
        told = ""
    if ": Audio:" in told and ": Video:" not in told:
        return "there is only sound in it; name a file with pictures"
    return (
        "not a video, or one cut off before its index; copy it again, or convert it to mp4 (H.264)"
    )
