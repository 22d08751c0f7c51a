"""Rotations and trees of links, with their derivatives written out.

A fit evaluates them a thousand times, on arrays so small that what it costs is how many operations
there are: few and large ones here, in NumPy, whose calls are cheaper than those of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

SMALL = 1e-16
"""Square radians, added to an angle's square, so that one may divide by it."""


def rotation_matrix(v: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), Rodrigues' formula."""
    found: torch.Tensor = _Rodrigues.apply(v)  # type: ignore[no-untyped-call]
    return found


def about_x(angle: torch.Tensor) -> torch.Tensor:
    """The rotation matrix (3, 3) about x by an angle (1,) in radians."""
    return _X_AXIS + torch.cos(angle) * _ABOUT_X @ _ABOUT_X.T + torch.sin(angle) * _ABOUT_X


_X_AXIS = torch.diag(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
_ABOUT_X = torch.tensor([[0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)


class _Rodrigues(torch.autograd.Function):
    """I + a K + b K^2 with K the matrix of v's cross product, so that K^2 = v v^T - |v|^2 I."""

    @staticmethod
    def forward(ctx: Any, v: torch.Tensor) -> torch.Tensor:
        x = _axes_first(v, 1).reshape(3, -1)
        square = (x * x).sum(0)
        angle2 = square + SMALL
        angle = np.sqrt(angle2)
        cos = np.cos(angle)
        a, b = np.sin(angle) / angle, (1 - cos) / angle2
        rot = (b * x)[:, None] * x
        for side, (j, k) in zip(a * x, _OTHERS, strict=True):
            rot[k, j] += side
            rot[j, k] -= side
        rot.reshape(9, -1)[::4] += 1 - b * square
        ctx.saved = x, square, angle2, cos, a, b
        return _axes_last(rot.reshape(3, 3, *v.shape[:-1]), 2)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        x, square, angle2, cos, a, b = ctx.saved
        by = _axes_first(grad, 2).reshape(3, 3, -1)
        along = np.stack([by[k, j] - by[j, k] for j, k in _OTHERS])
        trace = by[0, 0] + by[1, 1] + by[2, 2]
        across = ((by + by.swapaxes(0, 1)) * x).sum(1)
        # how a and b change with the square of the angle, and what each of them stands before
        by_a = (cos - a) / angle2 * (x * along).sum(0)
        by_b = (a - 2 * b) / angle2 * (0.5 * (x * across).sum(0) - square * trace)
        found = a * along + b * across + (by_a + by_b - 2 * b * trace) * x
        return _axes_last(found.reshape(3, *grad.shape[:-2]), 1)


def swept(paths: torch.Tensor, weights: np.ndarray) -> torch.Tensor:
    """The weighted sum (3, T - 1) of each point's place at a frame times, as a vector, its next.

    Args:
        paths: (S, 3, T). weights: (S,).
    """
    found: torch.Tensor = _Swept.apply(paths, weights)  # type: ignore[no-untyped-call]
    return found


class _Swept(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, paths: torch.Tensor, weights: np.ndarray) -> torch.Tensor:
        x = paths.numpy()
        now, then = x[..., :-1], x[..., 1:]
        ctx.saved = now, then, weights
        return torch.from_numpy(
            np.stack(
                [weights @ (now[:, j] * then[:, k] - now[:, k] * then[:, j]) for j, k in _OTHERS]
            )
        )

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        now, then, weights = ctx.saved
        by = [weights[:, None] * part for part in grad.numpy()]
        found = np.zeros((*now.shape[:-1], now.shape[-1] + 1))
        for axis, (j, k) in enumerate(_OTHERS):
            found[:, axis, :-1] = then[:, j] * by[k] - then[:, k] * by[j]
            found[:, axis, 1:] += by[j] * now[:, k] - by[k] * now[:, j]
        return torch.from_numpy(found), None


_OTHERS = ((1, 2), (2, 0), (0, 1))
"""The two axes that each axis is the cross product of."""


class Tree:
    """How links hang on each other.

    Args:
        parents: (B,) of each link, before its children; -1 of the first, the root.
    """

    def __init__(self, parents: Sequence[int]) -> None:
        depth = [0]
        for parent in parents[1:]:
            depth.append(depth[parent] + 1)
        # links by depth, so that those of one depth lie side by side
        self.order = np.argsort(depth, kind="stable")
        self.place = np.argsort(self.order)
        self.above = self.place[np.asarray(parents)[self.order[1:]]]
        """(B - 1,) by depth: where the parent lies of each link but the root."""
        ends = np.cumsum(np.bincount(depth))
        self.levels = [
            (int(first), int(last), self.above[first - 1 : last - 1])
            for first, last in pairwise(ends)
        ]
        """The first link of each depth but the root's, the one after its last, their parents."""
        self.beyond = np.eye(len(depth))
        """(B, B) by depth: 1 where the column's link is the row's or hangs on it."""
        for link in range(len(depth) - 1, 0, -1):
            self.beyond[self.above[link - 1]] += self.beyond[link]

    def frames(
        self, pos: torch.Tensor, rot: torch.Tensor, local: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        """Of every link in the world (4, B, 3, T), see `Pose`.

        Args:
            pos: (T, 3) metres, of the root. rot: (T, 3, 3), its rotation.
            local: (B - 1, T, 3, 3), rotations of the other links in their parents' frames.
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
        moving = tree.order[1:] - 1
        step = np.empty((3, 4, len(moving), len(pos)))
        step[:, :3] = _axes_first(local, 2)[:, :, moving]
        step[:, 3] = offsets.numpy().T[:, moving, None]
        world = np.empty((3, 4, len(tree.order), len(pos)))
        world[:, :3, 0], world[:, 3, 0] = _axes_first(rot, 2), _axes_first(pos, 1)
        for first, last, above in tree.levels:
            carrier, taken = world[:, :, above], step[:, :, first - 1 : last - 1]
            moved = world[:, :, first:last]
            np.multiply(carrier[:, 0, None], taken[0], out=moved)
            moved += carrier[:, 1, None] * taken[1]
            moved += carrier[:, 2, None] * taken[2]
            moved[:, 3] += carrier[:, 3]
        ctx.tree, ctx.world = tree, world
        return torch.from_numpy(np.take(world.transpose(1, 2, 0, 3), tree.place, 1))

    @staticmethod
    def backward(
        ctx: Any, grad: torch.Tensor
    ) -> tuple[None, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        # With G the gradient by E, and C the path from j on to k: dL_j moves E_k by
        # E_parent dL_j C, and C^T = E_k^T E_j^-T, so that one sum over all k beyond j is enough.
        tree: Tree = ctx.tree
        world: np.ndarray = ctx.world
        by = np.take(grad.numpy().transpose(2, 0, 1, 3), tree.order, 2)
        rot, pos = world[:, :3], world[:, 3]
        pull = np.empty_like(by)
        pull[:, :3] = _product(by[:, :3], rot.swapaxes(0, 1)) + by[:, 3, None] * pos
        pull[:, 3] = by[:, 3]
        pull = tree.beyond @ pull
        force = pull[:, 3]
        by_rot = _product(pull[:, :3] - force[:, None] * pos, rot)
        back = rot[:, :, tree.above].swapaxes(0, 1)
        moving = tree.place[1:] - 1
        by_local = _product(back, by_rot[:, :, 1:])[:, :, moving]
        by_offsets = (back * force[:, 1:]).sum((1, 3))[:, moving]
        return (
            None,
            _axes_last(force[:, 0], 1),
            _axes_last(by_rot[:, :, 0], 2),
            _axes_last(by_local, 2),
            torch.from_numpy(by_offsets.T),
        )


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix products of (3, 3, ...) and (3, 3, ...)."""
    found = a[:, 0, None] * b[0]
    found += a[:, 1, None] * b[1]
    found += a[:, 2, None] * b[2]
    return found


def _axes_first(x: torch.Tensor, axes: int) -> np.ndarray:
    """The last axes, which are of space, before all others."""
    x = x.movedim(-1, 0) if axes == 1 else x.movedim((-2, -1), (0, 1))
    return x.contiguous().numpy()


def _axes_last(x: np.ndarray, axes: int) -> torch.Tensor:
    found = torch.from_numpy(x)
    return found.movedim(0, -1) if axes == 1 else found.movedim((0, 1), (-2, -1))
