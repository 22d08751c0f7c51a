"""The numbers that fits are made of: torch tensors of 64 bits, and rotations among them."""

from __future__ import annotations

import numpy as np
import torch

from sfv_gym.rotations import quat_to_matrix

DTYPE = torch.float64


def tensor(values: np.ndarray) -> torch.Tensor:
    """In double precision, whatever kind of number comes in."""
    return torch.as_tensor(np.asarray(values, np.float64), dtype=DTYPE)


def matrices(quat: np.ndarray) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4) wxyz."""
    return tensor(quat_to_matrix(quat))


def rotation_matrix(v: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), Rodrigues' formula."""
    square = (v * v).sum(-1)
    angle = torch.sqrt(square + 1e-16)
    a = (torch.sin(angle) / angle)[..., None, None]
    b = ((1 - torch.cos(angle)) / (angle * angle))[..., None, None]
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))
    eye = torch.eye(3, dtype=v.dtype)
    return eye + a * cross + b * (cross @ cross)


def turns_between(rot: torch.Tensor) -> torch.Tensor:
    """Rotation vectors (T - 1, ..., 3) from frame to frame of rotations (T, ..., 3, 3), world.

    The skew part of a small rotation is its vector, here off by the sine alone.
    """
    step = rot[1:] @ rot[:-1].transpose(-1, -2)
    return 0.5 * torch.stack(
        (step[..., 2, 1] - step[..., 1, 2], step[..., 0, 2] - step[..., 2, 0],
         step[..., 1, 0] - step[..., 0, 1]), -1
    )  # fmt: skip
