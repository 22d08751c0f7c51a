"""Stable-Baselines3's algorithms, sb3-contrib's and SBX's, as agents of the benchmark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise, VectorizedActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sfv_gym.benchmarks.suites import Suite, SuiteTask
from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.errors import SFVError
from sfv_gym.play.policy import OBSERVATION_CLIP
from sfv_gym.train.config import PPOConfig

CHECKPOINTS = 10
"""Checkpoints of a run."""
_OF_TRAINING = (
    "num_envs",
    "n_steps",
    "batch_size",
    "n_epochs",
    "learning_rate",
    "final_learning_rate",
    "clip_range",
    "gamma",
    "gae_lambda",
    "ent_coef",
    "vf_coef",
    "max_grad_norm",
    "hidden",
    "log_std_init",
)
"""Settings of PPO that `sfv train` and the benchmark have in common, kept in one place."""


def load_settings(name: str, suite: Suite, task: SuiteTask) -> dict[str, Any]:
    """The hyperparameters in ``hyperparams/<name>.yml``: its defaults, then the suite's own."""
    folder = resources.files("sfv_gym.benchmarks").joinpath("hyperparams")
    table: dict[str, dict[str, Any]] = yaml.safe_load(folder.joinpath(f"{name}.yml").read_text())
    unknown = sorted(set(table) - {"default"} - {suite.family} - _families())
    if unknown:
        raise SFVError(f"hyperparams/{name}.yml: there is no suite {', '.join(unknown)}")
    settings: dict[str, Any] = {}
    if name == "ppo":
        config = PPOConfig.for_env(task.env_id).as_dict()
        settings = {key: config[key] for key in _OF_TRAINING}
        settings["hidden"] = list(settings["hidden"])
    return {**settings, **(table.get("default") or {}), **(table.get(suite.family) or {})}


def _families() -> set[str]:
    from sfv_gym.benchmarks.suites import SUITES

    return {suite.family for suite in SUITES}


