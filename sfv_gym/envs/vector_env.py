"""The native vector environment: N simulations on a C++ thread pool, no subprocess."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from sfv_gym.envs.interface import (
    RESET_OPTIONS,
    agreed_horizon,
    asked_starts,
    check_render_mode,
    picture_size,
    spaces,
)
from sfv_gym.envs.observations import ObservationPart
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.state import SimulationState
from sfv_gym.envs.task import CONTROL_HZ, MotionLike, Task, TaskSettings
from sfv_gym.errors import SettingError

VECTOR_RESET_OPTIONS = RESET_OPTIONS | {"reset_mask"}


class ImitationVectorEnv(gym.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``gym.make_vec(id, num_envs=N, vectorization_mode="vector_entry_point")``.

    The task, the spaces and the keywords are those of ``ImitationEnv``.

    What becomes of an environment whose episode has ended is Gymnasium's ``autoreset_mode``:

    * ``SAME_STEP`` (default): it is reset in the same step. The observation and the figures in
      ``info`` are the new episode's first, the old one's last are in ``info["final_obs"]`` and
      ``info["final_info"]`` where ``info["_final_obs"]`` is true.
    * ``NEXT_STEP``: the next step resets it, whatever its action, with a reward of 0. Gymnasium's
      ``NormalizeObservation`` and other wrappers ask for it.
    * ``DISABLED``: ``reset(options={"reset_mask": ended})`` does, and until then ``step`` refuses.

    Args:
        num_envs: N. The same seed gives environment i the same rollout whatever N is.
        num_threads: of the physics; 0 takes every core. Results do not depend on it.
        max_episode_steps: control steps of an episode at most, as ``horizon``.
        autoreset_mode: Gymnasium's, or its value, such as ``"NextStep"``.

    Raises:
        SettingError: a keyword is unknown, or its value makes no sense.
        UnknownIdError: a name is unknown.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": CONTROL_HZ,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        motion: MotionLike | Sequence[MotionLike] | Task,
        num_envs: int = 1,
        *,
        num_threads: int = 0,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        width: int = 640,
        height: int = 480,
        **settings: Unpack[TaskSettings],
    ) -> None:
        check_render_mode(render_mode, self.metadata["render_modes"])
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            known = ", ".join(mode.value for mode in AutoresetMode)
            raise SettingError(
                f"unknown autoreset_mode {autoreset_mode!r}; known: {known}"
            ) from None
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        if max_episode_steps is not None:
            settings["horizon"] = agreed_horizon(settings.get("horizon"), max_episode_steps)
        self.simulation = ImitationSimulation(Task.of(motion, **settings), num_envs, num_threads)
        self.num_envs = self.simulation.num_envs
        self.render_mode = render_mode
        self.single_observation_space, self.single_action_space = spaces(self.simulation)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._size = picture_size(width, height)
        self._begun = np.zeros(self.num_envs, bool)
        self._ended = np.zeros(self.num_envs, bool)  # and not reset since
        self._renderer: Any = None

    @property
    def substeps(self) -> int:
        """Physics steps in a control step."""
        return self.simulation.substeps

    @property
    def observation_parts(self) -> tuple[ObservationPart, ...]:
        """The parts of an observation, in order: names, columns, units, frames, meanings."""
        return self.simulation.task.observation_parts

    def set_difficulty(self, difficulty: float) -> None:
        """Of the terrain that episodes draw from now on, 0..1: for a curriculum.

        Raises:
            SettingError: it is out of range.
        """
        self.simulation.ground.set_difficulty(difficulty)

    def reset(
        self,
        *,
        seed: int | list[int | None] | np.ndarray | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start new episodes in all environments, or in some.

        Args:
            seed: environment i draws from ``seed + i``; or a seed for each, None to leave it.
            options: ``reset_mask``: a bool array (N,), those to reset; ``reference_step``: the
                step of the reference to begin at, and ``motion``, which of several motions to
                imitate, one for all or (N,).

        Raises:
            ValueError, TypeError: seeds or mask of another length or type, as Gymnasium has it.
            SettingError: an option is unknown, or the motion has no such step.
        """
        simulation = self.simulation
        steps, motions = asked_starts(simulation, options, VECTOR_RESET_OPTIONS)
        ids = simulation.all_ids
        if options is not None and "reset_mask" in options:
            ids = np.flatnonzero(self._checked_mask(options["reset_mask"]))
        self._seed(ids, seed)
        self._begun[ids], self._ended[ids] = True, False
        observation, figures = simulation.begin(
            ids,
            None if steps is None else steps[ids],
            None if motions is None else motions[ids],
        )
        if len(ids) < self.num_envs:
            observation = simulation.observe()
        info: dict[str, Any] = {}
        self._report(info, ids, figures)
        return observation, info

    def _seed(self, ids: np.ndarray, seed: Any) -> None:
        """Seed the environments ``ids``; see ``reset``."""
        simulation = self.simulation
        if seed is None:
            return
        if np.ndim(seed) == 0:
            if len(ids) == self.num_envs:
                simulation.seed(int(seed))
                return
            seed = [int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(
                f"a list of seeds must have one for each of num_envs={self.num_envs}, it has "
                f"{len(seed)}"
            )
        for i in ids.tolist():
            if seed[i] is not None:
                simulation.seed_one(i, int(seed[i]))

    def _checked_mask(self, mask: Any) -> np.ndarray:
        if not isinstance(mask, np.ndarray):
            raise TypeError(f"options['reset_mask'] must be a NumPy array, not {type(mask)}")
        if mask.dtype != np.bool_:
            raise TypeError(f"options['reset_mask'] must have dtype bool, not {mask.dtype}")
        if mask.shape != (self.num_envs,):
            raise ValueError(
                f"options['reset_mask'] must have shape ({self.num_envs},), not {mask.shape}"
            )
        if not mask.any():
            raise ValueError("options['reset_mask'] must be true somewhere")
        return mask

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One control step of all environments, see the class.

        Raises:
            ResetNeeded: an environment was not reset yet, or has ended and nobody resets it.
            ActionError: the actions have another shape, or values that are not finite numbers.
        """
        if not self._begun.all():
            raise gym.error.ResetNeeded("call reset() before step()")
        mode, simulation = self.autoreset_mode, self.simulation
        waiting = self._ended.copy()
        if mode is AutoresetMode.DISABLED and waiting.any():
            raise gym.error.ResetNeeded(
                f"{int(waiting.sum())} of {self.num_envs} episodes have ended: "
                "reset(options={'reset_mask': ...}) first"
            )
        result = simulation.step(actions)
        observation, reward = result.observation, result.reward
        terminated, truncated = result.terminated, result.truncated
        info: dict[str, Any] = {}
        self._report(info, simulation.all_ids, result.parts)
        ended = terminated | truncated
        if waiting.any():  # NEXT_STEP: what was stepped in them is of no episode
            terminated, truncated = terminated & ~waiting, truncated & ~waiting
            reward = np.where(waiting, 0.0, reward)
            ended &= ~waiting
            self._restart(np.flatnonzero(waiting), observation, info)
        if mode is AutoresetMode.SAME_STEP:
            if ended.any():
                info["final_info"] = {
                    name: value.copy() if not name.startswith("_") else ended.copy()
                    for name, value in info.items()
                }
                info["final_obs"] = observation.copy()
                info["_final_obs"], info["_final_info"] = ended, ended.copy()
                self._restart(np.flatnonzero(ended), observation, info)
        else:
            self._ended = ended
        return observation, reward, terminated, truncated, info

    def _restart(self, ids: np.ndarray, observation: np.ndarray, info: dict[str, Any]) -> None:
        """New episodes in ``ids`` (n,): their first observations and figures, in place."""
        observation[ids], figures = self.simulation.begin(ids)
        self._report(info, ids, figures)

    def _report(
        self, info: dict[str, Any], ids: np.ndarray, figures: dict[str, np.ndarray]
    ) -> None:
        """Put figures (n,) of ``ids`` into the arrays (N,) of ``info``, with Gymnasium's masks."""
        figures = {**figures, "reference_step": self.simulation.reference_step(ids)}
        for name, value in figures.items():
            if name not in info:  # an array of its own: a part of the reward may be the reward
                info[name] = np.zeros(self.num_envs, value.dtype)
                info[f"_{name}"] = np.zeros(self.num_envs, bool)
            info[name][ids], info[f"_{name}"][ids] = value, True

    def get_state(self) -> SimulationState:
        """All that decides how the episodes go on, random numbers included: for planning."""
        return self.simulation.get_state()

    def set_state(self, state: SimulationState) -> None:
        """Come back to what ``get_state`` gave, in this environment or one of the same settings.

        Raises:
            SettingError: it is no state, or one of other settings.
        """
        self.simulation.set_state(state)
        self._begun[:] = True
        self._ended = self.simulation.over() & (self.autoreset_mode is not AutoresetMode.SAME_STEP)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """A picture (height, width, 3) uint8 of each environment."""
        if self.render_mode is None:
            gym.logger.warn("render() needs gym.make_vec(..., render_mode='rgb_array')")
            return None
        if self._renderer is None:
            from sfv_gym.render.renderer import Renderer

            self._renderer = Renderer(self.simulation.model, *self._size)
        scenes = self.simulation.scenes
        return tuple(scenes.draw_with(self._renderer, i) for i in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Free the picture's memory; ``close`` calls it once."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_renderer": None}  # a picture's memory stays here
