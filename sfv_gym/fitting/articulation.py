"""What a fit has to know of a body, whatever it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from sfv_gym.fitting.tensors import DTYPE


@dataclass(frozen=True)
class Pose:
    """Where a body's B links are in T frames.

    Attributes:
        frames: (4, B, 3, T), each link's three axes and its place, in metres, in the world. Points
            fixed to the links are then one matrix product for the whole clip.
    """

    frames: torch.Tensor

    @classmethod
    def of(cls, pos: torch.Tensor, rot: torch.Tensor) -> Pose:
        """From places (T, B, 3) and rotations (T, B, 3, 3), link to world."""
        return cls(torch.cat((rot, pos[..., None]), -1).permute(3, 1, 2, 0).contiguous())

    @property
    def pos(self) -> torch.Tensor:
        """(T, B, 3) metres."""
        return self.frames[3].permute(2, 0, 1)

    @property
    def rot(self) -> torch.Tensor:
        """(T, B, 3, 3) link to world."""
        return self.frames[:3].permute(3, 1, 2, 0)

    def points(self, matrix: torch.Tensor) -> torch.Tensor:
        """World positions (T, P, 3) of points fixed to the links (P, 4B), see `point_matrix`."""
        return self.combined(matrix).permute(2, 0, 1)

    def combined(self, sums: torch.Tensor) -> torch.Tensor:
        """Weighted sums (S, 4B) of the links' axes and places: (S, 3, T)."""
        axes, bodies, space, frames = self.frames.shape
        flat = sums @ self.frames.view(axes * bodies, space * frames)
        return flat.view(-1, space, frames)


def point_matrix(links: torch.Tensor, offsets: torch.Tensor, bodies: int) -> torch.Tensor:
    """The matrix (P, 4B) by which frames of B links become points.

    Args:
        links: (P,) to which each of them is fixed. offsets: (P, 3) metres, its place there.
    """
    found = torch.zeros(len(links), 4, bodies, dtype=DTYPE)
    row = torch.arange(len(links))
    found[row, :3, links] = offsets
    found[row, 3, links] = 1.0
    return found.flatten(1)


@dataclass(frozen=True)
class ContactSurface:
    """The part of a body that can touch the ground.

    Attributes:
        points: (T, P, 3) metres, the points that can touch it.
        height: (T, P) metres of each one's lowest part, which is its own radius below it.
        support_points: (T, P, 3) metres, where the ground can support the body.
        height_weights: (P,) on the height of what touches.
        slide_weights: (P,) 1, or 0 of what may slide.
        bottoms: heights (T, G) in metres of the lowest points of all the body's shapes.
    """

    points: torch.Tensor
    height: torch.Tensor
    support_points: torch.Tensor
    height_weights: torch.Tensor
    slide_weights: torch.Tensor
    bottoms: torch.Tensor


class Articulation(Protocol):
    """A body of a free root and joints.

    Attributes:
        mass: kg.
    """

    mass: float

    def pose(self, root_pos: torch.Tensor, root_rot: torch.Tensor, angles: torch.Tensor) -> Pose:
        """Forward kinematics of root (T, 3), its rotation (T, 3, 3) and angles (T, N) radians."""
        ...

    def links(self, pose: Pose) -> Pose:
        """The parts of it that stand for the canonical links."""
        ...

    def centre_of_mass(self, pose: Pose) -> torch.Tensor:
        """(T, 3) metres."""
        ...

    def angular_momentum(self, pose: Pose, fps: float) -> torch.Tensor:
        """About the centre of mass, between consecutive frames (T - 1, 3), kg m2/s."""
        ...

    def contact_surface(self, pose: Pose) -> ContactSurface:
        """What of it can touch the ground."""
        ...
