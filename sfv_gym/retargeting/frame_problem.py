"""One frame's joint angles by inverse kinematics: a small bounded least-squares problem."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mujoco import minimize

from sfv_gym.retargeting.plan import Plan
from sfv_gym.retargeting.rig import Rig
from sfv_gym.retargeting.targets import Targets, limb_starts
from sfv_gym.rotations import quat_multiply, rotvec_to_quat

# Weights of residuals. Angles and directions are in radians, lengths in metres.
_BONE = 1.0
_ORIENTATION = np.array([0.6, 0.8, 0.15, 0.4, 0.4])  # of rig.ORIENTED
_PLANTED_FOOT = 1.5  # orientation of a foot on the ground, which must lie flat
_REACH = 0.5  # hands from the shoulder, feet from between the hips, in lengths of the limb
_BALANCE = 5.0  # first pass: centre of mass over the planted feet, 1/m
_GROUND = 40.0  # second pass: feet not below the ground, 1/m


class FrameProblem:
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
        self.plan: Plan | None = None

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
        """All terms, weighted, (m, 1) at unknowns x (n, 1); the rig is left standing there."""
        unknowns = np.concatenate((np.zeros(self.first), x[:, 0]))
        self.rig.set(*self.pose(unknowns))
        return np.concatenate([r for r, _ in self._evaluate(unknowns, False)])[:, None]

    def jacobian(self, x: np.ndarray, _: np.ndarray) -> np.ndarray:
        """(m, n) analytic derivatives of ``residual``, whose values are not needed for it."""
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
            starts = limb_starts(np.moveaxis(jac[:, 0], -1, 0))
            d = _REACH * (ends - np.moveaxis(starts, 0, -1)) / rig.limbs[:, None, None]
        reach = (pos[limb_end] - limb_starts(pos)) / rig.limbs[:, None]
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
        plan: Plan,
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
