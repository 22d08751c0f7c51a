"""A robot of a free root and hinges in torch: kinematics, momentum, joint torques."""

from __future__ import annotations

import mujoco
import numpy as np
import torch

from sfv_gym import skeleton
from sfv_gym.fitting.articulation import ContactSurface, Pose, point_matrix
from sfv_gym.fitting.ballistics import GRAVITY
from sfv_gym.fitting.hinge_model import HingeModel
from sfv_gym.fitting.kinematics import Tree, swept
from sfv_gym.fitting.tensors import DTYPE, acceleration, matrices, tensor, turns_between


class HingeBody:
    """A model of a free root and hinges, in torch: kinematics, momentum, joint torques.

    Attributes:
        mass: kg.
        limits: (H,) N m, of the hinges' motors; infinite where there is none.
        effectors: columns of the bodies of skeleton.END_EFFECTORS.
        touching: of each of them, the points (n, 3) in its frame that touch the ground, and
            ``support_points`` those within them on which its ankle can hold the whole weight.
        distal_effectors: (H, 4) bool, the end effectors beyond each hinge.
    """

    def __init__(self, hinged: HingeModel) -> None:
        model = hinged.model
        self._parent = model.body_parentid[1:] - 1  # without the world
        self._hinges: list[list[int]] = [[] for _ in self._parent]
        self._hinge_body = (model.jnt_bodyid[1:] - 1).tolist()
        for hinge, body in enumerate(self._hinge_body):
            self._hinges[body].append(hinge)
        self._axis, self._anchor = tensor(model.jnt_axis[1:]), tensor(model.jnt_pos[1:])
        self._chain = _HingeTree(model, self._parent, self._hinges)
        self._masses = tensor(model.body_mass[1:])
        self.mass = float(self._masses.sum())
        bodies = len(self._parent)
        self._centres = point_matrix(torch.arange(bodies), tensor(model.body_ipos[1:]), bodies)
        self._centre = (self._masses / self.mass)[None] @ self._centres
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
        self.distal_effectors = beyond[:, self.effectors]
        self.limits = tensor(_motor_limits(model))
        self.touching = [tensor(points) for points in hinged.points]
        self._shapes = hinged.shapes
        self.support_points = [self._within_ankles(hinged, e) for e in range(len(hinged.effectors))]
        self._counts = torch.tensor([len(points) for points in self.touching])
        self._radius = tensor(np.asarray(hinged.radii)).repeat_interleave(self._counts)
        ends = torch.tensor(self.effectors).repeat_interleave(self._counts)
        self._touching, self._support = (
            point_matrix(ends, torch.cat(points), bodies)
            for points in (self.touching, self.support_points)
        )

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

    def pose(self, root: torch.Tensor, rot: torch.Tensor, hinges: torch.Tensor) -> Pose:
        """Forward kinematics of root (T, 3), its rotation (T, 3, 3) and hinges (T, H) radians."""
        return self._chain.pose(root, rot, hinges)

    def links(self, pose: Pose) -> Pose:
        """The bodies that stand for the canonical links."""
        return Pose(pose.frames[:, self._links])

    def centre_of_mass(self, pose: Pose) -> torch.Tensor:
        """(T, 3) metres."""
        return pose.points(self._centre)[:, 0]

    def points_of(self, touch: torch.Tensor) -> torch.Tensor:
        """What of the end effectors (T, 4) touches as ``Contacts.active`` has it: (T, P), each with
        all of its points."""
        return touch.repeat_interleave(self._counts, 1)

    def contact_surface(self, pose: Pose) -> ContactSurface:
        """The end effectors and all shapes against the ground."""
        points = pose.points(self._touching)
        whole = torch.ones(points.shape[1], dtype=DTYPE)
        return ContactSurface(
            points,
            points[..., 2] - self._radius,
            pose.points(self._support),
            whole,
            whole,
            self._shapes.bottom_of_bodies(pose.pos, pose.rot),
        )

    def angular_momentum(self, pose: Pose, fps: float) -> torch.Tensor:
        """About the centre of mass, between consecutive frames (T - 1, 3), kg m2/s."""
        arms = pose.combined(self._centres - self._centre)
        return swept(arms, fps * self._masses.numpy()).T + self._own_spin(pose, fps).sum(1)

    def _own_spin(self, pose: Pose, fps: float) -> torch.Tensor:
        """Of every body about its own centre (T - 1, B, 3)."""
        turn = fps * turns_between(pose.rot)
        inertia = pose.rot[1:] @ self._inertia @ pose.rot[1:].transpose(-1, -2)
        return (inertia @ turn[..., None])[..., 0]

    def torques(self, pose: Pose, fps: float) -> torch.Tensor:
        """(T - 2, H) N m that the hinges need to move what is beyond them, no ground touching it:
        Newton's and Euler's laws for all that is beyond a hinge, about its axis."""
        centres = pose.points(self._centres)
        push = acceleration(centres, fps)
        push = self._masses[:, None] * (push + torch.tensor([0.0, 0.0, GRAVITY], dtype=DTYPE))
        own = self._own_spin(pose, fps)
        turn = torch.linalg.cross(centres[1:-1], push) + (own[1:] - own[:-1]) * fps
        force = torch.einsum("hb,tbk->thk", self._beyond, push)
        moment = torch.einsum("hb,tbk->thk", self._beyond, turn)
        pos, rot = pose.pos[1:-1, self._hinge_body], pose.rot[1:-1, self._hinge_body]
        anchor = pos + (rot @ self._anchor[..., None])[..., 0]
        axis = (rot @ self._axis[..., None])[..., 0]
        return (axis * (moment - torch.linalg.cross(anchor, force))).sum(-1)


