"""A policy's mirror image: what it would do if left and right were exchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sfv_gym.characters.symmetry import Reorder
from sfv_gym.envs.mirroring import Mirror
from sfv_gym.play.policy import Layers, Policy


def mirrored_policy(policy: Policy, mirror: Mirror) -> Policy:
    """The policy that acts on ``o`` as ``mirror.action(policy(mirror.observation(o)))``.

    It is a policy like any other, with the same weights in another order and with other signs. The
    mirror image of a policy of ``walk`` is one of ``walk+mirrored``.

    Args:
        mirror: of the observation that the policy sees.
    """
    seen, done = mirror.observation, mirror.action
    layers = _after(policy.layers, seen)
    weight, bias = layers[-1]
    layers[-1] = (weight[done.order] * done.sign[:, None], bias[done.order] * done.sign)
    back = np.argsort(seen.order)
    return replace(
        policy,
        mean=_single((seen.sign * (policy.mean - seen.offset))[back]),
        std=policy.std[back],
        layers=[(_single(weight), _single(bias)) for weight, bias in layers],
        log_std=None if policy.log_std is None else policy.log_std[done.order],
        critic=[(_single(weight), bias) for weight, bias in _after(policy.critic, seen)],
    )


def _after(layers: Layers, seen: Reorder) -> Layers:
    """Layers that take normalised observations as the mirror makes them."""
    if not layers:
        return []
    weight, bias = layers[0]
    return [((weight * seen.sign)[:, np.argsort(seen.order)], bias), *layers[1:]]


def _single(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)
