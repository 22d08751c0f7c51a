"""Flat ground at z = 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sfv_gym.terrains.terrain import Pieces, Terrain


@dataclass(frozen=True)
class Flat(Terrain):
    """An endless plane; difficulty changes nothing."""

    name: ClassVar[str] = "flat"
    is_flat: ClassVar[bool] = True

    def shape(self, ends: np.ndarray, uniform: np.ndarray, start: int) -> Pieces:
        """Never called: ``Ground`` looks at ``is_flat`` first."""
        raise NotImplementedError("flat ground has no pieces")
