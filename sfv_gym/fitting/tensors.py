"""The numbers that fits are made of: torch tensors of 64 bits, and operations on them.

A fit evaluates its objective a thousand times, on arrays so small that what it costs is how many
operations there are. Terms of many operations are therefore functions of NumPy's arrays that give
their gradient as well (`with_gradient`); torch does the rest, and joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from sfv_gym.rotations import quat_to_matrix

DTYPE = torch.float64


def tensor(values: np.ndarray) -> torch.Tensor:
    """In double precision, whatever kind of number comes in."""
    return torch.as_tensor(np.asarray(values, np.float64), dtype=DTYPE)


def with_gradient(
    term: Callable[..., tuple[float, Sequence[np.ndarray]]], *inputs: torch.Tensor
) -> torch.Tensor:
    """The number that ``term`` makes of its inputs, differentiable by the gradient it gives.

    Args:
        term: of NumPy's arrays; gives its value, and what it changes by with each of the inputs,
            in their shapes.
    """
    found: torch.Tensor = _WithGradient.apply(term, *inputs)  # type: ignore[no-untyped-call]
    return found


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, term: Callable[..., Any], *inputs: torch.Tensor) -> torch.Tensor:
        value, ctx.gradient = term(*(x.numpy() for x in inputs))
        return torch.tensor(value, dtype=DTYPE)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        factor = float(grad)
        return None, *(
            torch.from_numpy(by if factor == 1.0 else factor * by) for by in ctx.gradient
        )


def matrices(quat: np.ndarray) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4) wxyz."""
    return tensor(quat_to_matrix(quat))


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


def second_difference(x: np.ndarray) -> np.ndarray:
    """(T - 2, ...) of (T, ...)."""
    found: np.ndarray = x[2:] + x[:-2]
    found -= 2 * x[1:-1]
    return found


def second_difference_back(by: np.ndarray) -> np.ndarray:
    """The gradient (T, ...) of what has this one (T - 2, ...) by its second differences."""
    # time last in memory where it was
    found = np.zeros((*by.T.shape[:-1], len(by) + 2)).T
    found[2:] = by
    found[:-2] += by
    found[1:-1] -= 2 * by
    return found


class _SecondDifference(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(second_difference(x.numpy()))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(second_difference_back(grad.numpy()))
