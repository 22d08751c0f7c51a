"""Start a run from a policy: of the same id, or of another whose shapes allow it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from sfv_gym.errors import PolicyError
from sfv_gym.play.policy import Policy
from sfv_gym.registry import get_entry, list_envs
from sfv_gym.train.lean_ppo import LeanPPO

SAME_BODY_SAMPLES = 10_000_000
"""How many samples the policy's normalisation counts as, of what it was trained to see: it hardly
moves. Counted as 100,000, a quarter of a million samples later a dance's policy whose weights had
not been touched fell from a success of 0.95 to 0, since what it saw was scaled otherwise."""
NEW_SAMPLES = 100_000
"""The same for another body, and of the heights that a terrain adds: soon enough the environment's
own statistics prevail, but not before the networks can follow."""
HEIGHT_SPREAD = 0.1
"""Metres, the standard deviation that heights of the ground are taken to have at first. With 1,
which is far more than they have, they would come so small into the network that it hardly learned
from them: after a million samples their running estimate was still 0.3, six times too large."""


def parent_policy(env_id: str, folder: Path) -> Path | None:
    """The policy in ``folder`` that a run of ``env_id`` best starts from: on a terrain the flat
    ground's, for Atlas on flat ground the humanoid's. None where there is none."""
    entry = get_entry(env_id)
    for other in list_envs():
        same_character = other.character == entry.character and entry.terrain != "flat"
        humanoid = other.character == "humanoid" and entry.terrain == "flat"
        if other.skill == entry.skill and other.terrain == "flat" and (same_character or humanoid):
            path = folder / f"{other.env_id}.safetensors"
            return path if path.is_file() and other != entry else None
    return None


def is_of_another_body(policy: Policy, env_id: str) -> bool:
    """Whether the policy moved another character than that of ``env_id``; one whose id is not
    registered is taken for one of the same."""
    own = get_entry(env_id)
    known = {entry.env_id: entry for entry in list_envs()}
    return known.get(str(policy.card.get("env_id")), own).character != own.character


def warm_start(
    model: LeanPPO, env: VecNormalize, policy: Policy, log_std: float, *, new_body: bool
) -> None:
    """Make ``policy`` the model's actor, and its normalisation the environment's.

    A terrain's observation is the flat ground's with a height map at its end: columns that the
    policy did not see begin with weight 0, so that the actions are the policy's, with mean 0 and
    standard deviation ``HEIGHT_SPREAD``. The critic begins anew: the policy's file has none.
    Neither has it the noise of the actions, which begins at ``log_std`` (of rad). With
    ``new_body`` the normalisation follows the new character's observations.

    Raises:
        PolicyError: the policy has other layers or actions, or sees more than the environment.
    """
    network = [*model.policy.mlp_extractor.policy_net, model.policy.action_net]
    layers = [module for module in network if isinstance(module, torch.nn.Linear)]
    shapes = [tuple(layer.weight.shape) for layer in layers]
    given = [weight.shape for weight, _ in policy.layers]
    seen = len(policy.mean)
    fits = len(shapes) == len(given) and shapes[1:] == given[1:] and shapes[0][0] == given[0][0]
    if not fits or seen > shapes[0][1]:
        raise PolicyError(f"the policy to start from has layers {given}, this run {shapes}")
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, policy.layers, strict=True):
            layer.weight.zero_()
            layer.weight[:, : weight.shape[1]] = torch.as_tensor(weight)
            layer.bias.copy_(torch.as_tensor(bias))
        model.policy.log_std.fill_(log_std)
    statistics = env.obs_rms
    assert isinstance(statistics, RunningMeanStd)
    statistics.mean[:seen] = policy.mean
    statistics.var[:seen] = np.square(policy.std.astype(float)) - env.epsilon
    statistics.var[seen:] = HEIGHT_SPREAD**2
    # one count for each column: SB3's statistics are updated column by column all the same
    count = np.full(shapes[0][1], float(NEW_SAMPLES))
    count[:seen] = NEW_SAMPLES if new_body else SAME_BODY_SAMPLES
    statistics.count = count
