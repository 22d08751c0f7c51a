"""Train a policy with Stable-Baselines3's PPO on the batched environment.

A run lives in one folder: see ``runs``. Killed at any moment, it goes on from its last checkpoint.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecNormalize

from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.envs.starts import Initialization, get_initialization
from sfv_gym.envs.task import Task
from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.errors import OutputError, SettingError, SFVError
from sfv_gym.files import JSON, write_json
from sfv_gym.jobs.folder import locked_folder, read_json
from sfv_gym.jobs.job import Listener
from sfv_gym.play.by_motion import IdEvaluation
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.policy import OBSERVATION_CLIP, Policy
from sfv_gym.registry import get_entry
from sfv_gym.seeds import Purpose, checked_seed, stream
from sfv_gym.train.checkpoint import go_on, load_checkpoint
from sfv_gym.train.config import Asked, PPOConfig
from sfv_gym.train.device import check_device, check_threads
from sfv_gym.train.lean_ppo import LeanPPO
from sfv_gym.train.progress import ProgressBar
from sfv_gym.train.recorder import Recorder
from sfv_gym.train.runs import CARD, CHECKPOINT, CONFIG, CURVE, POLICY, PROGRESS
from sfv_gym.train.warm_start import (
    expects_such_returns,
    is_of_another_body,
    sees_the_same,
    warm_start,
)

EVALUATE_EVERY = 250_000
ENDING_SETTINGS = frozenset(
    ("steps", "minutes", "anneal_steps", "target_success", "target_evaluations")
)
"""What may be changed while a run goes on: it says when to end, not how to learn."""


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
    settings: JSON | None = None,
) -> IdEvaluation:
    """Train ``env_id`` in ``run_dir`` and return the best policy's evaluation.

    Args:
        steps: budget in control steps over all environments; by default the recipe's. A run that
            is good for long enough ends before (see ``schedule``).
        resume: go on in a folder that holds a checkpoint, with its settings.
        init: a policy file to start from; see ``warm_start``.
        num_threads: of the physics and of torch. One each for two runs side by side.
        evaluate_every: control steps between two evaluations, each of which also writes a
            checkpoint.
        progress: whether to show a bar, and a line for each evaluation.
        settings: overrides of single ``PPOConfig`` fields, such as ``minutes``, after which it
            ends if that is sooner.

    Raises:
        UnknownIdError, OutputError: the id is not registered; the folder holds another run, is
            in use, or cannot be written.
        SettingError: a setting is unknown or out of its range, or so are seed, threads, device.
        SFVError: there is nothing to resume, or the motion or a setting is not that of the run to
            resume.
        PolicyError: ``init`` is no policy, or does not fit.
        KeyboardInterrupt: after a checkpoint.
    """
    get_entry(env_id)
    folder = Path(run_dir)
    if resume and not (folder / CHECKPOINT).is_file():
        raise SFVError(f"{folder} holds no checkpoint to resume; start it without --resume")
    # what is wrong with the settings is said before there is a folder
    asked = Asked.for_env(env_id, steps, settings)
    seed = checked_seed(seed)
    check_threads(num_threads)
    check_device(device)
    if evaluate_every < 1:
        raise SettingError(f"evaluate_every must be at least 1, not {evaluate_every}")
    start_from = None if init is None or resume else Path(init)
    if start_from is not None:
        Policy.load(start_from)
    with (
        locked_folder(folder, f"another process is training in {folder}"),
        ProgressBar(env_id, show=progress) as bar,
    ):
        return train_in(
            folder,
            env_id,
            asked,
            seed=seed,
            resume=resume,
            init=start_from,
            num_threads=num_threads,
            device=device,
            evaluate_every=evaluate_every,
            listener=bar,
        )


def train_in(
    folder: Path,
    env_id: str,
    asked: Asked,
    *,
    seed: int,
    resume: bool,
    init: Path | None,
    num_threads: int,
    device: str,
    evaluate_every: int,
    listener: Listener,
    torch_threads: int | None = None,
    selection_episodes: int | None = None,
) -> IdEvaluation:
    """``train`` in a folder that this process has locked, with arguments that were checked.

    Args:
        torch_threads: of torch, where they are not to be as many as of the physics.
        selection_episodes: of an evaluation on the way, where they are not the trainer's.
        listener: told of the progress; asked once a rollout whether to stop.

    Raises:
        As ``train``; StoppedError: the listener wanted it to stop, and there is a checkpoint.
    """
    task = Task.of(env_id)
    start_from = None if init is None or resume else Policy.load(init)
    torch.set_num_threads(torch_threads or num_threads)
    motion_hash = task.motion_hash
    config, seed = _open_run(folder, env_id, asked, seed, resume, motion_hash, start_from)
    task = Task.of(
        task,
        observation=config.observation,
        reward=config.reward,
        initialization=_initialization(config),
        horizon=config.horizon,
        failure_cost=config.failure_cost,
    )
    envs = ImitationVectorEnv(task, config.num_envs, num_threads=num_threads)
    adapter = SB3VecEnv(envs)
    normalized = VecNormalize(adapter, norm_reward=False, clip_obs=OBSERVATION_CLIP)
    if resume:
        model = load_checkpoint(folder / CHECKPOINT, normalized, device)
    else:
        model = _new_model(normalized, config, seed, device, folder)
        if start_from is not None:
            _warm_start(model, normalized, start_from, config, env_id, asked.given)
    recorder = Recorder(
        env_id,
        folder,
        config,
        seed,
        evaluate_every,
        listener,
        init,
        num_threads,
        selection_episodes,
    )
    recorder.exact = resume and go_on(model)
    if not recorder.exact:
        # by parts, since start states that were drawn before must not come again
        adapter.seed(stream(Purpose.TRAINING, seed, model.num_timesteps))
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
        adapter.close()


def _warm_start(
    model: LeanPPO,
    env: VecNormalize,
    start_from: Policy,
    config: PPOConfig,
    env_id: str,
    given: tuple[str, ...],
) -> None:
    """Begin with a policy, and with its noise and critic where they are right here, too."""
    assert isinstance(env.venv, SB3VecEnv)
    same = sees_the_same(start_from, PolicyLayout.of(env.venv.envs.simulation.task))
    critic = same and expects_such_returns(start_from, config)
    log_std: float | np.ndarray = config.warm_log_std
    if same and start_from.log_std is not None and "warm_log_std" not in given:
        log_std = start_from.log_std
    new_body = is_of_another_body(start_from, env_id)
    warm_start(model, env, start_from, log_std, new_body=new_body, critic=critic)
    model.critic_only_until = 0 if critic else config.critic_warmup


def _initialization(config: PPOConfig) -> Initialization:
    return get_initialization(
        config.initialization,
        first_frame=config.first_frame,
        position_noise=config.position_noise,
    )


def _open_run(
    folder: Path,
    env_id: str,
    asked: Asked,
    seed: int,
    resume: bool,
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
        was = PPOConfig.for_env(env_id, **saved["ppo"])
        for name in asked.given:
            changed = name in saved["ppo"] and getattr(was, name) != getattr(asked.config, name)
            if name not in ENDING_SETTINGS and changed:
                raise SFVError(f"{name} cannot be changed in a run that goes on; start a new one")
        config = PPOConfig.for_env(env_id, **{**was.as_dict(), **asked.overrides()})
        seed = checked_seed(saved.get("seed"))
    else:
        if (folder / CHECKPOINT).is_file():
            raise OutputError(
                f"{folder} already holds a run; add --resume or choose another folder"
            )
        config = asked.config
        if start_from is not None:
            config = _with_warm_settings(config, env_id, start_from, asked.given)
        for name in (CURVE, CARD, POLICY, PROGRESS):  # of a run that was killed very early
            (folder / name).unlink(missing_ok=True)
    identity = {"env_id": env_id, "motion_hash": motion_hash, "seed": seed}
    write_json(folder / CONFIG, {**identity, "ppo": config.as_dict()})
    return config, seed


def _with_warm_settings(
    config: PPOConfig, env_id: str, start_from: Policy, given: tuple[str, ...]
) -> PPOConfig:
    """The settings of a run that begins with a policy, where they were not given."""
    rate, log_std = config.warm_learning_rate, config.warm_log_std
    if is_of_another_body(start_from, env_id):
        rate, log_std = config.new_body_learning_rate, config.new_body_log_std
    return replace(
        config,
        hidden=config.hidden if "hidden" in given else _widths(start_from),
        learning_rate=config.learning_rate if "learning_rate" in given else rate,
        warm_log_std=config.warm_log_std if "warm_log_std" in given else log_std,
    )


def _widths(policy: Policy) -> tuple[int, ...]:
    return tuple(len(bias) for _, bias in policy.layers[:-1])


def _new_model(
    env: VecNormalize, config: PPOConfig, seed: int, device: str, folder: Path
) -> LeanPPO:
    return LeanPPO(
        "MlpPolicy",
        env,
        actor_rate=config.actor_rate,
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
