"""Interlaced pictures: two moments in the odd and the even rows of one picture."""

from __future__ import annotations

from collections.abc import Iterator

import av

from sfv_gym.video.filters import Filter

MIN_INTERLACED = 0.1
"""Share of the pictures marked as interlaced that must look so: of clips that are progressive and
only marked so, hardly any does, and of interlaced ones nearly all do."""


class FieldOrder:
    """Finds out whether pictures that are marked as interlaced are, and in which order."""

    def __init__(self) -> None:
        self._idet = Filter("idet")
        self._marked = self._top = self._bottom = 0

    def add(self, picture: av.VideoFrame) -> None:
        """Look at the next picture; those that are not marked cost nothing."""
        if picture.interlaced_frame:
            self._marked += 1
            self._count(self._idet.put(picture))

    def top_field_first(self) -> bool | None:
        """After the last picture: whether the upper rows come first; None if none is interlaced."""
        if not self._marked:
            return None
        self._count(self._idet.end())
        if self._top + self._bottom < MIN_INTERLACED * self._marked:
            return None
        return self._top >= self._bottom

    def _count(self, seen: list[av.VideoFrame]) -> None:
        for picture in seen:
            kind = picture.metadata.get("lavfi.idet.single.current_frame")
            self._top += kind == "tff"
            self._bottom += kind == "bff"


def deinterlaced(
    pictures: Iterator[av.VideoFrame], *, top_field_first: bool
) -> Iterator[av.VideoFrame]:
    """As many pictures, of which those that are marked as interlaced show their first moment."""
    bwdif = Filter("bwdif", f"mode=send_frame:parity={'tff' if top_field_first else 'bff'}:"
                    "deint=interlaced")  # fmt: skip
    for picture in pictures:
        yield from bwdif.put(picture)
    yield from bwdif.end()
