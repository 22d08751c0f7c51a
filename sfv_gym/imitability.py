"""Could a simulated character do this motion at all?

Inverse dynamics of a reference motion: which force and torque would have to act on the body as a
whole, how much of it the ground can give (it pushes, within the friction cone, where something
touches it), and which torques the joints need. What the ground cannot give would have to come out
of nowhere, and no policy has that.

Poses are taken from the motion just as the environments take them, one a control step. Velocity
and acceleration are the first and second difference over a window of h before and after,
h = max(1 / fps, 1 / control rate). The second difference is the acceleration's average with
triangular weights over +-h, hence exact for a parabola, and an impact counts as its momentum spread
over the window, which is what a policy at the control rate can notice. A narrower window would
see the interpolation: between two frames rotations turn evenly, so all of their acceleration sits
at the frames. Nothing is smoothed beyond that, because smoothing across take-off or landing puts
the ground's force into the flight.

How the ground's push is shared between two feet does not follow from the motion. The shares that
strain the joints least are taken: real torques are larger rather than smaller. Of a recorded
episode of the shipped walk and backflip, the torques found here differ by 10 and 11 N m (root mean
square, of 23 and 43) from those that the actuators gave.

World: z up, ground at z = 0, metres, newtons, seconds; quaternions wxyz.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import nnls

from sfv_gym import charts, skeleton
from sfv_gym.characters import Character, get_character
from sfv_gym.characters.shapes import colliding_geoms, outline
from sfv_gym.envs.task import CONTROL_HZ
from sfv_gym.errors import MotionError, OutputError
from sfv_gym.files import atomic_path
from sfv_gym.fitting.ballistics import GRAVITY
from sfv_gym.motion import ReferenceMotion, Trajectory
from sfv_gym.retargeting import retarget

TOUCH = 0.015
"""Metres: a point this near the ground may be pushed by it. Reconstruction leaves a planted sole
within 3 mm of z = 0, and MuJoCo's soft contacts let it sink by a few."""
EFFORT = 0.01
"""Weight of the joints' torques, as shares of their limits, against the residual in body weights:
where the ground's forces can be shared out in several ways, the joints decide, and else hardly."""
ZMP_LIMIT = 0.1
"""Metres beyond what touches at which balance is named as the cause of trouble."""
SUSTAINED = 0.3
"""Seconds over which an unexplained acceleration adds up: about the time of a step or a flight."""
LISTED = 8
"""Stretches of trouble that a report names, the longest ones."""
LEAST_PUSH = 0.25
"""Body weights: with less push from the ground the zero-moment point means nothing."""

RESIDUAL_LIMIT = 0.2
TORQUE_LIMIT = 1.25
"""A step is feasible with less unexplained acceleration (g) and less torque (shares of the
published limits) than these. They come from 8 episodes of the shipped walk and 32 of the shipped
backflip, recorded at the control rate: the residual was at most 0.012 and 0.172, the torque 0.90
and 1.201, although nothing but the ground pushed them and no torque was ever beyond 1. In flight,
what is left of the force is the error of the simulation's own step of 1/150 s and goes away with a
finer one; what is left of the torque is that of second differences over 1/30 s. In 40 episodes
with other seeds, 98 to 100 % of the steps were within both (residual up to 0.187, torque 1.33)."""


