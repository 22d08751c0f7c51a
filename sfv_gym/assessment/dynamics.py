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

import mujoco
import numpy as np
from scipy.optimize import nnls

from sfv_gym import skeleton
from sfv_gym.assessment.figures import TOUCH, Imitability
from sfv_gym.characters import Character, get_character
from sfv_gym.characters.shapes import colliding_geoms, outline
from sfv_gym.envs.task import CONTROL_HZ
from sfv_gym.errors import MotionError
from sfv_gym.fitting.ballistics import GRAVITY
from sfv_gym.motion import ReferenceMotion, Trajectory
from sfv_gym.retargeting import retarget

EFFORT = 0.01
"""Weight of the joints' torques, as shares of their limits, against the residual in body weights:
where the ground's forces can be shared out in several ways, the joints decide, and else hardly."""
LEAST_PUSH = 0.25
"""Body weights: with less push from the ground the zero-moment point means nothing."""


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
