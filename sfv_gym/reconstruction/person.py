"""Stage one of the fit: the person, in their own proportions, in front of the camera.

`BodyProblem` has the terms that need no camera; `PersonProblem` adds those of a video.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Generic, TypeVar

import numpy as np
import torch

from sfv_gym.fitting import terms
from sfv_gym.fitting.articulation import Pose
from sfv_gym.fitting.balance import balance, soft_support
from sfv_gym.fitting.canonical_body import ADULT_LENGTHS, DOF_LIMITS, Body
from sfv_gym.fitting.contacts import Contacts
from sfv_gym.fitting.kinematics import about_x, rotation_matrix
from sfv_gym.fitting.solver import Variables, solve
from sfv_gym.fitting.tensors import DTYPE, acceleration
from sfv_gym.pose.landmarks import foot
from sfv_gym.reconstruction.camera import Camera
from sfv_gym.reconstruction.contacts import WRIST_HEIGHT, Speeds, seen_speeds
from sfv_gym.reconstruction.evidence import Evidence, PoseObservations
from sfv_gym.reconstruction.initial import initial_angles, initial_path
from sfv_gym.reconstruction.landmark_loss import LandmarkLoss
from sfv_gym.reconstruction.markers import marker_points
from sfv_gym.reconstruction.prior import PosePrior, shipped_prior
from sfv_gym.reconstruction.weights import Weights
from sfv_gym.rotations import quat_to_matrix

PITCHES = np.arange(-12.0, 48.0, 4.0)
"""Degrees down, of a camera that is looked for."""
ASLANT = 6.0
"""Spreads of the camera's roll beyond which more roll costs no more."""
ROLLS = (-24.0, -16.0, -8.0, -4.0, 0.0, 4.0, 8.0, 16.0, 24.0)
"""Degrees."""
LONG_END = 3
"""Unreliable frames at an end of the clip from which on they are made to come to rest."""

C = TypeVar("C", Camera, None)
"""The camera that a person is seen with, or none."""


@dataclass(frozen=True)
class PersonFit(Generic[C]):
    """A fitted person.

    Attributes:
        body: their proportions.
        root_pos: (T, 3) metres, world with the ground at z = 0.
        root_rot: (T, 3, 3).
        angles: (T, 28) radians.
        camera: as fitted.
        variables: what the solver can go on from.
        loss: the objective.
    """

    body: Body
    root_pos: torch.Tensor
    root_rot: torch.Tensor
    angles: torch.Tensor
    camera: C
    variables: Variables
    loss: float

    @property
    def pose(self) -> Pose:
        """The body's links in the world, by forward kinematics; computed anew each time."""
        return self.body.pose(self.root_pos, self.root_rot, self.angles)


