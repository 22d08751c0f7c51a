"""The numbers that fits are made of: torch tensors of 64 bits, and operations on them.

A fit evaluates its objective a thousand times, on arrays so small that what it costs is how many
operations there are. What all terms are made of has its derivative written out here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sfv_gym.rotations import quat_to_matrix

DTYPE = torch.float64


def tensor(values: np.ndarray) -> torch.Tensor:
    """In double precision, whatever kind of number comes in."""
    return torch.as_tensor(np.asarray(values, np.float64), dtype=DTYPE)


def axis_first(points: torch.Tensor) -> torch.Tensor:
    """Points (..., 3) the same, with all x in memory before all y and z: sums over the axis are
    several times as fast, and so is whatever meets points of a `Pose`, which lie like that."""
    return points.movedim(-1, 0).contiguous().movedim(0, -1)


def turned(points: torch.Tensor, rot: torch.Tensor) -> torch.Tensor:
    """Points (..., 3) that lie as ``axis_first`` lays them, turned by one rotation (3, 3)."""
    flat = points.movedim(-1, 0).flatten(1)
    return (rot @ flat).view(3, *points.shape[:-1]).movedim(0, -1)


def matrices(quat: np.ndarray) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4) wxyz."""
    return tensor(quat_to_matrix(quat))


def rotation_matrix(v: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), Rodrigues' formula."""
    found: torch.Tensor = _Rodrigues.apply(v)  # type: ignore[no-untyped-call]
    return found


def acceleration(positions: torch.Tensor, fps: float = 1.0) -> torch.Tensor:
    """Second differences (T - 2, ...) of positions (T, ...) per second squared."""
    found: torch.Tensor = _SecondDifference.apply(positions)  # type: ignore[no-untyped-call]
    return found if fps == 1.0 else found * fps**2


def turns_between(rot: torch.Tensor) -> torch.Tensor:
    """Rotation vectors (T - 1, ..., 3) from frame to frame of rotations (T, ..., 3, 3), world.

    The skew part of a small rotation is its vector, here off by the sine alone.
    """
    step = rot[1:] @ rot[:-1].transpose(-1, -2)
    return 0.5 * step.flatten(-2) @ _GENERATORS.T


_GENERATORS = torch.tensor(
    [[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0]],
    dtype=DTYPE,
)
"""(3, 9), by which a vector becomes the matrix of its cross product, and whose transpose gives
twice the vector of a matrix's skew part."""
_EYE = torch.eye(3, dtype=DTYPE).flatten()


class _Rodrigues(torch.autograd.Function):
    """I + a K + b K^2 with K the matrix of v's cross product, so that K^2 = v v^T - |v|^2 I."""

    @staticmethod
    def forward(ctx: Any, v: torch.Tensor) -> torch.Tensor:
        flat = v.reshape(-1, 3)
        square = (flat * flat).sum(-1, keepdim=True)
        angle2 = square + 1e-16
        angle = torch.sqrt(angle2)
        cos = torch.cos(angle)
        a, b = torch.sin(angle) / angle, (1 - cos) / angle2
        outer = flat[:, :, None] * flat[:, None, :]
        rot = torch.addcmul(a * (flat @ _GENERATORS), b, outer.flatten(1))
        rot.addcmul_(1 - b * square, _EYE)
        ctx.save_for_backward(flat, square, angle2, cos, a, b)
        return rot.view(*v.shape, 3)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        flat, square, angle2, cos, a, b = ctx.saved_tensors
        flat_grad = grad.reshape(-1, 9)
        along = flat_grad @ _GENERATORS.T
        trace = (flat_grad @ _EYE)[:, None]
        both = flat_grad.view(-1, 3, 3)
        across = torch.bmm(both + both.transpose(1, 2), flat[:, :, None])[..., 0]
        # of a and b by the square of the angle, and what each of them stands before
        by_a, by_b = (cos - a) / angle2, (a - 2 * b) / angle2
        factor_a = (flat * along).sum(-1, keepdim=True)
        factor_b = 0.5 * (flat * across).sum(-1, keepdim=True) - square * trace
        radial = by_a * factor_a + by_b * factor_b - 2 * b * trace
        return (a * along + b * across + radial * flat).view(grad.shape[:-1])


class _SecondDifference(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return (x[2:] + x[:-2]).sub_(x[1:-1], alpha=2)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        out = grad.new_zeros((len(grad) + 2, *grad.shape[1:]))
        out[2:] = grad
        out[:-2] += grad
        out[1:-1].sub_(grad, alpha=2)
        return out
