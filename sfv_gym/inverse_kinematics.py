"""Canonical motion to the joint angles of a hinge-jointed character, by inverse kinematics.

Every frame is a small bounded least-squares problem (``mujoco.minimize``), solved twice. The first
pass matches the pose alone: directions of limbs, orientations of trunk and feet, and the centre of
mass above the feet. It says how high the root has to be and where the feet come down. The second
pass puts the whole body into the world: planted feet and hands stay where they are, the centre of
mass follows the scaled path of the original, and in flight the parabola that gravity prescribes.
Momentum and torques are left to ``dynamic_retargeting``, which goes on from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco import minimize

from sfv_gym import skeleton
from sfv_gym.fitting.ballistics import GRAVITY
from sfv_gym.fitting.hinge_model import HingeModel
from sfv_gym.motion import ReferenceMotion
from sfv_gym.rotations import (
    quat_conjugate,
    quat_continuous,
    quat_multiply,
    quat_rotate,
    quat_to_matrix,
    rotvec_to_quat,
)

MAX_SPEED = 12.0  # rad/s, of a hinge

# bones: (link at the start, link at the end) of the directions that are matched
_BONES = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("right", "left")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
)
_ORIENTED = ("root", "chest", "neck", "right_ankle", "left_ankle")
_ARM_OUT = 0.2  # sine of the angle that a hanging arm keeps from straight down
_HAND_RADIUS = 0.04  # m, of the canonical hand's sphere

# Weights of residuals. Angles and directions are in radians, lengths in metres.
_BONE = 1.0
_ORIENTATION = np.array([0.6, 0.8, 0.15, 0.4, 0.4])  # of _ORIENTED
_PLANTED_FOOT = 1.5  # orientation of a foot on the ground, which must lie flat
_REACH = 0.5  # hands from the shoulder, feet from between the hips, in lengths of the limb
_BALANCE = 5.0  # first pass: centre of mass over the planted feet, 1/m
_STEADY = 0.05  # first pass: each hinge to its angle in the frame before
_SWEEPS, _NEIGHBOURS = 2, 0.4  # after it: each hinge to the mean of the frames around it
_REST = 0.03  # first pass: each hinge to the standing pose, for what nothing else decides
_STRAIGHT = 0.3  # the same for the back, which else twists where it cannot bend further
_FIRST_PASS = 0.15  # second pass: each hinge to the first pass's result
_SLOWED = 1.5  # the same where that turned it too fast
_PINNED, _SWINGING = 60.0, 4.0  # second pass: hands and feet to their targets, 1/m
_GROUND = 40.0  # second pass: feet not below the ground, 1/m
_CENTRE, _FALLING = 8.0, 40.0  # second pass: centre of mass to its path, on the ground / in flight


@dataclass(frozen=True)
class Retargeted:
    """A motion in a character's coordinates.

    Attributes:
        qpos: (T, nq) at the motion's frames: root position in metres, root rotation wxyz, hinges
            in radians.
        scale: the character's leg length over the canonical one, by which the path on the ground
            is scaled, and ``loop_offset``'s x, y, z with it.
    """

    qpos: np.ndarray
    scale: float


def solve_kinematics(motion: ReferenceMotion, rig: Rig) -> Retargeted:
    """Find the character's joint angles that show a motion best."""
    targets = Targets(motion, rig)
    wraps = motion.loop == "wrap"
    pose = _first_pass(rig, targets)
    for sweep in range(_SWEEPS):
        if wraps:
            close_cycle(pose.hinges, motion.loop_range)
        _smooth(rig, targets, pose, backwards=sweep % 2 == 0)
    if wraps:
        close_cycle(pose.hinges, motion.loop_range)
    plan = _Plan(motion, rig, targets, pose)
    placed = _second_pass(rig, targets, pose, plan)
    if wraps:
        close_cycle(placed.hinges, motion.loop_range)
    np.clip(placed.hinges, rig.lower, rig.upper, out=placed.hinges)
    _settle(rig, targets, placed)
    return Retargeted(rig.qpos(placed), rig.scale)


