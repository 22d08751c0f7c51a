"""A narrow walkway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sfv_gym.terrains.terrain import START_HALF, Pieces, Terrain


@dataclass(frozen=True)
class Beam(Terrain):
    """A walkway at z = 0, the floor 0.8 m below on both sides.

    On average 0.6 m (difficulty 0) to 0.12 m (1) to each side; each piece of 0.8 to 1.6 m draws
    its own, within 15 % of that.
    """

    name: ClassVar[str] = "beam"
    spacing: ClassVar[float] = 1.2
    jitter: ClassVar[float] = 0.16
    floor: ClassVar[float] = -0.8

    @property
    def half_width(self) -> float:
        """Metres, on average."""
        return self.between(0.6, 0.12)

    def shape(self, ends: np.ndarray, uniform: np.ndarray, start: int) -> Pieces:
        """Pieces side by side, all level, each with a half width of its own."""
        half_width = self.half_width * (0.85 + 0.3 * uniform)
        half_width[:, start] = START_HALF
        level = np.zeros(uniform.shape)
        return Pieces(ends[:, :-1], ends[:, 1:], level, level, half_width)
