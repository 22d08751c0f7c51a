"""Stable-Baselines3's ``VecEnv`` over the vector environment: no subprocesses."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from sfv_gym.envs.vector_env import ImitationVectorEnv


class SB3VecEnv(VecEnv):
    """Adapts an ``ImitationVectorEnv``; finished episodes carry SB3's ``episode`` statistics.

    ``SB3VecEnv(gym.make_vec("SFV-Walk-v0", num_envs=256,
    vectorization_mode="vector_entry_point").unwrapped)``

    Args:
        failure_cost: taken from the reward of a step that ends an episode early. The returns in
            ``episode`` are the environment's, without it.
    """

    def __init__(self, envs: ImitationVectorEnv, failure_cost: float = 0.0) -> None:
        self.envs, self.failure_cost = envs, failure_cost
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)
        self.metadata = envs.metadata
        self.render_mode = envs.render_mode
        self._actions = np.zeros(0)
        self._returns = np.zeros(envs.num_envs)
        self._lengths = np.zeros(envs.num_envs, int)

    def reset(self) -> np.ndarray:
        seed = [None if s is None else int(s) for s in self._seeds]
        observation, _ = self.envs.reset(seed=seed)
        self._reset_seeds()
        self._reset_options()
        self._returns[:] = 0.0
        self._lengths[:] = 0
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observation, reward, terminated, truncated, info = self.envs.step(self._actions)
        done = terminated | truncated
        self._returns += reward
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(done):
            infos[i] = {
                "terminal_observation": info["final_obs"][i],
                "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
                "episode": {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": 0.0},
            }
        self._returns[done] = 0.0
        self._lengths[done] = 0
        learned_from = reward - self.failure_cost * terminated
        return observation, learned_from.astype(np.float32), done, infos

    def close(self) -> None:
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.envs, attr_name)] * len(self._rows(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self.envs, attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any
    ) -> list[Any]:
        return [getattr(self.envs, method_name)(*args, **kwargs)] * len(self._rows(indices))

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * len(self._rows(indices))

    def get_images(self) -> list[np.ndarray | None]:
        return list(self.envs.render() or [])

    def _rows(self, indices: Any) -> list[int]:
        return list(self._get_indices(indices))
