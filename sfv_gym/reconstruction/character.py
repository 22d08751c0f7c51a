"""Stage two of the fit: the same motion in the character's proportions, on its own feet.

Rotations carry over as they are. The path shrinks with the legs, but time and gravity do not, so
flights are solved anew, and contacts are made good by the same terms that the person's fit has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sfv_gym.fitting import terms
from sfv_gym.fitting.articulation import Pose
from sfv_gym.fitting.ballistics import settle_flights
from sfv_gym.fitting.canonical_body import DOF_LIMITS, Body
from sfv_gym.fitting.contacts import Contacts
from sfv_gym.fitting.solver import Variables, solve
from sfv_gym.fitting.tensors import DTYPE, rotation_matrix


@dataclass(frozen=True)
class CarryWeights:
    """Spreads of the terms: see person.Weights for the units.

    Attributes:
        rotation: radians, a link's rotation in the world against the person's.
        velocity: m/s, the root's against the person's, scaled.
        link_acceleration, angle_acceleration: as in the person's fit, looser.
        contact_height, contact_slide, flight, support, spin, effort: stricter.
        balance: metres, of the zero-moment point beyond what touches the ground.
        closing: radians, and radians per frame, between a cycle's two ends.
    """

    rotation: float = 0.12
    velocity: float = 0.25
    link_acceleration: float = 25.0
    angle_acceleration: float = 150.0
    contact_height: float = 0.003
    contact_slide: float = 0.0015
    flight: float = 0.2
    support: float = 1.0
    spin: float = 1.0
    effort: float = 8.0
    balance: float = 0.02
    closing: float = 0.02


@dataclass(frozen=True)
class Carried:
    """The character's motion: (T, 3) metres, (T, 3, 3), (T, 28) radians."""

    root_pos: np.ndarray
    root_rot: np.ndarray
    angles: np.ndarray


def carry(
    root_pos: np.ndarray,
    root_rot: np.ndarray,
    angles: np.ndarray,
    contacts: Contacts,
    fps: float,
    *,
    path_scale: float,
    cycle: tuple[int, int] | None = None,
    weights: CarryWeights | None = None,
    iterations: int = 250,
    callback: Callable[[], None] | None = None,
) -> Carried:
    """Solve for the character's motion.

    Args:
        root_pos: (T, 3) metres, the person's path, z-up, ground at 0.
        root_rot: (T, 3, 3); angles: (T, 28) radians, the person's.
        path_scale: the character's leg length over the person's.
        cycle: first and last frame of a loop, whose poses are to become the same.
    """
    w = weights or CarryWeights()
    body = Body()
    base = torch.as_tensor(root_rot, dtype=DTYPE)
    goal_angles = torch.as_tensor(angles, dtype=DTYPE)
    path = torch.as_tensor(root_pos * path_scale, dtype=DTYPE)
    goal = body.pose(path, base, goal_angles).rot.detach()
    start_height = _lift_to_ground(body, body.pose(path, base, goal_angles), contacts)
    path = path + start_height
    goal_velocity = (path[1:] - path[:-1]) * fps
    # gravity, not the person's size, decides how fast the character rises and falls in the air
    free = torch.maximum(contacts.in_air[1:], contacts.in_air[:-1])
    trust = torch.stack((1 - 0.5 * free, 1 - 0.5 * free, 1 - free), 1)

    def assemble(v: Variables) -> tuple[torch.Tensor, torch.Tensor, Pose]:
        rot = base @ rotation_matrix(v["turn"])
        return v["root"], rot, body.pose(v["root"], rot, v["angles"])

    def objective(v: Variables) -> torch.Tensor:
        root, _, pose = assemble(v)
        total = (pose.rot - goal).square().sum() / (2 * w.rotation**2)
        velocity = (root[1:] - root[:-1]) * fps
        total = total + (trust * (velocity - goal_velocity).square()).sum() / w.velocity**2
        total = total + terms.smoothness(
            pose, v["angles"], fps, w.link_acceleration, w.angle_acceleration
        )
        total = total + terms.ground(
            body, pose, contacts,
            sigma_height=w.contact_height, sigma_slide=w.contact_slide,
        )  # fmt: skip
        com = body.centre_of_mass(pose)
        total = total + terms.free_fall(com, contacts.in_air, fps, w.flight)
        total = total + terms.support(com, fps, w.support)
        total = total + terms.steady_spin(body, pose, contacts.flights, fps, w.spin)
        total = total + terms.effort(com, contacts.in_air, fps, w.effort)
        total = total + terms.balance(body, pose, contacts, fps, w.balance)
        if cycle is not None:
            total = total + terms.closing(v["angles"], pose, cycle) / w.closing**2
        return total

    found, _ = solve(
        objective,
        {
            "root": path,
            "turn": torch.zeros(len(path), 3, dtype=DTYPE),
            "angles": goal_angles.clone(),
        },
        bounds={"angles": (DOF_LIMITS[:, 0], DOF_LIMITS[:, 1])},
        scales={"root": 0.03, "turn": 0.1, "angles": 0.1},
        over_time=("root", "turn", "angles"),
        iterations=iterations,
        callback=callback,
    )
    with torch.no_grad():
        root, rot, pose = assemble(found)
        com = body.centre_of_mass(pose).numpy()
    settled = settle_flights(root.numpy(), com, contacts.flights, fps)
    return Carried(settled, rot.numpy(), found["angles"].numpy())


def _lift_to_ground(body: Body, pose: Pose, contacts: Contacts) -> torch.Tensor:
    """What to add to the path (3,) so that planted soles lie at z = 0 on average, metres."""
    weights = contacts.soles
    if float(weights.sum()) < 1:
        return torch.zeros(3, dtype=DTYPE)
    mean = (weights * body.soles(pose)[..., 2]).sum() / weights.sum()
    return torch.stack((0 * mean, 0 * mean, -mean))
