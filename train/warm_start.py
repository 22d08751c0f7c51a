"""Start a run from a policy: of the same id, or of another whose shapes allow it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.envs.task import Task
from sfv_gym.errors import PolicyError
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.policy import Layers, Policy
from sfv_gym.registry import get_entry, list_envs
from sfv_gym.train.config import PPOConfig
from sfv_gym.train.export import actor_layers, critic_layers
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

RETURN_SETTINGS = ("reward", "failure_cost", "gamma")
"""What a critic's values depend on beside the policy."""


def parent_policy(env_id: str, folder: Path) -> Path | None:
    """The policy in ``folder`` that a run of ``env_id`` best starts from: its own, where the motion
    has changed since; otherwise on a terrain the flat ground's, for Atlas on flat ground the
    humanoid's. None where there is none.

    Raises:
        PolicyError: the file of its own policy is damaged.
    """
    entry = get_entry(env_id)
    own = folder / f"{env_id}.safetensors"
    if own.is_file() and Policy.load(own).card.get("motion_hash") != Task.of(env_id).motion_hash:
        return own
    for other in list_envs():
        same_character = other.character == entry.character and entry.terrain != "flat"
        humanoid = other.character == "humanoid" and entry.terrain == "flat"
        if other.skill == entry.skill and other.terrain == "flat" and (same_character or humanoid):
            path = folder / f"{other.env_id}.safetensors"
            return path if path.is_file() and other != entry else None
    return None


def is_of_another_body(policy: Policy, env_id: str) -> bool:
    """Whether the policy moved another character than that of ``env_id``; one that does not say
    and whose id is not registered is taken for one of the same."""
    own = get_entry(env_id)
    if policy.layout is not None:
        return policy.layout.character != own.character
    known = {entry.env_id: entry for entry in list_envs()}
    return known.get(str(policy.card.get("env_id")), own).character != own.character


def sees_the_same(policy: Policy, layout: PolicyLayout) -> bool:
    """Whether the policy saw and moved what ``layout`` says: then the noise and the critic in its
    file are right there, too. On other ground or with another body they are not."""
    return policy.layout == layout


def expects_such_returns(policy: Policy, config: PPOConfig) -> bool:
    """Whether the policy's file has a critic, of a run whose returns were made like those of one
    with ``config``."""
    was = policy.card.get("settings")
    return (
        bool(policy.critic)
        and isinstance(was, dict)
        and all(was.get(name) == getattr(config, name) for name in RETURN_SETTINGS)
    )


def warm_start(
    model: LeanPPO,
    env: VecNormalize,
    policy: Policy,
    log_std: float | np.ndarray,
    *,
    new_body: bool,
    critic: bool = False,
) -> None:
    """Make ``policy`` the model's actor, and its normalisation the environment's.

    A terrain's observation is the flat ground's with a height map at its end: columns that the
    policy did not see begin with weight 0, so that the actions are the policy's, with mean 0 and
    standard deviation ``HEIGHT_SPREAD``; and so does what is seen of objects, with standard
    deviation 1: their places, speeds and sizes are about as large in metres and seconds. With
    ``new_body`` the normalisation follows the new character's observations.

    Args:
        log_std: of the actions' noise, in rad; one number or (A,).
        critic: whether the policy's is taken; otherwise it begins anew.

    Raises:
        PolicyError: the policy has other layers or actions, sees what the environment does not
            show, or does not see what it shows beside ground and objects.
    """
    assert isinstance(env.venv, SB3VecEnv)
    layout = PolicyLayout.of(env.venv.envs.simulation.task)
    seen = columns_seen(policy, layout)
    _copy(policy.layers, actor_layers(model), seen)
    if critic:
        _copy(policy.critic, critic_layers(model), seen)
    with torch.no_grad():
        model.policy.log_std.copy_(torch.as_tensor(log_std))
    statistics = env.obs_rms
    assert isinstance(statistics, RunningMeanStd)
    new = np.ones(len(statistics.mean), bool)
    new[seen] = False
    statistics.mean[seen] = policy.mean
    statistics.var[seen] = np.square(policy.std.astype(float)) - env.epsilon
    for part in layout.parts:
        if part.name == "height_map" and new[part.start]:
            statistics.var[part.start : part.start + part.size] = HEIGHT_SPREAD**2
    # one count for each column: SB3's statistics are updated column by column all the same
    count = np.full(len(new), float(NEW_SAMPLES))
    count[seen] = NEW_SAMPLES if new_body else SAME_BODY_SAMPLES
    statistics.count = count


def columns_seen(policy: Policy, layout: PolicyLayout) -> np.ndarray:
    """Where in observations of ``layout`` what the policy sees (D,) lies; all but the ground's
    heights and objects must be among it."""
    flat, width = layout.without("height_map", "object_"), len(policy.mean)
    known = policy.layout
    if known is None:  # its file tells only how many numbers it sees
        known = next((one for one in (layout, flat) if one.size == width), None)
        if known is None:
            raise PolicyError(
                f"the policy to start from sees {width} numbers, this run {layout.size}"
            )
    try:
        columns = known.columns_in(layout)
        known.check_sees(flat)
    except PolicyError as error:
        raise PolicyError(f"the policy to start from does not fit this run: {error}") from None
    return columns


def _copy(given: Layers, layers: list[torch.nn.Linear], seen: np.ndarray) -> None:
    """Weights of ``given`` into ``layers``, the first one's into the columns ``seen``."""
    wanted = [tuple(layer.weight.shape) for layer in layers]
    shapes = [weight.shape for weight, _ in given]
    if shapes[1:] != wanted[1:] or shapes[0][0] != wanted[0][0]:
        raise PolicyError(f"the policy to start from has layers {shapes}, this run {wanted}")
    with torch.no_grad():
        for i, (layer, (weight, bias)) in enumerate(zip(layers, given, strict=True)):
            columns = torch.as_tensor(seen) if i == 0 else slice(None)
            layer.weight.zero_()
            layer.weight[:, columns] = torch.as_tensor(weight)
            layer.bias.copy_(torch.as_tensor(bias))
