"""The one implementation of the imitation task: N simulations, stepped side by side.

The Gymnasium, vector and Stable-Baselines3 interfaces are thin around it. No step loops over
environments in Python: what is needed of each is computed by one compiled pass (``kernel``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.characters.shapes import Shapes, colliding_geoms
from sfv_gym.checks import whole
from sfv_gym.envs.actions import ActionTargets, checked_actions
from sfv_gym.envs.draws import EpisodeDraws
from sfv_gym.envs.measurement import Measurement, figures, heading_angle
from sfv_gym.envs.perturbations import Pushes, PushSchedule
from sfv_gym.envs.reference import ObjectTable, References, reference_table
from sfv_gym.envs.rewards import TrackingErrors, get_reward
from sfv_gym.envs.scenes import Scenes
from sfv_gym.envs.starts.mixed import MixedStarts
from sfv_gym.envs.state import EPISODE, SimulationState
from sfv_gym.envs.task import CONTROL_HZ, SUBSTEPS, Task
from sfv_gym.errors import SettingError
from sfv_gym.retargeting import retarget, scene_scale
from sfv_gym.rotations import quat_multiply, quat_to_rotvec, rotvec_to_quat

MAX_ENVS, MAX_THREADS = 65_536, 1_024
"""The most environments and threads of a batch."""


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
    """N characters, each imitating a motion of the task from its own start.

    Args:
        num_envs: N.
        num_threads: of the physics; 0 takes every core. Results do not depend on it.

    Raises:
        SettingError: one of the two is out of range.

    Attributes:
        motion: (N,) which of the task's motions each imitates.
        start, elapsed: (N,) the row of the references that the episode began at, and the control
            steps since.
    """

    def __init__(self, task: Task, num_envs: int = 1, num_threads: int = 1) -> None:
        self.task = task
        self.num_envs = n = whole("num_envs", num_envs, 1, MAX_ENVS)
        self._num_threads = whole("num_threads", num_threads, 0, MAX_THREADS)
        self.horizon, self.control_hz, self.substeps = task.horizon, CONTROL_HZ, SUBSTEPS
        character = task.character
        self.joints, self._root = character.joints, character.link_ids[0]
        self._nq, self._nv = character.model.nq, character.model.nv
        trajectories = [retarget(motion, character) for motion in task.motions]
        lead, ahead = task.target_lead, task.observation.lookahead
        tables = [
            reference_table(one, character, 1.0 / CONTROL_HZ, self.horizon, lead, ahead)
            for one in trajectories
        ]
        self.references = References(tables)
        objects = [
            thing.scaled(scene_scale(task.motions[0], character)) for thing in task.scene_objects
        ]
        paths = [
            ObjectTable.build(objects, one, np.arange(len(table.qpos)) / CONTROL_HZ)
            for one, table in zip(trajectories, tables, strict=True)
        ]
        reach = self.references.reach(self.horizon)
        self.scenes = scenes = Scenes(
            task, n, self._num_threads, reach, objects, ObjectTable.joined(paths)
        )
        self.ground, self.model, self.physics = scenes.ground, scenes.model, scenes.physics
        self._pushes = (
            PushSchedule(task.pushes, n, CONTROL_HZ, self.horizon) if task.pushes else None
        )
        self._measurement = Measurement(
            task, self.physics, self.references, self.ground, scenes.objects
        )
        self.observation_size, self.action_size = task.observation_size, task.action_size
        self._state = self._measurement.state
        self.qpos = self._state.qpos[:, : self._nq]
        """(N, nq) the characters' state, live: it follows the simulation."""
        self._ctrl, self._applied = (self.physics.data(name) for name in ("ctrl", "xfrc_applied"))

        self._actions = ActionTargets(character, self.references, task.action_mode)
        self._reward = get_reward(task.reward)
        self._fall = character.fall_shapes(self.model)
        self._all_shapes = Shapes(self.model, colliding_geoms(self.model))
        self.fall_counts = task.termination.fall_counts(self.references.touches_ground)  # (M,)
        turn = quat_to_rotvec(self.references.qpos[:, 3:7])
        joint_vector = self.joints.joint_vector(self.references.qpos)
        self.starts = MixedStarts(
            task.initialization,
            self.references,
            np.concatenate((self.references.qpos[:, :3], turn, joint_vector), axis=1),
            n,
        )
        self._first_starts = self.starts.snapshot()
        num_uniform = 1 + scenes.num_uniform
        num_uniform += self._pushes.num_uniform if self._pushes else 0
        self._draws = EpisodeDraws(n, num_uniform, 2 * self._nv)
        self.motion_sampler = task.motion_sampling.sampler(task.shares())
        self.motion, self.start, self.elapsed = np.zeros((3, n), int)
        self._end = np.full(n, self.references.end[0])  # the last row of each one's motion
        self._last = np.full(n, self.references.last[0])  # that at which it is truncated
        self._return = np.zeros(n)
        self._over = np.zeros(n, bool)  # the episode has ended and was not reset yet
        self._placed = np.zeros(n, bool)  # it began where a user wanted it to
        self._failed = np.zeros(n, bool)
        self.all_ids = np.arange(n)

    # --- seeding and reset ------------------------------------------------------------------

    def seed(self, seed: int) -> None:
        """Environment i draws from its own generator, seeded with ``seed + i``, and what is drawn
        from how episodes end begins anew: the same seed gives the same, whatever was before."""
        for i in range(self.num_envs):
            self.seed_one(i, seed + i)
        self.starts.resume(self._first_starts)
        self.motion_sampler.forget()
        self._over[:] = False  # how those before ended is no matter of those to come

    def seed_one(self, i: int, seed: int) -> None:
        """Environment i alone draws from generators of that seed."""
        self._draws.seed(i, seed)

    def over(self) -> np.ndarray:
        """Whose episode (N,) has ended and was not reset yet."""
        return self._over.copy()

    def reset(self, ids: np.ndarray, steps: np.ndarray | None = None) -> np.ndarray:
        """Start new episodes in the environments ``ids`` (n,), sorted; observations (n, D).

        Args:
            steps: see ``begin``.
        """
        return self.begin(ids, steps)[0]

    def begin(
        self, ids: np.ndarray, steps: np.ndarray | None = None, motions: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The same, and the figures (n,) of ``StepResult.parts`` at the start.

        Args:
            steps: (n,) of the motion to begin at, 0 to ``References.last_start``; by default they
                are drawn. Either way the start noise is.
            motions: (n,) which motions to imitate; by default they are drawn.
        """
        self._revive()
        ended = ids[self._over[ids] & ~self._placed[ids]]
        if len(ended):
            motion, failed = self.motion[ended], self._failed[ended]
            self.starts.finished(ended, motion, self._return[ended], failed)
            self.motion_sampler.finished(motion, failed)
        self._choose_motions(ids, motions)
        references, motion = self.references, self.motion[ids]
        uniform, normal = self._draws.numbers(ids)
        if steps is None:
            starts = self.starts.draw(ids, motion, uniform[:, 0], normal)
        else:
            starts = self.starts.around(references.first[motion] + steps, normal)
        self._placed[ids] = steps is not None
        row = starts.row
        self.start[ids], self.elapsed[ids] = row, 0
        self._return[ids], self._over[ids], self._failed[ids] = 0.0, False, False

        origin, at = references.qpos[row, :2], 1 + self.scenes.num_uniform
        self.scenes.draw(ids, uniform[:, 1:at], origin, references.yaw[row])
        if self._pushes:
            self._pushes.draw(ids, uniform[:, at:])

        qpos, qvel = references.qpos[row], references.qvel[row] + starts.velocity
        pose, quats, turns = starts.pose, self.joints.quat_qpos, self.joints.quat_dof
        qpos[:, :3] += pose[:, :3]
        qpos[:, quats] = quat_multiply(qpos[:, quats], rotvec_to_quat(pose[:, turns]))
        qpos[:, self.joints.hinge_qpos] += pose[:, self.joints.hinge_dof]
        if not self.ground.is_flat:
            raised = self.ground.height_offset(ids, origin)
            qpos[:, 2] += raised
            soon = self.ground.height_offset(ids, origin + qvel[:, :2] / CONTROL_HZ)
            qvel[:, 2] += (soon - raised) * CONTROL_HZ
        self.scenes.put(ids, qpos, qvel, row)
        if self.starts.may_penetrate:
            sunk = np.minimum(self._measurement.clearance(self._all_shapes, ids), 0.0)
            if (sunk < 0).any():
                qpos[:, 2] -= sunk
                self.scenes.put(ids, qpos, qvel, row)
        observation, errors, distance = self._measure(ids)
        _, parts = self.reward(errors)
        return observation, {**parts, **self._figures(ids, errors, distance)}

    def _choose_motions(self, ids: np.ndarray, motions: np.ndarray | None) -> None:
        if len(self.references) > 1:
            if motions is None:
                motions = self.motion_sampler.draw(self._draws.for_motions(ids))
            self.motion[ids] = motions
            self._end[ids] = self.references.end[motions]
            self._last[ids] = self.references.last[motions]

    def set_motion_shares(self, weights: np.ndarray) -> None:
        """Other ``motion_weights`` than the task's, (M,), from now on."""
        self.motion_sampler.weights[:] = weights

    def set_pushes(self, pushes: Pushes) -> None:
        """Other pushes than the task's, at the same interval, in the episodes that are still to
        begin: they draw the same numbers.

        Raises:
            SettingError: the task has none, or at another interval.
        """
        if self._pushes is None:
            raise SettingError("the task has no pushes that could be changed")
        self._pushes.change(pushes)

    def observe(self) -> np.ndarray:
        """The current observations (N, D)."""
        return self._measure(self.all_ids)[0]

    # --- step -------------------------------------------------------------------------------

    def step(self, action: np.ndarray) -> StepResult:
        """Advance every simulation by one control step; nothing is reset.

        Args:
            action: (N, nu) in [-1, 1]; values outside are clipped.

        Raises:
            ActionError: another shape, or values that are no real numbers, NaN or infinite.
        """
        self._revive()
        action = checked_actions(action, (self.num_envs, self.action_size))
        if self._pushes:
            self._applied[:, self._root, :3] = self._pushes.force(
                self.elapsed, *heading_angle(self._state.qpos)
            )
        self.elapsed += 1
        ids = self.all_ids
        self._ctrl[:] = self._actions.targets(action, self.reference_row(ids))
        self.physics.step(self.substeps)

        observation, errors, distance = self._measure(ids)
        terminated = self.task.termination(
            self.fall_counts[self.motion],
            self._measurement.clearance(self._fall, ids),
            distance[:, 1],
            errors.rotation[:, 0],
            distance[:, 0],
            errors.object_position,
        )
        reward, parts = self.reward(errors, terminated)
        finite = np.isfinite(reward)
        if not finite.all():
            terminated |= ~finite
            reward = np.where(finite, reward, 0.0)
        truncated = (self.elapsed >= self.horizon) | (self.start + self.elapsed >= self._last)
        self._return += reward
        self._over, self._failed = terminated | truncated, terminated.copy()
        parts = {**parts, **self._figures(ids, errors, distance)}
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
        if self.task.failure_cost:
            cost = np.zeros(wanted) if terminated is None else -self.task.failure_cost * terminated
            return value + cost, {**parts, "reward_failure": cost}
        return value, parts

    def episode_limit(self) -> np.ndarray:
        """The most control steps (N,) that each one's episode lasts."""
        return np.minimum(self.horizon, self._last - self.start)

    def reference_action(self) -> np.ndarray:
        """The actions (N, nu) that replay the reference's PD targets."""
        row = np.minimum(self.reference_row(self.all_ids) + 1, self._end)
        return self._actions.of_reference(row)

    def reference_row(self, ids: np.ndarray) -> np.ndarray:
        """Rows (n,) of the references that the environments ``ids`` are at; the motion's last one
        for those that are stepped on after their end."""
        return np.minimum(self.start[ids] + self.elapsed[ids], self._end[ids])

    def reference_step(self, ids: np.ndarray) -> np.ndarray:
        """The same (n,), counted from the motion's beginning."""
        return self.reference_row(ids) - self.references.first[self.motion[ids]]

    def reference_qpos(self) -> np.ndarray:
        """The reference's state (N, nq) now, raised with the ground that it passes over."""
        qpos = self.references.qpos[self.reference_row(self.all_ids)]
        if not self.ground.is_flat:
            qpos[:, 2] += self.ground.height_offset(self.all_ids, qpos[:, :2])
        return qpos

    def reference_scene(self) -> np.ndarray:
        """The same of the whole scene (N, nq + 7 K): with the objects that may be moved."""
        objects, row = self.scenes.objects, self.reference_row(self.all_ids)
        if not len(objects.tracked):
            return self.reference_qpos()
        return np.append(self.reference_qpos(), objects.target_qpos(self.all_ids, row), axis=1)

    def link_offset(self) -> np.ndarray:
        """Way (N, 15, 3) in metres from each link of the reference to the character's."""
        return self._measurement.link_offset(self.all_ids, self.reference_row(self.all_ids))

    def root_tilt(self) -> np.ndarray:
        """Angle (N,) in rad between the up axes of the root and of the reference's root."""
        return self._measurement.root_tilt(self.reference_row(self.all_ids))

    # --- state ------------------------------------------------------------------------------

    def get_state(self) -> SimulationState:
        """All that decides how the simulations go on, to come back to it: for planning."""
        pushes = {}
        if self._pushes:
            pushes = {name: getattr(self._pushes, name).copy() for name in self._pushes.DRAWN}
        return SimulationState(
            physics={name: array.copy() for name, array in self.scenes.rows.items()},
            fields={name: array.copy() for name, array in self.scenes.drawn_fields().items()},
            ground=self.ground.snapshot(),
            starts=self.starts.snapshot(),
            pushes=pushes,
            episode={name: getattr(self, name).copy() for name in EPISODE},
            generators=self._draws.snapshot(),
            motions=self.motion_sampler.snapshot(),
        )

    def set_state(self, state: SimulationState) -> None:
        """Go on from ``state``, which may come from another simulation of the same settings.

        Raises:
            SettingError: it is no state, or one of other settings.
        """
        self._revive()
        fits = isinstance(state, SimulationState) and state.fits(
            self.scenes.rows, self.scenes.drawn_fields(), self.motion_sampler.snapshot()
        )
        if not fits:
            raise SettingError("set_state needs what get_state of an environment like this gave")
        self.scenes.resume(state.physics, state.fields)
        self.ground.resume(state.ground)
        self.starts.resume(state.starts)
        for name, array in state.pushes.items():
            getattr(self._pushes, name)[:] = array
        for name, array in state.episode.items():
            getattr(self, name)[:] = array
        self._draws.resume(state.generators)
        self.motion_sampler.resume(state.motions)
        self.physics.forward()

    def __getstate__(self) -> tuple[Task, int, int, SimulationState]:
        return self.task, self.num_envs, self._num_threads, self.get_state()

    def __setstate__(self, kept: tuple[Task, int, int, SimulationState]) -> None:
        *arguments, state = kept
        self.__init__(*arguments)  # type: ignore[misc]
        self.set_state(state)

    def _revive(self) -> None:
        """In a forked child, where the threads do not exist: physics of its own."""
        if self.physics.is_stale:
            self.__setstate__(self.__getstate__())

    def _measure(self, ids: np.ndarray) -> tuple[np.ndarray, TrackingErrors, np.ndarray]:
        row = self.reference_row(ids)
        return self._measurement.measure(ids, row, self._end[ids])

    def _figures(
        self, ids: np.ndarray, errors: TrackingErrors, distance: np.ndarray
    ) -> dict[str, np.ndarray]:
        found = figures(errors, distance)
        if len(self.references) > 1:
            found["motion"] = self.motion[ids]
        return found