@dataclass(frozen=True)
class Imitability:
    """What a motion asks of a character, at T control steps, and what is there to give it.

    Forces are in body weights and act in the world frame; torques on the whole body are about its
    centre of mass. J counts the joints.

    Attributes:
        character: its name. mass: kg. gyration: metres, its radius of gyration at rest.
        window: seconds, h above.
        time: (T,) seconds of the motion.
        in_flight: (T,) bool, the motion flies within h of the time, by its own flights; of one that
            names neither contacts nor flights, nothing touches the ground.
        clearance: (T,) metres from the ground to the lowest point, negative where it is below;
            lowest: (T,) the geom that it is of.
        needed_force: (T, 3) body weights, and needed_torque (T, 3) N m: what must act on the body
            from outside: mass times (acceleration minus gravity), and the rate of the angular
            momentum.
        residual_force: (T, 3) body weights, residual_torque: (T, 3) N m: the part of it that the
            ground cannot give.
        zmp_beyond: (T,) metres from the zero-moment point to the hull of what touches; NaN where
            the ground need not push.
        joints: (J,) names.
        torque: (T, J) N m, length of the torque vector of each joint.
        torque_ratio: (T, J) the same by the joint's published limit.
        actuator_ratio: (T, J) the largest of a joint's actuators by its own limit. Of a ball joint
            it is the stricter one: its limit is split over three axes.
        slide: (T, 4) m/s along the ground of planted hands and feet (``skeleton.END_EFFECTORS``),
            NaN where they are not.
        velocity_jump: (T,) m/s by which the velocity of the centre of mass changes within h.
        limit_violation: (T,) rad beyond the joints' limits.
        turn_speed: (T, J + 1) rad/s of the root and of the joints.
    """

    character: str
    mass: float
    gyration: float
    window: float
    time: np.ndarray
    in_flight: np.ndarray
    clearance: np.ndarray
    lowest: np.ndarray
    needed_force: np.ndarray
    needed_torque: np.ndarray
    residual_force: np.ndarray
    residual_torque: np.ndarray
    zmp_beyond: np.ndarray
    joints: tuple[str, ...]
    torque: np.ndarray
    torque_ratio: np.ndarray
    actuator_ratio: np.ndarray
    slide: np.ndarray
    velocity_jump: np.ndarray
    limit_violation: np.ndarray
    turn_speed: np.ndarray

    def _unexplained(self) -> np.ndarray:
        """(T, 6) in g: the torque counts as a force at the radius of gyration."""
        torque = self.residual_torque / (self.mass * GRAVITY * self.gyration)
        return np.hstack((self.residual_force, torque))

    @property
    def residual(self) -> np.ndarray:
        """(T,) in g: the acceleration that nothing explains, of position and rotation alike.

        It is the measure of Gauss's principle of least constraint. A body that leans beyond its
        feet, for instance, is off by the acceleration with which a pendulum there starts to fall.
        """
        return np.asarray(np.linalg.norm(self._unexplained(), axis=1))

    @property
    def sustained(self) -> np.ndarray:
        """(T,) in g: length of the mean of it over SUSTAINED seconds around.

        A jerk has its opposite beside it and hardly moves the body; what is left here adds up.
        """
        vector = self._unexplained()
        count = max(1, round(SUSTAINED * CONTROL_HZ))
        half = count // 2
        sums = np.concatenate((np.zeros((1, 6)), np.cumsum(vector, axis=0)))
        at = np.arange(len(vector))
        first, stop = np.maximum(at - half, 0), np.minimum(at + half + 1, len(vector))
        mean = (sums[stop] - sums[first]) / (stop - first)[:, None]
        return np.asarray(np.linalg.norm(mean, axis=1))

    @property
    def feasible(self) -> np.ndarray:
        """(T,) bool: ground and joints can do it, within RESIDUAL_LIMIT and TORQUE_LIMIT."""
        return (self.residual < RESIDUAL_LIMIT) & (self.torque_ratio.max(1) < TORQUE_LIMIT)

    @property
    def feasible_fraction(self) -> float:
        """Share of the steps that are feasible: the verdict.

        It judges instants. A small lean that lasts is below its bound and yet ends in a fall:
        that is what ``sustained`` is for.
        """
        return float(self.feasible.mean())

    def fine(self, figure: Figure) -> float:
        """The bound of a figure for this character."""
        if figure.unit == "N m":
            return RESIDUAL_LIMIT * self.mass * GRAVITY * self.gyration
        return figure.fine

    def troubles(self) -> list[Trouble]:
        """Where and why it is not feasible, in the order of time."""
        weak = np.array([f"{joint} too weak" for joint in self.joints])
        thrown = np.linalg.norm(self.residual_force, axis=1) >= RESIDUAL_LIMIT
        cause = np.select(
            [
                self.residual < RESIDUAL_LIMIT,
                self.in_flight & thrown,
                self.in_flight,
                self.clearance > TOUCH,
                self.zmp_beyond > ZMP_LIMIT,
            ],
            [
                weak[self.torque_ratio.argmax(1)],
                "in the air, but not falling freely",
                "its spin changes in the air",
                "it hovers: nothing touches the ground, and it does not fly",
                "out of balance",
            ],
            "the ground cannot push like this",
        )
        cause[self.feasible] = ""
        starts = np.flatnonzero(np.r_[True, cause[1:] != cause[:-1]])
        stops = np.r_[starts[1:], len(cause)]
        return [
            Trouble(
                str(cause[a]),
                float(self.time[a]),
                float(self.time[b - 1]),
                float(self.residual[a:b].max()),
                float(self.torque_ratio[a:b].max()),
            )
            for a, b in zip(starts, stops, strict=True)
            if cause[a]
        ]

    def series(self) -> dict[str, np.ndarray]:
        """The curve behind each of ``FIGURES``, in its unit; NaN where there is no such thing."""
        force = np.linalg.norm(self.residual_force, axis=1)
        torque = np.linalg.norm(self.residual_torque, axis=1)
        air = self.in_flight
        return {
            "sustained": self.sustained,
            "flight_force": np.where(air, force, np.nan),
            "flight_torque": np.where(air, torque, np.nan),
            "ground_force": np.where(air, np.nan, force),
            "ground_torque": np.where(air, np.nan, torque),
            "zmp_beyond_mm": 1e3 * self.zmp_beyond,
            "torque_ratio": self.torque_ratio.max(1),
            "actuator_ratio": self.actuator_ratio.max(1),
            "penetration_mm": 1e3 * np.maximum(-self.clearance, 0.0),
            "skate_mm": 1e3 / CONTROL_HZ * self.slide,
            "velocity_jump": self.velocity_jump,
            "limit_violation": self.limit_violation,
            "turn_speed": self.turn_speed.max(1),
        }

    def summary(self) -> dict[str, Any]:
        """The verdict, 95th percentile and maximum of each of ``FIGURES``, and where; for JSON.

        A figure that the motion has no step for, such as flight, is None.
        """
        figures: dict[str, float | None] = {}
        for key, curve in self.series().items():
            known = curve[np.isfinite(curve)]
            for name, percentile in (("p95", 95), ("max", 100)):
                value = round(float(np.percentile(known, percentile)), 4) if known.size else None
                figures[f"{key}_{name}"] = value
        step, joint = np.unravel_index(self.torque_ratio.argmax(), self.torque_ratio.shape)
        instant, turning = np.unravel_index(self.turn_speed.argmax(), self.turn_speed.shape)
        deepest = self.clearance.argmin()
        return {
            "character": self.character,
            "seconds": round(len(self.time) / CONTROL_HZ, 3),
            "feasible_fraction": round(self.feasible_fraction, 4),
            "flight_share": round(float(self.in_flight.mean()), 4),
            "torque_over_share": round(float((self.torque_ratio > 1).any(1).mean()), 4),
            "actuator_over_share": round(float((self.actuator_ratio > 1).any(1).mean()), 4),
            **figures,
            "torque_worst": f"{self.joints[joint]} at {self.time[step]:.2f} s",
            "penetration_worst": f"{self.lowest[deepest]} at {self.time[deepest]:.2f} s",
            "turn_worst": f"{('root', *self.joints)[turning]} at {self.time[instant]:.2f} s",
            "torque_ratio_by_joint": {
                name: round(float(ratio), 3)
                for name, ratio in zip(self.joints, self.torque_ratio.max(0), strict=True)
            },
        }


