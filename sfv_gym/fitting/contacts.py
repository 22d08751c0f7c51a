"""What of a body touches the ground, and when it is in the air."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from sfv_gym.array_types import Float


@dataclass(frozen=True)
class Contacts:
    """What touches the ground, in T frames.

    Attributes:
        held: for each of a body's patches, see ``Articulation.underside``, which of its points
            touch: (T, P) in 0..1, or (T, 1) where they do so together.
        in_air: (T,) in 0..1, 1 where nothing at all touches.
        flights: (first, last) frame in the air of each flight.
        resting: (T,) in 0..1, where something touches of which nobody knows what it is; None
            where everything that can touch is among the patches.
    """

    held: tuple[Float[torch.Tensor, "T _"], ...]
    in_air: Float[torch.Tensor, " T"]
    flights: tuple[tuple[int, int], ...]
    resting: Float[torch.Tensor, " T"] | None = None

    def grounded(self) -> Self:
        """The same contacts without the flights, for a fit that does not believe them yet."""
        return replace(self, in_air=0 * self.in_air, flights=())


@dataclass(frozen=True)
class CanonicalContacts(Contacts):
    """Of the canonical body: its patches are soles, hands, and round shapes.

    Attributes:
        played_at: the share of the real speed at which gravity would explain the longest stretch
            off the ground, where that is too slow for a flight and long enough to tell; None
            elsewhere.
    """

    played_at: float | None = None

    @property
    def soles(self) -> Float[torch.Tensor, "T 2 4"]:
        """(T, 2, 4) in 0..1, corners as in canonical_body.SOLE, right foot first."""
        return self.held[0].unflatten(1, (2, 4))

    @property
    def hands(self) -> Float[torch.Tensor, "T 2"]:
        """(T, 2) in 0..1."""
        return self.held[1]

    @property
    def rounds(self) -> Float[torch.Tensor, "T R"]:
        """(T, R) in 0..1, knees, pelvis, back and so on: columns as in Body.round_bottoms, those
        of the hands left at 0."""
        return self.held[2]

    def effectors(self) -> Float[np.ndarray, "T 4"]:
        """(T, 4) in 0..1 in the order of skeleton.END_EFFECTORS."""
        feet = self.soles.amax(-1)
        return torch.cat((self.hands, feet), 1).numpy()