class _HingeTree:
    """A robot's bodies as a `Tree`: one node for each hinge, at its anchor, or for a body without.

    Args:
        parents: (B,) of each body. hinges: of each body, the hinges by which it hangs there.
    """

    def __init__(self, model: mujoco.MjModel, parents: np.ndarray, hinges: list[list[int]]) -> None:
        place, turned = tensor(model.body_pos[1:]), matrices(model.body_quat[1:])
        axis, anchor = tensor(model.jnt_axis[1:]), tensor(model.jnt_pos[1:])
        origin, eye = torch.zeros(3, dtype=DTYPE), torch.eye(3, dtype=DTYPE)
        self._last = [0]  # the node of each body
        at = [origin]  # each body's frame is so far behind its node's
        above, offsets, still, moved = [-1], [], [], []
        for body in range(1, len(parents)):
            node, before = self._last[parents[body]], at[parents[body]]
            step, turn = place[body] - before, turned[body]
            for hinge in hinges[body]:
                above.append(node)
                offsets.append(step + turn @ anchor[hinge])
                still.append(turn)
                moved.append((len(above) - 2, hinge))
                node, step, turn, before = len(above) - 1, -anchor[hinge], eye, anchor[hinge]
            if not hinges[body]:
                above.append(node)
                offsets.append(step)
                still.append(turn)
                node, before = len(above) - 1, origin
            self._last.append(node)
            at.append(before)
        self._tree, self._offsets, self._still = (
            Tree(above),
            torch.stack(offsets),
            torch.stack(still),
        )
        self._moved = torch.zeros(len(axis), len(offsets), dtype=DTYPE)
        cross = torch.zeros(len(offsets), 3, 3, dtype=DTYPE)
        for node, hinge in moved:
            self._moved[hinge, node] = 1.0
            cross[node] = _skew(axis[hinge])
        self._sine, self._versine = self._still @ cross, self._still @ cross @ cross
        self._behind = torch.stack(at) if any(b.any() for b in at) else None

    def pose(self, root: torch.Tensor, rot: torch.Tensor, hinges: torch.Tensor) -> Pose:
        """Of the bodies, see ``HingeBody.pose``."""
        angle = (hinges @ self._moved).T[..., None, None]
        local = self._still[:, None] + torch.sin(angle) * self._sine[:, None]
        local = local + (1 - torch.cos(angle)) * self._versine[:, None]
        frames = self._tree.frames(root, rot, local, self._offsets)[:, self._last]
        if self._behind is None:
            return Pose(frames)
        pose = Pose(frames)
        return Pose.of(pose.pos - (pose.rot @ self._behind[..., None])[..., 0], pose.rot)


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