@dataclass(frozen=True)
class Trouble:
    """A stretch that is not feasible: its main cause, first and last second, and the worst of it.

    ``residual`` is in g, ``torque_ratio`` in shares of the limit.
    """

    cause: str
    start: float
    end: float
    residual: float
    torque_ratio: float


@dataclass(frozen=True)
class Figure:
    """How to read one of the curves of ``Imitability.series``.

    Attributes:
        fine: at or below it there is nothing to do. N m are those of the humanoid and grow with
            the character: ``Imitability.fine`` knows.
        advice: what a larger one means, and what to do.
    """

    key: str
    title: str
    unit: str
    fine: float
    advice: str


FIGURES: tuple[Figure, ...] = (
    Figure(
        "sustained", f"unexplained, mean over {SUSTAINED:g} s", "g", 0.06,
        "It adds up, and carries the character away from the reference: hovering, a lean, a pull "
        "from nowhere. The rows below say which. A policy has learned a backflip's reference with "
        "0.46.",
    ),
    Figure(
        "flight_force", "unexplained force in the air", "body weights", RESIDUAL_LIMIT,
        "In one of the motion's flights it does not fall freely. About 1: that is no flight, feet "
        "or hands that should carry it are above the ground.",
    ),
    Figure(
        "flight_torque", "unexplained torque in the air", "N m", 30.0,
        "The angular momentum changes in flight, which nothing can do: a spin that starts or stops "
        "in the air. A policy has to bring the spin along from take-off.",
    ),
    Figure(
        "ground_force", "unexplained force on the ground", "body weights", RESIDUAL_LIMIT,
        "More than the ground can give where it is touched: it only pushes, within the friction "
        "cone. A jerk of the path, a contact that is missing, or out of balance. About 1: it "
        "hovers where the motion names no flight.",
    ),
    Figure(
        "ground_torque", "unexplained torque on the ground", "N m", 30.0,
        "As above, for turning: mostly out of balance.",
    ),
    Figure(
        "zmp_beyond_mm", "zero-moment point beyond support", "mm", 1e3 * ZMP_LIMIT,
        "It leans beyond what touches and would fall: depth is wrong, or a contact is missing.",
    ),
    Figure(
        "torque_ratio", "joint torque / published limit", "", TORQUE_LIMIT,
        "The joint is too weak. A single instant is a jerk: smooth it; a longer stretch is more "
        "than the character can do, and a policy will do it slower or lower.",
    ),
    Figure(
        "actuator_ratio", "actuator torque / its limit", "", 1.3,
        "The same for each axis of a ball joint on its own, whose limits are stricter.",
    ),
    Figure(
        "penetration_mm", "below the ground", "mm", 15.0,
        "A start there is thrown out of the ground, and no policy gets there. Lift the limb.",
    ),
    Figure(
        "skate_mm", "planted feet and hands slide, a step", "mm", 15.0,
        "They drag along the ground: the contact is wrong, or the path drifts.",
    ),
    Figure(
        "velocity_jump", "the body's velocity jumps, a step", "m/s", 1.6,
        "A blow, or a glitch of the path.",
    ),
    Figure(
        "limit_violation", "beyond the joints' limits", "rad", 0.05,
        "The joint does not bend that far: a wrong pose.",
    ),
    Figure(
        "turn_speed", "fastest turn of root or joint", "rad/s", 25.0,
        "Most likely a pose that flips within a frame. Extract again, or cut the clip there.",
    ),
)  # fmt: skip
"""What a report shows. The bounds of residuals and torques are RESIDUAL_LIMIT and TORQUE_LIMIT, in
N m at the radius of gyration. Of the others, by the same episodes: the 95th percentile for the
zero-moment point (its maximum, at the ends of a flight, was 284 mm), the largest for what is
sustained (0.052), for actuators and for jumps, half as much again for turns. Penetration is what
contacts of this softness do in a walk, a slide half a metre a second; joint limits hold as they
are."""


