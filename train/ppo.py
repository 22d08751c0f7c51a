"""Train a policy with Stable-Baselines3's PPO on the batched environment.

A run lives in one folder: ``config.json``, ``checkpoint.zip`` and ``normalization.pkl`` (to go
on from), ``policy.safetensors`` (the best so far), ``card.json``, ``curve.jsonl``, TensorBoard
events. Killed at any moment, it goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import stable_baselines3
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from sfv_gym.envs.initialization import ReferenceStateInitialization
from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.errors import OutputError, SFVError
from sfv_gym.evaluation import Evaluation, evaluate
from sfv_gym.files import atomic_path
from sfv_gym.policy import OBSERVATION_CLIP, Policy
from sfv_gym.registry import get_entry, load_motion
from sfv_gym.train.config import PPOConfig

CHECKPOINT, NORMALIZATION = "checkpoint.zip", "normalization.pkl"
EVALUATION_EPISODES = 20


def train(
    env_id: str,
    run_dir: str | os.PathLike[str],
    *,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = False,
    num_threads: int = 1,
    device: str = "cpu",
    evaluate_every: int = 250_000,
    progress: bool = True,
    settings: dict[str, Any] | None = None,
) -> Evaluation:
    """Train ``env_id`` in ``run_dir`` and return the best policy's evaluation.

    Args:
        steps: control steps over all environments; by default the recipe's.
        resume: go on in a folder that holds a checkpoint, with its settings.
        num_threads: of the physics and of torch. One each for two runs side by side.
        evaluate_every: control steps between two evaluations, each of which also writes a
            checkpoint.
        settings: overrides of single ``PPOConfig`` fields.

    Raises:
        UnknownIdError, OutputError: the id is not registered; the folder holds another run or
            cannot be written.
        SFVError: there is nothing to resume, the motion or a setting is not that of the run to
            resume, or a setting is unknown.
    """
    entry = get_entry(env_id)
    folder = Path(run_dir)
    motion = load_motion(entry.motion)
    config, seed = _open_run(folder, env_id, steps, seed, resume, settings, motion.content_hash())
    torch.set_num_threads(num_threads)
    envs = ImitationVectorEnv(
        motion,
        config.num_envs,
        num_threads=num_threads,
        character=entry.character,
        terrain=entry.terrain,
        reward=config.reward,
        initialization=ReferenceStateInitialization(first_frame=config.first_frame),
        horizon=config.horizon,
    )
    adapter = SB3VecEnv(envs)
    if resume:
        normalized = VecNormalize.load(str(folder / NORMALIZATION), adapter)
        model = PPO.load(folder / CHECKPOINT, env=normalized, device=device)
        # the start states drawn so far must not come again
        adapter.seed(seed + model.num_timesteps)
    else:
        normalized = VecNormalize(adapter, norm_reward=False, clip_obs=OBSERVATION_CLIP)
        model = _new_model(normalized, config, seed, device, folder)
    callback = _Recorder(env_id, folder, config, seed, evaluate_every, progress)
    remaining = config.steps - model.num_timesteps
    try:
        if remaining > 0:
            model.learn(remaining, callback=callback, reset_num_timesteps=False, tb_log_name="ppo")
    except KeyboardInterrupt:
        callback.checkpoint()
        raise
    finally:
        callback.close()
        adapter.close()
    if callback.best is None:
        return Evaluation(**json.loads((folder / "card.json").read_text())["evaluation"])
    return callback.best


def _open_run(
    folder: Path,
    env_id: str,
    steps: int | None,
    seed: int,
    resume: bool,
    settings: dict[str, Any] | None,
    motion_hash: str,
) -> tuple[PPOConfig, int]:
    """Settings and seed of a new run, which are written down, or of the one to resume."""
    config_file = folder / "config.json"
    if resume:
        if not (config_file.is_file() and (folder / CHECKPOINT).is_file()):
            raise SFVError(f"{folder} holds no checkpoint to resume; start it without --resume")
        saved = json.loads(config_file.read_text())
        if saved["env_id"] != env_id:
            raise SFVError(f"{folder} is a run of {saved['env_id']}, not of {env_id}")
        if saved["motion_hash"] != motion_hash:
            raise SFVError(
                f"the motion of {env_id} has changed since the run in {folder} began, and scores "
                "before and after could not be compared; start a new run"
            )
        for name, value in (settings or {}).items():
            if value is not None and value != saved["ppo"].get(name):
                raise SFVError(f"{name} cannot be changed in a run that goes on; start a new one")
        ppo = saved["ppo"] if steps is None else {**saved["ppo"], "steps": steps}
        return PPOConfig(**{**ppo, "hidden": tuple(ppo["hidden"])}), int(saved["seed"])
    if (folder / CHECKPOINT).is_file():
        raise OutputError(f"{folder} already holds a run; add --resume or choose another folder")
    config = PPOConfig.for_env(env_id, steps=steps, **(settings or {}))
    with atomic_path(config_file) as temporary:
        saved = {"env_id": env_id, "motion_hash": motion_hash, "seed": seed}
        temporary.write_text(json.dumps({**saved, "ppo": config.as_dict()}, indent=1))
    return config, seed


def _new_model(env: VecNormalize, config: PPOConfig, seed: int, device: str, folder: Path) -> PPO:
    return PPO(
        "MlpPolicy",
        env,
        learning_rate=_linear(config.learning_rate, config.final_learning_rate),
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        n_epochs=config.n_epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=config.ent_coef,
        vf_coef=config.vf_coef,
        max_grad_norm=config.max_grad_norm,
        tensorboard_log=str(folder / "tensorboard"),
        policy_kwargs={
            "net_arch": list(config.hidden),
            "activation_fn": torch.nn.ReLU,
            "log_std_init": config.log_std_init,
        },
        seed=seed,
        device=device,
    )


def _linear(start: float, end: float) -> Callable[[float], float]:
    def rate(progress_remaining: float) -> float:
        # a rollout may overshoot the steps asked for
        return end + (start - end) * max(progress_remaining, 0.0)

    return rate


def export_policy(model: PPO, card: dict[str, Any]) -> Policy:
    """The deterministic policy inside an SB3 model, as plain arrays."""
    env = model.get_vec_normalize_env()
    assert env is not None and isinstance(env.obs_rms, RunningMeanStd)
    network = [*model.policy.mlp_extractor.policy_net, model.policy.action_net]
    layers = [module for module in network if isinstance(module, torch.nn.Linear)]

    def array(tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().cpu().numpy().astype(np.float32)

    return Policy(
        mean=env.obs_rms.mean.astype(np.float32),
        std=np.sqrt(env.obs_rms.var + env.epsilon).astype(np.float32),
        layers=[(array(layer.weight), array(layer.bias)) for layer in layers],
        card=card,
    )


class _Recorder(BaseCallback):
    """Progress bar, evaluations, the best policy, and checkpoints."""

    def __init__(
        self,
        env_id: str,
        folder: Path,
        config: PPOConfig,
        seed: int,
        evaluate_every: int,
        progress: bool,
    ) -> None:
        super().__init__()
        self.env_id, self.folder, self.config, self.run_seed = env_id, folder, config, seed
        self.evaluate_every = evaluate_every
        self.best: Evaluation | None = None
        self._next_evaluation = 0
        self._recorded_at = -1
        self._seconds_before = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not progress,
        )

    def _on_training_start(self) -> None:
        self._started = time.monotonic()
        card = self.folder / "card.json"
        curve = self.folder / "curve.jsonl"
        if self.model.num_timesteps and card.is_file() and curve.is_file():
            self.best = Evaluation(**json.loads(card.read_text())["evaluation"])
            self._seconds_before = json.loads(curve.read_text().splitlines()[-1])["seconds"]
        self._next_evaluation = self.model.num_timesteps + self.evaluate_every
        self._task = self._progress.add_task(
            self.env_id, total=self.config.steps, completed=self.model.num_timesteps
        )
        self._progress.start()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.model.num_timesteps >= self._next_evaluation:
            self._next_evaluation += self.evaluate_every
            self._record()
        mean = np.mean([e["r"] / e["l"] for e in self.model.ep_info_buffer or []] or [0.0])
        self._progress.update(
            self._task,
            completed=self.model.num_timesteps,
            description=f"{self.env_id}  reward per step {mean:.2f}",
        )

    def _on_training_end(self) -> None:
        self._record()

    def close(self) -> None:
        """Give the terminal back, whatever ended the training."""
        self._progress.stop()

    def _record(self) -> None:
        """Evaluate, keep the policy if it is the best so far, and write a checkpoint."""
        if self._recorded_at == self.model.num_timesteps:
            return
        self._recorded_at = self.model.num_timesteps
        assert isinstance(self.model, PPO)
        policy = export_policy(self.model, {})
        evaluation = evaluate(policy.predict, self.env_id, episodes=EVALUATION_EPISODES)
        seconds = self._seconds_before + time.monotonic() - self._started
        figures = {"samples": self.model.num_timesteps, "seconds": round(seconds, 1)}
        for name, value in evaluation.as_dict().items():
            if isinstance(value, float):
                self.logger.record(f"evaluation/{name}", value)
        with open(self.folder / "curve.jsonl", "a") as file:
            file.write(json.dumps({**figures, **evaluation.as_dict()}) + "\n")
        self._progress.console.print(
            f"{self.env_id} after {self.model.num_timesteps:,} samples, {seconds / 60:.1f} min: "
            f"normalized return {evaluation.normalized_return:.3f}, "
            f"success {evaluation.success_rate:.2f}"
        )
        if self.best is None or _score(evaluation) > _score(self.best):
            self.best = evaluation
            policy.card = self._card(figures, evaluation)
            policy.save(self.folder / "policy.safetensors")
            with atomic_path(self.folder / "card.json") as temporary:
                temporary.write_text(json.dumps(policy.card, indent=1))
        self.checkpoint()

    def checkpoint(self) -> None:
        """Write what ``resume`` goes on from."""
        with atomic_path(self.folder / CHECKPOINT) as temporary:
            self.model.save(temporary)
        normalized = self.model.get_vec_normalize_env()
        assert normalized is not None
        with atomic_path(self.folder / NORMALIZATION) as temporary:
            normalized.save(str(temporary))

    def _card(self, figures: dict[str, Any], evaluation: Evaluation) -> dict[str, Any]:
        motion = load_motion(get_entry(self.env_id).motion)
        return {
            "env_id": self.env_id,
            "motion_hash": motion.content_hash(),
            "motion_source": motion.provenance.get("source"),
            "algorithm": "PPO",
            "settings": self.config.as_dict(),
            "seed": self.run_seed,
            **figures,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "threads": torch.get_num_threads(),
            "mujoco_version": mujoco.__version__,
            "stable_baselines3_version": stable_baselines3.__version__,
            "torch_version": torch.__version__,
            "evaluation": evaluation.as_dict(),
        }


def _score(evaluation: Evaluation) -> tuple[float, float]:
    return (round(evaluation.success_rate, 1), evaluation.normalized_return)
