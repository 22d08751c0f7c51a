"""A retargeted motion brought within a character's physics: its own masses and its own motors.

Inverse kinematics solves frame by frame, and knows neither momentum nor torque. A robot whose trunk
and arms are heavy then swings itself out of balance, spins up in the air, and asks its ankles for
ten times what they have. Here the whole trajectory is solved at once, as the humanoid's is in
`reconstruction.character`, and on top of its terms: joint torques by inverse dynamics within the
motors' limits, and a zero-moment point that the ankles can hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from sfv_gym import skeleton
from sfv_gym.flight import GRAVITY
from sfv_gym.inverse_kinematics import Retargeted, Rig, Targets, close_cycle
from sfv_gym.motion import ReferenceMotion
from sfv_gym.reconstruction import losses
from sfv_gym.reconstruction.ballistics import settle_flights
from sfv_gym.reconstruction.body import DTYPE, Pose, rotation_matrix
from sfv_gym.reconstruction.character import CarryWeights
from sfv_gym.reconstruction.solver import Variables, one_thread, solve
from sfv_gym.rotations import quat_continuous, quat_to_matrix

WEIGHTS = CarryWeights()
"""Spreads, as for the humanoid; that of the spin grows with the mass."""
HINGE = 0.6
"""Radians, a joint's angle against the inverse kinematics'."""
TORQUE_SHARE, TORQUE_SPREAD = 0.8, 0.1
"""Of a motor's limit: what costs nothing, and how much more costs 1. The cost grows as the square:
one that forgives large torques gathers what a motor lacks in single frames, with jumps in velocity
that no motor follows, and what comes after them is lost as well."""
ITERATIONS = 250


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

    def links(self, bodies: list[int]) -> Pose:
        """Of some of the bodies."""
        return Pose(self.pos[:, bodies], self.rot[:, bodies])

    def during(self, first: int, last: int) -> HingePose:
        """Frames ``first`` to ``last``, both included."""
        frames = slice(first, last + 1)
        return HingePose(self.pos[frames], self.rot[frames], self.centres[frames])


class HingeBody:
    """A model of a free root and hinges, in torch: kinematics, momentum, joint torques.

    Attributes:
        mass: kg. links: (15,) columns of the bodies that stand for the canonical links.
        limits: (H,) N m, of the hinges' motors; infinite where there is none.
        effectors: columns of the bodies of skeleton.END_EFFECTORS.
        touching: of each of them, the points (n, 3) in its frame that touch the ground, and
            ``bearing`` those within them on which its ankle can hold the whole weight.
        shapes: of the geoms that can touch the ground.
        carries: (H, 4) bool, the end effectors beyond each hinge.
    """

    def __init__(self, rig: Rig) -> None:
        model = rig.model
        self._parent = model.body_parentid[1:] - 1  # without the world
        self._pos, self._rot = _tensor(model.body_pos[1:]), _matrices(model.body_quat[1:])
        self._hinges: list[list[int]] = [[] for _ in self._parent]
        self._hinge_body = (model.jnt_bodyid[1:] - 1).tolist()
        for hinge, body in enumerate(self._hinge_body):
            self._hinges[body].append(hinge)
        self._axis, self._anchor = _tensor(model.jnt_axis[1:]), _tensor(model.jnt_pos[1:])
        self._cross = torch.stack([_skew(axis) for axis in self._axis])
        self._masses, self._centre = _tensor(model.body_mass[1:]), _tensor(model.body_ipos[1:])
        self.mass = float(self._masses.sum())
        principal = _matrices(model.body_iquat[1:])
        spread = torch.diag_embed(_tensor(model.body_inertia[1:]))
        self._inertia = principal @ spread @ principal.transpose(-1, -2)
        self.links = (rig.bodies - 1).tolist()
        self.effectors = [self.links[e] for e in rig.effectors]
        beyond = np.zeros((len(self._hinge_body), len(self._parent)), bool)
        for body in range(len(self._parent)):
            above = body
            while above >= 0:
                beyond[self._hinges[above], body] = True
                above = int(self._parent[above])
        self._beyond = _tensor(beyond)
        self.carries = beyond[:, self.effectors]
        self.limits = _tensor(_motor_limits(model))
        self.touching = [_tensor(points) for points in rig.points]
        self.shapes = rig.shapes
        self.bearing = [self._within_ankles(rig, e) for e in range(len(rig.effectors))]

    def _within_ankles(self, rig: Rig, effector: int) -> torch.Tensor:
        """The sole's points (n, 3), moved in to where the last hinges before it can hold them.

        A force as large as the weight has a lever about each of these hinges; a motor holds it
        up to its limit over the weight. Hands are left as they are: nobody stands on one alone.
        """
        points = rig.points[effector].copy()
        name = skeleton.END_EFFECTORS[effector]
        if not name.endswith("ankle"):
            return _tensor(points)
        foot = self.effectors[effector]
        shin = self.links[skeleton.link_index(name.replace("ankle", "knee"))]
        rig.set(np.zeros(3), np.array([1.0, 0, 0, 0]), rig.stand)
        data, body = rig.data, foot
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
        return _tensor(points)

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

    def centre_of_mass(self, pose: HingePose) -> torch.Tensor:
        """(T, 3) metres."""
        return (pose.centres * self._masses[:, None]).sum(1) / self.mass

    def points(self, pose: HingePose, effector: int, points: torch.Tensor) -> torch.Tensor:
        """World positions (T, n, 3) of points (n, 3) of an end effector."""
        body = self.effectors[effector]
        return pose.pos[:, body, None] + (pose.rot[:, body, None] @ points[..., None])[..., 0]

    def spin(self, pose: HingePose, fps: float) -> torch.Tensor:
        """Angular momentum about the centre of mass, between frames (T - 1, 3), kg m2/s."""
        arms = pose.centres - self.centre_of_mass(pose)[:, None]
        middle, velocity = 0.5 * (arms[1:] + arms[:-1]), (arms[1:] - arms[:-1]) * fps
        orbit = (self._masses[:, None] * torch.linalg.cross(middle, velocity)).sum(1)
        return orbit + self._own_spin(pose, fps).sum(1)

    def _own_spin(self, pose: HingePose, fps: float) -> torch.Tensor:
        """Of every body about its own centre (T - 1, B, 3)."""
        step = pose.rot[1:] @ pose.rot[:-1].transpose(-1, -2)
        # the skew part of a small rotation is its vector, here off by the sine alone
        turn = 0.5 * fps * torch.stack(
            (step[..., 2, 1] - step[..., 1, 2], step[..., 0, 2] - step[..., 2, 0],
             step[..., 1, 0] - step[..., 0, 1]), -1
        )  # fmt: skip
        inertia = pose.rot[1:] @ self._inertia @ pose.rot[1:].transpose(-1, -2)
        return (inertia @ turn[..., None])[..., 0]

    def torques(self, pose: HingePose, fps: float) -> torch.Tensor:
        """(T - 2, H) N m that the hinges need to move what is beyond them, no ground touching it:
        Newton's and Euler's laws for all that a hinge carries, about its axis."""
        push = losses.acceleration(pose.centres, fps)
        push = self._masses[:, None] * (push + torch.tensor([0.0, 0.0, GRAVITY], dtype=DTYPE))
        own = self._own_spin(pose, fps)
        turn = torch.linalg.cross(pose.centres[1:-1], push) + (own[1:] - own[:-1]) * fps
        force = torch.einsum("hb,tbk->thk", self._beyond, push)
        moment = torch.einsum("hb,tbk->thk", self._beyond, turn)
        pos, rot = pose.pos[1:-1, self._hinge_body], pose.rot[1:-1, self._hinge_body]
        anchor = pos + (rot @ self._anchor[..., None])[..., 0]
        axis = (rot @ self._axis[..., None])[..., 0]
        return (axis * (moment - torch.linalg.cross(anchor, force))).sum(-1)


def make_feasible(
    kinematic: Retargeted,
    motion: ReferenceMotion,
    rig: Rig,
    callback: Callable[[], None] | None = None,
) -> Retargeted:
    """The trajectory nearest to a kinematic one that the character could follow.

    Args:
        kinematic: what `inverse_kinematics.solve_kinematics` found for ``motion`` and ``rig``.
        callback: called after each of at most ``ITERATIONS`` iterations.

    Raises:
        MotionError: the solver came to values that are not finite.
    """
    with one_thread():
        problem = _Problem(kinematic, motion, rig)
        qpos = problem.solve(callback)
        hinges = qpos[:, 7:]
        if motion.loop == "wrap":
            close_cycle(hinges, motion.loop_range)
        np.clip(hinges, rig.lower, rig.upper, out=hinges)
        pose = problem.body.pose(_tensor(qpos[:, :3]), _matrices(qpos[:, 3:7]), _tensor(hinges))
        com = problem.body.centre_of_mass(pose).numpy()
    qpos[:, :3] = settle_flights(qpos[:, :3], com, tuple(problem.flights), motion.fps)
    return Retargeted(qpos, kinematic.scale)


class _Problem:
    """The objective over one trajectory, whose variables are changes of the kinematic one."""

    def __init__(self, kinematic: Retargeted, motion: ReferenceMotion, rig: Rig) -> None:
        self.fps, self.body, self.rig = motion.fps, HingeBody(rig), rig
        qpos = kinematic.qpos
        self.root, self.rot = _tensor(qpos[:, :3]), _matrices(qpos[:, 3:7])
        self.hinges = _tensor(np.clip(qpos[:, 7:], rig.lower, rig.upper))
        targets = Targets(motion, rig)
        air = np.zeros(len(qpos))
        for first, last in targets.flights:
            air[first : last + 1] = 1.0
        self.flights, self.in_air = targets.flights, _tensor(air)
        self.touch = _tensor((targets.planted >= 0.5) & (air == 0)[:, None])  # (T, 4)
        start = self.body.pose(self.root, self.rot, self.hinges).links(self.body.links)
        self._goal, self._velocity = start.rot, (self.root[1:] - self.root[:-1]) * self.fps
        # gravity decides how fast the character rises and falls in the air
        free = torch.maximum(self.in_air[1:], self.in_air[:-1])
        self._trust = torch.stack((1 - 0.5 * free, 1 - 0.5 * free, 1 - free), 1)
        self._resting = (1 - self.in_air) * (1 - self.touch.amax(1))
        # the ground may help a hinge beyond which something touches it
        helped = self.touch[1:-1] @ _tensor(self.body.carries).T
        self._alone = (helped == 0).to(DTYPE)
        self.cycle: tuple[int, int] | None = None
        if motion.loop == "wrap":
            self.cycle = int(motion.loop_range[0]), int(motion.loop_range[1])
            self._step = _tensor(kinematic.scale * motion.loop_offset[:3])
            yaw = np.array([0.0, 0.0, motion.loop_offset[3]])
            self._turn = rotation_matrix(_tensor(yaw))

    def solve(self, callback: Callable[[], None] | None) -> np.ndarray:
        """qpos (T, nq)."""
        frames = len(self.root)
        found, _ = solve(
            self.objective,
            {
                "root": self.root,
                "turn": torch.zeros(frames, 3, dtype=DTYPE),
                "hinges": self.hinges,
            },
            bounds={"hinges": (self.rig.lower, self.rig.upper)},
            scales={"root": 0.03, "turn": 0.1, "hinges": 0.1},
            over_time=("root", "turn", "hinges"),
            iterations=ITERATIONS,
            callback=callback,
        )
        rot = (self.rot @ rotation_matrix(found["turn"])).numpy()
        quat = np.roll(Rotation.from_matrix(rot).as_quat(), 1, axis=-1)
        return np.concatenate(
            (found["root"].numpy(), quat_continuous(quat), found["hinges"].numpy()), axis=1
        )

    def objective(self, v: Variables) -> torch.Tensor:
        """The sum of all terms."""
        w, fps, body = WEIGHTS, self.fps, self.body
        pose = body.pose(v["root"], self.rot @ rotation_matrix(v["turn"]), v["hinges"])
        links = pose.links(body.links)
        com = body.centre_of_mass(pose)
        velocity = (v["root"][1:] - v["root"][:-1]) * fps
        total = (links.rot - self._goal).square().sum() / (2 * w.rotation**2)
        total = total + (v["hinges"] - self.hinges).square().sum() / HINGE**2
        total = total + (self._trust * (velocity - self._velocity).square()).sum() / w.velocity**2
        total = total + losses.smoothness(
            links, v["hinges"], fps, w.link_acceleration, w.angle_acceleration
        )
        total = total + self._ground(pose)
        total = total + losses.free_fall(com, self.in_air, fps, w.flight)
        total = total + losses.support(com, fps, w.support)
        total = total + losses.effort(com, self.in_air, fps, w.effort)
        total = total + self._steady_spin(pose)
        total = total + self._balance(pose)
        share = body.torques(pose, fps).abs() / body.limits
        over = torch.relu(share - TORQUE_SHARE) / TORQUE_SPREAD
        total = total + (self._alone * over.square()).sum()
        if self.cycle is not None:
            first, last = self.cycle
            total = total + losses.closing(v["hinges"], links, self.cycle) / w.closing**2
            again = self._turn @ v["root"][first] + self._step
            total = total + (v["root"][last] - again).square().sum() / w.contact_height**2
        return total

    def _ground(self, pose: HingePose) -> torch.Tensor:
        """What is planted lies on the ground and does not slide; nothing goes below it, and where
        neither hand nor foot is planted something lies on it all the same, but in flight."""
        bottom = self.body.shapes.bottom_of_bodies(pose.pos, pose.rot)  # (T, G)
        lowest = bottom.amin(1)
        total = 4 * torch.relu(-bottom).square().sum()
        total = total + (self._resting * torch.relu(lowest).square()).sum()
        total = total / WEIGHTS.contact_height**2
        for e, (points, radius) in enumerate(zip(self.body.touching, self.rig.radii, strict=True)):
            place, held = self.body.points(pose, e, points), self.touch[:, e, None]
            height = place[..., 2] - radius
            lift = (held * height.square()).sum()
            both = torch.minimum(held[1:], held[:-1])
            slide = (both * (place[1:, :, :2] - place[:-1, :, :2]).square().sum(-1)).sum()
            total = total + lift / WEIGHTS.contact_height**2 + slide / WEIGHTS.contact_slide**2
        return total

    def _steady_spin(self, pose: HingePose) -> torch.Tensor:
        """In flight the angular momentum keeps its value."""
        spread = WEIGHTS.spin * self.body.mass / skeleton.LINK_MASSES.sum()
        total = torch.zeros((), dtype=DTYPE)
        for first, last in self.flights:
            if last > first:
                spin = self.body.spin(pose.during(first, last), self.fps)
                total = total + (spin - spin.mean(0)).square().sum() / spread**2
        return total

    def _balance(self, pose: HingePose) -> torch.Tensor:
        """The zero-moment point is where the ankles can hold it."""
        body = self.body
        counts = [len(points) for points in body.bearing]
        spots = [body.points(pose, e, points) for e, points in enumerate(body.bearing)]
        touching = torch.repeat_interleave(self.touch, torch.tensor(counts), dim=1)
        point = losses.zero_moment_point(
            body.centre_of_mass(pose), body.spin(pose, self.fps), body.mass, self.fps
        )
        return losses.within_support(point, torch.cat(spots, 1), touching, WEIGHTS.balance)


def _motor_limits(model: mujoco.MjModel) -> np.ndarray:
    """(H,) N m."""
    limits = np.full(model.njnt - 1, np.inf)
    for i in range(model.nu):
        joint = model.actuator_trnid[i, 0]
        if model.actuator_trntype[i] == mujoco.mjtTrn.mjTRN_JOINT and joint > 0:
            limit = np.abs(model.actuator_forcerange[i]).max() * abs(model.actuator_gear[i, 0])
            limits[joint - 1] = limit if model.actuator_forcelimited[i] else np.inf
    return limits


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values, np.float64), dtype=DTYPE)


def _matrices(quat: np.ndarray) -> torch.Tensor:
    return _tensor(quat_to_matrix(quat))


def _skew(axis: torch.Tensor) -> torch.Tensor:
    x, y, z = axis.tolist()
    return torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=DTYPE)
