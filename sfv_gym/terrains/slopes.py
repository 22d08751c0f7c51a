"""Ramps that rise and fall."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sfv_gym.terrains.terrain import CELL, WIDE_HALF, Pieces, Terrain, outwards, signed


@dataclass(frozen=True)
class Slopes(Terrain):
    """Ramps of 1 to 2 m, up or down by at most 3 degrees (difficulty 0) to 20 degrees (1).

    Each draws between half the largest grade and all of it. No ramp leads higher or lower than
    ``LIMIT``.
    """

    name: ClassVar[str] = "slopes"
    spacing: ClassVar[float] = 1.5
    jitter: ClassVar[float] = 0.16
    floor: ClassVar[float] = -1.8
    smoothing: ClassVar[float] = 0.2
    LIMIT: ClassVar[float] = 1.0

    @property
    def largest_grade(self) -> float:
        """Rise over run of the steepest ramp that can be drawn."""
        return math.tan(math.radians(self.between(3.0, 20.0)))

    def shape(self, ends: np.ndarray, uniform: np.ndarray, start: int) -> Pieces:
        """Ramps that begin where the last one ended, from the start outwards on both sides."""
        first, last = ends[:, :-1], ends[:, 1:]
        rise = self.largest_grade * signed(uniform) * (last - first) * CELL
        far = outwards(rise, start, self.LIMIT)  # height of each ramp's end away from the start
        z_first, z_last = far.copy(), far.copy()
        z_first[:, start + 1 :] = far[:, start:-1]
        z_last[:, :start] = far[:, 1 : start + 1]
        return Pieces(first, last, z_first, z_last, np.full(uniform.shape, WIDE_HALF))
