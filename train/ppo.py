"""Train a policy with Stable-Baselines3's PPO on the batched environment.

A run lives in one folder: see ``runs``. Killed at any moment, it goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, replace
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
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.envs.starts import Initialization, get_initialization
from sfv_gym.envs.task import Task
from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.errors import OutputError, SettingError, SFVError
from sfv_gym.files import atomic_path, locked_folder, write_json
from sfv_gym.play.evaluation import Evaluation, evaluate, publish
from sfv_gym.play.policy import OBSERVATION_CLIP, Policy
from sfv_gym.registry import find_motion
from sfv_gym.seeds import Purpose, checked_seed, stream
from sfv_gym.train.config import PPOConfig
from sfv_gym.train.curriculum import Curriculum
from sfv_gym.train.curve import draw_curve
from sfv_gym.train.device import check_device, check_threads
from sfv_gym.train.install import rank
from sfv_gym.train.lean_ppo import LeanPPO
from sfv_gym.train.runs import (
    CARD,
    CHECKPOINT,
    CONFIG,
    CURVE,
    PICTURE,
    POLICY,
    PROGRESS,
    read_curve,
    read_json,
)
from sfv_gym.train.schedule import Annealing, begin_annealing, learning_rate
from sfv_gym.train.warm_start import is_of_another_body, warm_start

SELECTION_EPISODES = 20
EVALUATE_EVERY = 250_000
ENDING_SETTINGS = frozenset(("anneal_steps", "target_success", "target_evaluations"))
"""What may be changed while a run goes on: it says when to end, not how to learn."""
RUN_OFF_EPISODES = 64
"""Of the comparison between the best policy and the last one, at the end of a run."""


def train(
    env_id: str,
    run_dir: str | os.PathLike[str],
    *,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = False,
    init: str | os.PathLike[str] | None = None,
    num_threads: int = 1,
    device: str = "cpu",
    evaluate_every: int = EVALUATE_EVERY,
    progress: bool = True,
    settings: dict[str, Any] | None = None,
    keep_going: Callable[[], bool] | None = None,
    wait: float = 0.0,
) -> Evaluation:
    """Train ``env_id`` in ``run_dir`` and return the best policy's evaluation.

    Args:
        steps: budget in control steps over all environments; by default the recipe's. A run that
            is good for long enough ends before (see ``schedule``).
        resume: go on in a folder that holds a checkpoint, with its settings.
        init: a policy file to start from; see ``warm_start``.
        num_threads: of the physics and of torch. One each for two runs side by side.
        evaluate_every: control steps between two evaluations, each of which also writes a
            checkpoint.
        settings: overrides of single ``PPOConfig`` fields.
        keep_going: asked once a rollout; False interrupts the run as Ctrl-C does.
        wait: seconds to wait for another process that is about to leave the folder.

    Raises:
        UnknownIdError, OutputError: the id is not registered; the folder holds another run, is
            in use, or cannot be written.
        SettingError: a setting is unknown or out of its range, or so are seed, threads, device.
        SFVError: there is nothing to resume, or the motion or a setting is not that of the run to
            resume.
        PolicyError: ``init`` is no policy, or its shapes do not fit.
        KeyboardInterrupt: after a checkpoint.
    """
    folder = Path(run_dir)
    task = Task.of(env_id)
    if resume and not (folder / CHECKPOINT).is_file():
        raise SFVError(f"{folder} holds no checkpoint to resume; start it without --resume")
    # what is wrong with the settings is said before there is a folder
    PPOConfig.for_env(env_id, steps=steps, **(settings or {}))
    seed = checked_seed(seed)
    check_threads(num_threads)
    check_device(device)
    if evaluate_every < 1:
        raise SettingError(f"evaluate_every must be at least 1, not {evaluate_every}")
    start_from = None if init is None or resume else Policy.load(init)
    torch.set_num_threads(num_threads)
    with locked_folder(folder, f"another process is training in {folder}", wait=wait):
        config, seed = _open_run(
            folder,
            env_id,
            steps,
            seed,
            resume,
            settings,
            task.motion.content_hash(),
            start_from,
        )
        task = Task.of(
            task,
            reward=config.reward,
            initialization=_initialization(config),
            horizon=config.horizon,
            failure_cost=config.failure_cost,
        )
        envs = ImitationVectorEnv(task, config.num_envs, num_threads=num_threads)
        adapter = SB3VecEnv(envs)
        normalized = VecNormalize(adapter, norm_reward=False, clip_obs=OBSERVATION_CLIP)
        if resume:
            model = _load_model(folder / CHECKPOINT, normalized, device)
            envs.simulation.starts.restore(model.extra.get("starts", {}))
        else:
            model = _new_model(normalized, config, seed, device, folder)
            if start_from is not None:
                new_body = is_of_another_body(start_from, env_id)
                warm_start(model, normalized, start_from, config.warm_log_std, new_body=new_body)
                model.critic_only_until = config.critic_warmup
        # by parts, since start states that were drawn before must not come again
        adapter.seed(stream(Purpose.TRAINING, seed, model.num_timesteps))
        recorder = _Recorder(
            env_id, folder, config, seed, evaluate_every, progress, keep_going, init
        )
        try:
            # even with nothing left, it evaluates what an interruption kept from being evaluated
            remaining = 0 if recorder.has_ended(model) else config.steps - model.num_timesteps
            model.learn(
                max(remaining, 0),
                callback=recorder,
                reset_num_timesteps=False,
                tb_log_name="ppo",
            )
            return recorder.finish(model)
        except KeyboardInterrupt:
            recorder.checkpoint()
            raise
        finally:
            recorder.close()
            adapter.close()


def _initialization(config: PPOConfig) -> Initialization:
    return get_initialization(
        config.initialization,
        first_frame=config.first_frame,
        position_noise=config.position_noise,
    )


def _open_run(
    folder: Path,
    env_id: str,
    steps: int | None,
    seed: int,
    resume: bool,
    settings: dict[str, Any] | None,
    motion_hash: str,
    start_from: Policy | None,
) -> tuple[PPOConfig, int]:
    """Settings and seed of a new run, which are written down, or of the one to resume."""
    if resume:
        saved = read_json(folder / CONFIG)
        if saved.get("env_id") != env_id:
            raise SFVError(f"{folder} is a run of {saved.get('env_id')}, not of {env_id}")
        if not isinstance(saved.get("ppo"), dict):
            raise SFVError(f"{folder / CONFIG} is damaged: it holds no settings; start a new run")
        if saved.get("motion_hash") != motion_hash:
            raise SFVError(
                f"the motion of {env_id} has changed since the run in {folder} began, and scores "
                "before and after could not be compared; start a new run"
            )
        asked = {k: v for k, v in (settings or {}).items() if v is not None}
        was = PPOConfig.for_env(env_id, **saved["ppo"])
        wanted = PPOConfig.for_env(env_id, **asked)
        for name in asked:  # as typed values: 5e-4 may have been given as text
            changed = name in saved["ppo"] and getattr(was, name) != getattr(wanted, name)
            if name not in ENDING_SETTINGS and changed:
                raise SFVError(f"{name} cannot be changed in a run that goes on; start a new one")
        asked["steps"] = steps or was.steps
        config = PPOConfig.for_env(env_id, **{**saved["ppo"], **asked})
        seed = checked_seed(saved.get("seed"))
    else:
        if (folder / CHECKPOINT).is_file():
            raise OutputError(
                f"{folder} already holds a run; add --resume or choose another folder"
            )
        config = PPOConfig.for_env(env_id, steps=steps, **(settings or {}))
        if start_from is not None:
            given = {name for name, value in (settings or {}).items() if value is not None}
            config = replace(config, **_warm_settings(config, env_id, start_from, given))
        for name in (CURVE, CARD, POLICY, PROGRESS):  # of a run that was killed very early
            (folder / name).unlink(missing_ok=True)
    identity = {"env_id": env_id, "motion_hash": motion_hash, "seed": seed}
    write_json(folder / CONFIG, {**identity, "ppo": config.as_dict()})
    return config, seed


def _warm_settings(
    config: PPOConfig, env_id: str, start_from: Policy, given: set[str]
) -> dict[str, Any]:
    """What a run that begins with a policy has otherwise, unless it was given."""
    rate, log_std = config.warm_learning_rate, config.warm_log_std
    if is_of_another_body(start_from, env_id):
        rate, log_std = config.new_body_learning_rate, config.new_body_log_std
    warm = {"learning_rate": rate, "warm_log_std": log_std}
    return {name: value for name, value in warm.items() if name not in given}


def _load_model(checkpoint: Path, env: VecNormalize, device: str) -> LeanPPO:
    """The model in a checkpoint, and its normalisation of observations in ``env``."""
    try:
        model = LeanPPO.load(checkpoint, env=env, device=device)
        env.obs_rms = model.extra["normalization"]
    except (KeyError, ValueError, OSError, EOFError, RuntimeError) as error:
        raise SFVError(f"{checkpoint} cannot be gone on from: {error}; start a new run") from None
    return model


def _new_model(
    env: VecNormalize, config: PPOConfig, seed: int, device: str, folder: Path
) -> LeanPPO:
    return LeanPPO(
        "MlpPolicy",
        env,
        learning_rate=config.learning_rate,
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
            # one call for all parameters
            "optimizer_kwargs": {"eps": 1e-5, "fused": True},
        },
        seed=seed,
        device=device,
    )


def export_policy(model: LeanPPO, card: dict[str, Any]) -> Policy:
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


INIT_FACTS = ("init", "samples_before", "seconds_before")
"""What a card says of the policy that a run began with: its file, and all that went into it."""


def _what_was_given(init: Path) -> dict[str, Any]:
    card = Policy.load(init).card
    spent = {
        f"{name}_before": card.get(f"{name}_total", card.get(name, 0))
        + card.get(f"{name}_before", 0)
        for name in ("samples", "seconds")
    }
    # its path says nothing elsewhere, and in a run's folder neither does its name
    return {"init": f"{card.get('env_id', init.stem)}.safetensors", **spent}


class _Recorder(BaseCallback):
    """Learning rate, evaluations, the best policy, checkpoints, and the end of a run."""

    model: LeanPPO

    def __init__(
        self,
        env_id: str,
        folder: Path,
        config: PPOConfig,
        seed: int,
        evaluate_every: int,
        progress: bool,
        keep_going: Callable[[], bool] | None,
        init: str | os.PathLike[str] | None,
    ) -> None:
        super().__init__()
        self.env_id, self.folder, self.config, self.run_seed = env_id, folder, config, seed
        self.evaluate_every, self.keep_going = evaluate_every, keep_going
        self.init: dict[str, Any] = {} if init is None else _what_was_given(Path(init))
        self.annealing: Annealing | None = None
        self.curriculum: Curriculum | None = None
        self.curve: list[dict[str, Any]] = []
        self.best: Evaluation | None = None
        self._begun = False
        self._next_evaluation = 0
        self._seconds_before, self._samples_before = 0.0, 0
        self._started = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not progress,
        )

    # --- where the run is ---------------------------------------------------------------------

    def has_ended(self, model: LeanPPO) -> bool:
        """Whether the run in the checkpoint had ended, under the budget that it has now."""
        saved = model.extra.get("annealing")
        if saved is None:
            return False
        annealing = Annealing(**saved)
        if annealing.reason == "budget" and annealing.start + annealing.length < self.config.steps:
            model.extra["annealing"] = None  # the budget was raised: learn on at the full rate
            return False
        return annealing.is_over(model.num_timesteps)

    def _on_training_start(self) -> None:
        model, samples = self.model, self.model.num_timesteps
        # what was written after the checkpoint will come again
        self.curve = read_curve(self.folder, until=samples)
        self._write_curve()
        card = read_json(self.folder / CARD)
        if card:
            self.best = Evaluation.from_dict(card.get("selection", card["evaluation"]))
            self.init = {name: card[name] for name in INIT_FACTS if name in card}
        saved = model.extra.get("annealing")
        self.annealing = Annealing(**saved) if saved else None
        saved = model.extra.get("curriculum")
        if saved:
            self.curriculum = Curriculum(**saved)
        elif not Task.of(self.env_id).terrain.is_flat:
            self.curriculum = Curriculum.begin(self.config)
        self._seconds_before, self._samples_before = model.extra.get("seconds", 0.0), samples
        self._next_evaluation = samples + self.evaluate_every
        self._started = time.monotonic()
        self._task = self._progress.add_task(
            self.env_id, total=self.config.steps, completed=samples
        )
        self._progress.start()
        self._begun = True
        if self.init.get("init") and not samples:  # never to end with less than it began with
            self._record()

    @property
    def seconds(self) -> float:
        """Spent on the run, those of earlier processes included."""
        return self._seconds_before + time.monotonic() - self._started

    def _on_rollout_start(self) -> None:
        samples = self.model.num_timesteps
        if self.annealing is None:
            self.annealing = begin_annealing(self.config, self.curve, samples)
        self.model.learning_rate_now = learning_rate(self.config, self.annealing, samples)
        self.model.extra["annealing"] = asdict(self.annealing) if self.annealing else None
        if self.annealing is not None and self.annealing.is_over(samples):
            self.model.stop = True
        if self.curriculum is not None:
            self.curriculum.adapt(self.config)
            difficulty = self.curriculum.draw(self.run_seed, samples)
            self.training_env.env_method("set_difficulty", difficulty)
            self.logger.record("train/hardest_terrain", self.curriculum.limit)
            self.model.extra["curriculum"] = self.curriculum.as_dict()

    def _on_step(self) -> bool:
        if self.curriculum is not None:
            ended = [info for info in self.locals["infos"] if "episode" in info]
            self.curriculum.count(len(ended), sum(i["TimeLimit.truncated"] for i in ended))
        return True

    def _on_rollout_end(self) -> None:
        if self.model.num_timesteps >= self._next_evaluation:
            self._next_evaluation += self.evaluate_every
            self._record()
        self._report()
        if self.keep_going is not None and not self.keep_going():
            raise KeyboardInterrupt

    def _on_training_end(self) -> None:
        self._record()

    def close(self) -> None:
        """Give the terminal back, whatever ended the training."""
        self._progress.stop()

    def _report(self) -> None:
        """Say how far the run is, on the screen and in ``progress.json``."""
        samples = self.model.num_timesteps
        mean = np.mean([e["r"] / e["l"] for e in self.model.ep_info_buffer or []] or [0.0])
        rate = (samples - self._samples_before) / max(time.monotonic() - self._started, 1e-3)
        figures = {
            "samples": samples,
            "budget": self.config.steps,
            "ends_at": (
                self.annealing.start + self.annealing.length
                if self.annealing
                else self.config.steps
            ),
            "annealing": self.annealing is not None,
            "seconds": round(self.seconds, 1),
            "samples_per_second": round(rate, 1),
            "reward_per_step": round(float(mean), 4),
            "hardest_terrain": self.curriculum.limit if self.curriculum else None,
        }
        write_json(self.folder / PROGRESS, figures)
        self._progress.update(
            self._task,
            completed=samples,
            total=figures["ends_at"],
            description=f"{self.env_id}  reward per step {mean:.2f}"
            + ("  annealing" if self.annealing else ""),
        )

    # --- what is kept ---------------------------------------------------------------------------

    def _record(self) -> None:
        """Evaluate, keep the policy if it is the best so far, and write a checkpoint."""
        samples = self.model.num_timesteps
        if self.curve and self.curve[-1]["samples"] == samples:
            return
        policy = export_policy(self.model, {})
        evaluation = evaluate(
            policy.predict,
            self.env_id,
            episodes=SELECTION_EPISODES,
            seed=stream(Purpose.SELECTION, self.run_seed),
        )
        figures = {"samples": samples, "seconds": round(self.seconds, 1)}
        for name, value in evaluation.as_dict().items():
            if isinstance(value, float):
                self.logger.record(f"evaluation/{name}", value)
        self.curve.append({**figures, **evaluation.as_dict()})
        self._write_curve()
        self._progress.console.print(
            f"{self.env_id} after {samples:,} samples, {self.seconds / 60:.1f} min: "
            f"normalized return {evaluation.normalized_return:.3f}, "
            f"success {evaluation.success_rate:.2f}"
        )
        if self.best is None or rank(evaluation) > rank(self.best):
            self.best = evaluation
            self._save(policy, {**self._card(figures), "evaluation": evaluation.as_dict()})
        self.checkpoint()

    def _write_curve(self) -> None:
        with atomic_path(self.folder / CURVE) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in self.curve))
        start = self.annealing.start if self.annealing else None
        draw_curve(self.curve, self.folder / PICTURE, start)

    def _save(self, policy: Policy, card: dict[str, Any]) -> None:
        """The card last: it is what tells of the policy."""
        policy.card = card
        policy.save(self.folder / POLICY)
        write_json(self.folder / CARD, card)

    def checkpoint(self) -> None:
        """Write what ``resume`` goes on from, in one file."""
        if not self._begun:  # interrupted before there was anything to keep
            return
        model = self.model
        normalized = model.get_vec_normalize_env()
        assert normalized is not None
        model.extra["normalization"] = normalized.obs_rms
        [simulation] = set(self.training_env.get_attr("simulation"))
        model.extra["starts"] = simulation.starts.state()
        model.extra["seconds"] = self.seconds
        with atomic_path(self.folder / CHECKPOINT) as temporary:
            model.save(temporary)

    def finish(self, model: LeanPPO) -> Evaluation:
        """Evaluate the best policy by the whole protocol, and say in the card that this is it."""
        card = read_json(self.folder / CARD)
        if "outcome" in card and card["budget"] >= self.config.steps:
            return Evaluation.from_dict(card["evaluation"])
        self._run_off(model)
        card, policy = read_json(self.folder / CARD), Policy.load(self.folder / POLICY)
        fixed, rsi = publish(policy.predict, self.env_id)
        card = {
            **card,
            "selection": card.get("selection", card["evaluation"]),
            "evaluation": {**fixed.as_dict(), "rsi": rsi.as_dict()},
            "budget": self.config.steps,
            "samples_total": model.num_timesteps,
            "seconds_total": round(model.extra.get("seconds", 0.0), 1),
            "outcome": (model.extra.get("annealing") or {}).get("reason", "budget"),
        }
        self._save(policy, card)
        return fixed

    def _run_off(self, model: LeanPPO) -> None:
        """Keep the last policy, if over more episodes it is better than the best so far.

        The best of many evaluations of a few episodes is in part the luckiest, and was found
        before the learning rate had fallen: see docs/training.md.
        """
        last, best = export_policy(model, {}), Policy.load(self.folder / POLICY)
        if last.content_hash() == best.content_hash():
            return
        of_last, of_best = (
            evaluate(
                p.predict,
                self.env_id,
                episodes=RUN_OFF_EPISODES,
                seed=stream(Purpose.RUN_OFF, self.run_seed),
            )
            for p in (last, best)
        )
        if rank(of_last) > rank(of_best):
            figures = {
                "samples": model.num_timesteps,
                "seconds": round(model.extra.get("seconds", 0.0), 1),
            }
            self._save(last, {**self._card(figures), "evaluation": of_last.as_dict()})

    def _card(self, figures: dict[str, Any]) -> dict[str, Any]:
        motion = find_motion(self.env_id)
        return {
            "env_id": self.env_id,
            "motion_hash": motion.content_hash(),
            "motion_source": motion.provenance.get("source"),
            "algorithm": "PPO",
            "settings": self.config.as_dict(),
            "init": None,
            **self.init,
            "seed": self.run_seed,
            **figures,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "threads": torch.get_num_threads(),
            "mujoco_version": mujoco.__version__,
            "stable_baselines3_version": stable_baselines3.__version__,
            "torch_version": torch.__version__,
        }
