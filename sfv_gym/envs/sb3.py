"""Stable-Baselines3's ``VecEnv`` over the vector environment: no subprocesses."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv

from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.errors import SettingError

SETTABLE = ("render_mode", "spec")
"""Attributes that can be set from outside; everything else is the simulations' own."""


class SB3VecEnv(VecEnv):
    """Adapts an ``ImitationVectorEnv``; finished episodes carry SB3's ``episode`` statistics.

    ``SB3VecEnv(gym.make_vec("SFV-Walk-v0", num_envs=256,
    vectorization_mode="vector_entry_point").unwrapped)``

    The environments of a batch have one set of attributes and methods: ``get_attr`` answers for
    those that are asked for, ``set_attr`` and ``env_method`` take all environments or none.

    Raises:
        SettingError: the environment does not reset in the same step, as SB3 has it.
    """

    def __init__(self, envs: ImitationVectorEnv) -> None:
        if envs.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise SettingError(
                "Stable-Baselines3 needs autoreset_mode=AutoresetMode.SAME_STEP, it is "
                f"{envs.autoreset_mode}"
            )
        self.envs = envs
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)
        self.metadata = envs.metadata
        self.render_mode = envs.render_mode
        self._actions = np.zeros(0)
        self._returns = np.zeros(envs.num_envs)
        self._lengths = np.zeros(envs.num_envs, int)
        self._started = time.time()

    def reset(self) -> np.ndarray:
        """First observations (N, D), by the seeds that ``seed`` set, which count only once."""
        seed = [None if s is None else int(s) for s in self._seeds]
        observation, info = self.envs.reset(seed=seed)
        self.reset_infos = self._split(info)
        self._reset_seeds()
        self._reset_options()
        self._returns[:] = 0.0
        self._lengths[:] = 0
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions (N, A) for ``step_wait``: no other process could play them meanwhile."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Play the actions of ``step_async``.

        Returns:
            Observations (N, D), where an episode has ended the next one's first; rewards (N,); done
            (N,), terminated or truncated; infos, of an ended episode those of its last step, in
            which ``TimeLimit.truncated`` tells the two apart.
        """
        observation, reward, terminated, truncated, info = self.envs.step(self._actions)
        done = terminated | truncated
        self._returns += reward
        self._lengths += 1
        infos = self._split(info)
        if done.any():
            last = self._split(info["final_info"])
            seconds = round(time.time() - self._started, 6)
            for i in np.flatnonzero(done):
                self.reset_infos[i] = infos[i]  # of the episode that has begun
                infos[i] = {
                    **last[i],
                    "terminal_observation": info["final_obs"][i],
                    "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
                    "episode": {
                        "r": float(self._returns[i]), "l": int(self._lengths[i]), "t": seconds
                    },
                }  # fmt: skip
        self._returns[done] = 0.0
        self._lengths[done] = 0
        return observation, reward.astype(np.float32), done, infos

    def _split(self, info: dict[str, Any]) -> list[dict[str, Any]]:
        """The figures (N,) in ``info`` as a dict for each environment."""
        names = [name for name in info if not name.startswith(("_", "final_"))]
        columns = [info[name].tolist() for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def close(self) -> None:
        """Close the batch itself, which somebody else may have made."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The batch's attribute, the same object once for each environment asked for."""
        return [getattr(self.envs, attr_name)] * len(self._rows(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set one of ``SETTABLE`` on the batch.

        Raises:
            SettingError: it cannot be set, or not on these environments alone.
        """
        if attr_name not in SETTABLE:
            raise SettingError(
                f"{attr_name} cannot be set: make the environment anew with it; what can: "
                f"{', '.join(SETTABLE)}"
            )
        self._all(attr_name, indices)
        setattr(self.envs, attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any
    ) -> list[Any]:
        """Call the batch's method once; every environment gets the one result.

        Raises:
            SettingError: not all environments are asked for.
        """
        rows = self._all(method_name, indices)
        return [getattr(self.envs, method_name)(*args, **kwargs)] * len(rows)

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Never: the environments of a batch have no wrappers of their own."""
        return [False] * len(self._rows(indices))

    def get_images(self) -> list[np.ndarray | None]:
        """A picture of each environment, and none at all without ``render_mode="rgb_array"``."""
        return list(self.envs.render() or [])

    def _rows(self, indices: Any) -> list[int]:
        return list(self._get_indices(indices))

    def _all(self, name: str, indices: Any) -> list[int]:
        """The environments asked for; SettingError where they are not all."""
        rows = self._rows(indices)
        if sorted(set(rows)) != list(range(self.num_envs)):
            raise SettingError(
                f"{name} is of all {self.num_envs} environments together, it was asked for {rows}"
            )
        return rows
