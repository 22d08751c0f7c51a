"""The pictures of a file one after the other, decoded by FFmpeg through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from PIL import Image, ImageSequence

from sfv_gym.errors import VideoError
from sfv_gym.video.interlacing import deinterlaced

MIN_PICTURES = 2
"""Packets of a stream that is a video: one is a cover or a preview beside it."""
NOT_THE_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
WEBP_UNIT = Fraction(1, 1000)  # seconds, of an animated WebP's durations


class Decoder:
    """The video in a file, good pictures only.

    Attributes:
        rate: pictures per second that the container claims; 0 where it claims none.
        announced: pictures that the container announces, and seconds: they last; 0 if unknown.
        pixel_aspect: width of a pixel by its height.
        lost: pictures left out so far because the file is damaged there.
    """

    def __init__(
        self,
        rate: float = 0.0,
        announced: int = 0,
        seconds: float = 0.0,
        pixel_aspect: Fraction | None = None,
    ) -> None:
        self.rate = rate
        self.announced = announced
        self.seconds = seconds
        self.pixel_aspect = pixel_aspect or Fraction(1)
        self.lost = 0

    def pictures(self) -> Iterator[av.VideoFrame]:
        """In the order in which they are shown, as they are stored: not turned, in any format."""
        raise NotImplementedError


class StreamDecoder(Decoder):
    """A video stream, whatever container it is in."""

    def __init__(
        self, container: av.container.InputContainer, stream: av.VideoStream, top: bool | None
    ) -> None:
        super().__init__(
            rate=float(stream.guessed_rate or stream.average_rate or 0.0),
            announced=stream.frames,
            seconds=_seconds(container, stream),
            pixel_aspect=stream.sample_aspect_ratio,
        )
        self._container, self._stream, self._top = container, stream, top

    def pictures(self) -> Iterator[av.VideoFrame]:
        """In the order in which they are shown, as they are stored, deinterlaced if need be."""
        found = self._decoded()
        return found if self._top is None else deinterlaced(found, top_field_first=self._top)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """After damage, what follows refers to what is lost, up to the next key picture."""
        self._stream.thread_type = "AUTO"
        begun = damaged = False
        for packet in self._packets():
            try:
                pictures = packet.decode()
            except (av.FFmpegError, EOFError):
                if begun:
                    self.lost, damaged = self.lost + 1, True
                continue
            for picture in pictures:
                damaged = picture.is_corrupt or (damaged and not picture.key_frame)
                if damaged:
                    self.lost += begun
                else:
                    begun = True
                    yield picture

    def _packets(self) -> Iterator[av.Packet[Any]]:
        try:
            yield from self._container.demux(self._stream)
        except (av.FFmpegError, EOFError):  # the container breaks off: what came until then counts
            return


class WebPDecoder(Decoder):
    """An animated WebP, which FFmpeg does not decode."""

    def __init__(self, path: Path) -> None:
        with Image.open(path) as image:
            super().__init__(announced=getattr(image, "n_frames", 1))
        self._path = path

    def pictures(self) -> Iterator[av.VideoFrame]:
        """In RGB, on the ground that the file names."""
        at = 0
        with Image.open(self._path) as image:
            for shown in ImageSequence.Iterator(image):
                picture = av.VideoFrame.from_ndarray(np.asarray(shown.convert("RGB")), "rgb24")
                picture.pts, picture.time_base = at, WEBP_UNIT
                at += int(image.info.get("duration", 0))
                yield picture


@contextmanager
def open_decoder(path: Path, top_field_first: bool | None = None) -> Iterator[Decoder]:
    """A decoder of the video in a file.

    Args:
        top_field_first: of the pictures that are marked as interlaced, which are then
            deinterlaced; None leaves them as they are.

    Raises:
        VideoError: it is no video, or there is none in it.
    """
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty, not a video; copy it again")
    if _is_webp(path):
        try:
            decoder = WebPDecoder(path)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            raise VideoError(f"{path}: {_UNREADABLE}") from None
        yield decoder
        return
    try:
        # "file:", because FFmpeg takes "a:b.mp4" for an address; and what a playlist names, it
        # may not fetch
        container = av.open(
            f"file:{path.absolute()}",
            options={"protocol_whitelist": "file"},
            metadata_errors="ignore",
        )
    except (av.FFmpegError, OSError, ValueError):
        raise VideoError(f"{path}: {_UNREADABLE}") from None
    with container:
        yield StreamDecoder(container, _main_stream(path, container), top_field_first)


_UNREADABLE = (
    "not a video, or one cut off before its index; copy it again, or convert it to mp4 (H.264)"
)


def _main_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """The video that a player shows, beside covers, previews and second tracks."""
    streams = [s for s in container.streams.video if not s.disposition & NOT_THE_VIDEO]
    if unknown := [s for s in streams if s.codec_context is None]:  # FFmpeg has no decoder for it
        streams = [s for s in streams if s not in unknown]
    if not streams:
        if unknown:
            raise VideoError(f"{path}: {_UNREADABLE}")
        if container.streams.audio or container.streams.video:
            raise VideoError(f"{path}: there is only sound in it; name a file with pictures")
        raise VideoError(f"{path}: {_UNREADABLE}")
    if len(streams) > 1:
        streams = _with_many_packets(path, streams)
    chosen = max(
        streams, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height)
    )
    if not chosen.width or chosen.pix_fmt is None:  # a header that promises what is not there
        raise VideoError(f"{path}: {_UNREADABLE}")
    return chosen


def _with_many_packets(path: Path, streams: list[av.VideoStream]) -> list[av.VideoStream]:
    """Those of the streams that are no stills; all, if all are."""
    count = dict.fromkeys((s.index for s in streams), 0)
    with av.open(f"file:{path.absolute()}", metadata_errors="ignore") as other:
        try:
            for packet in other.demux([other.streams[i] for i in count]):
                count[packet.stream.index] += packet.size > 0
        except (av.FFmpegError, EOFError):
            pass
    return [s for s in streams if count[s.index] >= MIN_PICTURES] or streams


def _seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """How long the video lasts as the container says, 0 if it does not."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if "DURATION" in stream.metadata:  # Matroska's, "00:00:02.500000000"
        try:
            hours, minutes, seconds = map(float, stream.metadata["DURATION"].split(":"))
        except ValueError:
            return 0.0
        start = (stream.start_time or 0) * (stream.time_base or 0)
        return 3600.0 * hours + 60.0 * minutes + seconds - float(start)  # it tells the end
    if container.duration and len(container.streams) == 1:  # the sound may last longer
        return container.duration / av.time_base
    return 0.0


def _is_webp(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"
