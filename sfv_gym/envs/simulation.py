"""The one implementation of the imitation task: N simulations, vectorised over MuJoCo's batch.

The Gymnasium, vector and Stable-Baselines3 faces are thin around it. No step loops over
environments in Python: what is needed of each is computed by one compiled pass (``kernel``).
"""

from __future__ import annotations

import ctypes
import os
import weakref
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

from sfv_gym import skeleton
from sfv_gym.characters import get_character
from sfv_gym.characters.joints import JointMap
from sfv_gym.characters.shapes import Shapes, colliding_geoms
from sfv_gym.checks import real, whole
from sfv_gym.envs.initialization import Initialization, get_initialization
from sfv_gym.envs.kernel import Layout, Lift, Measures, State, measure
from sfv_gym.envs.observations import observation_parts, slices
from sfv_gym.envs.perturbations import (
    DomainRandomization,
    Pushes,
    PushSchedule,
    RandomizedPhysics,
)
from sfv_gym.envs.reference import HANDS_AND_FEET, ReferenceTable
from sfv_gym.envs.rewards import Reward, TrackingErrors, get_reward
from sfv_gym.envs.terminations import EarlyTermination
from sfv_gym.errors import ActionError, SettingError, UnknownIdError
from sfv_gym.motion import ReferenceMotion
from sfv_gym.registry import MAX_EPISODE_STEPS
from sfv_gym.retargeting import retarget
from sfv_gym.rotations import quat_multiply, quat_rotate, quat_to_rotvec, rotvec_to_quat
from sfv_gym.terrains import Ground, Terrain, get_terrain

CONTROL_HZ = 30
SUBSTEPS = 5
ACTION_MODES = ("residual", "absolute")
MAX_TARGET_ANGLE = 2.8
"""Rotation vectors wrap at pi: a target beyond would make the actuator turn the other way."""

TRACK_MARGIN = 2.5
"""Metres of drawn terrain beyond where the reference's root gets to."""
MAX_ENVS, MAX_THREADS, MAX_HORIZON = 65_536, 1_024, 108_000
"""The most environments and threads of a batch, and control steps of an episode: an hour."""
MAX_LEAD = 0.5
"""Seconds by which a PD target may be ahead of the reference."""
SKILL_TOUCHES_GROUND = 0.03
"""Metres: a skill whose reference brings trunk or head this near the ground is a ground skill."""


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


@dataclass(frozen=True)
class SimulationState:
    """All that decides how N simulations go on: ``get_state`` makes it, ``set_state`` takes it.

    It can be pickled. What it holds is the library's own matter.
    """

    physics: dict[str, np.ndarray]
    fields: dict[str, np.ndarray]
    ground: dict[str, Any]
    starts: dict[str, Any]
    pushes: dict[str, np.ndarray]
    episode: dict[str, np.ndarray]
    generators: list[dict[str, Any]]


