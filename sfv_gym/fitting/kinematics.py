"""Forward kinematics of a tree of links, all links of one depth at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sfv_gym.fitting.tensors import DTYPE


class Tree:
    """How links hang on each other.

    Args:
        parents: (B,) of each link, before its children; -1 of the first, the root.
    """

    def __init__(self, parents: Sequence[int]) -> None:
        depth = [0]
        for parent in parents[1:]:
            depth.append(depth[parent] + 1)
        order = sorted(range(len(parents)), key=lambda link: depth[link])
        place = {link: i for i, link in enumerate(order)}
        self.order, self.place = (
            torch.tensor(order),
            torch.tensor([place[i] for i in range(len(order))]),
        )
        """By depth: which link comes i-th, and where each link comes."""
        above = [place[parents[link]] for link in order[1:]]
        self.above = torch.tensor(above)
        """(B - 1,) by depth: where the parent comes of each but the root."""
        firsts = [
            next(i for i, k in enumerate(order) if depth[k] == d) for d in range(max(depth) + 1)
        ]
        self.levels = [
            (first, last, self.above[first - 1 : last - 1])
            for first, last in zip(firsts[1:], [*firsts[2:], len(order)], strict=True)
        ]
        """First, last and parents of each depth but the root's."""
        beyond = torch.eye(len(order), dtype=DTYPE)
        for i in range(len(order) - 1, 0, -1):
            beyond[above[i - 1]] += beyond[i]
        self.beyond = beyond
        """(B, B) by depth: 1 where the column's link is the row's or hangs on it."""

    def frames(
        self, pos: torch.Tensor, rot: torch.Tensor, local: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        """Of every link in the world (3, T, B, 4), see `Pose`.

        Args:
            pos: (T, 3) metres, of the root. rot: (T, 3, 3), its rotation.
            local: (T, B - 1, 3, 3), rotations of the other links in their parents' frames.
            offsets: (B - 1, 3) metres, their places there.
        """
        found: torch.Tensor = _Chain.apply(self, pos, rot, local, offsets)  # type: ignore[no-untyped-call]
        return found


class _Chain(torch.autograd.Function):
    """E_j = E_parent L_j for the homogeneous matrices of the frames E and of the steps L."""

    @staticmethod
    def forward(
        ctx: Any,
        tree: Tree,
        pos: torch.Tensor,
        rot: torch.Tensor,
        local: torch.Tensor,
        offsets: torch.Tensor,
    ) -> torch.Tensor:
        frames, moving = len(pos), tree.order[1:] - 1
        step = pos.new_zeros((len(tree.order), frames, 4, 4))
        step[..., 3, 3] = 1.0
        step[0, :, :3, :3], step[0, :, :3, 3] = rot, pos
        step[1:, :, :3, :3] = local.transpose(0, 1)[moving]
        step[1:, :, :3, 3] = offsets[moving, None]
        world = torch.empty_like(step)
        world[0] = step[0]
        for first, last, above in tree.levels:
            torch.matmul(world[above], step[first:last], out=world[first:last])
        ctx.tree = tree
        ctx.save_for_backward(world)
        return world[:, :, :3].permute(2, 1, 0, 3).index_select(2, tree.place)

    @staticmethod
    def backward(
        ctx: Any, grad: torch.Tensor
    ) -> tuple[None, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        # With G the gradient by E (3 x 4), and C the path from j on to k: dL_j moves E_k by
        # E_parent dL_j C, and C^T = E_k^T E_j^-T, so that one sum over all k beyond j is enough.
        tree: Tree = ctx.tree
        (world,) = ctx.saved_tensors
        links, frames = world.shape[:2]
        by_frame = grad.permute(2, 1, 0, 3).index_select(0, tree.order)
        pull = by_frame @ world.transpose(-1, -2)  # (B, T, 3, 4)
        pull = (tree.beyond @ pull.view(links, -1)).view(links, frames, 3, 4)
        rot, pos = world[..., :3, :3], world[..., :3, 3]
        force = pull[..., 3]
        moment = pull[..., :3] - force[..., :, None] * pos[..., None, :]
        by_rot, by_pos = moment @ rot, force
        carrier = rot.index_select(0, tree.above).transpose(-1, -2)
        moving = tree.place[1:] - 1
        by_local = (carrier @ by_rot[1:]).index_select(0, moving).transpose(0, 1)
        by_offsets = (carrier @ by_pos[1:, ..., None])[..., 0].sum(1).index_select(0, moving)
        return None, by_pos[0], by_rot[0], by_local, by_offsets
