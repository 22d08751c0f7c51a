"""The one objective on the ground: near to a given trajectory, and possible under gravity.

The humanoid's motion in reconstruction and a robot's in retargeting are both solved for with it:
what is planted stays, nothing sinks, the centre of mass falls freely in flight and is pushed, not
pulled, on the ground, the spin is kept in the air, and the zero-moment point lies within what
touches. Each adds terms of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sfv_gym import skeleton
from sfv_gym.fitting import terms
from sfv_gym.fitting.articulation import Articulation, Pose
from sfv_gym.fitting.balance import balance
from sfv_gym.fitting.contacts import Contacts
from sfv_gym.fitting.kinematics import rotation_matrix
from sfv_gym.fitting.solver import Variables, solve


@dataclass(frozen=True)
class GroundedWeights:
    """Spreads of the terms: the smaller, the stricter.

    Attributes:
        rotation: radians, a link's rotation in the world against the given one.
        velocity: m/s, the root's against the given one.
        link_acceleration: m/s2. angle_acceleration: rad/s2.
        contact_height: metres. contact_slide: metres per frame.
        flight: m/s2, of the centre of mass's acceleration against gravity.
        support: m/s2, of a ground force outside the friction cone.
        spin: kg m2/s, of the angular momentum in flight, for the humanoid's mass; it grows with it.
        contact_acceleration: m/s2, of the centre of mass where something touches.
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
    contact_acceleration: float = 8.0
    balance: float = 0.02
    closing: float = 0.02


class GroundedProblem:
    """The objective over one trajectory, whose variables are changes of a given one.

    Args:
        root: (T, 3) metres, the given path. rot: (T, 3, 3). angles: (T, N) radians.
        contacts: of the points of the body's contact surface.
        cycle: first and last frame of a loop, whose poses are to become the same.
        averaged: see ``terms.balance``.
        own: further terms, of the variables ``root``, ``turn`` and ``angles`` and the pose.

    Attributes:
        body, fps, weights: as given.
    """

    def __init__(
        self,
        body: Articulation,
        root: torch.Tensor,
        rot: torch.Tensor,
        angles: torch.Tensor,
        contacts: Contacts,
        fps: float,
        *,
        weights: GroundedWeights,
        cycle: tuple[int, int] | None = None,
        averaged: bool = True,
        own: Callable[[Variables, Pose], torch.Tensor] | None = None,
    ) -> None:
        self.body, self.fps, self.weights = body, fps, weights
        self._root, self._rot, self._angles = root, rot, angles
        self._contacts, self._cycle, self._averaged, self._own = contacts, cycle, averaged, own
        self._goal = body.links(body.pose(root, rot, angles)).rot
        self._velocity = (root[1:] - root[:-1]) * fps
        # gravity, not the given path, decides how fast the body rises and falls in the air
        free = torch.maximum(contacts.in_air[1:], contacts.in_air[:-1])
        self._trust = torch.stack((1 - 0.5 * free, 1 - 0.5 * free, 1 - free), 1)
        self._spin = weights.spin * body.mass / float(skeleton.LINK_MASSES.sum())

    def rotations(self, v: Variables) -> torch.Tensor:
        """The root's (T, 3, 3)."""
        return self._rot @ rotation_matrix(v["turn"])

    def pose(self, v: Variables) -> Pose:
        """The body's, of every frame."""
        return self.body.pose(v["root"], self.rotations(v), v["angles"])

    def objective(self, v: Variables) -> torch.Tensor:
        """The sum of all terms."""
        w, fps, body, contacts = self.weights, self.fps, self.body, self._contacts
        root_rot = self.rotations(v)
        pose = body.pose(v["root"], root_rot, v["angles"])
        links = body.links(pose)
        total = (links.rot - self._goal).square().sum() / (2 * w.rotation**2)
        velocity = (v["root"][1:] - v["root"][:-1]) * fps
        total = total + (self._trust * (velocity - self._velocity).square()).sum() / w.velocity**2
        total = total + terms.smoothness(
            links.pos, links.rot[:, 0], v["angles"], fps, w.link_acceleration, w.angle_acceleration
        )
        surface = body.contact_surface(pose)
        total = total + terms.ground(
            surface, contacts, sigma_height=w.contact_height, sigma_slide=w.contact_slide
        )
        com, spin = body.centre_of_mass(pose), body.angular_momentum(pose, fps)
        total = total + terms.com_dynamics(
            com, contacts.in_air, fps,
            flight=w.flight, support=w.support, contact_acceleration=w.contact_acceleration,
        )  # fmt: skip
        total = total + terms.constant_spin(spin, contacts.flights, self._spin)
        total = total + balance(
            com, spin, body.mass, surface.support_points, contacts, fps, w.balance,
            averaged=self._averaged,
        )  # fmt: skip
        if self._cycle is not None:
            total = total + terms.closing(v["angles"], links, self._cycle) / w.closing**2
        if self._own is not None:
            total = total + self._own(v, pose)
        return total

    def solve(
        self,
        limits: tuple[np.ndarray, np.ndarray],
        iterations: int,
        callback: Callable[[], None] | None = None,
    ) -> Variables:
        """The best ``root`` (T, 3), ``turn`` (T, 3) of the given rotations, and ``angles`` (T, N).

        Args:
            limits: (N,) and (N,) radians, of the angles.
            iterations: at most; ``callback`` is called after each.

        Raises:
            MotionError: the objective is not finite any more.
        """
        found, _ = solve(
            self.objective,
            {"root": self._root, "turn": torch.zeros_like(self._root), "angles": self._angles},
            bounds={"angles": limits},
            scales={"root": 0.03, "turn": 0.1, "angles": 0.1},
            over_time=("root", "turn", "angles"),
            iterations=iterations,
            callback=callback,
        )
        return found
