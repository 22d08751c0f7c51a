"""The policy inside Stable-Baselines3's model, as plain arrays."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from stable_baselines3.common.running_mean_std import RunningMeanStd

from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.files import JSON
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.policy import Layers, Policy
from sfv_gym.train.lean_ppo import LeanPPO


def export_policy(model: LeanPPO, card: JSON) -> Policy:
    """The policy inside an SB3 model as plain arrays, with all that going on from it takes."""
    env = model.get_vec_normalize_env()
    assert env is not None and isinstance(env.obs_rms, RunningMeanStd)
    assert isinstance(env.venv, SB3VecEnv)
    return Policy(
        mean=env.obs_rms.mean.astype(np.float32),
        std=np.sqrt(env.obs_rms.var + env.epsilon).astype(np.float32),
        layers=as_arrays(actor_layers(model)),
        card=card,
        log_std=_array(model.policy.log_std),
        critic=as_arrays(critic_layers(model)),
        layout=PolicyLayout.of(env.venv.envs.simulation.task),
    )


def actor_layers(model: LeanPPO) -> list[torch.nn.Linear]:
    """From normalised observations to mean actions, ReLUs between them."""
    return linear_layers([*model.policy.mlp_extractor.policy_net, model.policy.action_net])


def critic_layers(model: LeanPPO) -> list[torch.nn.Linear]:
    """From normalised observations to the expected return, ReLUs between them."""
    return linear_layers([*model.policy.mlp_extractor.value_net, model.policy.value_net])


def linear_layers(modules: Iterable[torch.nn.Module]) -> list[torch.nn.Linear]:
    """Those that have weights."""
    return [module for module in modules if isinstance(module, torch.nn.Linear)]


def as_arrays(layers: Iterable[torch.nn.Linear]) -> Layers:
    """Copies of their weights, as a policy holds them."""
    return [(_array(layer.weight), _array(layer.bias)) for layer in layers]


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float32)
