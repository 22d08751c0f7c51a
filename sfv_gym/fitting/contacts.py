"""What of a body touches the ground, and when it is in the air."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch

from sfv_gym.array_types import Bool, Float
from sfv_gym.fitting.canonical_body import PALMS, ROUNDS, SOLES


@dataclass(frozen=True)
class Stance:
    """The frames in which something touches, and what.

    Attributes:
        points: (Q,) those that ever touch.
        frames: (H,) those in which anything does, counted without the clip's first.
        barrier: (H, Q) 0 of what touches, and minus infinity of what does not.
    """

    points: np.ndarray
    frames: np.ndarray
    barrier: np.ndarray


@dataclass(frozen=True)
class Contacts:
    """What touches the ground, in T frames.

    Attributes:
        active: (T, P) in 0..1, which of the points of a body's ``ContactSurface`` touch.
        in_air: (T,) in 0..1, 1 where nothing at all touches.
        flights: (first, last) frame in the air of each flight.
        unattributed: (T,) in 0..1, where something touches that is not among the points; None
            where everything that can touch is.
        raised: (T, P) metres above the ground of the top of the object that a point touches, and 0
            of what touches the ground; None where there is no object.
    """

    active: Float[torch.Tensor, "T P"]
    in_air: Float[torch.Tensor, " T"]
    flights: tuple[tuple[int, int], ...]
    unattributed: Float[torch.Tensor, " T"] | None = None
    raised: Float[torch.Tensor, "T P"] | None = None

    @cached_property
    def sustained(self) -> Float[torch.Tensor, "U P"]:
        """(T - 1, P) in 0..1, what touches the same before and after a step from frame to frame."""
        held = torch.minimum(self.active[1:], self.active[:-1])
        if self.raised is None:
            return held
        return held * (self.raised[1:] == self.raised[:-1]) * self._firm[1:]

    @property
    def _firm(self) -> Float[torch.Tensor, "T P"]:
        """(T, P) 1, or 0 of what may slide on an object."""
        return torch.ones_like(self.active)

    @cached_property
    def on_objects(self) -> Bool[np.ndarray, " T"]:
        """(T,) whether an object carries a part of the weight."""
        if self.raised is None:
            return np.zeros(len(self.active), bool)
        return np.asarray((self.raised > 0).any(1))

    def on_tops(self, raised: Float[torch.Tensor, "T P"]) -> Self:
        """The same on objects of other heights."""
        return replace(self, raised=raised)

    def weights(
        self, height_weights: torch.Tensor, slide_weights: torch.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """What touches (T, P), and on both sides of a step (T - 1, P), see `ContactSurface`."""
        return (self.active * height_weights).numpy(), (self.sustained * slide_weights).numpy()

    @cached_property
    def stance(self) -> Stance:
        """What touches in the frames but the first and the last, those left out in which an object
        carries a part of the weight: the zero-moment point is one of the ground's."""
        touching = self.active[1:-1].numpy() >= 0.5
        touching &= ~self.on_objects[1:-1, None]
        points, frames = np.flatnonzero(touching.any(0)), np.flatnonzero(touching.any(1))
        return Stance(points, frames, np.where(touching[frames][:, points], 0.0, -np.inf))

    def without_flights(self) -> Self:
        """The same contacts, for a fit that does not believe the flights yet."""
        return replace(self, in_air=0 * self.in_air, flights=())


@dataclass(frozen=True)
class CanonicalContacts(Contacts):
    """Of the canonical body: its points are soles, round shapes, and hands.

    Attributes:
        played_at: the share of the real speed at which gravity would explain the longest stretch
            off the ground, where that is too slow for a flight and long enough to tell; None
            elsewhere.
    """

    played_at: float | None = None

    @property
    def _firm(self) -> Float[torch.Tensor, "T P"]:
        firm = torch.ones_like(self.active)
        if self.raised is not None:  # the wrist rolls over the palm, and the palm over the top
            firm[:, PALMS] = (self.raised[:, PALMS] == 0).to(firm)
        return firm

    @property
    def soles(self) -> Float[torch.Tensor, "T 2 4"]:
        """(T, 2, 4) in 0..1, corners as in canonical_body.SOLE, right foot first."""
        return self.active[:, SOLES].unflatten(1, (2, 4))

    @property
    def hands(self) -> Float[torch.Tensor, "T 2"]:
        """(T, 2) in 0..1."""
        return self.active[:, PALMS]

    @property
    def rounds(self) -> Float[torch.Tensor, "T R"]:
        """(T, R) in 0..1, knees, pelvis, back and so on: columns as in Body.round_bottoms, those
        of the hands left at 0."""
        return self.active[:, ROUNDS]

    def effectors(self) -> Float[np.ndarray, "T 4"]:
        """(T, 4) in 0..1 in the order of skeleton.END_EFFECTORS."""
        feet = self.soles.amax(-1)
        return torch.cat((self.hands, feet), 1).numpy()