def assess(motion: ReferenceMotion, character: str = "humanoid") -> Imitability:
    """How imitable ``motion`` is for ``character``: see the module and ``Imitability``.

    A clip is assessed but for h at both ends, where acceleration is not known; a wrapped motion
    from h to the end of its first cycle.

    Raises:
        UnknownIdError: there is no such character.
        MotionError: the motion is shorter than 2 h.
    """
    who = get_character(character)
    rig = _Rig(who)
    trajectory = retarget(motion, who)
    h = max(1.0 / motion.fps, 1.0 / CONTROL_HZ)
    end = trajectory.duration - h
    if trajectory.loop == "wrap":
        end = trajectory.cycle_start + trajectory.period + h - 1.0 / CONTROL_HZ
    if end < h - 1e-9:
        raise MotionError(
            f"the motion lasts {trajectory.duration:.2f} s; it takes {2 * h:.2f} s to know an "
            "acceleration"
        )
    time = h + np.arange(int((end - h) * CONTROL_HZ + 1e-6) + 1) / CONTROL_HZ
    before, qpos, after = (_coordinates(trajectory, rig, time + shift) for shift in (-h, 0.0, h))
    placed = [rig.place(q) for q in (before, qpos, after)]
    near = np.stack([points[:, :, 2] < TOUCH for points, _ in placed])
    points = placed[1][0]
    # of the centre of mass itself and not from inverse dynamics, whose root acceleration is one of
    # averages: so it is exact in free fall, however fast the body turns
    pull = (placed[0][1] - 2 * placed[1][1] + placed[2][1]) / h**2
    touching = np.asarray(
        near.any(0)
    )  # (T, P): an average over the window knows of all that touch in it
    planted = _planted(motion, time, near.all(0) @ rig.effector_points > 0)

    total, steps, nv = rig.mass * GRAVITY, len(time), rig.model.nv
    force, torque = np.empty((steps, 3)), np.empty((steps, 3))
    left_force, left_torque = np.empty((steps, 3)), np.empty((steps, 3))
    zmp = np.full(steps, np.nan)
    joint_torque, velocity = np.empty((steps, nv - 6)), np.empty((steps, nv))
    slide = np.full((steps, len(skeleton.END_EFFECTORS)), np.nan)
    for i in range(steps):
        velocity[i], needed, joint_needed, com = rig.inverse(before[i], qpos[i], after[i], h)
        needed[:3] = rig.mass * (pull[i] + np.array([0.0, 0.0, GRAVITY]))
        ids = np.flatnonzero(touching[i])
        jacobian = rig.jacobians(points[i, ids], ids)  # (C, 3, nv)
        push = _ground_forces(
            points[i, ids] - com, jacobian[..., 6:], rig.friction[ids], needed, joint_needed, rig
        )
        left = needed - np.concatenate((push.sum(0), np.cross(points[i, ids] - com, push).sum(0)))
        joint_torque[i] = joint_needed - np.einsum("cki,ck->i", jacobian[..., 6:], push)
        force[i], torque[i] = needed[:3] / total, needed[3:]
        left_force[i], left_torque[i] = left[:3] / total, left[3:]
        if len(ids) and force[i, 2] > LEAST_PUSH:
            zmp[i] = _outside_hull(_zero_moment_point(com, needed), points[i, ids, :2])
        speed = np.hypot(*(jacobian[:, :2] @ velocity[i]).T)  # of the material points
        for k in np.flatnonzero(planted[i]):
            # of the point that carries it: a foot that rolls over its toes does not slide
            slide[i, k] = speed[rig.effector_points[ids, k]].min()

    gravity = np.array([0.0, 0.0, -1.0])
    length = np.sqrt(np.add.reduceat(joint_torque**2, rig.first_dof, axis=1))
    ratio = np.abs(joint_torque) / rig.dof_limit
    return Imitability(
        character=character,
        mass=rig.mass,
        gyration=rig.gyration,
        window=h,
        time=time,
        in_flight=_in_flight(motion, time, h, touching),
        clearance=points[:, :, 2].min(1),
        lowest=rig.names[points[:, :, 2].argmin(1)],
        needed_force=force,
        needed_torque=torque,
        residual_force=left_force,
        residual_torque=left_torque,
        zmp_beyond=zmp,
        joints=rig.joints.names,
        torque=length,
        torque_ratio=length / rig.joint_limit,
        actuator_ratio=np.maximum.reduceat(ratio, rig.first_dof, axis=1),
        slide=slide,
        velocity_jump=np.linalg.norm(force + gravity, axis=1) * GRAVITY * h,
        limit_violation=_limit_violation(rig, qpos),
        turn_speed=np.sqrt(
            np.add.reduceat(velocity[:, 3:] ** 2, np.r_[0, rig.first_dof + 3], axis=1)
        ),
    )


