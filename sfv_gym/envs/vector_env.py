"""The native vector environment: N simulations on a C++ thread pool, no subprocess."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from mujoco.batch import Batch

from sfv_gym.envs.imitation_env import MotionLike, make_simulation, spaces
from sfv_gym.envs.simulation import CONTROL_HZ


class ImitationVectorEnv(gym.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``gym.make_vec(id, num_envs=N, vectorization_mode="vector_entry_point")``.

    The task, the spaces and the keywords are those of ``ImitationEnv``. An environment whose
    episode ends is reset in the same step: the observation is the new episode's first, the old
    one's last is in ``info["final_obs"]`` where ``info["_final_obs"]`` is true.

    Args:
        num_envs: N. The same seed gives environment i the same rollout whatever N is.
        num_threads: of the physics; 0 takes every core. Results do not depend on it.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": CONTROL_HZ,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        motion: MotionLike,
        num_envs: int = 1,
        *,
        num_threads: int = 0,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self.simulation = make_simulation(
            motion, num_envs=num_envs, num_threads=num_threads, **options
        )
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_observation_space, self.single_action_space = spaces(self.simulation)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._renderer: Any = None

    @property
    def batch(self) -> Batch:
        """The MuJoCo batch, for those who measure it."""
        return self.simulation.batch

    @property
    def substeps(self) -> int:
        """Physics steps in a control step."""
        return self.simulation.substeps

    def set_difficulty(self, difficulty: float) -> None:
        """Of the terrain that episodes draw from now on, 0..1: for a curriculum.

        Raises:
            SFVError: it is out of range.
        """
        self.simulation.ground.set_difficulty(difficulty)

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        simulation = self.simulation
        if isinstance(seed, int):
            simulation.seed(seed)
        elif seed is not None:
            for i, one in enumerate(seed):
                if one is not None:
                    simulation.seed_one(i, one)
        ids = simulation.all_ids
        if options is not None and "reset_mask" in options:
            ids = np.flatnonzero(options["reset_mask"])
        observation = simulation.reset(ids)
        if len(ids) < self.num_envs:
            observation = simulation.observe()
        return observation, {"reference_step": simulation.start.copy()}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        result = self.simulation.step(actions)
        observation, info = result.observation, dict(result.parts)
        done = result.terminated | result.truncated
        if done.any():
            ids = np.flatnonzero(done)
            info["final_obs"], info["_final_obs"] = observation.copy(), done
            observation[ids] = self.simulation.reset(ids)
        return observation, result.reward, result.terminated, result.truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """A picture (480, 640, 3) uint8 of each environment."""
        if self.render_mode is None:
            gym.logger.warn("render() needs gym.make_vec(..., render_mode='rgb_array')")
            return None
        if self._renderer is None:
            from sfv_gym.rendering import Renderer

            self._renderer = Renderer(self.simulation.model)
        return tuple(
            self._renderer.render_environment(self.simulation, i) for i in range(self.num_envs)
        )

    def close_extras(self, **kwargs: Any) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
