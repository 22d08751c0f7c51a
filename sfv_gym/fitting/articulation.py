"""Bodies of links, as a fit sees them."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Pose:
    """Links of every frame in the world.

    Attributes:
        pos: (T, 15, 3) metres.
        rot: (T, 15, 3, 3) link to world.
    """

    pos: torch.Tensor
    rot: torch.Tensor

    def points(self, links: list[int] | torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """World positions (T, P, 3) of points (P, 3) that ride on the links (P,)."""
        return self.pos[:, links] + (self.rot[:, links] @ offsets[..., None])[..., 0]