class BodyProblem(ABC, Generic[C]):
    """A person in their own proportions: smooth, adult, on the ground, under gravity.

    Args:
        evidence: what the first guess is made of.
        prior: of the pose; by default the shipped one.
        modes: let every frame's variables move in so many of the slowest modes over time alone.

    Attributes:
        fps: frames per second.
        weights: spreads of the terms.
        start: the variables of the first guess.
        tops: (T, 4) metres, what is touched of objects, see ``find_contacts``; None without any.
    """

    start: Variables
    tops: np.ndarray | None = None

    def __init__(
        self,
        evidence: PoseObservations,
        weights: Weights,
        prior: PosePrior | None,
        modes: int | None,
    ) -> None:
        self.weights, self.fps, self._frames = weights, evidence.fps, evidence.frames
        self.prior, self.modes = prior or shipped_prior(), modes
        quat, angles, self._believed = initial_angles(evidence)
        self._unreliable_ends = _long_ends(~self._believed)
        self.base_rot = torch.as_tensor(quat_to_matrix(quat), dtype=DTYPE)
        self._first_angles = torch.as_tensor(angles, dtype=DTYPE)

    @abstractmethod
    def assemble(self, v: Variables) -> tuple[Body, C, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Body, camera, root positions (T, 3), root rotations (T, 3, 3) and angles (T, 28)."""

    @abstractmethod
    def data_term(self, v: Variables, body: Body, camera: C, pose: Pose) -> torch.Tensor:
        """The terms that compare the pose with the evidence."""

    def scene_residuals(self, v: Variables) -> Iterator[torch.Tensor]:
        """Residuals (n,), in units of their spread, of what is the scene's and not the body's."""
        yield from ()

    @abstractmethod
    def steps(self) -> dict[str, float]:
        """Typical changes of the variables; see ``fit``."""

    @property
    def seen(self) -> Speeds | None:
        """How fast hands and feet move across the picture; None where there is none."""
        return None

    def gravity_aligned(self, v: Variables) -> Variables:
        """``v`` with the scene turned so that gravity explains it best, as far as the evidence
        leaves that open."""
        return v

    def objective(
        self, v: Variables, contacts: Contacts | None, *, use_soft_support: bool = False
    ) -> torch.Tensor:
        """The sum of all terms at ``v``; see ``fit`` for the arguments."""
        w, fps = self.weights, self.fps
        body, camera, root, rot, angles = self.assemble(v)
        pose = body.pose(root, rot, angles)
        total = self.data_term(v, body, camera, pose)
        # in units of the person's size, or shrinking would pass for smoothness
        size = torch.exp(v["log_size"] - np.log(w.mean_scale))
        total = total + terms.smoothness(
            pose.pos, rot, angles, fps, w.link_acceleration, w.angle_acceleration, size
        )
        if self._unreliable_ends.any():
            # nothing follows that would bend the path back: without this the last velocity goes on
            total = total + terms.stillness(angles, fps, self._unreliable_ends, w.end_velocity)
        total = total + 0.1 * self.prior.deviation(angles) / w.rest**2
        spread = torch.cat(
            (
                (v["log_size"] - np.log(w.mean_scale)) / w.scale,
                (v["log_lengths"] - ADULT_LENGTHS) / w.proportion,
                *self.scene_residuals(v),
            )
        )
        total = total + self._frames * 0.05 * spread.square().sum()
        com = body.centre_of_mass(pose)
        sway = (acceleration(com, fps)[:, :2] / size).square().sum(-1)
        total = total + terms.cauchy(sway / w.com_acceleration**2, 3.0).sum()
        if use_soft_support:
            total = total + self._soft_support(body, pose, com, size)
        if contacts is not None:
            surface, spin = body.contact_surface(pose), body.angular_momentum(pose, fps)
            if not use_soft_support:
                total = total + balance(
                    com, spin, body.mass, surface.support_points, contacts, fps, w.balance,
                    size=size,
                )  # fmt: skip
            scene = terms.ground(
                surface, contacts, sigma_height=w.contact_height, sigma_slide=w.contact_slide
            )
            if contacts.flights:
                scene = scene + terms.com_dynamics(
                    com, contacts.in_air, fps,
                    flight=w.flight, support=w.support, contact_acceleration=w.contact_acceleration,
                )  # fmt: skip
                turn = terms.constant_spin(spin, contacts.flights, w.spin)
                scene = scene + turn / size.square()
            # again in units of size: what is left to fix it is gravity alone
            total = total + scene / size.square()
        return total.sum()

    def _soft_support(
        self, body: Body, pose: Pose, com: torch.Tensor, size: torch.Tensor
    ) -> torch.Tensor:
        """The support of the body before contacts are known, see `soft_support`.

        Args:
            com: (T, 3) metres. size: of the person over the mean.
        """
        w, spin = self.weights, body.angular_momentum(pose, self.fps)
        on_objects = None if self.tops is None else np.isfinite(self.tops).any(1)
        return soft_support(
            com, spin, body.mass, body.contact_surface(pose), self.fps,
            sigma_height=w.soft_support_height, sigma_balance=w.soft_support_balance, size=size,
            on_objects=on_objects,
        )  # fmt: skip

    def fit(
        self,
        start: Variables,
        *,
        contacts: Contacts | None = None,
        use_soft_support: bool = False,
        iterations: int = 200,
        callback: Callable[[], None] | None = None,
    ) -> PersonFit[C]:
        """Solve from ``start``.

        Args:
            contacts: what touches the ground; None where that is not known.
            use_soft_support: let whatever is low support the body, among the contacts or not.
        """
        variables, loss = solve(
            lambda v: self.objective(v, contacts, use_soft_support=use_soft_support),
            start,
            bounds={
                "angles": (DOF_LIMITS[:, 0], DOF_LIMITS[:, 1]),
                # from a child to a giant
                "log_size": (np.log([0.6]), np.log([1.3])),
            },
            scales={"log_size": 0.05, "log_lengths": 0.05, **self.steps(),
                    "turn": 0.2, "angles": 0.3},
            over_time=("root", "rays", "log_depth", "turn", "angles"),
            iterations=iterations,
            modes=self.modes,
            callback=callback,
        )  # fmt: skip
        return self.at(variables, loss)

    def at(self, variables: Variables, loss: float = np.nan) -> PersonFit[C]:
        """The person of these variables."""
        with torch.no_grad():
            body, camera, root, rot, angles = self.assemble(variables)
        return PersonFit(body, root, rot, angles, camera, variables, loss)


class PersonProblem(BodyProblem[Camera]):
    """The objective over one clip's evidence.

    Args:
        weights: spreads of the terms.
        prior, modes, tops: see `BodyProblem`.
    """

    def __init__(
        self,
        evidence: Evidence,
        weights: Weights | None = None,
        *,
        prior: PosePrior | None = None,
        modes: int | None = None,
        tops: np.ndarray | None = None,
    ) -> None:
        super().__init__(evidence, weights or Weights(), prior, modes)
        self.tops = tops
        self.evidence = evidence = evidence.downweighted(~self._believed)
        rays, depth = initial_path(evidence)
        self._markers = marker_points(evidence.landmarks)
        pixel_sigma = self.weights.pixel * evidence.body_px
        self._landmark_loss = LandmarkLoss(evidence, pixel_sigma, self.weights.direction)
        self._focal = torch.tensor(evidence.focal, dtype=DTYPE)
        self._centre = torch.as_tensor(evidence.centre, dtype=DTYPE)
        zero = torch.zeros
        self.start = {
            "log_size": torch.tensor([np.log(self.weights.mean_scale)], dtype=DTYPE),
            "log_lengths": ADULT_LENGTHS.clone(),
            "tilt": zero(2, dtype=DTYPE),
            "lean": zero(1, dtype=DTYPE),
            "height": torch.tensor(
                [_camera_height(evidence, depth, self.weights.mean_scale)], dtype=DTYPE
            ),
            "rays": torch.as_tensor(rays, dtype=DTYPE),
            "log_depth": torch.as_tensor(np.log(depth / self.weights.mean_scale), dtype=DTYPE),
            "turn": zero(evidence.frames, 3, dtype=DTYPE),
            "angles": self._first_angles,
        }

    @cached_property
    def seen(self) -> Speeds:
        """See `BodyProblem`."""
        return seen_speeds(self.evidence)

    def gravity_aligned(self, v: Variables) -> Variables:
        """The camera's pitch, roll and height, by a grid search, for the best soft support.

        Neither picture nor landmarks say anything about them: the scene turns about the camera.
        """
        found, least = v, np.inf
        with torch.no_grad():
            for pitch, roll in product(np.radians(PITCHES), np.radians(ROLLS)):
                trial = {**v, "tilt": torch.tensor([roll, pitch], dtype=DTYPE)}
                for _ in range(2):
                    body, _, root, rot, angles = self.assemble(trial)
                    pose = body.pose(root, rot, angles)
                    lowest = body.contact_surface(pose).bottoms.amin(1)
                    drop = torch.quantile(lowest, 0.3) / torch.exp(v["log_size"])
                    trial["height"] = trial["height"] - drop
                size = torch.exp(trial["log_size"]) / self.weights.mean_scale
                body, _, root, rot, angles = self.assemble(trial)
                pose = body.pose(root, rot, angles)
                cost = self._soft_support(body, pose, body.centre_of_mass(pose), size)
                prior = torch.cat(tuple(self.scene_residuals(trial))).square().sum()
                total = float(cost + self._frames * 0.05 * prior)
                if total < least:
                    found, least = trial, total
        return found

    def assemble(
        self, v: Variables
    ) -> tuple[Body, Camera, torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `BodyProblem`."""
        size = torch.exp(v["log_size"])
        body = Body(size * torch.exp(v["log_lengths"]), hand_radius=WRIST_HEIGHT)
        camera = Camera(self._focal, self._centre, v["tilt"], (v["height"] * size)[0])
        depth = (torch.exp(v["log_depth"]) * size)[:, None]
        # the size scales the whole scene about the camera, which no picture can tell
        root = camera.to_world(torch.cat((v["rays"] * depth, depth), 1))
        rot = camera.tilted @ (self.base_rot @ rotation_matrix(v["turn"]))
        return body, camera, root, rot, v["angles"]

    def data_term(self, v: Variables, body: Body, camera: Camera, pose: Pose) -> torch.Tensor:
        """l_2D and l_3D."""
        points = pose.points(self._markers.at(body.scale))
        # landmark networks see people lean towards the camera or away from it, all clip long
        return self._landmark_loss.value(points, camera, about_x(v["lean"]))

    def scene_residuals(self, v: Variables) -> Iterator[torch.Tensor]:
        """Of the camera's roll, pitch and height, and of the landmarks' lean."""
        w = self.weights
        roll = v["tilt"][:1] / w.roll
        # most cameras are level; of those that are not, few are so by a little
        yield roll / torch.sqrt(1 + (roll / ASLANT).square())
        yield (v["tilt"][1:] - w.mean_pitch) / w.pitch
        height = v["height"] * torch.exp(v["log_size"])
        yield (height - w.mean_camera_height) / w.camera_height
        yield v["lean"] / w.lean

    def steps(self) -> dict[str, float]:
        """See `BodyProblem`."""
        return {"tilt": 0.06, "lean": 0.05, "height": 0.15,
                "rays": 0.01, "log_depth": 0.05}  # fmt: skip


def _long_ends(frames: np.ndarray) -> np.ndarray:
    """Of ``frames`` (T,) bool those before the first and after the last that is False, where they
    are at least ``LONG_END`` together: over less, a path cannot stray far."""
    others = np.flatnonzero(~frames)
    ends = np.zeros_like(frames)
    if len(others) and others[0] >= LONG_END:
        ends[: others[0]] = True
    if len(others) and len(frames) - 1 - others[-1] >= LONG_END:
        ends[others[-1] + 1 :] = True
    return ends


def _camera_height(evidence: Evidence, depth: np.ndarray, mean_scale: float) -> float:
    """Height of a level camera over the lowest feet, in metres of a person of mean size."""
    landmarks = evidence.landmarks
    soles = [name for side in ("left", "right") for name in foot(side) if landmarks.marks(name)]
    lowest = [landmarks.marker(name) for name in soles or ("left_ankle", "right_ankle")]
    feet = evidence.pixels[:, lowest, 1].numpy().max(1)
    drop = (feet - evidence.centre[1]) / evidence.focal * depth
    return float(np.percentile(drop, 70)) / mean_scale
