"""What a fit has to know of a body, whatever it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch


@dataclass(frozen=True)
class Pose:
    """Canonical links of every frame in the world.

    Attributes:
        pos: (T, 15, 3) metres.
        rot: (T, 15, 3, 3) link to world.
    """

    pos: torch.Tensor
    rot: torch.Tensor

    def points(self, links: list[int] | torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """World positions (T, P, 3) of points (P, 3) that ride on the links (P,)."""
        return self.pos[:, links] + (self.rot[:, links] @ offsets[..., None])[..., 0]

    def during(self, first: int, last: int) -> Pose:
        """Frames ``first`` to ``last``, both included."""
        return Pose(self.pos[first : last + 1], self.rot[first : last + 1])


@dataclass(frozen=True)
class ContactPatch:
    """P points of a body that can touch the ground, in T frames.

    Attributes:
        place: (T, P, 3) metres, world.
        height: (T, P) metres of the point's lowest part, which is its own radius below it.
        bearing: (T, P, 3) metres, on which points the ground can hold the body up.
        firmness: weight of the height of what touches.
        slides: whether it may move along the ground that it touches.
    """

    place: torch.Tensor
    height: torch.Tensor
    bearing: torch.Tensor
    firmness: float = 1.0
    slides: bool = False


@dataclass(frozen=True)
class Underside:
    """Where a body is against the ground.

    Attributes:
        patches: what can be said to touch, see ``Contacts.held``.
        bottoms: heights (T, G) in metres of the lowest points of all its shapes, in parts.
    """

    patches: tuple[ContactPatch, ...]
    bottoms: tuple[torch.Tensor, ...]


class Posed(Protocol):
    """T poses of a body."""

    def during(self, first: int, last: int) -> Self:
        """Frames ``first`` to ``last``, both included."""
        ...


P = TypeVar("P", bound=Posed)


class Articulation(Protocol[P]):
    """A body of a free root and joints; its poses are of a type of its own.

    Attributes:
        mass: kg.
    """

    mass: float

    def pose(self, root_pos: torch.Tensor, root_rot: torch.Tensor, angles: torch.Tensor) -> P:
        """Forward kinematics of root (T, 3), its rotation (T, 3, 3) and angles (T, N) radians."""
        ...

    def links(self, pose: P) -> Pose:
        """The parts of it that stand for the canonical links."""
        ...

    def centre_of_mass(self, pose: P) -> torch.Tensor:
        """(T, 3) metres."""
        ...

    def angular_momentum(self, pose: P, fps: float) -> torch.Tensor:
        """About the centre of mass, between consecutive frames (T - 1, 3), kg m2/s."""
        ...

    def underside(self, pose: P) -> Underside:
        """Where it is against the ground."""
        ...
