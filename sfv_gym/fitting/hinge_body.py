"""A robot of a free root and hinges in torch: kinematics, momentum, joint torques."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import torch

from sfv_gym import skeleton
from sfv_gym.fitting import terms
from sfv_gym.fitting.articulation import ContactPatch, Pose, Underside
from sfv_gym.fitting.ballistics import GRAVITY
from sfv_gym.fitting.hinge_model import HingeModel
from sfv_gym.fitting.tensors import DTYPE, matrices, tensor, turns_between


@dataclass(frozen=True)
class HingePose:
    """T poses of B bodies in the world.

    Attributes:
        pos: (T, B, 3) metres, rot: (T, B, 3, 3) body to world.
        centres: (T, B, 3) metres, the bodies' centres of mass.
    """

    pos: torch.Tensor
    rot: torch.Tensor
    centres: torch.Tensor

    def during(self, first: int, last: int) -> HingePose:
        """Frames ``first`` to ``last``, both included."""
        frames = slice(first, last + 1)
        return HingePose(self.pos[frames], self.rot[frames], self.centres[frames])


class HingeBody:
    """A model of a free root and hinges, in torch: kinematics, momentum, joint torques.

    Attributes:
        mass: kg.
        limits: (H,) N m, of the hinges' motors; infinite where there is none.
        effectors: columns of the bodies of skeleton.END_EFFECTORS.
        touching: of each of them, the points (n, 3) in its frame that touch the ground, and
            ``bearing`` those within them on which its ankle can hold the whole weight.
        carries: (H, 4) bool, the end effectors beyond each hinge.
    """

    def __init__(self, hinged: HingeModel) -> None:
        model = hinged.model
        self._parent = model.body_parentid[1:] - 1  # without the world
        self._pos, self._rot = tensor(model.body_pos[1:]), matrices(model.body_quat[1:])
        self._hinges: list[list[int]] = [[] for _ in self._parent]
        self._hinge_body = (model.jnt_bodyid[1:] - 1).tolist()
        for hinge, body in enumerate(self._hinge_body):
            self._hinges[body].append(hinge)
        self._axis, self._anchor = tensor(model.jnt_axis[1:]), tensor(model.jnt_pos[1:])
        self._cross = torch.stack([_skew(axis) for axis in self._axis])
        self._masses, self._centre = tensor(model.body_mass[1:]), tensor(model.body_ipos[1:])
        self.mass = float(self._masses.sum())
        principal = matrices(model.body_iquat[1:])
        spread = torch.diag_embed(tensor(model.body_inertia[1:]))
        self._inertia = principal @ spread @ principal.transpose(-1, -2)
        self._links = (hinged.bodies - 1).tolist()
        self.effectors = [self._links[e] for e in hinged.effectors]
        beyond = np.zeros((len(self._hinge_body), len(self._parent)), bool)
        for body in range(len(self._parent)):
            above = body
            while above >= 0:
                beyond[self._hinges[above], body] = True
                above = int(self._parent[above])
        self._beyond = tensor(beyond)
        self.carries = beyond[:, self.effectors]
        self.limits = tensor(_motor_limits(model))
        self.touching = [tensor(points) for points in hinged.points]
        self._radii, self._shapes = hinged.radii, hinged.shapes
        self.bearing = [self._within_ankles(hinged, e) for e in range(len(hinged.effectors))]

    def _within_ankles(self, hinged: HingeModel, effector: int) -> torch.Tensor:
        """The sole's points (n, 3), moved in to where the last hinges before it can hold them.

        A force as large as the weight has a lever about each of these hinges; a motor holds it
        up to its limit over the weight. Hands are left as they are: nobody stands on one alone.
        """
        points = hinged.points[effector].copy()
        name = skeleton.END_EFFECTORS[effector]
        if not name.endswith("ankle"):
            return tensor(points)
        foot = self.effectors[effector]
        shin = self._links[skeleton.link_index(name.replace("ankle", "knee"))]
        hinged.set(np.zeros(3), np.array([1.0, 0, 0, 0]), hinged.stand)
        data, body = hinged.data, foot
        frame = data.xmat[foot + 1].reshape(3, 3)
        up = frame.T[:, 2]
        while body != shin:
            for hinge in self._hinges[body]:
                axis = frame.T @ data.xaxis[hinge + 1]
                anchor = frame.T @ (data.xanchor[hinge + 1] - data.xpos[foot + 1])
                lever = float(self.limits[hinge]) / (self.mass * GRAVITY)
                across = np.cross(axis, up)
                if np.isfinite(lever) and np.linalg.norm(across) > 0.5:
                    across /= np.linalg.norm(across)
                    reach = (points - anchor) @ across
                    points += (np.clip(reach, -lever, lever) - reach)[:, None] * across
            body = int(self._parent[body])
        return tensor(points)

    def pose(self, root: torch.Tensor, rot: torch.Tensor, hinges: torch.Tensor) -> HingePose:
        """Forward kinematics of root (T, 3), its rotation (T, 3, 3) and hinges (T, H) radians."""
        sine, versine = torch.sin(hinges)[..., None, None], 1 - torch.cos(hinges)[..., None, None]
        eye = torch.eye(3, dtype=DTYPE)
        turns = eye + sine * self._cross + versine * (self._cross @ self._cross)
        pos, mat = [root], [rot]
        for body in range(1, len(self._parent)):
            parent = int(self._parent[body])
            place = pos[parent] + mat[parent] @ self._pos[body]
            frame = mat[parent] @ self._rot[body]
            for hinge in self._hinges[body]:
                anchor = place + frame @ self._anchor[hinge]
                frame = frame @ turns[:, hinge]
                place = anchor - frame @ self._anchor[hinge]
            pos.append(place)
            mat.append(frame)
        places, frames = torch.stack(pos, 1), torch.stack(mat, 1)
        return HingePose(places, frames, places + (frames @ self._centre[..., None])[..., 0])

    def links(self, pose: HingePose) -> Pose:
        """The bodies that stand for the canonical links."""
        return Pose(pose.pos[:, self._links], pose.rot[:, self._links])

    def centre_of_mass(self, pose: HingePose) -> torch.Tensor:
        """(T, 3) metres."""
        return (pose.centres * self._masses[:, None]).sum(1) / self.mass

    def underside(self, pose: HingePose) -> Underside:
        """The end effectors and all shapes against the ground."""
        patches = []
        for e, body in enumerate(self.effectors):
            pos, rot = pose.pos[:, body, None], pose.rot[:, body, None]
            place, bearing = (
                pos + (rot @ points[..., None])[..., 0]
                for points in (self.touching[e], self.bearing[e])
            )
            patches.append(ContactPatch(place, place[..., 2] - self._radii[e], bearing))
        return Underside(tuple(patches), (self._shapes.bottom_of_bodies(pose.pos, pose.rot),))

    def angular_momentum(self, pose: HingePose, fps: float) -> torch.Tensor:
        """About the centre of mass, between consecutive frames (T - 1, 3), kg m2/s."""
        arms = pose.centres - self.centre_of_mass(pose)[:, None]
        middle, velocity = 0.5 * (arms[1:] + arms[:-1]), (arms[1:] - arms[:-1]) * fps
        orbit = (self._masses[:, None] * torch.linalg.cross(middle, velocity)).sum(1)
        return orbit + self._own_spin(pose, fps).sum(1)

    def _own_spin(self, pose: HingePose, fps: float) -> torch.Tensor:
        """Of every body about its own centre (T - 1, B, 3)."""
        turn = fps * turns_between(pose.rot)
        inertia = pose.rot[1:] @ self._inertia @ pose.rot[1:].transpose(-1, -2)
        return (inertia @ turn[..., None])[..., 0]

    def torques(self, pose: HingePose, fps: float) -> torch.Tensor:
        """(T - 2, H) N m that the hinges need to move what is beyond them, no ground touching it:
        Newton's and Euler's laws for all that a hinge carries, about its axis."""
        push = terms.acceleration(pose.centres, fps)
        push = self._masses[:, None] * (push + torch.tensor([0.0, 0.0, GRAVITY], dtype=DTYPE))
        own = self._own_spin(pose, fps)
        turn = torch.linalg.cross(pose.centres[1:-1], push) + (own[1:] - own[:-1]) * fps
        force = torch.einsum("hb,tbk->thk", self._beyond, push)
        moment = torch.einsum("hb,tbk->thk", self._beyond, turn)
        pos, rot = pose.pos[1:-1, self._hinge_body], pose.rot[1:-1, self._hinge_body]
        anchor = pos + (rot @ self._anchor[..., None])[..., 0]
        axis = (rot @ self._axis[..., None])[..., 0]
        return (axis * (moment - torch.linalg.cross(anchor, force))).sum(-1)


def _motor_limits(model: mujoco.MjModel) -> np.ndarray:
    """(H,) N m."""
    limits = np.full(model.njnt - 1, np.inf)
    for i in range(model.nu):
        joint = model.actuator_trnid[i, 0]
        if model.actuator_trntype[i] == mujoco.mjtTrn.mjTRN_JOINT and joint > 0:
            limit = np.abs(model.actuator_forcerange[i]).max() * abs(model.actuator_gear[i, 0])
            limits[joint - 1] = limit if model.actuator_forcelimited[i] else np.inf
    return limits


def _skew(axis: torch.Tensor) -> torch.Tensor:
    x, y, z = axis.tolist()
    return torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=DTYPE)
