"""The one implementation of the imitation task: N simulations, vectorised over MuJoCo's batch.

The Gymnasium, vector and Stable-Baselines3 faces are thin around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco.batch import Batch

from sfv_gym import skeleton
from sfv_gym.characters import get_character
from sfv_gym.envs.initialization import Initialization
from sfv_gym.envs.observations import OBSERVATION_SIZE, observe
from sfv_gym.envs.reference import ReferenceTable
from sfv_gym.envs.rewards import TrackingErrors, get_reward
from sfv_gym.envs.terminations import EarlyTermination
from sfv_gym.errors import ActionError, UnknownIdError
from sfv_gym.motion import ReferenceMotion
from sfv_gym.retargeting import JointMap
from sfv_gym.rotations import (
    heading,
    quat_angle,
    quat_conjugate,
    quat_multiply,
    quat_rotate,
    rotvec_to_quat,
)
from sfv_gym.terrains import get_terrain

CONTROL_HZ = 30
SUBSTEPS = 5
ACTION_MODES = ("residual", "absolute")
MAX_TARGET_ANGLE = 2.8
"""Rotation vectors wrap at pi: a target beyond would make the actuator turn the other way."""

DEFAULT_HORIZON_SECONDS = 20.0


@dataclass(frozen=True)
class StepResult:
    """What one control step of N simulations gives; arrays are (N, ...) and new each step.

    ``errors`` is what rewards are made of; ``parts`` holds the reward's named parts and the
    tracking figures in ``info``.
    """

    observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    errors: TrackingErrors
    parts: dict[str, np.ndarray]


class ImitationSimulation:
    """N humanoids, each imitating the same motion from its own start.

    Args:
        motion: the reference.
        num_envs: N.
        num_threads: of the physics; 0 takes every core. Results do not depend on it.
        character, terrain, reward: names; see the registries.
        action_mode: ``"residual"``: the action, in rad, is added to the reference's PD target;
            ``"absolute"``: it is the target itself, scaled to each joint's limits.
        initialization, termination: start states and early termination.
        horizon: control steps after which an episode is truncated; by default 20 s. A motion
            that does not wrap also ends with its last frame.
    """

    def __init__(
        self,
        motion: ReferenceMotion,
        *,
        num_envs: int = 1,
        num_threads: int = 1,
        character: str = "humanoid",
        terrain: str = "flat",
        reward: str = "pose",
        action_mode: str = "residual",
        initialization: Initialization | None = None,
        termination: EarlyTermination | None = None,
        horizon: int | None = None,
        target_lead: float = 1 / 30,
    ) -> None:
        if action_mode not in ACTION_MODES:
            raise UnknownIdError(
                f"unknown action_mode {action_mode!r}; known: {', '.join(ACTION_MODES)}"
            )
        self.motion = motion
        self.num_envs = num_envs
        self.character = get_character(character)
        self.terrain = get_terrain(terrain)
        self.reward = get_reward(reward)
        self.action_mode = action_mode
        self.initialization = initialization or Initialization()
        self.termination = termination or EarlyTermination()
        self.horizon = horizon or round(DEFAULT_HORIZON_SECONDS * CONTROL_HZ)
        self.control_hz, self.substeps = CONTROL_HZ, SUBSTEPS

        spec = self.character.spec()
        self.terrain.add_to(spec)
        self.model = spec.compile()
        self.joints = JointMap.of(self.model)
        self.reference = ReferenceTable.build(
            motion, self.model, self.joints, 1.0 / CONTROL_HZ, self.horizon, target_lead
        )
        # Persistent, because only then are the derived fields current after a step.
        self.batch = Batch(self.model, num_envs, num_threads, persistent=True)
        self._qpos, self._qvel = self.batch.bind("qpos"), self.batch.bind("qvel")
        self._ctrl = self.batch.bind("ctrl")
        self._warmstart = self.batch.bind("qacc_warmstart")
        self._xpos, self._geom_xpos = self.batch.bind("xpos"), self.batch.bind("geom_xpos")
        self._com = self.batch.bind("subtree_com")
        self._links = np.array([self.model.body(name).id for name in skeleton.LINKS])
        self._hands_feet = np.array([skeleton.link_index(n) for n in skeleton.END_EFFECTORS])
        fall = [self.model.geom(name).id for name in self.character.fall_links]
        self._fall_geoms, self._fall_radii = np.array(fall), self.model.geom_size[fall, 0]
        self._absolute_middle, self._absolute_half = _absolute_range(self.joints)
        self._bounded = self.joints.ball_dof - 6  # columns of ctrl

        self._generators = [np.random.default_rng() for _ in range(num_envs)]
        self.start = np.zeros(num_envs, int)  # reference row that the episode began at
        self.elapsed = np.zeros(num_envs, int)  # control steps since
        self.all_ids = np.arange(num_envs)

    # --- seeding and reset ------------------------------------------------------------------

    def seed(self, seed: int) -> None:
        """Environment i draws from its own generator, seeded with ``seed + i``."""
        self._generators = [np.random.default_rng(seed + i) for i in range(self.num_envs)]

    def seed_one(self, i: int, seed: int | None) -> None:
        self._generators[i] = np.random.default_rng(seed)

    def reset(self, ids: np.ndarray) -> np.ndarray:
        """Start new episodes in the environments ``ids`` (n,), sorted; observations (n, D)."""
        n = len(ids)
        uniform, normal = np.empty(n), np.empty((n, self.model.nv * 2))
        for k, i in enumerate(ids):  # a generator each, so that N does not change a draw
            uniform[k] = self._generators[i].random()
            normal[k] = self._generators[i].standard_normal(self.model.nv * 2)
        init, ref = self.initialization, self.reference
        row = init.draw_step(uniform, ref.num_starts)
        self.start[ids], self.elapsed[ids] = row, 0

        qpos, qvel = ref.qpos[row], ref.qvel[row]
        pose_noise, vel_noise = normal[:, : self.model.nv], normal[:, self.model.nv :]
        qpos[:, :2] += init.position_noise * pose_noise[:, :2]
        joint_noise = init.joint_noise * pose_noise
        balls = self.joints.ball_qpos
        qpos[:, balls] = quat_multiply(
            qpos[:, balls], rotvec_to_quat(joint_noise[:, self.joints.ball_dof])
        )
        qpos[:, self.joints.hinge_qpos] += joint_noise[:, self.joints.hinge_dof]
        qvel = qvel + init.velocity_noise * vel_noise
        qpos[:, 2] += self.terrain.height(qpos[:, :2])
        self._set_state(ids, qpos, qvel)
        return self._observe(ids)

    def observe(self) -> np.ndarray:
        """The current observations (N, D)."""
        return self._observe(self.all_ids)

    def _set_state(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        self._qpos[ids], self._qvel[ids] = qpos, qvel
        self._warmstart[ids] = 0.0  # else the last episode's contacts leak into this one
        self._ctrl[ids] = self.joints.joint_vector(qpos)
        self.batch.forward(ids)

    # --- step -------------------------------------------------------------------------------

    def step(self, action: np.ndarray) -> StepResult:
        """Advance every simulation by one control step; nothing is reset.

        Args:
            action: (N, 28) in [-1, 1]; values outside are clipped.

        Raises:
            ActionError: another shape, or NaN or infinite values.
        """
        action = np.clip(self._checked(action), -1.0, 1.0)
        self.elapsed += 1
        row = self.reference_row(self.all_ids)
        ref = self.reference
        if self.action_mode == "residual":
            target = ref.target[row] + action
        else:
            target = self._absolute_middle + self._absolute_half * action
        self._ctrl[:] = self._bound_targets(target)
        self.batch.step(nstep=self.substeps, stage=mujoco.mjtStage.mjSTAGE_VEL.value)

        errors, figures = self._errors(row)
        reward, parts = self.reward(errors)
        terminated = self.termination(
            figures.pop("fall_clearance"), figures["link_distance"], errors.rotation[:, 0]
        )
        terminated |= ~np.isfinite(reward)
        reward = np.where(np.isfinite(reward), reward, 0.0)
        truncated = self.elapsed >= self.horizon
        if ref.last is not None:
            truncated = truncated | (row >= ref.last)
        parts = {**parts, **figures}
        return StepResult(self._observe(self.all_ids), reward, terminated, truncated, errors, parts)

    def _checked(self, action: np.ndarray) -> np.ndarray:
        action = np.asarray(action, float)
        wanted = (self.num_envs, self.model.nu)
        if action.shape != wanted:
            raise ActionError(f"actions must have shape {wanted}, they have {action.shape}")
        bad = ~np.isfinite(action).all(axis=1)
        if bad.any():
            raise ActionError(
                f"{int(bad.sum())} of {self.num_envs} actions hold NaN or infinite values: the "
                "policy or algorithm that made them has diverged"
            )
        return action

    def reference_action(self) -> np.ndarray:
        """The actions (N, 28) that replay the reference's PD targets."""
        ref = self.reference
        if self.action_mode == "residual":
            return np.zeros((self.num_envs, self.model.nu))
        row = np.minimum(self.reference_row(self.all_ids) + 1, len(ref.target) - 1)
        return (ref.target[row] - self._absolute_middle) / self._absolute_half

    def reference_row(self, ids: np.ndarray) -> np.ndarray:
        """Rows (n,) of the reference that the environments ``ids`` are at; the last one for
        those that are stepped on after their end."""
        return np.minimum(self.start[ids] + self.elapsed[ids], len(self.reference.qpos) - 1)

    def root_tilt(self) -> np.ndarray:
        """Angle (N,) in rad between the up axes of the root and of the reference's root."""
        up = np.array([0.0, 0.0, 1.0])
        ref_quat = self.reference.qpos[self.reference_row(self.all_ids), 3:7]
        axes = quat_rotate(self._qpos[:, 3:7], up), quat_rotate(ref_quat, up)
        return np.arccos(np.clip((axes[0] * axes[1]).sum(-1), -1.0, 1.0))

    # --- parts ------------------------------------------------------------------------------

    def _errors(self, row: np.ndarray) -> tuple[TrackingErrors, dict[str, np.ndarray]]:
        ref, joints = self.reference, self.joints
        ref_qpos, ref_qvel = ref.qpos[row], ref.qvel[row]
        qpos, qvel = self._qpos, self._qvel
        links, ref_links = self._xpos[:, self._links], ref.link_pos[row]
        spin = qvel - ref_qvel
        rotation = _row_major(
            quat_angle(qpos[:, 3:7], ref_qpos[:, 3:7])[:, None],
            quat_angle(qpos[:, joints.ball_qpos], ref_qpos[:, joints.ball_qpos]),
            np.abs(qpos[:, joints.hinge_qpos] - ref_qpos[:, joints.hinge_qpos]),
        )
        angular_velocity = _row_major(
            np.sqrt(np.square(spin[:, 3:6]).sum(-1))[:, None],
            np.sqrt(np.square(spin[:, joints.ball_dof]).sum(-1)),
            np.abs(spin[:, joints.hinge_dof]),
        )
        local = _heading_frame(links[:, self._hands_feet], qpos)
        ref_local = _heading_frame(ref_links[:, self._hands_feet], ref_qpos)
        from_root = (links - links[:, :1]) - (ref_links - ref_links[:, :1])
        distance = _row_major(np.sqrt(np.square(links - ref_links).sum(-1)))  # (N, 15)
        distance_root = _row_major(np.sqrt(np.square(from_root).sum(-1)))
        fall = self._geom_xpos[:, self._fall_geoms]
        clearance = fall[..., 2] - self._fall_radii - self.terrain.height(fall[..., :2])
        errors = TrackingErrors(
            rotation=rotation,
            angular_velocity=angular_velocity,
            end_effector=_row_major(np.sqrt(np.square(local - ref_local).sum(-1))),
            centre_of_mass=np.sqrt(np.square(self._com[:, 1] - ref.com[row]).sum(-1)),
        )
        figures = {
            "fall_clearance": clearance.min(-1),
            "link_distance": distance.max(-1),
            "joint_error": distance.mean(-1),
            "joint_error_root": distance_root.mean(-1),
        }
        return errors, figures

    def _observe(self, ids: np.ndarray) -> np.ndarray:
        ref = self.reference
        row = self.reference_row(ids)
        following = np.minimum(row + 1, len(ref.qpos) - 1)
        qpos = self._qpos[ids]
        out = np.empty((len(ids), OBSERVATION_SIZE), np.float32)
        observe(
            out,
            qpos=qpos,
            qvel=self._qvel[ids],
            link_pos=self._xpos[ids[:, None], self._links],
            joint_vector=self.joints.joint_vector(qpos),
            ground_height=self.terrain.height(qpos[:, :2]),
            next_qpos=ref.qpos[following],
            next_joint_vector=ref.joint_vector[following],
            phase=ref.phase[row],
        )
        return out

    def _bound_targets(self, target: np.ndarray) -> np.ndarray:
        vectors = target[:, self._bounded]  # (N, B, 3)
        angle = np.sqrt(np.square(vectors).sum(-1, keepdims=True))
        target[:, self._bounded] = vectors * np.minimum(
            1.0, MAX_TARGET_ANGLE / np.maximum(angle, 1e-9)
        )
        return target


