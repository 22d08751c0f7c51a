"""Plateaus of different heights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sfv_gym.terrains.terrain import WIDE_HALF, Pieces, Terrain, outwards, signed


@dataclass(frozen=True)
class Steps(Terrain):
    """Level plateaus of 0.5 to 1.3 m, each up or down from the last.

    A step is at most 0.02 m (difficulty 0) to 0.18 m (1) high; each draws between half of that
    and all of it. No plateau lies higher or lower than ``LIMIT``.
    """

    name: ClassVar[str] = "steps"
    spacing: ClassVar[float] = 0.9
    jitter: ClassVar[float] = 0.2
    floor: ClassVar[float] = -1.2
    smoothing: ClassVar[float] = 0.4
    LIMIT: ClassVar[float] = 0.6

    @property
    def largest_step(self) -> float:
        """Metres."""
        return self.between(0.02, 0.18)

    def shape(self, ends: np.ndarray, uniform: np.ndarray, start: int) -> Pieces:
        """Level pieces whose heights add up from the start outwards on both sides."""
        height = outwards(self.largest_step * signed(uniform), start, self.LIMIT)
        wide = np.full(uniform.shape, WIDE_HALF)
        return Pieces(ends[:, :-1], ends[:, 1:], height, height, wide)
