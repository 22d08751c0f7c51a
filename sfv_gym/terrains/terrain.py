"""What a terrain is: a rule that turns uniform numbers into a track of flat-topped pieces.

A track runs along a direction u through the start of an episode, both ahead (u > 0) and behind;
v is to its left. Its pieces follow each other along u without overlap. What no piece covers is
floor, further down.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sfv_gym.checks import real

CELL = 0.05
"""Metres: pieces end at multiples of it, so that a table with one entry a cell is exact."""
START_HALF = 0.8
"""Metres of flat ground at z = 0 around the start in every direction: every start pose fits."""
WIDE_HALF = 6.0
"""Metres to each side of a piece that nobody is meant to leave."""


@dataclass(frozen=True)
class Pieces:
    """Pieces (n, K) of n tracks, from the rearmost on.

    Attributes:
        first, last: cells along u at which each begins and ends.
        z_first, z_last: metres, height of its top there; it is straight in between.
        half_width: metres to each side of the track's middle.
    """

    first: np.ndarray
    last: np.ndarray
    z_first: np.ndarray
    z_last: np.ndarray
    half_width: np.ndarray


@dataclass(frozen=True)
class Terrain(ABC):
    """Base of all terrains.

    Attributes:
        difficulty: 0 (nearly flat) to 1.
    """

    difficulty: float = 0.5

    name: ClassVar[str]
    is_flat: ClassVar[bool] = False
    """Whether it is an endless plane: no pieces, and no heights in the observations."""
    spacing: ClassVar[float] = 1.0
    """Metres, mean length of a piece (with the gap before it); a multiple of CELL."""
    jitter: ClassVar[float] = 0.0
    """How far at most an end of a piece is moved from its regular place, over spacing."""
    floor: ClassVar[float] = 0.0
    """Metres, height of the floor next to and between the pieces."""
    smoothing: ClassVar[float] = 0.0
    """Metres, half the width of the (triangular) window over which the ground is averaged to
    raise the reference motion; 0: the reference stays where it is."""

    def __post_init__(self) -> None:
        real("difficulty", self.difficulty, 0.0, 1.0)

    @abstractmethod
    def shape(self, ends: np.ndarray, uniform: np.ndarray, start: int) -> Pieces:
        """Turn uniform numbers into pieces.

        Args:
            ends: (n, K + 1) cells, the drawn places along u that part the pieces.
            uniform: (n, K) in [0, 1), one number for each piece.
            start: index of the piece that episodes start on; it must stay flat at z = 0, and
                ``START_HALF`` wide and long to each side.
        """

    def between(self, easiest: float, hardest: float) -> float:
        """The value at this difficulty, linear from ``easiest`` at 0 to ``hardest`` at 1."""
        return easiest + self.difficulty * (hardest - easiest)


def signed(uniform: np.ndarray) -> np.ndarray:
    """Numbers in -1..-0.5 and 0.5..1 from uniform ones in [0, 1): never near 0."""
    x = 2.0 * uniform - 1.0
    return np.copysign(0.5 + 0.5 * np.abs(x), x)


def outwards(rise: np.ndarray, start: int, limit: float) -> np.ndarray:
    """Heights (n, K) reached by adding up rises (n, K) from piece ``start`` (0) to both ends.

    Folded back at ``limit``: the track turns round there, and no two neighbours differ by more
    than the rise between them.
    """
    height = np.zeros_like(rise)
    height[:, start + 1 :] = np.cumsum(rise[:, start + 1 :], axis=1)
    height[:, :start] = np.cumsum(rise[:, :start][:, ::-1], axis=1)[:, ::-1]
    return limit - np.abs((height + limit) % (4.0 * limit) - 2.0 * limit)