def _row_major(*columns: np.ndarray) -> np.ndarray:
    """Columns (N, k) side by side, rows contiguous.

    NumPy adds up a row in an order that depends on the memory layout, and the layout of what
    indexing returns depends on N: without this the last bit of a reward would, too.
    """
    out = np.empty((len(columns[0]), sum(c.shape[1] for c in columns)))
    return np.concatenate(columns, axis=1, out=out)


def _heading_frame(points: np.ndarray, qpos: np.ndarray) -> np.ndarray:
    """Points (N, E, 3) from the root, in its heading frame."""
    to_heading = quat_conjugate(heading(qpos[:, 3:7]))
    return quat_rotate(to_heading[:, None], points - qpos[:, None, :3])


def _absolute_range(joints: JointMap) -> tuple[np.ndarray, np.ndarray]:
    """Middle and half width (28,) of the published joint limits, in dof order."""
    limits = np.zeros((joints.ball_dof.size + joints.hinge_dof.size, 2))
    for link, dof in zip(joints.balls, joints.ball_dof, strict=True):
        limits[dof - 6] = skeleton.ROTATION_LIMITS[skeleton.LINKS[link]]
    for link, dof in zip(joints.hinges, joints.hinge_dof, strict=True):
        limits[dof - 6] = skeleton.ROTATION_LIMITS[skeleton.LINKS[link]][1]
    return limits.mean(-1), 0.5 * (limits[:, 1] - limits[:, 0])
