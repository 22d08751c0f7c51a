"""From a picture as it is stored to what a player shows: upright, square pixels, RGB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc, VideoReformatter

MAX_ASPECT = 10
"""Of a pixel. Files that claim a greater one are wrong."""
HDR = {ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67}
_reformatter = VideoReformatter()  # one, because its tables for HDR take seconds to make


@dataclass(frozen=True)
class Shown:
    """How the pictures of a file are shown.

    Attributes:
        width, height: pixels, of what is shown.
        swapped: rows become columns, before the rest.
        mirrored, upended: left and right, above and below change places.
    """

    width: int
    height: int
    swapped: bool
    mirrored: bool
    upended: bool

    @classmethod
    def of(cls, picture: av.VideoFrame, pixel_aspect: Fraction, max_side: int) -> Shown:
        """As the picture's display matrix tells, scaled down to ``max_side`` pixels."""
        aspect = float(pixel_aspect)
        if not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT:
            aspect = 1.0
        width, height = picture.width * max(aspect, 1.0), picture.height * max(1.0 / aspect, 1.0)
        swapped, mirrored, upended = _turn(picture)
        if swapped:
            width, height = height, width
        scale = min(1.0, max_side / max(round(width), round(height)))
        width, height = (max(1, round(scale * round(side))) for side in (width, height))
        return cls(width, height, swapped, mirrored, upended)

    def rgb(self, picture: av.VideoFrame) -> np.ndarray:
        """RGB uint8 (height, width, 3)."""
        width, height = (self.height, self.width) if self.swapped else (self.width, self.height)
        smaller = width * height < picture.width * picture.height
        colours = {}
        if picture.color_trc in HDR:  # to what a screen without HDR shows
            colours = {
                "dst_color_trc": ColorTrc.IEC61966_2_1,
                "dst_color_primaries": ColorPrimaries.BT709,
            }
        out = _reformatter.reformat(
            picture,
            width=width,
            height=height,
            format="rgb24",
            interpolation="AREA" if smaller else "BILINEAR",
            **colours,
        ).to_ndarray()
        if self.swapped:
            out = out.transpose(1, 0, 2)
        if self.mirrored:
            out = out[:, ::-1]
        if self.upended:
            out = out[::-1]
        return np.ascontiguousarray(out)


def _turn(picture: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Swapped, mirrored, upended: nearest to the display matrix (ISO/IEC 14496-12).

    Of its nine numbers a, b, u, c, d, v, x, y, w the picture's point (p, q), to the right and down,
    goes to (a p + c q, b p + d q).
    """
    try:
        side_data = cast(Mapping[str, Any], picture.side_data)
        matrix = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32)
    except KeyError:
        return False, False, False
    a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0
