"""The checkpoint of a run: one file, from which it goes on as if it had never been stopped.

At the start of a rollout nothing is on its way: the model has learned from all that was sampled,
and what comes next follows from the model, the simulations, their last observations, and the
random numbers. All of this is in the file, so that the run ends with the same policy to the bit
(on a CPU, by the same versions of the libraries). A run that is interrupted within a rollout loses
that rollout; what it goes on with has start states of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecNormalize

from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.envs.state import SimulationState
from sfv_gym.errors import SettingError, SFVError
from sfv_gym.files import atomic_path
from sfv_gym.train.lean_ppo import BetweenRollouts, LeanPPO

BETWEEN: Final = "between_rollouts"
"""Key in ``LeanPPO.extra`` of what a checkpoint has that was written between two rollouts."""


def save_checkpoint(model: LeanPPO, path: Path, *, between_rollouts: bool) -> None:
    """Write the model, with what it is to go on from.

    Args:
        between_rollouts: whether it is so, and not within one or an update.
    """
    normalized, adapter = _environments(model)
    simulation = adapter.envs.simulation
    model.extra["normalization"] = normalized.obs_rms
    model.extra["starts"] = simulation.starts.state()
    if between_rollouts:
        between: BetweenRollouts = {
            "simulation": vars(simulation.get_state()),  # plain: the class may move
            "observation": model._last_obs,
            "random": torch.get_rng_state().numpy(),
        }
        if model.device.type == "cuda":
            between["random_cuda"] = torch.cuda.get_rng_state(model.device).numpy()
        model.extra[BETWEEN] = between
    else:
        model.extra.pop(BETWEEN, None)
    with atomic_path(path) as temporary:
        model.save(temporary)


def load_checkpoint(path: Path, env: VecNormalize, device: str) -> LeanPPO:
    """The model in a checkpoint, and its normalisation of observations in ``env``.

    Raises:
        SFVError: it is damaged, or of another version.
    """
    try:
        model = LeanPPO.load(path, env=env, device=device)
        env.obs_rms = model.extra["normalization"]
    except (KeyError, ValueError, OSError, EOFError, RuntimeError) as error:
        raise SFVError(f"{path} cannot be gone on from: {error}; start a new run") from None
    return model


def go_on(model: LeanPPO) -> bool:
    """Put simulations and random numbers where they were between two rollouts, right before the
    model goes on to learn.

    Returns:
        False where the checkpoint does not say it: it was written within a rollout, or by an
        earlier version. Then only what start states have learned comes back.
    """
    _, adapter = _environments(model)
    simulation = adapter.envs.simulation
    between = model.extra.get(BETWEEN)
    try:
        if between is None:
            raise SettingError("there is nothing to come back to")
        adapter.envs.set_state(SimulationState(**between["simulation"]))
    # a state of another version has other parts; what was set of it, the next reset sets anew
    except (SettingError, TypeError, ValueError, KeyError, AttributeError):
        simulation.starts.restore(model.extra.get("starts", {}))
        return False
    model._last_obs = between["observation"]
    torch.set_rng_state(torch.from_numpy(np.asarray(between["random"])))
    if "random_cuda" in between and model.device.type == "cuda":
        torch.cuda.set_rng_state(torch.from_numpy(between["random_cuda"]), model.device)
    return True


def _environments(model: LeanPPO) -> tuple[VecNormalize, SB3VecEnv]:
    normalized = model.get_vec_normalize_env()
    assert normalized is not None and isinstance(normalized.venv, SB3VecEnv)
    return normalized, normalized.venv
