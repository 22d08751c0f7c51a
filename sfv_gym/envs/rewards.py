"""Rewards: pure functions of errors, each returning its value and its named parts.

Shapes are (N, ...): one row an environment. Every value and part lies in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from sfv_gym.array_types import Float
from sfv_gym.checks import real
from sfv_gym.errors import SettingError, UnknownIdError


@dataclass(frozen=True)
class TrackingErrors:
    """How far N simulations are from their references, now.

    Attributes:
        rotation: (N, J) rad, angle of the difference for the root and every joint.
        angular_velocity: (N, J) rad/s, norm of the difference for the root and every joint.
        end_effector: (N, 4) metres, relative to the root in the heading frame.
        centre_of_mass: (N,) metres, world.
    """

    rotation: Float[np.ndarray, "N J"]
    angular_velocity: Float[np.ndarray, "N J"]
    end_effector: Float[np.ndarray, "N 4"]
    centre_of_mass: Float[np.ndarray, " N"]


RewardFunction = Callable[[TrackingErrors], tuple[np.ndarray, dict[str, np.ndarray]]]
"""The reward (N,) and its named parts, (N,) each: they stand in ``info``."""
Reward = str | Mapping[str, float] | RewardFunction
TERMS = ("pose", "velocity", "end_effector", "centre_of_mass")


def pose_reward(
    errors: TrackingErrors,
) -> tuple[Float[np.ndarray, " N"], dict[str, Float[np.ndarray, " N"]]]:
    """``exp(-2 sum_j angle_j^2)`` over the root and every joint (SFV, authors' blog post)."""
    reward = np.exp(-2.0 * np.square(errors.rotation).sum(-1))
    return reward, {"reward_pose": reward}


def sfv_reward(
    errors: TrackingErrors,
) -> tuple[Float[np.ndarray, " N"], dict[str, Float[np.ndarray, " N"]]]:
    """``0.65 pose + 0.10 velocity + 0.15 end effectors + 0.10 centre of mass`` (SFV, sec. 6).

    The parts are weighted, so that they sum to the reward.
    """
    return _four_terms(errors, pose=0.65, velocity=0.10, end_effector=0.15, centre_of_mass=0.10)


def place_reward(
    errors: TrackingErrors,
) -> tuple[Float[np.ndarray, " N"], dict[str, Float[np.ndarray, " N"]]]:
    """``0.325 pose + 0.05 velocity + 0.075 end effectors + 0.55 centre of mass``: half of it
    ``sfv``, the other half the centre of mass alone.

    To train with where a character drifts away from its reference. In ``sfv`` a centre of mass
    0.3 m off costs 0.06, less than the poses that it takes to go back, until the episode fails at
    0.5 m.
    """
    return _four_terms(errors, pose=0.325, velocity=0.05, end_effector=0.075, centre_of_mass=0.55)


def _four_terms(
    errors: TrackingErrors, pose: float, velocity: float, end_effector: float, centre_of_mass: float
) -> tuple[Float[np.ndarray, " N"], dict[str, Float[np.ndarray, " N"]]]:
    """The terms of SFV sec. 6 with these weights."""
    parts = {
        "reward_pose": pose * np.exp(-2.0 * np.square(errors.rotation).sum(-1)),
        "reward_velocity": velocity * np.exp(-0.1 * np.square(errors.angular_velocity).sum(-1)),
        "reward_end_effector": end_effector
        * np.exp(-40.0 * np.square(errors.end_effector).sum(-1)),
        "reward_centre_of_mass": centre_of_mass * np.exp(-10.0 * np.square(errors.centre_of_mass)),
    }
    return np.sum(list(parts.values()), axis=0), parts


REWARDS: dict[str, RewardFunction] = {
    "pose": pose_reward,
    "sfv": sfv_reward,
    "place": place_reward,
}


def get_reward(reward: Reward) -> RewardFunction:
    """The reward function of a name, of weights of the terms in ``TERMS``, or one's own as it is.

    Weights are taken as they are: with a sum of 1 the reward lies in 0..1. A term without one does
    not count.

    Raises:
        UnknownIdError: no reward has that name, no term that weight's name.
        SettingError: a weight is out of range, or it is none of these.
    """
    if isinstance(reward, str):
        if reward not in REWARDS:
            raise UnknownIdError(f"unknown reward {reward!r}; known: {', '.join(REWARDS)}")
        return REWARDS[reward]
    if isinstance(reward, Mapping):
        unknown = [name for name in reward if name not in TERMS]
        if unknown or not reward:
            raise UnknownIdError(
                f"unknown term of a reward {', '.join(map(repr, unknown)) or 'in {}'}; "
                f"known: {', '.join(TERMS)}"
            )
        weights = dict.fromkeys(TERMS, 0.0)
        weights.update({k: real(f"the weight of {k}", v, 0.0, 100.0) for k, v in reward.items()})
        return partial(
            _four_terms,
            pose=weights["pose"],
            velocity=weights["velocity"],
            end_effector=weights["end_effector"],
            centre_of_mass=weights["centre_of_mass"],
        )
    if callable(reward):
        return reward
    raise SettingError(f"reward must be a name, weights, or a function, not {reward!r}")
