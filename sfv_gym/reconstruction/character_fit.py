"""Stage two of the fit: the person's motion retargeted to the character's proportions.

Rotations are kept as they are. The path shrinks with the legs, but time and gravity do not, so
flights are solved anew, and contacts are enforced by the same terms that the person's fit has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sfv_gym.fitting.articulation import Pose
from sfv_gym.fitting.ballistics import enforce_ballistic_flight
from sfv_gym.fitting.canonical_body import DOF_LIMITS, SOLES, Body
from sfv_gym.fitting.contacts import CanonicalContacts
from sfv_gym.fitting.grounded import GroundedProblem, GroundedWeights
from sfv_gym.fitting.tensors import DTYPE


@dataclass(frozen=True)
class CharacterFit:
    """A fitted character: (T, 3) metres, (T, 3, 3), (T, 28) radians."""

    root_pos: np.ndarray
    root_rot: np.ndarray
    angles: np.ndarray


def fit_character(
    root_pos: np.ndarray,
    root_rot: np.ndarray,
    angles: np.ndarray,
    contacts: CanonicalContacts,
    fps: float,
    *,
    path_scale: float,
    cycle: tuple[int, int] | None = None,
    weights: GroundedWeights | None = None,
    iterations: int = 250,
    callback: Callable[[], None] | None = None,
) -> CharacterFit:
    """Solve for the character's motion.

    Args:
        root_pos: (T, 3) metres, the person's path, z-up, ground at 0.
        root_rot: (T, 3, 3); angles: (T, 28) radians, the person's.
        path_scale: the character's leg length over the person's.
        cycle: first and last frame of a loop, whose poses are to become the same.
    """
    body = Body()
    base = torch.as_tensor(root_rot, dtype=DTYPE)
    goal = torch.as_tensor(angles, dtype=DTYPE)
    path = torch.as_tensor(root_pos * path_scale, dtype=DTYPE)
    path = path + _ground_offset(body, body.pose(path, base, goal), contacts)
    problem = GroundedProblem(
        body, path, base, goal, contacts, fps, weights=weights or GroundedWeights(), cycle=cycle
    )
    found = problem.solve((DOF_LIMITS[:, 0], DOF_LIMITS[:, 1]), iterations, callback)
    com = body.centre_of_mass(problem.pose(found)).numpy()
    root_pos = enforce_ballistic_flight(found["root"].numpy(), com, contacts.flights, fps)
    return CharacterFit(root_pos, problem.rotations(found).numpy(), found["angles"].numpy())


def _ground_offset(body: Body, pose: Pose, contacts: CanonicalContacts) -> torch.Tensor:
    """What to add to the path (3,) so that planted soles lie at z = 0 on average, metres."""
    weights = contacts.soles
    if contacts.raised is not None:
        weights = weights * (contacts.raised[:, SOLES] == 0).unflatten(1, (2, 4))
    if float(weights.sum()) < 1:
        return torch.zeros(3, dtype=DTYPE)
    mean = (weights * body.soles(pose)[..., 2]).sum() / weights.sum()
    return torch.stack((0 * mean, 0 * mean, -mean))
