"""The policy inside Stable-Baselines3's model, as plain arrays."""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3.common.running_mean_std import RunningMeanStd

from sfv_gym.files import JSON
from sfv_gym.play.policy import Policy
from sfv_gym.train.lean_ppo import LeanPPO


def export_policy(model: LeanPPO, card: JSON) -> Policy:
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