class SB3Agent:
    """One model of Stable-Baselines3's kind, with normalised observations.

    Args:
        kind: the class, such as ``stable_baselines3.SAC``.
        settings: keywords of the class, except for ``num_envs``, ``normalize`` (observations,
            True by default), ``policy`` (``"MlpPolicy"``), ``hidden`` and ``log_std_init`` (of
            the networks), ``final_learning_rate`` (the rate falls to it linearly),
            ``action_noise`` (standard deviation in rad, of the exploring actions).
    """

    def __init__(self, kind: type[BaseAlgorithm], settings: dict[str, Any]) -> None:
        self.kind, self.settings = kind, dict(settings)
        self.num_envs = int(settings.get("num_envs", 16))
        self._checkpoint: Path | None = None
        self._model: BaseAlgorithm | None = None
        self._normalizer: VecNormalize | None = None

    def resume(self, logdir: Path) -> int:
        """Find the newest checkpoint; ``learn`` will load it, since it needs the environment."""
        self._checkpoint = max(logdir.glob("checkpoint-*"), default=None)
        return int(self._checkpoint.name.split("-")[1]) if self._checkpoint else 0

    def learn(self, env: ImitationVectorEnv, steps: int, seed: int, logdir: Path) -> None:
        """As an ``Agent``; goes on from the checkpoint that ``resume`` found, if any."""
        venv: VecEnv = SB3VecEnv(env)
        done = 0
        if self._checkpoint is None:
            if self.settings.get("normalize", True):
                venv = self._normalizer = VecNormalize(
                    venv, norm_reward=False, clip_obs=OBSERVATION_CLIP
                )
            self._model = self._new_model(venv, seed, steps)
        else:
            if self.settings.get("normalize", True):
                venv = self._normalizer = VecNormalize.load(
                    str(self._checkpoint / "normalizer.pkl"), venv
                )
            self._model = self.kind.load(self._checkpoint / "model.zip", env=venv, device="cpu")
            if isinstance(self._model, OffPolicyAlgorithm):
                self._model.load_replay_buffer(self._checkpoint / "replay_buffer.pkl")
            done = self._model.num_timesteps
            venv.seed(seed)  # of the part that begins here: see TrainingEnv
        if steps > done:
            callback = _Checkpoints(logdir, max(1, steps // CHECKPOINTS))
            self._model.learn(
                steps - done,
                callback=callback,
                log_interval=None,  # type: ignore[arg-type]  # None: no log; so says every subclass
                reset_num_timesteps=False,
            )

    def predict(self, observations: np.ndarray) -> np.ndarray:
        """The model's deterministic actions (N, A) for raw observations (N, D)."""
        assert self._model is not None, "learn comes first"
        if self._normalizer is not None:
            observations = np.asarray(self._normalizer.normalize_obs(observations))
        actions, _ = self._model.predict(observations, deterministic=True)
        return actions

    def _new_model(self, venv: VecEnv, seed: int, steps: int) -> BaseAlgorithm:
        own = {key: value for key, value in self.settings.items() if key not in _NOT_KEYWORDS}
        if "buffer_size" in own:  # what will never be filled would be written to every checkpoint
            own["buffer_size"] = min(own["buffer_size"], max(steps, self.num_envs))
        rate = self.settings.get("learning_rate")
        final = self.settings.get("final_learning_rate")
        if rate is not None and final is not None:
            own["learning_rate"] = _linear(float(rate), float(final))
        if self.settings.get("action_noise"):
            size = venv.action_space.shape[0]  # type: ignore[index]
            noise = NormalActionNoise(np.zeros(size), np.full(size, self.settings["action_noise"]))
            own["action_noise"] = VectorizedActionNoise(noise, venv.num_envs)
        network: dict[str, Any] = {}
        if "hidden" in self.settings:
            network["net_arch"] = list(self.settings["hidden"])
        if "log_std_init" in self.settings:
            network["log_std_init"] = self.settings["log_std_init"]
        if not self.kind.__module__.startswith("sbx") and "hidden" in self.settings:
            import torch  # SBX's networks are JAX's, with ReLUs already

            network["activation_fn"] = torch.nn.ReLU
        policy = self.settings.get("policy", "MlpPolicy")
        return self.kind(policy, venv, seed=seed, device="cpu", policy_kwargs=network, **own)


_NOT_KEYWORDS = {
    "num_envs",
    "normalize",
    "policy",
    "hidden",
    "log_std_init",
    "final_learning_rate",
    "action_noise",
}


def _linear(start: float, end: float) -> Callable[[float], float]:
    # a rollout may overshoot the steps asked for
    return lambda remaining: end + (start - end) * max(remaining, 0.0)


class _Checkpoints(BaseCallback):
    """Writes ``checkpoint-<samples>`` folders, each whole or not at all, and keeps the last."""

    def __init__(self, folder: Path, every: int) -> None:
        super().__init__()
        self.folder, self.every = folder, every
        self._next = every

    def _on_training_start(self) -> None:
        self._next = self.model.num_timesteps + self.every

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        # here the last rollout has been learned from and nothing of the next one is there
        if self.model.num_timesteps < self._next:
            return
        self._next = self.model.num_timesteps + self.every
        final = self.folder / f"checkpoint-{self.model.num_timesteps:010d}"
        temporary = self.folder / f".{final.name}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        self.model.save(temporary / "model.zip")
        normalizer = self.model.get_vec_normalize_env()
        if normalizer is not None:
            normalizer.save(str(temporary / "normalizer.pkl"))
        if isinstance(self.model, OffPolicyAlgorithm):
            self.model.save_replay_buffer(temporary / "replay_buffer.pkl")
        older = list(self.folder.glob("checkpoint-*"))
        os.replace(temporary, final)
        for folder in older:
            shutil.rmtree(folder, ignore_errors=True)