class ImitationSimulation:
    """N characters, each imitating the same motion from its own start.

    Args:
        motion: the reference.
        num_envs: N.
        num_threads: of the physics; 0 takes every core. Results do not depend on it.
        character: name of a character.
        terrain: name of a terrain, or one with its own difficulty.
        difficulty: of the terrain, in 0..1, in place of its own.
        reward: ``"pose"``, ``"sfv"`` or ``"place"``; weights of the terms, as ``{"pose": 0.7,
            "centre_of_mass": 0.3}``; or a function of ``TrackingErrors`` that returns the reward
            (N,) and its named parts.
        failure_cost: taken from the reward of the step that ends an episode early.
        action_mode: ``"residual"``: the action, in rad, is added to the reference's PD target;
            ``"absolute"``: it is the target itself, scaled to each joint's limits.
        initialization: start states, as a name or an object.
        termination: what ends an episode early; True for the default, False for nothing.
        randomization, pushes: physics drawn per episode, and forces on the root; True for the
            defaults, None or False for none.
        horizon: control steps after which an episode is truncated; by default 20 s. A motion
            that does not wrap also ends with its last frame.
        target_lead: seconds by which the PD target of the reference is ahead.

    Raises:
        SettingError: a setting is of the wrong type or out of range.
        UnknownIdError: a name is unknown.
    """

    def __init__(
        self,
        motion: ReferenceMotion,
        *,
        num_envs: int = 1,
        num_threads: int = 1,
        character: str = "humanoid",
        terrain: str | Terrain = "flat",
        difficulty: float | None = None,
        reward: Reward = "pose",
        failure_cost: float = 0.0,
        action_mode: str = "residual",
        initialization: str | Initialization = "rsi",
        termination: EarlyTermination | bool = True,
        randomization: DomainRandomization | bool | None = None,
        pushes: Pushes | bool | None = None,
        horizon: int | None = None,
        target_lead: float = 1 / 30,
    ) -> None:
        self._arguments = {
            "motion": motion, "num_envs": num_envs, "num_threads": num_threads,
            "character": character, "terrain": terrain, "difficulty": difficulty,
            "reward": reward, "failure_cost": failure_cost, "action_mode": action_mode,
            "initialization": initialization, "termination": termination,
            "randomization": randomization, "pushes": pushes, "horizon": horizon,
            "target_lead": target_lead,
        }  # fmt: skip
        num_envs = whole("num_envs", num_envs, 1, MAX_ENVS)
        num_threads = whole("num_threads", num_threads, 0, MAX_THREADS)
        target_lead = real("target_lead", target_lead, 0.0, MAX_LEAD)
        self.failure_cost = real("failure_cost", failure_cost, 0.0, 1e6)
        randomized: DomainRandomization | None = _object(
            "randomization", randomization, DomainRandomization
        )
        pushed: Pushes | None = _object("pushes", pushes, Pushes)
        if action_mode not in ACTION_MODES:
            raise UnknownIdError(
                f"unknown action_mode {action_mode!r}; known: {', '.join(ACTION_MODES)}"
            )
        if horizon is not None:
            horizon = whole("horizon", horizon, 1, MAX_HORIZON)
        self.motion = motion
        self.num_envs = num_envs
        self.character = get_character(character)
        self.terrain = get_terrain(terrain, difficulty)
        if difficulty is not None and self.terrain.is_flat:
            raise SettingError(
                f"difficulty={difficulty} on flat ground: it is of slopes, gaps and such"
            )
        self._reward = get_reward(reward)
        self.action_mode = action_mode
        self.initialization = get_initialization(initialization)
        if not isinstance(termination, bool | EarlyTermination):
            raise SettingError(
                f"termination must be True, False or an EarlyTermination, not {termination!r}"
            )
        if isinstance(termination, bool):
            termination = EarlyTermination() if termination else EarlyTermination.none()
        self.horizon = horizon or MAX_EPISODE_STEPS
        self.control_hz, self.substeps = CONTROL_HZ, SUBSTEPS

        alone = self.character.model()
        self.joints = JointMap.of(alone)
        self._links = np.array([alone.body(body).id for body in self.character.links.values()])
        self.reference = ReferenceTable.build(
            retarget(motion, self.character),
            alone,
            self.joints,
            self._links,
            1.0 / CONTROL_HZ,
            self.horizon,
            target_lead,
        )
        ahead, behind = self.reference.reach(self.horizon)
        self.ground = Ground(
            self.terrain, num_envs, ahead=ahead + TRACK_MARGIN, behind=behind + TRACK_MARGIN
        )
        spec = self.character.spec()
        self.ground.add_to(spec)
        if randomized is not None:
            randomized.prepare(spec)
        self.model = spec.compile()
        # Persistent, because only then are the derived fields current after a step.
        self.batch = Batch(self.model, num_envs, num_threads, persistent=True)
        self.ground.attach(self.batch)
        self._physics = RandomizedPhysics(randomized, self.batch) if randomized else None
        self._pushes = (
            PushSchedule(pushed, self.batch, CONTROL_HZ, self.horizon) if pushed else None
        )
        self._bind()

        fall = np.array([self.model.geom(name).id for name in self.character.fall_links])
        self._fall = Shapes(self.model, fall)
        self._all_shapes = Shapes(self.model, colliding_geoms(self.model))
        self.termination = termination.for_skill(self._skill_touches_ground(alone))
        joint_vector = self.joints.joint_vector(self.reference.qpos)
        root_turn = quat_to_rotvec(self.reference.qpos[:, 3:7])
        self.start_sampler = self.initialization.sampler(
            self.reference.qvel,
            np.concatenate((self.reference.qpos[:, :3], root_turn, joint_vector), axis=1),
            self.reference.num_starts,
            num_envs,
        )
        self._first_starts = self.start_sampler.snapshot()
        self._absolute_middle, self._absolute_half = absolute_range(alone, self.joints)
        self._generators = [np.random.default_rng() for _ in range(num_envs)]
        self._num_uniform = 1 + self.ground.num_uniform
        self._num_uniform += self._physics.num_uniform if self._physics else 0
        self._num_uniform += self._pushes.num_uniform if self._pushes else 0
        self.start = np.zeros(num_envs, int)  # reference row that the episode began at
        self.elapsed = np.zeros(num_envs, int)  # control steps since
        self._return = np.zeros(num_envs)
        self._over = np.zeros(num_envs, bool)  # the episode has ended and was not reset yet
        self._placed = np.zeros(num_envs, bool)  # it began where a user wanted it to
        self._failed = np.zeros(num_envs, bool)
        self.all_ids = np.arange(num_envs)
        self._process = os.getpid()
        _ALIVE.add(self)

    def _bind(self) -> None:
        batch, joints = self.batch, self.joints
        self._state = State(*(batch.bind(name) for name in State._fields))
        self._ctrl = batch.bind("ctrl")
        self._rows = {name: rows for name in _ROWS if (rows := batch.bind(name)).size}
        self._applied = batch.bind("xfrc_applied")
        self._warmstart = batch.bind("qacc_warmstart")
        self._geom_xpos, self._geom_xmat = batch.bind("geom_xpos"), batch.bind("geom_xmat")
        self._bounded = joints.ball_dof - 6  # columns of ctrl
        self.observation_parts = observation_parts(self.model.nu, not self.ground.is_flat)
        self.observation_size = sum(part.size for part in self.observation_parts)
        columns = slices(self.observation_parts)
        self._height_map = columns.pop("height_map", slice(0))
        self._layout = Layout(
            links=self._links,
            hands_feet=HANDS_AND_FEET,
            quat_qpos=np.vstack((np.arange(3, 7), joints.ball_qpos.reshape(-1, 4))),
            quat_dof=np.vstack((np.arange(3, 6), joints.ball_dof.reshape(-1, 3))),
            hinge_qpos=joints.hinge_qpos,
            hinge_dof=joints.hinge_dof,
            reference=tuple(part.start for part in self.reference.columns.values()),
            observation=tuple(part.start for part in columns.values()),
        )
        self._level = np.zeros(self.num_envs)

    # --- seeding and reset ------------------------------------------------------------------

    def seed(self, seed: int) -> None:
        """Environment i draws from its own generator, seeded with ``seed + i``, and start states
        that learn begin anew: the same seed gives the same episodes, whatever was before."""
        self._generators = [np.random.default_rng(seed + i) for i in range(self.num_envs)]
        self.start_sampler.resume(self._first_starts)

    def seed_one(self, i: int, seed: int | None) -> None:
        """Environment i alone draws from a generator of that seed."""
        self._generators[i] = np.random.default_rng(seed)

    def over(self) -> np.ndarray:
        """Whose episode (N,) has ended and was not reset yet."""
        return self._over.copy()

    def last_start(self) -> int:
        """The last row of the reference that an episode may begin at."""
        last = self.reference.last
        return self.reference.num_starts - 1 if last is None else last - 1

    def reset(self, ids: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Start new episodes in the environments ``ids`` (n,), sorted; observations (n, D).

        Args:
            rows: (n,) of the reference to begin at, 0 to ``last_start()``; by default they are
                drawn. Either way the start noise is.
        """
        return self.begin(ids, rows)[0]

    def begin(
        self, ids: np.ndarray, rows: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The same, and the figures (n,) of ``StepResult.parts`` at the start."""
        if os.getpid() != self._process:
            self._revive()
        ended = ids[self._over[ids] & ~self._placed[ids]]
        if len(ended):
            self.start_sampler.finished(ended, self._return[ended], self._failed[ended])
        n, nv = len(ids), self.model.nv
        uniform, normal = np.empty((n, self._num_uniform)), np.empty((n, 2 * nv))
        for k, i in enumerate(ids):  # a generator each, so that N does not change a draw
            generator = self._generators[i]
            uniform[k, 0] = generator.random()
            generator.standard_normal(out=normal[k])
            generator.random(out=uniform[k, 1:])
        if rows is None:
            starts = self.start_sampler.draw(ids, uniform[:, 0], normal)
        else:
            starts = self.start_sampler.around(rows, normal)
        self._placed[ids] = rows is not None
        row, ref = starts.row, self.reference
        self.start[ids], self.elapsed[ids] = row, 0
        self._return[ids], self._over[ids], self._failed[ids] = 0.0, False, False

        at = 1
        origin = ref.qpos[row, :2]
        self.ground.draw(ids, uniform[:, at : at + self.ground.num_uniform], origin, ref.yaw[row])
        at += self.ground.num_uniform
        if self._physics:
            self._physics.draw(ids, uniform[:, at : at + self._physics.num_uniform])
            at += self._physics.num_uniform
        if self._pushes:
            self._pushes.draw(ids, uniform[:, at : at + self._pushes.num_uniform])

        qpos, qvel = ref.qpos[row], ref.qvel[row] + starts.velocity
        pose, quats = starts.pose, self._layout.quat_qpos
        qpos[:, :3] += pose[:, :3]
        qpos[:, quats] = quat_multiply(
            qpos[:, quats], rotvec_to_quat(pose[:, self._layout.quat_dof])
        )
        qpos[:, self.joints.hinge_qpos] += pose[:, self.joints.hinge_dof]
        if not self.ground.is_flat:
            lift = self.ground.lift(ids, origin)
            qpos[:, 2] += lift
            soon = self.ground.lift(ids, origin + qvel[:, :2] / CONTROL_HZ)
            qvel[:, 2] += (soon - lift) * CONTROL_HZ
        self._set_state(ids, qpos, qvel)
        if self.start_sampler.lifts:
            sunk = np.minimum(self._clearance(self._all_shapes, ids), 0.0)
            if (sunk < 0).any():
                qpos[:, 2] -= sunk
                self._set_state(ids, qpos, qvel)
        observation, errors, distance = self._measure(ids)
        _, parts = self.reward(errors)
        return observation, {**parts, **_figures(distance)}

    def observe(self) -> np.ndarray:
        """The current observations (N, D)."""
        return self._measure(self.all_ids)[0]

    def _set_state(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        self._state.qpos[ids], self._state.qvel[ids] = qpos, qvel
        self._warmstart[ids] = 0.0  # else the last episode's contacts leak into this one
        if self._physics:
            self._physics.forget(ids, self.joints.joint_vector(qpos))
        # positions are all that an observation needs; the next step does the rest
        self.batch.forward(ids, stage=mujoco.mjtStage.mjSTAGE_POS.value)

    # --- step -------------------------------------------------------------------------------

    def step(self, action: np.ndarray) -> StepResult:
        """Advance every simulation by one control step; nothing is reset.

        Args:
            action: (N, nu) in [-1, 1]; values outside are clipped.

        Raises:
            ActionError: another shape, or values that are no real numbers, NaN or infinite.
        """
        if os.getpid() != self._process:
            self._revive()
        action = np.clip(self._checked(action), -1.0, 1.0)
        if self._pushes:
            self._applied[:, self._links[0], :3] = self._pushes.force(
                self.elapsed, *_heading(self._state.qpos)
            )
        self.elapsed += 1
        ids = self.all_ids
        if self.action_mode == "residual":
            target = self.reference.part("target").take(
                self.start + self.elapsed, axis=0, mode="clip"
            )
            target += action
        else:
            target = self._absolute_middle + self._absolute_half * action
        self._ctrl[:] = self._bound_targets(target)
        self.batch.step(nstep=self.substeps, stage=mujoco.mjtStage.mjSTAGE_VEL.value)

        observation, errors, distance = self._measure(ids)
        terminated = self.termination(
            self._clearance(self._fall, ids), distance[:, 1], errors.rotation[:, 0], distance[:, 0]
        )
        reward, parts = self.reward(errors, terminated)
        finite = np.isfinite(reward)
        if not finite.all():
            terminated |= ~finite
            reward = np.where(finite, reward, 0.0)
        truncated = self.elapsed >= self.horizon
        if self.reference.last is not None:
            truncated |= self.start + self.elapsed >= self.reference.last
        self._return += reward
        self._over, self._failed = terminated | truncated, terminated.copy()
        parts = {**parts, **_figures(distance)}
        return StepResult(observation, reward, terminated, truncated, errors, parts)

    def reward(
        self, errors: TrackingErrors, terminated: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Reward (n,) of errors, less the cost of those episodes (n,) that end early, and its
        parts (n,), which sum to it."""
        value, parts = self._reward(errors)
        wanted = errors.centre_of_mass.shape
        if np.shape(value) != wanted or any(np.shape(part) != wanted for part in parts.values()):
            shapes = [np.shape(value), *(np.shape(part) for part in parts.values())]
            raise SettingError(f"a reward and its parts must have shape {wanted}, not {shapes}")
        if self.failure_cost:
            cost = np.zeros(wanted) if terminated is None else -self.failure_cost * terminated
            return value + cost, {**parts, "reward_failure": cost}
        return value, parts

    def _checked(self, action: np.ndarray) -> np.ndarray:
        try:
            given = np.asarray(action)
            if given.dtype.kind not in "biuf":
                raise TypeError
            action = given.astype(float)
        except (TypeError, ValueError):
            raise ActionError(
                f"actions must be real numbers, they are of type {np.asarray(action).dtype}"
            ) from None
        wanted = (self.num_envs, self.model.nu)
        if action.shape != wanted:
            raise ActionError(f"actions must have shape {wanted}, they have {action.shape}")
        if not np.isfinite(action.sum()):
            bad = ~np.isfinite(action).all(axis=1)
            if bad.any():
                raise ActionError(
                    f"{int(bad.sum())} of {self.num_envs} actions hold NaN or infinite values: "
                    "the policy or algorithm that made them has diverged"
                )
        return action

    def reference_action(self) -> np.ndarray:
        """The actions (N, nu) that replay the reference's PD targets."""
        if self.action_mode == "residual":
            return np.zeros((self.num_envs, self.model.nu))
        target = self.reference.part("target")
        row = np.minimum(self.reference_row(self.all_ids) + 1, len(target) - 1)
        return (target[row] - self._absolute_middle) / self._absolute_half

    def reference_row(self, ids: np.ndarray) -> np.ndarray:
        """Rows (n,) of the reference that the environments ``ids`` are at; the last one for
        those that are stepped on after their end."""
        return np.minimum(self.start[ids] + self.elapsed[ids], len(self.reference.qpos) - 1)

    def reference_qpos(self) -> np.ndarray:
        """The reference's state (N, nq) now, raised with the ground that it passes over."""
        qpos = self.reference.qpos[self.reference_row(self.all_ids)]
        if not self.ground.is_flat:
            qpos[:, 2] += self.ground.lift(self.all_ids, qpos[:, :2])
        return qpos

    def link_offset(self) -> np.ndarray:
        """Way (N, 15, 3) in metres from each link of the reference to the character's."""
        row = self.reference_row(self.all_ids)
        offset = self._state.xpos[:, self._links] - self.reference.link_pos[row]
        if not self.ground.is_flat:
            lift = self.ground.lift(self.all_ids, self.reference.qpos[row, :2])
            offset[..., 2] -= lift[:, None]
        return offset

    def root_tilt(self) -> np.ndarray:
        """Angle (N,) in rad between the up axes of the root and of the reference's root."""
        up = np.array([0.0, 0.0, 1.0])
        ref_quat = self.reference.qpos[self.reference_row(self.all_ids), 3:7]
        axes = quat_rotate(self._state.qpos[:, 3:7], up), quat_rotate(ref_quat, up)
        return np.arccos(np.clip((axes[0] * axes[1]).sum(-1), -1.0, 1.0))

    # --- state ------------------------------------------------------------------------------

    def get_state(self) -> SimulationState:
        """All that decides how the simulations go on, to come back to it: for planning."""
        starts = self.start_sampler.snapshot()
        pushes = {}
        if self._pushes:
            pushes = {name: getattr(self._pushes, name).copy() for name in self._pushes.DRAWN}
        return SimulationState(
            physics={name: array.copy() for name, array in self._rows.items()},
            fields={name: array.copy() for name, array in self._drawn_fields().items()},
            ground=self.ground.snapshot(),
            starts=starts,
            pushes=pushes,
            episode={name: getattr(self, name).copy() for name in _EPISODE},
            generators=[dict(generator.bit_generator.state) for generator in self._generators],
        )

    def set_state(self, state: SimulationState) -> None:
        """Go on from ``state``, which may come from another simulation of the same settings.

        Raises:
            SettingError: it is no state, or one of other settings.
        """
        if os.getpid() != self._process:
            self._revive()
        fields = self._drawn_fields()
        if not isinstance(state, SimulationState) or any(
            ours.keys() != theirs.keys() or any(ours[k].shape != theirs[k].shape for k in ours)
            for ours, theirs in ((self._rows, state.physics), (fields, state.fields))
        ):
            raise SettingError("set_state needs what get_state of an environment like this gave")
        for ours, theirs in ((self._rows, state.physics), (fields, state.fields)):
            for name, array in theirs.items():
                ours[name][:] = array
        if self._physics:
            self._physics.settle()
        self.ground.resume(state.ground)
        self.start_sampler.resume(state.starts)
        for name, array in state.pushes.items():
            getattr(self._pushes, name)[:] = array
        for name, array in state.episode.items():
            getattr(self, name)[:] = array
        for generator, inside in zip(self._generators, state.generators, strict=True):
            generator.bit_generator.state = inside
        self.batch.forward(self.all_ids, stage=mujoco.mjtStage.mjSTAGE_POS.value)

    def _drawn_fields(self) -> dict[str, np.ndarray]:
        """Live (N, ...) fields of the models that episodes draw anew."""
        return {**self.ground.fields, **(self._physics.fields if self._physics else {})}

    def __getstate__(self) -> dict[str, Any]:
        return {"arguments": self._arguments, "state": self.get_state()}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__init__(**kept["arguments"])  # type: ignore[misc]
        self.set_state(kept["state"])

    def _revive(self) -> None:
        """In a forked child, where the threads of the batch do not exist: a batch of its own."""
        kept = self.__getstate__()
        self.__setstate__(kept)

    # --- parts ------------------------------------------------------------------------------

    def _measure(self, ids: np.ndarray) -> tuple[np.ndarray, TrackingErrors, np.ndarray]:
        """Observations (n, D), errors, and distances (n, 4) of the environments ``ids``."""
        n, reference, state = len(ids), self.reference, self._state
        row = self.reference_row(ids)
        joints = len(self._layout.quat_qpos) + len(self._layout.hinge_qpos)
        if self.ground.is_flat:
            zero = self._level[:n]
            lift = Lift(zero, zero, zero)
        else:
            path = reference.qpos[:, :2]
            following = np.minimum(row + 1, len(path) - 1)
            root = state.qpos[ids, :2]
            lift = Lift(*(self.ground.lift(ids, xy) for xy in (path[row], path[following], root)))
        out = Measures(
            observation=np.empty((n, self.observation_size), np.float32),
            rotation=np.empty((n, joints)),
            angular_velocity=np.empty((n, joints)),
            end_effector=np.empty((n, len(HANDS_AND_FEET))),
            centre_of_mass=np.empty(n),
            distance=np.empty((n, 4)),
        )
        measure(ids, row, reference.rows, lift, state, self._layout, out)
        if not self.ground.is_flat:
            cos, sin = _heading(state.qpos[ids])
            self.ground.height_map(ids, root, cos, sin, out.observation[:, self._height_map])
        errors = TrackingErrors(
            out.rotation, out.angular_velocity, out.end_effector, out.centre_of_mass
        )
        return out.observation, errors, out.distance

    def _clearance(self, shapes: Shapes, ids: np.ndarray) -> np.ndarray:
        """Distance (n,) in metres from the ground up to the lowest of the geoms."""
        whole = len(ids) == self.num_envs
        xpos = self._geom_xpos if whole else self._geom_xpos[ids]
        xmat = self._geom_xmat if whole else self._geom_xmat[ids]
        bottom = shapes.bottom_of_frames(xpos, xmat)
        if not self.ground.is_flat:
            bottom -= self.ground.height(ids, xpos[:, shapes.geoms, :2])
        return bottom.min(-1)

    def _bound_targets(self, target: np.ndarray) -> np.ndarray:
        if self._bounded.size:
            # (N, B, 3), rows contiguous: the order in which NumPy adds up depends on the layout,
            # and the layout that indexing with arrays gives depends on N
            vectors = target.take(self._bounded.ravel(), axis=1).reshape(len(target), -1, 3)
            square = np.einsum("ijk,ijk->ij", vectors, vectors)
            far = square > MAX_TARGET_ANGLE**2
            if far.any():
                shrink = np.where(far, MAX_TARGET_ANGLE / np.sqrt(np.maximum(square, 1.0)), 1.0)
                target[:, self._bounded] = vectors * shrink[..., None]
        return target

    def _skill_touches_ground(self, alone: mujoco.MjModel) -> bool:
        """Whether the reference itself takes a fall link to the ground."""
        data = mujoco.MjData(alone)
        shapes = Shapes(alone, np.array([alone.geom(n).id for n in self.character.fall_links]))
        lowest = np.inf
        for qpos in self.reference.qpos[: self.reference.num_starts + 2]:
            data.qpos[:] = qpos
            mujoco.mj_kinematics(alone, data)
            bottom = shapes.bottom_of_frames(data.geom_xpos[None], data.geom_xmat[None])
            lowest = min(lowest, float(bottom.min()))
        return lowest < SKILL_TOUCHES_GROUND


_EPISODE = ("start", "elapsed", "_return", "_over", "_failed", "_placed")
"""Arrays (N,) of the episodes that are being played."""
_ROWS = ("time", "qpos", "qvel", "act", "history", "qacc_warmstart", "ctrl", "xfrc_applied")
"""What a simulation is in MuJoCo, as far as it can change here."""

_ALIVE: weakref.WeakSet[ImitationSimulation] = weakref.WeakSet()


def _after_fork() -> None:
    """A batch waits for its threads when it is freed, and in a child there are none: none of
    those that were made before is ever freed there."""
    for simulation in list(_ALIVE):
        for kept in (simulation.batch, simulation.batch._b):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _object(name: str, value: Any, kind: type) -> Any:
    """``value``, an object of ``kind`` for True, or None for False and None."""
    if value is None or value is False:
        return None
    if value is True:
        return kind()
    if not isinstance(value, kind):
        raise SettingError(f"{name} must be True, None or a {kind.__name__}, not {value!r}")
    return value


def _figures(distance: np.ndarray) -> dict[str, np.ndarray]:
    """The named figures (n,) of distances (n, 4) in metres, see ``Measures``."""
    return {
        "link_distance": distance[:, 1],
        "joint_error": distance[:, 2],
        "joint_error_root": distance[:, 3],
    }


def _heading(qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine (n,) of the root's heading."""
    w, z = qpos[:, 3], qpos[:, 6]
    ww, zz = w * w, z * z
    norm = ww + zz
    # exactly upside down about a horizontal axis there is no heading: take 0
    lost = norm < 1e-18
    if lost.any():
        ww, norm = np.where(lost, 1.0, ww), np.where(lost, 1.0, norm)
    return (ww - zz) / norm, 2.0 * w * z / norm


def absolute_range(model: mujoco.MjModel, joints: JointMap) -> tuple[np.ndarray, np.ndarray]:
    """Middle and half width (nu,) of the published joint limits, in dof order."""
    limits = np.zeros((model.nu, 2))
    for ball, dof in zip(joints.balls, joints.ball_dof, strict=True):
        limits[dof - 6] = skeleton.ROTATION_LIMITS[joints.names[ball]]
    for hinge, dof in zip(joints.hinges, joints.hinge_dof, strict=True):
        limits[dof - 6] = model.joint(joints.names[hinge]).range
    return limits.mean(-1), 0.5 * (limits[:, 1] - limits[:, 0])
