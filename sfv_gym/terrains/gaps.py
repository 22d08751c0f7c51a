"""Platforms with gaps to cross."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sfv_gym.terrains.terrain import CELL, WIDE_HALF, Pieces, Terrain


@dataclass(frozen=True)
class Gaps(Terrain):
    """Platforms at z = 0 of 0.5 to 2.3 m, parted by gaps down to the floor 0.8 m below.

    A gap is at most 0.1 m (difficulty 0) to 0.7 m (1) wide; each draws between 60 % of that and
    all of it.
    """

    name: ClassVar[str] = "gaps"
    spacing: ClassVar[float] = 1.8
    jitter: ClassVar[float] = 0.15
    floor: ClassVar[float] = -0.8

    @property
    def largest_gap(self) -> float:
        """Metres."""
        return self.between(0.1, 0.7)

    def shape(self, ends: np.ndarray, uniform: np.ndarray, start: int) -> Pieces:
        """Level pieces; each gap is taken from the platform beyond it, never from the start's."""
        gap = np.rint(self.largest_gap * (0.6 + 0.4 * uniform) / CELL).astype(int)
        first, last = ends[:, :-1].copy(), ends[:, 1:].copy()
        first[:, start + 1 :] += gap[:, start + 1 :]  # on the side towards the start
        last[:, :start] -= gap[:, :start]
        level = np.zeros(uniform.shape)
        return Pieces(first, last, level, level, np.full(uniform.shape, WIDE_HALF))
