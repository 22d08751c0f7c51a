"""What of a body touches the ground, and when it is in the air."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch


@dataclass(frozen=True)
class Contacts:
    """What touches the ground, per frame.

    Attributes:
        soles: (T, 2, 4) in 0..1, corners as in canonical_body.SOLE, right foot first.
        hands: (T, 2) in 0..1.
        rounds: (T, R) in 0..1, knees, pelvis, back and so on: columns as in Body.round_bottoms,
            those of the hands left at 0.
        in_air: (T,) in 0..1, 1 where nothing at all touches.
        flights: (first, last) frame in the air of each flight.
        played_at: the share of the real speed at which gravity would explain the longest stretch
            off the ground, where that is too slow for a flight and long enough to tell; None
            elsewhere.
    """

    soles: torch.Tensor
    hands: torch.Tensor
    rounds: torch.Tensor
    in_air: torch.Tensor
    flights: tuple[tuple[int, int], ...]
    played_at: float | None = None

    def grounded(self) -> Contacts:
        """The same contacts without the flights, for a fit that does not believe them yet."""
        return replace(self, in_air=0 * self.in_air, flights=())

    def effectors(self) -> np.ndarray:
        """(T, 4) in 0..1 in the order of skeleton.END_EFFECTORS."""
        feet = self.soles.amax(-1)
        return torch.cat((self.hands, feet), 1).numpy()
