"""A small learned pose prior: how the angles of a body usually go together.

``pose_prior.npz`` holds the first two moments of every clip of the library, fitted without a
learned prior; ``scripts/learn_prior.py`` makes it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

import numpy as np
import torch

from sfv_gym.files import atomic_path
from sfv_gym.fitting.canonical_body import DOFS
from sfv_gym.fitting.tensors import DTYPE
from sfv_gym.motion import ReferenceMotion
from sfv_gym.rotations import quat_to_rotvec
from sfv_gym.skeleton import LINKS

LATENT = 10
"""Dimensions of the latent space."""
NOISE = 0.2
"""Radians by which an angle strays from the latent space."""


# How far from zero an angle usually is, radians; the trunk's bend is hardly visible otherwise.
_REST = {"chest": (0.25, 0.35, 0.35), "neck": (0.35, 0.5, 0.5), "ankle": (0.25, 0.5, 0.3),
         "hip": (0.6, 1.5, 0.6), "shoulder": (1.5, 1.5, 1.0), "knee": (3.0,) * 3,
         "elbow": (3.0,) * 3}  # fmt: skip
REST_SPREAD: np.ndarray = np.array([_REST[LINKS[i].split("_")[-1]][axis] for i, axis in DOFS])


@dataclass(frozen=True)
class PosePrior:
    """A Gaussian over the angles of canonical_body.DOFS.

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


def rest_prior() -> PosePrior:
    """What is used to learn: every angle by itself, about a rest pose."""
    spread = torch.as_tensor(REST_SPREAD, dtype=DTYPE)
    return PosePrior(torch.zeros_like(spread), torch.diag(spread**-2))


@dataclass(frozen=True)
class ClipMoments:
    """What the prior knows of a clip: the mean (28,) and the mean outer product (28, 28) of the
    person's angles, radians."""

    mean: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, motion: ReferenceMotion) -> ClipMoments:
        """Of the person in a motion."""
        vectors = quat_to_rotvec(motion.person_joint_quat)
        angles = np.stack([vectors[:, link, axis] for link, axis in DOFS], axis=1)
        return cls(angles.mean(0), angles.T @ angles / len(angles))

    def mirrored(self) -> ClipMoments:
        """Of the mirror image."""
        return ClipMoments(
            mirrored_angles(self.mean), mirrored_angles(mirrored_angles(self.second).T).T
        )


def learn_prior(clips: Iterable[ClipMoments], latent: int = LATENT) -> PosePrior:
    """A probabilistic PCA with ``latent`` dimensions from these clips, each weighing alike.

    Left and right are alike as well: every clip counts with its mirror image.
    """
    every = [moments for clip in clips for moments in (clip, clip.mirrored())]
    mean = np.mean([moments.mean for moments in every], axis=0)
    spread = np.mean([moments.second for moments in every], axis=0) - np.outer(mean, mean)
    values, vectors = np.linalg.eigh(spread)
    values[:-latent] = 0.0
    covariance = (vectors * values) @ vectors.T + NOISE**2 * np.eye(len(mean))
    return PosePrior(
        torch.as_tensor(mean, dtype=DTYPE),
        torch.as_tensor(np.linalg.inv(covariance), dtype=DTYPE),
    )


@functools.cache
def shipped_prior(without: tuple[str, ...] = ()) -> PosePrior:
    """The prior from the library's clips, but for those of the skills ``without``.

    To measure a skill that the library has, its own clips are to be left out.
    """
    with np.load(str(resources.files("sfv_gym.reconstruction").joinpath("pose_prior.npz"))) as data:
        clips = [
            ClipMoments(np.asarray(mean, float), np.asarray(second, float))
            for skill, mean, second in zip(
                data["skills"], data["mean"], data["second"], strict=True
            )
            if str(skill) not in without
        ]
    return learn_prior(clips)


def save_moments(clips: dict[str, ClipMoments], path: str | os.PathLike[str]) -> None:
    """Write the moments by skill as ``shipped_prior`` reads them."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            skills=np.array(list(clips)),
            mean=np.array([clip.mean for clip in clips.values()], np.float32),
            second=np.array([clip.second for clip in clips.values()], np.float32),
        )


def mirrored_angles(angles: np.ndarray) -> np.ndarray:
    """The angles (..., 28) of the mirror image: the other side's, turned about x and z back."""
    index = {dof: k for k, dof in enumerate(DOFS)}
    swap = {"left": "right", "right": "left"}
    columns = []
    for link, axis in DOFS:
        side, _, part = LINKS[link].partition("_")
        name = f"{swap[side]}_{part}" if side in swap else LINKS[link]
        columns.append(index[LINKS.index(name), axis])
    signs = np.array([1.0 if axis == 1 else -1.0 for _, axis in DOFS])
    return np.asarray(angles[..., columns] * signs)
