"""Frames of a video file, checked before anything expensive starts."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np

from sfv_gym.errors import VideoError
from sfv_gym.video.decoding import Decoder, open_decoder
from sfv_gym.video.geometry import Shown
from sfv_gym.video.interlacing import FieldOrder
from sfv_gym.video.repeats import Repeats
from sfv_gym.video.timing import Timing, orderly, plan

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
        fps: frames per second of real time.
        shown: how a picture of the file becomes a frame.
        frames: (T,) index in the file of each; repeats one where the file has none for its time.
        repeated: (T,) whether a frame is shown again for want of one of its own.
        speed: seconds of real time per second of the file: 1/4 where it shows slow motion.
        start: the file's second of the first frame.
        top_field_first: of the pictures that are interlaced; None where none is.
        ended: whether the range was asked to end before the file does.
        notes: what was done to the frames, for the user.
    """

    path: Path
    sha256: str
    fps: float
    shown: Shown
    frames: tuple[int, ...]
    repeated: tuple[bool, ...]
    speed: float = 1.0
    start: float = 0.0
    top_field_first: bool | None = None
    ended: bool = False
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Pixels, of the frames that come."""
        return self.shown.width

    @property
    def height(self) -> int:
        """Pixels, of the frames that come."""
        return self.shown.height

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
        with open_decoder(self.path, self.top_field_first) as decoder:
            pictures = enumerate(decoder.pictures())
            for wanted, times in groupby(self.frames):
                picture = next((p for at, p in pictures if at == wanted), None)
                if picture is None:
                    raise VideoError(f"{self.path}: changed while it was read")
                frame = self.shown.rgb(picture)
                yield frame
                for _ in list(times)[1:]:  # not the same array: who draws into it spoils no other
                    yield self.shown.rgb(picture)


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
    with open_decoder(path) as decoder:
        seen = _survey(decoder, end, max_side)
    if seen is None:
        raise VideoError(f"{path}: no picture in it can be read; copy it again")
    if len(seen.times) == 1 and decoder.announced <= 1:
        raise VideoError(f"{path}: this is a single picture; a motion needs a video")
    timing = plan(seen.times, decoder.rate, speed, seen.again)
    if timing is None or not MIN_FPS <= timing.file_rate <= MAX_FILE_FPS:
        rate = decoder.rate if timing is None else timing.file_rate
        raise VideoError(
            f"{path}: no usable frame rate ({rate:g} per second); convert it to mp4 (H.264)"
        )
    first = round((start or 0.0) * timing.rate)
    last = math.inf if end is None else round(end * timing.rate)
    _check_whole(path, timing, seen, decoder, end)
    _check_length(path, len(timing.indices), first, last, timing.rate)
    chosen = slice(first, None if math.isinf(last) else int(last))
    fps = timing.rate / speed
    return VideoReader(
        path=path,
        sha256=sha256,
        fps=fps,
        shown=seen.shown,
        frames=tuple(timing.indices[chosen].tolist()),
        repeated=tuple(timing.repeated[chosen].tolist()),
        speed=speed,
        start=first / timing.rate,
        top_field_first=seen.top_field_first,
        ended=end is not None,
        notes=tuple(_notes(timing, seen, fps, speed)),
    )


@dataclass(frozen=True)
class _Survey:
    """What one look through a file tells.

    Attributes:
        shown: how its pictures are shown. times: (N,) seconds that the container gives each.
        again: (N,) bool, pictures that repeat the one before.
        span: seconds from the first to the last, wherever the clock jumps.
        top_field_first: of the interlaced ones. lost: pictures that are damaged.
        whole_until: seconds from the first picture to the first damage.
    """

    shown: Shown
    times: np.ndarray
    again: np.ndarray
    span: float
    top_field_first: bool | None
    lost: int
    whole_until: float


def _survey(decoder: Decoder, end: float | None, max_side: int) -> _Survey | None:
    """Look through a file; None if no picture in it can be read.

    It stops some pictures after ``end``: enough to know which of them lies nearest to it.
    """
    shown: Shown | None = None
    shows: list[float] = []
    decodes: list[float] = []
    repeats, fields = Repeats(), FieldOrder()
    whole_until = math.inf
    fps = decoder.rate or math.inf
    beyond = 0
    for picture in decoder.pictures():
        if shown is None:
            shown = Shown.of(picture, decoder.pixel_aspect, max_side)
        if decoder.lost and shows and math.isinf(whole_until):
            whole_until = shows[-1] - shows[0]
        shows.append(_seconds(picture.pts, picture.time_base))
        decodes.append(_seconds(picture.dts, picture.time_base))
        repeats.add(picture)
        fields.add(picture)
        # both clocks, since either may be wrong
        if end is not None and shows[-1] - shows[0] > end and len(shows) > end * fps:
            beyond += 1
            if beyond == FRAMES_BEYOND:
                break
    if shown is None:
        return None
    if decoder.lost and math.isinf(whole_until):
        whole_until = shows[-1] - shows[0]
    times = orderly(np.array(shows), np.array(decodes))
    return _Survey(
        shown=shown,
        times=times,
        span=float(np.nanmax(times) - np.nanmin(times)) if np.isfinite(times).any() else 0.0,
        again=repeats.found(),
        top_field_first=fields.top_field_first(),
        lost=decoder.lost,
        whole_until=whole_until,
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


def _seconds(stamp: int | None, unit: Fraction | None) -> float:
    return math.nan if stamp is None or unit is None else float(stamp * unit)


def _check_whole(
    path: Path, timing: Timing, seen: _Survey, decoder: Decoder, end: float | None
) -> None:
    """Refuse a file that stops early or is damaged, by its pictures and by their times.

    Containers of varying rate announce the pictures that a constant rate would have had, and some
    those that an edit list hides.
    """
    until = math.inf if end is None else end
    count = len(seen.times)
    seconds = min(decoder.seconds, until)
    covered = len(timing.indices) / timing.rate
    announced = min(decoder.announced, until * timing.file_rate)
    span = max(covered, seen.span + 1.0 / timing.rate)
    told = (
        (count, announced, decoder.announced > 0),
        (span, seconds, decoder.seconds > 0),
    )
    # either is enough: an edit list hides pictures, and the last one may be shown for long
    enough = any(found >= MIN_DECODED_SHARE * whole for found, whole, known in told if known)
    unknown = decoder.announced <= 0 and decoder.seconds <= 0
    lost = 0 if until <= seen.whole_until + 1.5 / timing.rate else seen.lost
    if (enough or unknown) and count >= MIN_DECODED_SHARE * (count + lost):
        return
    of = max(decoder.announced or round(decoder.seconds * decoder.rate), count + lost)
    good = min(covered, seen.whole_until)
    raise VideoError(
        f"{path}: only {count} of {of} frames can be read, the file is cut off or damaged; copy it "
        "again"
        + (f", or use its good part with --end {good:.2f}" if good * timing.rate > 30 else "")
    )


def _notes(timing: Timing, seen: _Survey, fps: float, speed: float) -> Iterator[str]:
    if seen.top_field_first is not None:
        yield "interlaced: the first field of each frame is used"
    if seen.again.any():
        yield (
            f"{seen.again.sum()} of {len(seen.again)} frames repeat the one before and are left "
            f"out: {timing.file_rate:.4g} different ones per second"
        )
    if seen.lost:
        yield f"{seen.lost} damaged frames are left out"
    if timing.jumps:
        yield f"the file's clock jumps ({timing.jumps} times): it is taken to go on without"
    if timing.varying:
        yield f"the frame rate varies: {timing.rate:.4g} frames per second are taken by their times"
    if timing.ramp is not None:
        slow, fast = timing.ramp
        yield (
            f"from {slow:.4g} to {fast:.4g} frames per second: a slow-motion ramp? Times are taken "
            "as they are; choose a part that plays slowly with --start and --end, and give --speed"
        )
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


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
