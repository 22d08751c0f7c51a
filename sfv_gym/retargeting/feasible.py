"""A retargeted motion brought within a character's physics: its own masses and its own motors.

Inverse kinematics solves frame by frame, and knows neither momentum nor torque. A robot whose trunk
and arms are heavy then swings itself out of balance, spins up in the air, and asks its ankles for
ten times what they have. Here the whole trajectory is solved at once, as the humanoid's is in
`reconstruction.character`, and on top of its terms: joint torques by inverse dynamics within the
motors' limits, and a zero-moment point that the ankles can hold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from sfv_gym import skeleton
from sfv_gym.fitting import terms
from sfv_gym.fitting.ballistics import settle_flights
from sfv_gym.fitting.hinge_body import HingeBody, HingePose
from sfv_gym.fitting.solver import Variables, one_thread, solve
from sfv_gym.fitting.tensors import DTYPE, matrices, rotation_matrix, tensor
from sfv_gym.motion import ReferenceMotion
from sfv_gym.reconstruction.character import CarryWeights
from sfv_gym.retargeting.rig import Retargeted, Rig
from sfv_gym.retargeting.targets import Targets, close_cycle
from sfv_gym.rotations import quat_continuous

WEIGHTS = CarryWeights()
"""Spreads, as for the humanoid; that of the spin grows with the mass."""
HINGE = 0.6
"""Radians, a joint's angle against the inverse kinematics'."""
TORQUE_SHARE, TORQUE_SPREAD = 0.8, 0.1
"""Of a motor's limit: what costs nothing, and how much more costs 1. The cost grows as the square:
one that forgives large torques gathers what a motor lacks in single frames, with jumps in velocity
that no motor follows, and what comes after them is lost as well."""
ITERATIONS = 250


def make_feasible(
    kinematic: Retargeted,
    motion: ReferenceMotion,
    rig: Rig,
    callback: Callable[[], None] | None = None,
) -> Retargeted:
    """The trajectory nearest to a kinematic one that the character could follow.

    Args:
        kinematic: what `kinematic.solve_kinematics` found for ``motion`` and ``rig``.
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
        pose = problem.body.pose(tensor(qpos[:, :3]), matrices(qpos[:, 3:7]), tensor(hinges))
        com = problem.body.centre_of_mass(pose).numpy()
    qpos[:, :3] = settle_flights(qpos[:, :3], com, tuple(problem.flights), motion.fps)
    return Retargeted(qpos, kinematic.scale)


class _Problem:
    """The objective over one trajectory, whose variables are changes of the kinematic one."""

    def __init__(self, kinematic: Retargeted, motion: ReferenceMotion, rig: Rig) -> None:
        self.fps, self.body, self.rig = motion.fps, HingeBody(rig), rig
        qpos = kinematic.qpos
        self.root, self.rot = tensor(qpos[:, :3]), matrices(qpos[:, 3:7])
        self.hinges = tensor(np.clip(qpos[:, 7:], rig.lower, rig.upper))
        targets = Targets(motion, rig)
        air = np.zeros(len(qpos))
        for first, last in targets.flights:
            air[first : last + 1] = 1.0
        self.flights, self.in_air = targets.flights, tensor(air)
        self.touch = tensor((targets.planted >= 0.5) & (air == 0)[:, None])  # (T, 4)
        start = self.body.pose(self.root, self.rot, self.hinges).links(self.body.links)
        self._goal, self._velocity = start.rot, (self.root[1:] - self.root[:-1]) * self.fps
        # gravity decides how fast the character rises and falls in the air
        free = torch.maximum(self.in_air[1:], self.in_air[:-1])
        self._trust = torch.stack((1 - 0.5 * free, 1 - 0.5 * free, 1 - free), 1)
        self._resting = (1 - self.in_air) * (1 - self.touch.amax(1))
        # the ground may help a hinge beyond which something touches it
        helped = self.touch[1:-1] @ tensor(self.body.carries).T
        self._alone = (helped == 0).to(DTYPE)
        self.cycle: tuple[int, int] | None = None
        if motion.loop == "wrap":
            self.cycle = int(motion.loop_range[0]), int(motion.loop_range[1])
            self._step = tensor(kinematic.scale * motion.loop_offset[:3])
            yaw = np.array([0.0, 0.0, motion.loop_offset[3]])
            self._turn = rotation_matrix(tensor(yaw))

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
        total = total + terms.smoothness(
            links, v["hinges"], fps, w.link_acceleration, w.angle_acceleration
        )
        total = total + self._ground(pose)
        total = total + terms.free_fall(com, self.in_air, fps, w.flight)
        total = total + terms.support(com, fps, w.support)
        total = total + terms.effort(com, self.in_air, fps, w.effort)
        total = total + self._steady_spin(pose)
        total = total + self._balance(pose)
        share = body.torques(pose, fps).abs() / body.limits
        over = torch.relu(share - TORQUE_SHARE) / TORQUE_SPREAD
        total = total + (self._alone * over.square()).sum()
        if self.cycle is not None:
            first, last = self.cycle
            total = total + terms.closing(v["hinges"], links, self.cycle) / w.closing**2
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
        point = terms.zero_moment_point(
            body.centre_of_mass(pose), body.spin(pose, self.fps), body.mass, self.fps
        )
        return terms.within_support(point, torch.cat(spots, 1), touching, WEIGHTS.balance)
