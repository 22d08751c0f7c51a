"""A small learned pose prior: how the angles of a body usually go together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from sfv_gym.motion import ReferenceMotion
from sfv_gym.reconstruction.body import DOFS, DTYPE
from sfv_gym.rotations import quat_to_rotvec
from sfv_gym.skeleton import LINKS

NOISE = 0.2
"""Radians by which an angle strays from the latent space."""


@dataclass(frozen=True)
class PosePrior:
    """A probabilistic PCA over the angles of body.DOFS.

    Attributes:
        mean: (28,) radians.
        precision: (28, 28) per square radian.
    """

    mean: torch.Tensor
    precision: torch.Tensor

    def deviation(self, angles: torch.Tensor) -> torch.Tensor:
        """Squared Mahalanobis distance, summed over the frames of angles (T, 28)."""
        away = angles - self.mean
        return ((away @ self.precision) * away).sum()


def learn_prior(motions: Iterable[ReferenceMotion], latent: int = 10) -> PosePrior:
    """The prior with ``latent`` dimensions from the people of these motions, each weighing alike.

    Left and right are alike as well: every pose counts with its mirror image.
    """
    clips = [_angles(motion) for motion in motions]
    clips += [_mirrored(clip) for clip in clips]
    mean = np.mean([clip.mean(0) for clip in clips], axis=0)
    spread = np.mean([(clip - mean).T @ (clip - mean) / len(clip) for clip in clips], axis=0)
    values, vectors = np.linalg.eigh(spread)
    values[:-latent] = 0.0
    covariance = (vectors * values) @ vectors.T + NOISE**2 * np.eye(len(mean))
    return PosePrior(
        torch.as_tensor(mean, dtype=DTYPE),
        torch.as_tensor(np.linalg.inv(covariance), dtype=DTYPE),
    )


def _angles(motion: ReferenceMotion) -> np.ndarray:
    """The person's angles (T, 28), radians."""
    vectors = quat_to_rotvec(motion.person_joint_quat)
    return np.stack([vectors[:, link, axis] for link, axis in DOFS], axis=1)


def _mirrored(angles: np.ndarray) -> np.ndarray:
    """The angles (T, 28) of the mirror image: the other side's, turned about x and z back."""
    index = {dof: k for k, dof in enumerate(DOFS)}
    swap = {"left": "right", "right": "left"}
    columns = []
    for link, axis in DOFS:
        side, _, part = LINKS[link].partition("_")
        name = f"{swap[side]}_{part}" if side in swap else LINKS[link]
        columns.append(index[LINKS.index(name), axis])
    signs = np.array([1.0 if axis == 1 else -1.0 for _, axis in DOFS])
    return np.asarray(angles[:, columns] * signs)