# --- the character ------------------------------------------------------------------------------


class _Rig:
    """A character alone, without ground, and the points of it that the ground can push.

    Attributes:
        dof_limit: (nv - 6,) N m, limit of the actuator of each degree of freedom; joint_limit (J,)
            that of each joint's torque vector. first_dof: (J,) where a joint begins in them.
        middle, half: (nv - 6,) rad, the joints' limits.
        friction: (P,) coefficients of the points, which MuJoCo uses when the ground's is not
            larger; names: (P,) their geoms'.
        effector_points: (P, 4) bool, which points belong to which of END_EFFECTORS.
    """

    def __init__(self, character: Character) -> None:
        spec = character.spec()
        # limits would push back where a motion violates them; that is reported on its own
        spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_LIMIT)
        self.model = model = spec.compile()
        self.data = data = mujoco.MjData(model)
        self.joints = character.joints
        self.first_dof = model.jnt_dofadr[1:] - 6
        # actuators are in the order of the degrees of freedom, one each
        self.dof_limit = model.actuator_forcerange[:, 1].copy()
        split = np.sqrt(np.add.reduceat(self.dof_limit**2, self.first_dof))
        self.joint_limit = np.array(
            [
                skeleton.TORQUE_LIMITS.get(name, limit) if character.is_canonical else limit
                for name, limit in zip(self.joints.names, split, strict=True)
            ]
        )
        self.middle, self.half = self.joints.target_range(model)

        body, local, radius, friction, names = [], [], [], [], []
        for g in colliding_geoms(model):
            corners, r = outline(model, int(g))
            turn = np.empty(9)
            mujoco.mju_quat2Mat(turn, model.geom_quat[g])
            local.append(model.geom_pos[g] + corners @ turn.reshape(3, 3).T)
            body += [model.geom_bodyid[g]] * len(corners)
            names += [model.geom(g).name] * len(corners)
            radius += [r] * len(corners)
            friction += [model.geom_friction[g, 0]] * len(corners)
        self._body, self._local = np.array(body), np.concatenate(local)
        self.names = np.array(names)
        self._radius, self.friction = np.array(radius), np.array(friction)
        ends = [model.body(character.links[name]).id for name in skeleton.END_EFFECTORS]
        self.effector_points = self._body[:, None] == np.array(ends)

        mujoco.mj_forward(model, data)
        self.mass = float(model.body_subtreemass[0])
        offset = data.xipos[1:] - data.subtree_com[1]
        moment = model.body_inertia[1:].sum() + 2 * (model.body_mass[1:, None] * offset**2).sum()
        self.gyration = float(np.sqrt(moment / (3 * self.mass)))

    def place(self, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World positions of the points (S, P, 3), undermost on a round end, and of the centre of
        mass (S, 3), at qpos (S, nq)."""
        out, com = np.empty((len(qpos), len(self._body), 3)), np.empty((len(qpos), 3))
        for i, state in enumerate(qpos):
            self.data.qpos[:] = state
            mujoco.mj_kinematics(self.model, self.data)
            mujoco.mj_comPos(self.model, self.data)
            com[i] = self.data.subtree_com[1]
            turn = self.data.xmat[self._body].reshape(-1, 3, 3)
            out[i] = self.data.xpos[self._body] + np.einsum("pij,pj->pi", turn, self._local)
        out[..., 2] -= self._radius
        return out, com

    def inverse(
        self, before: np.ndarray, qpos: np.ndarray, after: np.ndarray, h: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Inverse dynamics at qpos (nq,), with what is h seconds before and after it.

        Returns:
            qvel (nv,); the wrench (6,) on the body that the motion needs, force (N) and torque
            about the centre of mass (N m), world; joint torques (nv - 6,) without any ground;
            centre of mass (3,).
        """
        model, data = self.model, self.data
        gone, come = np.empty(model.nv), np.empty(model.nv)
        mujoco.mj_differentiatePos(model, gone, h, before, qpos)
        mujoco.mj_differentiatePos(model, come, h, qpos, after)
        data.qpos[:] = qpos
        data.qvel[:] = 0.5 * (gone + come)
        data.qacc[:] = (come - gone) / h
        mujoco.mj_inverse(model, data)
        # a free joint's force is in the world frame, its torque in the root's and about its origin
        force, com = data.qfrc_inverse[:3].copy(), data.subtree_com[1].copy()
        torque = data.xmat[1].reshape(3, 3) @ data.qfrc_inverse[3:6]
        torque += np.cross(data.xpos[1] - com, force)
        return (
            data.qvel.copy(),
            np.concatenate((force, torque)),
            data.qfrc_inverse[6:].copy(),
            com,
        )

    def jacobians(self, points: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """(C, 3, nv): velocities of the material at world points (C, 3), in the current pose."""
        out = np.empty((len(ids), 3, self.model.nv))
        for k, (point, i) in enumerate(zip(points, ids, strict=True)):
            mujoco.mj_jac(self.model, self.data, out[k], None, point, int(self._body[i]))
        return out


def _coordinates(trajectory: Trajectory, rig: _Rig, t: np.ndarray) -> np.ndarray:
    return rig.joints.coordinates(trajectory.sample(t), trajectory.joint_names)[0]


def _limit_violation(rig: _Rig, qpos: np.ndarray) -> np.ndarray:
    """(T,) rad by which the worst component of any joint is beyond its limits."""
    vector = rig.joints.joint_vector(qpos)
    beyond = np.maximum(np.abs(vector - rig.middle) - rig.half, 0.0)
    for dof in rig.joints.ball_dof - 6:
        # a rotation by more than pi comes back as one the other way round
        angle = np.linalg.norm(vector[:, dof], axis=1, keepdims=True)
        other = vector[:, dof] * (1 - 2 * np.pi / np.maximum(angle, 1e-9))
        over = np.maximum(np.abs(other - rig.middle[dof]) - rig.half[dof], 0.0)
        better = over.max(1) < beyond[:, dof].max(1)
        beyond[np.ix_(better, dof)] = over[better]
    return np.asarray(beyond.max(1))


def _in_flight(
    motion: ReferenceMotion, time: np.ndarray, h: float, touching: np.ndarray
) -> np.ndarray:
    """(T,) bool: it flies from h before to h after the time, by the motion's flights; of a motion
    without any label, where none of its points is ``touching`` (T, P)."""
    if not motion.contacts.any() and len(motion.flights) == 0:
        return np.logical_not(touching.any(axis=1))
    in_air = np.zeros(motion.num_frames, bool)
    for first, last in motion.flights:
        in_air[first : last + 1] = True
    return np.asarray(
        np.all([in_air[_frames(motion, time + shift)] for shift in (-h, 0.0, h)], axis=0)
    )


def _planted(motion: ReferenceMotion, time: np.ndarray, touching: np.ndarray) -> np.ndarray:
    """Which hands and feet (T, 4) are planted: those that touch all along and are said to.

    A motion without any label has none to go by.
    """
    if not motion.contacts.any():
        return touching
    return touching & (motion.contacts[_frames(motion, time)] > 0.5)


def _frames(motion: ReferenceMotion, time: np.ndarray) -> np.ndarray:
    """The motion's frames (T,) nearest to times in seconds, cycle after cycle."""
    frame = time * motion.fps
    if motion.loop == "wrap":
        first, last = motion.loop_range
        frame = np.where(frame > last, first + (frame - first) % (last - first), frame)
    return np.clip(np.rint(frame).astype(int), 0, motion.num_frames - 1)


# --- the ground ---------------------------------------------------------------------------------


def _ground_forces(
    arms: np.ndarray,
    jacobian: np.ndarray,
    friction: np.ndarray,
    needed: np.ndarray,
    joint_needed: np.ndarray,
    rig: _Rig,
) -> np.ndarray:
    """Forces (C, 3) in newtons of the ground on C points that leave least to be explained.

    Nonnegative least squares (Lawson and Hanson 1974) over the edges z +- mu x, z +- mu y of each
    point's friction pyramid, which is MuJoCo's cone. The residual's torque counts by the radius
    of gyration, which weighs both by the acceleration that they mean, as Gauss's principle does.

    Args:
        arms: (C, 3) points from the centre of mass. jacobian: (C, 3, nv - 6) of the joints.
        needed: (6,) N, N m. joint_needed: (nv - 6,) N m without ground.
    """
    if len(arms) == 0:
        return np.zeros((0, 3))
    edges = np.zeros((len(arms), 4, 3))
    edges[..., 2] = 1.0
    edges[:, 0, 0] = edges[:, 2, 1] = friction
    edges[:, 1, 0] = edges[:, 3, 1] = -friction
    force = edges.reshape(-1, 3).T
    torque = np.cross(arms[:, None], edges).reshape(-1, 3).T / rig.gyration
    joints = np.einsum("cki,cek->ice", jacobian, edges).reshape(len(joint_needed), -1)
    weight = rig.mass * GRAVITY
    share = (EFFORT / rig.dof_limit)[:, None]
    matrix = np.concatenate((force, torque, weight * share * joints))
    wanted = np.concatenate(
        (
            needed[:3] / weight,
            needed[3:] / (weight * rig.gyration),
            share[:, 0] * joint_needed,
        )
    )
    push = weight * nnls(matrix, wanted, maxiter=50 * matrix.shape[1])[0]
    return np.einsum("ce,cek->ck", push.reshape(len(arms), 4), edges)


def _zero_moment_point(com: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """(2,) where on z = 0 the needed force (N) acts, with its torque about com: r x F = dL/dt.

    Vukobratovic and Borovac 2004, Zero-moment point: thirty-five years of its life.
    """
    fx, fy, fz, tx, ty, _ = needed
    return np.array([com[0] - (ty + com[2] * fx) / fz, com[1] + (tx - com[2] * fy) / fz])


def _outside_hull(point: np.ndarray, spots: np.ndarray) -> float:
    """Distance (m) of ``point`` (2,) from the convex hull of ``spots`` (C, 2); 0 within."""
    away = spots - point
    strict = 1e3 * max(1.0, float(np.abs(away).max()))  # holds the weights' sum at 1
    matrix = np.concatenate((away.T, np.full((1, len(spots)), strict)))
    weights = nnls(matrix, np.array([0.0, 0.0, strict]))[0]
    return float(np.hypot(*(weights / weights.sum() @ away)))


# --- files and pictures -------------------------------------------------------------------------


def print_report(imitability: Imitability, name: str, console: Console) -> None:
    """Print every figure with its bound, where the trouble is, and what to do about it."""
    one, summary = imitability, imitability.summary()
    table = Table(title=f"{name}, {one.character}, {summary['seconds']:.2f} s", box=None)
    table.add_column("figure")
    for column in ("95 %", "largest", "fine up to"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    read = []
    for figure in FIGURES:
        values, fine = (
            [summary[f"{figure.key}_{name}"] for name in ("p95", "max")],
            one.fine(figure),
        )
        if values[0] is None:
            continue
        table.add_row(
            figure.title,
            *(f"[{'red' if value > fine else 'green'}]{value:.3g}[/]" for value in values),
            f"{fine:.3g}",
            figure.unit,
        )
        if values[1] > fine:
            where = summary.get(figure.key.split("_")[0] + "_worst")
            read.append(
                f"[bold]{figure.title}[/bold]{f' ({where})' if where else ''}: {figure.advice}"
            )
    console.print(table)
    console.print(
        f"[bold]{100 * one.feasible_fraction:.0f} % of the steps are feasible[/bold]: less than "
        f"{RESIDUAL_LIMIT:g} g unexplained, every joint below {TORQUE_LIMIT:g} of its limit. "
        "Recorded episodes of the shipped policies: 98 to 100 %. A policy can learn a motion that "
        "has less, and then leaves it where physics does not follow.",
        highlight=False,
    )
    troubles = sorted(one.troubles(), key=lambda trouble: trouble.start - trouble.end)
    for trouble in sorted(troubles[:LISTED], key=lambda trouble: trouble.start):
        console.print(
            f"  {trouble.start:5.2f} to {trouble.end:5.2f} s  {trouble.cause}: "
            f"{trouble.residual:.2g} g, {trouble.torque_ratio:.2g} of a limit",
            highlight=False,
        )
    if len(troubles) > LISTED:
        console.print(f"  and {len(troubles) - LISTED} shorter ones; --plot shows all")
    if read:
        console.print("What is not fine, and what to do:")
    for line in read:
        console.print(f"- {line}", highlight=False)


_STYLE = """
svg { font: 11px system-ui, sans-serif; fill: #333; }
.page { fill: #fff; }
.grid { stroke: #ddd; }
polyline { fill: none; stroke-width: 1.5; }
polyline.s0 { stroke: #2f6fde; } text.s0 { fill: #2f6fde; }
polyline.s1 { stroke: #d9622b; } text.s1 { fill: #d9622b; }
.ground { fill: #8a8f98; } .air { fill: #bfe3ff; } .bad { fill: #d9322b; }
"""


def plot(imitability: Imitability, path: str | os.PathLike[str]) -> None:
    """Write the course of it as an SVG picture, which every browser shows.

    Over each curve lie two bars: what is on the ground (grey) or in the air (blue), and where it
    is not feasible (red). Curves are cut at the top of their axis.

    Raises:
        OutputError: ``path`` does not end in .svg or cannot be written, or there is but one step.
    """
    path = Path(path)
    if path.suffix.lower() != ".svg":
        raise OutputError(f"{path}: the plot is an .svg picture; name it so")
    if len(imitability.time) < 2:
        raise OutputError(f"{path}: a motion of a single step has no course to draw")
    one, t = imitability, imitability.time
    clearance, zmp = 1e3 * one.clearance, 1e3 * np.nan_to_num(one.zmp_beyond)
    low = -charts.round_up(max(100.0, -float(clearance.min())))
    charted: tuple[tuple[str, np.ndarray, str, np.ndarray | float, float, float], ...] = (
        ("unexplained, g", one.residual, f"over {SUSTAINED:g} s", one.sustained, 0.0, 2.0),
        ("worst torque / limit", one.torque_ratio.max(1), "fine", TORQUE_LIMIT, 0.0, 3.0),
        ("lowest point, mm", clearance, "touches", 1e3 * TOUCH, low, 300.0),
        ("balance, mm beyond", zmp, "fine", 1e3 * ZMP_LIMIT, 0.0, 300.0),
    )
    width, height = charts.WIDTH + 10, charts.HEIGHT + 24
    parts = []
    for i, (name, y, other, level, bottom, top) in enumerate(charted):
        against = np.zeros(t.shape) + level
        top = min(charts.round_up(max(float(y.max()), 1.5 * float(against.max()))), top)
        chart = charts.line_chart(
            (charts.Series(name, t, y), charts.Series(other, t, against)), y_range=(bottom, top)
        )
        x, y0 = 10 + i % 2 * width, 44 + i // 2 * height
        chart = chart.replace(
            "<svg ", f'<svg y="10" width="{charts.WIDTH}" height="{charts.HEIGHT}" '
        )
        parts.append(f'<g transform="translate({x} {y0})">{_bars(one)}{chart}</g>')
    title = (
        f"{one.character}: {100 * one.feasible_fraction:.0f} % feasible. "
        "Bars: ground grey, air blue; not feasible red"
    )
    wide, high = 2 * width + 10, 2 * height + 50
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{2 * wide}" '
        f'height="{2 * high}"><style>{_STYLE}</style><rect class="page" width="{wide}" '
        f'height="{high}"/><text x="10" y="24">{title}</text>{"".join(parts)}</svg>'
    )
    with atomic_path(path) as temporary:
        temporary.write_text(picture, encoding="utf-8")


def _bars(one: Imitability) -> str:
    """Two strips along a chart's x axis: ground or air, and feasible or not."""
    start, end = one.time[0], one.time[-1]
    start = 0.0 if start < 0.1 * end else start  # as the chart does
    scale = (charts.WIDTH - charts.LEFT - charts.RIGHT) / max(end - start, 1e-9)
    parts = []
    for y, kinds in (
        (0, np.where(one.in_flight, "air", "ground")),
        (7, np.where(one.feasible, "", "bad")),
    ):
        for t, kind in zip(one.time, kinds, strict=True):
            x = charts.LEFT + (max(t - 0.5 / CONTROL_HZ, start) - start) * scale
            if kind:
                parts.append(
                    f'<rect class="{kind}" x="{x:.1f}" y="{y}" '
                    f'width="{scale / CONTROL_HZ:.2f}" height="5"/>'
                )
    return "".join(parts)