# --- the character ------------------------------------------------------------------------


@dataclass
class _Poses:
    """T poses: root position (T, 3), root rotation (T, 4) and hinge angles (T, H)."""

    root_pos: np.ndarray
    root_quat: np.ndarray
    hinges: np.ndarray


class Rig(HingeModel):
    """A character's kinematics: link frames, centre of mass, and their Jacobians.

    Attributes:
        rest_pulls: (H,) weights with which the first pass is drawn to the standing pose.
        scale: leg length over the canonical one.
    """

    def __init__(self, model: mujoco.MjModel, links: Mapping[str, str]) -> None:
        super().__init__(model, links)  # which leaves it standing
        self.rest_pulls = np.full(len(self.stand), _REST)
        body = self.bodies[skeleton.link_index("chest")]
        while body != self.bodies[0] and body != 0:
            self.rest_pulls[model.jnt_bodyid[1:] == body] = _STRAIGHT
            body = model.body_parentid[body]
        pos = self.data.xpos[self.bodies]
        self.bone_index = np.array([[skeleton.link_index(n) for n in bone] for bone in _BONES])
        lengths = np.linalg.norm(pos[self.bone_index[:, 1]] - pos[self.bone_index[:, 0]], axis=1)
        canonical = np.linalg.norm(skeleton.OFFSETS[self.bone_index[:, 1]], axis=1)
        # right leg, right arm, left leg, left arm
        self.limbs = lengths.reshape(4, 2).sum(1)
        self.canonical_limbs = canonical.reshape(4, 2).sum(1)
        self.scale = float((self.limbs[0] + self.limbs[2]) / (2 * self.canonical_limbs[0]))
        self.oriented = [skeleton.link_index(name) for name in _ORIENTED]
        self._jac = np.zeros((len(skeleton.LINKS), 2, 3, model.nv))
        self._jac_com = np.zeros((3, model.nv))

    def place(self, poses: _Poses, t: int) -> None:
        self.set(poses.root_pos[t], poses.root_quat[t], poses.hinges[t])

    def jacobians(self, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the links' positions and rotations (15, 2, 3, nv), and of the centre of mass (3, nv).

        Args:
            turn: (3,) the rotation vector that the root is turned by from where it started, by
                which the Jacobians' columns 3 to 5 are taken.
        """
        for jac, body in zip(self._jac, self.bodies, strict=True):
            mujoco.mj_jacBody(self.model, self.data, jac[0], jac[1], body)
        mujoco.mj_jacSubtreeCom(self.model, self.data, self._jac_com, 1)
        right = _right_jacobian(turn)
        jac, com = self._jac.copy(), self._jac_com.copy()
        jac[..., 3:6] = jac[..., 3:6] @ right
        com[:, 3:6] = com[:, 3:6] @ right
        return jac, com

    def link_pos(self) -> np.ndarray:
        """(15, 3) metres, world."""
        return np.asarray(self.data.xpos[self.bodies])

    def link_matrix(self) -> np.ndarray:
        """(15, 3, 3) rotation matrices, body to world."""
        return np.asarray(self.data.xmat[self.bodies].reshape(-1, 3, 3))

    def centre_of_mass(self) -> np.ndarray:
        return np.array(self.data.subtree_com[1])

    def touching_points(self, effector: int) -> np.ndarray:
        """World positions (n, 3) of an end effector's points; their balls reach lower still."""
        body = self.bodies[self.effectors[effector]]
        turned = self.points[effector] @ self.data.xmat[body].reshape(3, 3).T
        return np.asarray(self.data.xpos[body] + turned)

    def lowest(self) -> float:
        """Height in metres of the lowest point of all geoms that can touch the ground."""
        data = self.data
        return float(self.shapes.bottom_of_frames(data.geom_xpos[None], data.geom_xmat[None]).min())

    def qpos(self, poses: _Poses) -> np.ndarray:
        quat = quat_continuous(poses.root_quat)
        return np.concatenate((poses.root_pos, quat, poses.hinges), axis=1)


def _right_jacobian(v: np.ndarray) -> np.ndarray:
    """(3, 3): body-frame angular velocity per rate of change of the rotation vector v (3,)."""
    angle = float(np.linalg.norm(v))
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    if angle < 1e-4:
        return np.eye(3) - 0.5 * cross
    a = (1 - np.cos(angle)) / angle**2
    b = (angle - np.sin(angle)) / angle**3
    return np.eye(3) - a * cross + b * cross @ cross


# --- what the motion asks for ---------------------------------------------------------------


class Targets:
    """The motion's figures at each frame, as far as they do not depend on where the root is.

    Attributes:
        bones: (T, 8, 3) unit vectors of _BONES.
        axes: (T, 5, 3, 3) rotation matrices that _ORIENTED's bodies should have.
        root_quat: (T, 4) that the character's root should have.
        reach: (T, 4, 3) right foot, right hand, left foot, left hand from the middle of the hips
            or from the shoulder, in lengths of the limb.
        centre: (T, 3) metres, the centre of mass.
        effector_pos, effector_low: (T, 4, 3) metres, middle of soles and hands, and (T, 4) the
            height of their lowest point.
        planted: (T, 4) in 0..1, skeleton.END_EFFECTORS; ``bears`` is the same, with hands left
            out beside a foot, and smooth in time.
        balance: (T, 2) metres, centre of mass from what bears it.
        flights: first and last frame of each of the motion's, as it is played.
    """

    def __init__(self, motion: ReferenceMotion, rig: Rig) -> None:
        # a wrapped motion from its cycle on as it is played: closed, and the cycle over and over
        frames = np.arange(motion.num_frames)
        root_pos, root_quat, joint_quat = motion.pose(frames / motion.fps)
        pos, quat = skeleton.forward_kinematics(root_pos, root_quat, joint_quat)
        planted, in_air = motion.contacts, np.zeros(len(frames), bool)
        for first, last in motion.flights:
            in_air[first : last + 1] = True
        if motion.loop == "wrap":
            first, last = (int(i) for i in motion.loop_range)
            shown = np.where(frames < last, frames, first + (frames - last) % (last - first))
            planted, in_air = planted[shown], in_air[shown]
        start, end = rig.bone_index.T
        bones = pos[:, end] - pos[:, start]
        lengths = np.linalg.norm(bones, axis=-1, keepdims=True)
        self.bones = _arms_off_body(bones / lengths, quat[:, skeleton.link_index("chest")])
        wanted = quat_multiply(quat, np.broadcast_to(rig.rest, quat.shape))
        self.axes = quat_to_matrix(wanted[:, rig.oriented])
        self.root_quat = wanted[:, 0]
        self.root_pos = root_pos
        limb_end = pos[:, end.reshape(4, 2)[:, 1]]
        moved = (self.bones * lengths - bones).reshape(len(pos), 4, 2, 3).sum(2)
        self.reach = (limb_end + moved - _limb_starts(pos)) / rig.canonical_limbs[:, None]
        self.centre = skeleton.centre_of_mass(pos, quat)
        soles = skeleton.sole_corners(pos, quat)
        hands = pos[:, rig.effectors[:2]]
        self.effector_pos = np.concatenate((hands, soles.mean(2)), axis=1)
        self.effector_low = np.concatenate(
            (hands[..., 2] - _HAND_RADIUS, soles[..., 2].min(2)), axis=1
        )
        self.planted = planted
        self.fps = motion.fps
        self.flights = _runs(in_air)
        bears = self.planted.copy()
        bears[:, :2] *= 1 - self.planted[:, 2:].max(1, keepdims=True)
        self.bears = _blur(bears, 2)
        self.bears[bears.max(1) < 0.5] = 0.0
        total = np.maximum(self.bears.sum(1, keepdims=True), 1e-9)
        middle = (self.effector_pos * (self.bears / total)[..., None]).sum(1)
        self.balance = rig.scale * (self.centre - middle)[:, :2]

    def __len__(self) -> int:
        return len(self.centre)


def _arms_off_body(bones: np.ndarray, chest: np.ndarray) -> np.ndarray:
    """Directions (T, 8, 3) of _BONES with upper arms that keep an angle from the chest's axis.

    A hinged shoulder cannot turn about an arm that hangs straight down or up: to swing it from
    front to back it would have to spin. Past that direction on the outside there is a way round.

    Args:
        chest: (T, 4) rotations.
    """
    bones = bones.copy()
    for i, (start, _) in enumerate(_BONES):
        if not start.endswith("shoulder"):
            continue
        side = -1.0 if start.startswith("right") else 1.0
        local = quat_rotate(quat_conjugate(chest), bones[:, i])
        out = side * local[:, 1]
        least = 0.5 * (out + _ARM_OUT + np.hypot(out - _ARM_OUT, 0.5 * _ARM_OUT))
        local[:, 1] = side * (out + local[:, 2] ** 2 * (least - out))
        local /= np.linalg.norm(local, axis=1, keepdims=True)
        bones[:, i] = quat_rotate(chest, local)
    return bones


def _limb_starts(pos: np.ndarray) -> np.ndarray:
    """Where reaches (..., 4, 3) are measured from, given link positions (..., 15, 3)."""
    right, left = skeleton.link_index("right_hip"), skeleton.link_index("left_hip")
    hips = 0.5 * (pos[..., right, :] + pos[..., left, :])
    arms = [pos[..., skeleton.link_index(f"{side}_shoulder"), :] for side in ("right", "left")]
    return np.stack((hips, arms[0], hips, arms[1]), axis=-2)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """(first, last) of each run of True in (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(int)))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


def _blur(values: np.ndarray, passes: int = 1) -> np.ndarray:
    """Values (T, ...) smoothed along time, each pass with weights 1/4, 1/2, 1/4."""
    for _ in range(passes):
        padded = np.concatenate((values[:1], values, values[-1:]))
        values = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return values


def close_cycle(hinges: np.ndarray, loop_range: np.ndarray) -> None:
    """Spread a cycle's closing error over it, in place: its ends show the same angles (T, H)."""
    first, last = (int(i) for i in loop_range)
    share = np.clip((np.arange(len(hinges)) - first) / (last - first), 0, 1)
    hinges -= share[:, None] * (hinges[last] - hinges[first])


# --- least squares --------------------------------------------------------------------------


class _Problem:
    """Residuals and Jacobian of one frame, as ``mujoco.minimize.least_squares`` wants them.

    Unknowns: the root's shift (3) in metres and turn (3), a rotation vector in its own frame,
    from the pose that it starts from, and the hinges (H). The first pass has no shift.
    """

    def __init__(self, rig: Rig, targets: Targets, t: int, shift: bool) -> None:
        self.rig, self.targets, self.t = rig, targets, t
        self.first = 0 if shift else 3
        self.base_pos = np.zeros(3)
        self.base_quat = targets.root_quat[t]
        planted = targets.planted[t, 2:]
        weights = _ORIENTATION.copy()
        weights[3:] += (_PLANTED_FOOT - weights[3:]) * planted
        self.orientation_weights = np.sqrt(0.5) * weights  # two axes show every turn
        self.hinge_pulls: list[tuple[float | np.ndarray, np.ndarray]] = []
        self.balance = not shift and bool(targets.bears[t].sum() > 1e-6)
        self.plan: _Plan | None = None

    def solve(self, start: np.ndarray, max_iter: int = 40) -> np.ndarray:
        """The unknowns (6 + H,), from where they start, with zero shift where there is none."""
        rig, first = self.rig, self.first
        lower = np.concatenate((np.full(3, -3.0), np.full(3, -2.0), rig.lower))[first:]
        upper = np.concatenate((np.full(3, 3.0), np.full(3, 2.0), rig.upper))[first:]
        solution, _ = minimize.least_squares(
            np.clip(start[first:], lower, upper),
            self.residual,
            bounds=[lower, upper],
            jacobian=self.jacobian,
            xtol=1e-5,
            gtol=1e-5,
            max_iter=max_iter,
            verbose=minimize.Verbosity.SILENT,
        )
        return np.concatenate((np.zeros(first), solution))

    def pose(self, unknowns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Root position, root rotation and hinges."""
        return (
            self.base_pos + unknowns[:3],
            quat_multiply(self.base_quat, rotvec_to_quat(unknowns[3:6])),
            unknowns[6:],
        )

    def residual(self, x: np.ndarray) -> np.ndarray:
        unknowns = np.concatenate((np.zeros(self.first), x[:, 0]))
        self.rig.set(*self.pose(unknowns))
        return np.concatenate([r for r, _ in self._evaluate(unknowns, False)])[:, None]

    def jacobian(self, x: np.ndarray, _: np.ndarray) -> np.ndarray:
        unknowns = np.concatenate((np.zeros(self.first), x[:, 0]))
        self.rig.set(*self.pose(unknowns))  # the last residual may be of a rejected step
        parts = self._evaluate(unknowns, True)
        return np.concatenate([j for _, j in parts])[:, self.first :]

    def _evaluate(
        self, unknowns: np.ndarray, derivatives: bool
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Parts: residuals (m,) and, if asked for, their derivatives (m, nv)."""
        rig, targets, t = self.rig, self.targets, self.t
        nv = rig.model.nv
        nothing = np.zeros((0, nv))
        jac, jac_com = rig.jacobians(unknowns[3:6]) if derivatives else (nothing, nothing)
        pos, matrix = rig.link_pos(), rig.link_matrix()
        parts: list[tuple[np.ndarray, np.ndarray]] = []

        def add(residual: np.ndarray, derivative: np.ndarray) -> None:
            parts.append((residual.ravel(), derivative.reshape(-1, nv)))

        # directions of bones
        start, end = rig.bone_index.T
        bone = pos[end] - pos[start]
        length = np.linalg.norm(bone, axis=1, keepdims=True)
        unit = bone / length
        d = nothing
        if derivatives:
            d = (jac[end, 0] - jac[start, 0]) / length[..., None]
            d = _BONE * (d - unit[..., None] * (unit[:, None] @ d))
        add(_BONE * (unit - targets.bones[t]), d)

        # orientations: the x and z axes of bodies
        axes = matrix[rig.oriented][:, :, ::2]  # (5, 3, 2)
        weight = self.orientation_weights[:, None, None]
        if derivatives:
            spin = jac[rig.oriented, 1]  # (5, 3, nv)
            d = -np.cross(axes[..., None], spin[:, :, None], axis=1) * weight[..., None]
        add(weight * (axes - targets.axes[t][:, :, ::2]), d)

        # reaches
        limb_end = end.reshape(4, 2)[:, 1]
        if derivatives:
            ends = jac[limb_end, 0]
            starts = _limb_starts(np.moveaxis(jac[:, 0], -1, 0))
            d = _REACH * (ends - np.moveaxis(starts, 0, -1)) / rig.limbs[:, None, None]
        reach = (pos[limb_end] - _limb_starts(pos)) / rig.limbs[:, None]
        add(_REACH * (reach - targets.reach[t]), d)

        hinges = np.eye(nv)[6:]
        for pull, angles in self.hinge_pulls:
            pull = np.broadcast_to(pull, angles.shape)
            add(pull * (unknowns[6:] - angles), pull[:, None] * hinges if derivatives else nothing)

        if self.balance:
            bears = targets.bears[t] / targets.bears[t].sum()
            offset, d = rig.centre_of_mass(), jac_com
            for e in np.flatnonzero(bears).tolist():
                point = rig.touching_points(e).mean(0)
                offset = offset - bears[e] * point
                if derivatives:
                    d = d - bears[e] * self._point_jacobian(jac, e, point)
            weight_ = _BALANCE * min(1.0, float(targets.bears[t].sum()))
            add(weight_ * (offset[:2] - targets.balance[t]), weight_ * d[:2])
        if self.plan is not None:
            self._in_the_world(self.plan, add, derivatives, jac, jac_com)
        return parts

    def _in_the_world(
        self,
        plan: _Plan,
        add: Callable[[np.ndarray, np.ndarray], None],
        derivatives: bool,
        jac: np.ndarray,
        jac_com: np.ndarray,
    ) -> None:
        rig, t = self.rig, self.t
        d = jac_com
        for e in range(4):
            points = rig.touching_points(e)
            weight = plan.effector_weights[t, e]
            if weight > 0:
                middle = points.mean(0)
                if derivatives:
                    d = weight * self._point_jacobian(jac, e, middle)
                add(weight * (middle - plan.effector_pos[t, e]), d)
            for point in points:
                depth = point[2] - rig.radii[e]
                if depth < 0:
                    if derivatives:
                        d = _GROUND * self._point_jacobian(jac, e, point)[2:]
                    add(np.array([_GROUND * depth]), d)
                else:  # the number of residuals must not change
                    add(np.zeros(1), np.zeros((1 if derivatives else 0, jac_com.shape[1])))
        weights = plan.centre_weights[t]
        com = rig.centre_of_mass()
        add(weights * (com - plan.centre[t]), weights[:, None] * jac_com if derivatives else d[:0])

    def _point_jacobian(self, jac: np.ndarray, effector: int, point: np.ndarray) -> np.ndarray:
        """(3, nv) of a point (3,) in the world that is fixed to an end effector's body."""
        link = self.rig.effectors[effector]
        arm = point - self.rig.data.xpos[self.rig.bodies[link]]
        return np.asarray(jac[link, 0] - np.cross(arm[:, None], jac[link, 1], axis=0))


def _first_pass(rig: Rig, targets: Targets) -> _Poses:
    """The pose at every frame, the root being at the origin."""
    frames = len(targets)
    poses = _Poses(np.zeros((frames, 3)), np.zeros((frames, 4)), np.zeros((frames, len(rig.stand))))
    unknowns = np.concatenate((np.zeros(6), rig.stand))
    for t in range(frames):
        problem = _Problem(rig, targets, t, shift=False)
        problem.hinge_pulls = [(rig.rest_pulls, rig.stand)]
        if t:
            problem.hinge_pulls.append((_STEADY, poses.hinges[t - 1]))
        unknowns = problem.solve(unknowns, max_iter=40 if t else 200)
        _, poses.root_quat[t], poses.hinges[t] = problem.pose(unknowns)
    return poses


def _smooth(rig: Rig, targets: Targets, poses: _Poses, backwards: bool) -> None:
    """Solve every frame again, in place, with its hinges pulled to the mean of its neighbours'.

    Where a limb hangs straight down or is stretched, two of its hinges turn it about the same
    axis, and the first pass lets them spin by more than a motor could within a frame.
    """
    last = len(targets) - 1
    for t in range(last, -1, -1) if backwards else range(last + 1):
        problem = _Problem(rig, targets, t, shift=False)
        problem.base_quat = poses.root_quat[t]
        mean = 0.5 * (poses.hinges[max(t - 1, 0)] + poses.hinges[min(t + 1, last)])
        problem.hinge_pulls = [(rig.rest_pulls, rig.stand), (_NEIGHBOURS, mean)]
        solution = problem.solve(np.concatenate((np.zeros(6), poses.hinges[t])))
        _, poses.root_quat[t], poses.hinges[t] = problem.pose(solution)


class _Plan:
    """Where the character's feet, hands and centre of mass should be in the world.

    Attributes:
        root_pos: (T, 3) metres, a first guess.
        effector_pos, effector_weights: (T, 4, 3) metres and (T, 4), of skeleton.END_EFFECTORS.
        centre, centre_weights: (T, 3) metres and (T, 3), the centre of mass.
    """

    def __init__(self, motion: ReferenceMotion, rig: Rig, targets: Targets, poses: _Poses) -> None:
        frames = len(targets)
        centre = np.zeros((frames, 3))
        middle = np.zeros((frames, 4, 3))
        low = np.zeros((frames, 4))
        lowest = np.zeros(frames)
        for t in range(frames):
            rig.place(poses, t)
            centre[t], lowest[t] = rig.centre_of_mass(), rig.lowest()
            for e in range(4):
                points = rig.touching_points(e)
                middle[t, e], low[t, e] = points.mean(0), points[:, 2].min() - rig.radii[e]
        root = np.zeros((frames, 3))
        root[:, :2] = rig.scale * targets.centre[:, :2] - centre[:, :2]
        root[:, 2] = _root_height(rig, targets, low, lowest)
        self.centre = centre + root
        _fly(targets, self.centre, rig.scale)
        root = self.centre - centre
        self.root_pos = root

        # hands and feet: planted ones at one place each, the others carried along with them
        middle += root[:, None]
        low += root[:, None, 2]
        self.effector_pos = middle.copy()
        for e in range(4):
            runs = _runs(targets.planted[:, e] >= 0.5)
            if not runs:
                continue
            places = [rig.scale * targets.effector_pos[a : b + 1, e, :2].mean(0) for a, b in runs]
            if motion.loop == "wrap":
                _join_places(motion, rig.scale, runs, places)
            known: list[int] = []
            correction: list[np.ndarray] = []
            for (first, last), place in zip(runs, places, strict=True):
                for t in range(first, last + 1):
                    lift = targets.effector_low[t, e] - low[t, e]
                    known.append(t)
                    correction.append(np.append(place - middle[t, e, :2], lift))
            moved = np.array(correction)
            for k in range(3):
                self.effector_pos[:, e, k] += np.interp(np.arange(frames), known, moved[:, k])
        touched = targets.planted.max(0) >= 0.5  # an effector that never touches hangs free
        self.effector_weights = touched * np.where(targets.planted >= 0.5, _PINNED, _SWINGING)
        self.centre_weights = np.tile([_CENTRE, _CENTRE, 0.5 * _CENTRE], (frames, 1))
        for first, last in targets.flights:
            self.centre_weights[first : last + 1] = _FALLING


def _join_places(
    motion: ReferenceMotion, scale: float, runs: list[tuple[int, int]], places: list[np.ndarray]
) -> None:
    """A foot that is planted across a cycle's end comes down where it stood at its start."""
    start, end = (int(i) for i in motion.loop_range)
    ends = [
        next((i for i, (a, b) in enumerate(runs) if a <= frame <= b), None)
        for frame in (start, end)
    ]
    if ends[0] is None or ends[1] is None or ends[0] == ends[1]:
        return
    x, y, _, yaw = motion.loop_offset
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    places[ends[1]] = turn @ places[ends[0]] + scale * np.array([x, y])


def _root_height(rig: Rig, targets: Targets, low: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """Height of the root (T,) in metres that puts what bears the body onto the ground.

    Args:
        low: (T, 4) lowest point of each end effector, and ``lowest`` (T,) of the whole body, both
            from the root.
    """
    bears = targets.bears
    total = bears.sum(1)
    scaled = rig.scale * targets.root_pos[:, 2]
    held = total > 1e-6
    wanted = (bears * (targets.effector_low - low)).sum(1) / np.maximum(total, 1e-9)
    height = scaled
    if held.any():  # what nothing labelled bears is as much higher or lower as its neighbours
        frames = np.arange(len(low))
        height = scaled + np.interp(frames, frames[held], (wanted - scaled)[held])
    in_air = np.zeros(len(low), bool)
    for first, last in targets.flights:
        in_air[first : last + 1] = True
    free = ~held & ~in_air
    return np.where(free, np.maximum(height, -lowest), height)


def _fly(targets: Targets, centre: np.ndarray, scale: float) -> None:
    """Put the centre of mass (T, 3) on parabolas in flight, in place.

    It takes the time that the original takes, however long the legs are. Just before the first
    and after the last frame in the air the ground may still push: that much, the original's
    distance from its own parabola, is kept.
    """
    fps, last_frame = targets.fps, len(centre) - 1
    for first, last in targets.flights:
        t = np.arange(first, last + 1)
        flat = np.polyfit(t, scale * targets.centre[t, :2], 1)
        centre[t, :2] = t[:, None] * flat[0] + flat[1]
        fall = -0.5 * GRAVITY * ((t - first) / fps) ** 2
        slope, level = np.polyfit(t, targets.centre[t, 2] - fall, 1)

        def own(frame: int, slope: float = slope, level: float = level, a: int = first) -> float:
            """Height of the original's parabola."""
            return float(slope * frame + level - 0.5 * GRAVITY * ((frame - a) / fps) ** 2)

        # what has to be added to the original's parabola at either end
        ends = [
            (k, centre[k, 2] - targets.centre[k, 2])
            for k in (first - 1, last + 1)
            if 0 <= k <= last_frame
        ]
        if not ends:
            ends = [(first, (scale - 1) * float(targets.centre[t, 2].mean()))]
        frames, gaps = zip(*ends, strict=True)
        centre[t, 2] = [own(int(k)) for k in t] + np.interp(t, frames, gaps)


def _second_pass(rig: Rig, targets: Targets, first: _Poses, plan: _Plan) -> _Poses:
    """Every frame's pose in the world, close to the first pass's."""
    frames = len(targets)
    poses = _Poses(np.zeros((frames, 3)), np.zeros((frames, 4)), np.zeros_like(first.hinges))
    wanted, pulls = _slow_down(_blur(first.hinges), MAX_SPEED / targets.fps)
    for t in range(frames):
        problem = _Problem(rig, targets, t, shift=True)
        problem.base_pos, problem.base_quat = plan.root_pos[t], first.root_quat[t]
        problem.hinge_pulls = [(pulls[t], wanted[t])]
        problem.plan = plan
        start = np.concatenate((np.zeros(6), first.hinges[t]))
        poses.root_pos[t], poses.root_quat[t], poses.hinges[t] = problem.pose(problem.solve(start))
    return poses


def _slow_down(hinges: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Smooth hinge angles (T, H) where they change by more than ``step`` radians a frame.

    Returns:
        the angles, and the weights (T, H) with which they are to be kept.
    """
    hinges = hinges.copy()
    weights = np.full(hinges.shape, _FIRST_PASS)
    for _ in range(200):
        frames, fast = np.nonzero(abs(np.diff(hinges, axis=0)) > step)
        if len(frames) == 0:
            break
        near = np.zeros(hinges.shape, bool)
        for shift in range(-1, 3):
            near[np.clip(frames + shift, 0, len(hinges) - 1), fast] = True
        hinges = np.where(near, _blur(hinges), hinges)
        weights[near] = _SLOWED
    return hinges, weights


def _settle(rig: Rig, targets: Targets, poses: _Poses) -> None:
    """Move flights, in place, so that the centre of mass is on its parabola exactly."""
    if not targets.flights:
        return
    centre = np.zeros((len(targets), 3))
    for t in range(len(targets)):
        rig.place(poses, t)
        centre[t] = rig.centre_of_mass()
    settled = centre.copy()
    _fly(targets, settled, rig.scale)
    poses.root_pos += settled - centre
