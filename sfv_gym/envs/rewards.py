"""Rewards: pure functions of errors, each returning its value and its named parts.

Shapes are (N, ...): one row an environment. Every value and part lies in 0..1. Where objects may
be moved, OBJECT_WEIGHT of a reward that has a name is for them, and its other parts shrink.
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
        object_position, object_rotation: (N, K) metres and rad, how far each object that may be
            moved is off its path; None where there are none. A ball has no rotation, hence 0.
    """

    rotation: Float[np.ndarray, "N J"]
    angular_velocity: Float[np.ndarray, "N J"]
    end_effector: Float[np.ndarray, "N 4"]
    centre_of_mass: Float[np.ndarray, " N"]
    object_position: Float[np.ndarray, "N K"] | None = None
    object_rotation: Float[np.ndarray, "N K"] | None = None


RewardFunction = Callable[[TrackingErrors], tuple[np.ndarray, dict[str, np.ndarray]]]
"""The reward (N,) and its named parts, (N,) each: they stand in ``info``."""
Reward = str | Mapping[str, float] | RewardFunction
TERMS = ("pose", "velocity", "end_effector", "centre_of_mass", "object")
OBJECT_WEIGHT = 0.3


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


def object_term(errors: TrackingErrors) -> Float[np.ndarray, " N"]:
    """``exp(-20 d^2 - angle^2)`` of the objects that may be moved, d in metres and angle in rad,
    both squares as means over them: 0.82 at 0.1 m, 0.45 at 0.2 m."""
    assert errors.object_position is not None and errors.object_rotation is not None
    off = 20.0 * np.square(errors.object_position) + np.square(errors.object_rotation)
    return np.exp(-off.mean(-1))


def _beside_objects(
    errors: TrackingErrors, reward: RewardFunction, weight: float
) -> tuple[Float[np.ndarray, " N"], dict[str, Float[np.ndarray, " N"]]]:
    """Another reward's parts, and objects with ``weight``, where there are any to be moved."""
    value, parts = reward(errors)
    if errors.object_position is None:
        return value, parts
    near, rest = weight * object_term(errors), 1.0 - weight
    shares = {name: rest * part for name, part in parts.items()}
    return rest * value + near, {**shares, "reward_object": near}


def _weighted_terms(
    errors: TrackingErrors, weights: Mapping[str, float]
) -> tuple[Float[np.ndarray, " N"], dict[str, Float[np.ndarray, " N"]]]:
    """The terms with weights, one for each of ``TERMS``."""
    value, parts = _four_terms(
        errors,
        pose=weights["pose"],
        velocity=weights["velocity"],
        end_effector=weights["end_effector"],
        centre_of_mass=weights["centre_of_mass"],
    )
    if errors.object_position is None:
        return value, parts
    near = weights["object"] * object_term(errors)
    return value + near, {**parts, "reward_object": near}


REWARDS: dict[str, RewardFunction] = {
    "pose": pose_reward,
    "sfv": sfv_reward,
    "place": place_reward,
}


def get_reward(reward: Reward) -> RewardFunction:
    """The reward function of a name, of weights of the terms in ``TERMS``, or one's own as it is.

    Weights are taken as they are: with a sum of 1 the reward lies in 0..1. A term without one does
    not count, and neither does ``object`` where no object may be moved.

    Raises:
        UnknownIdError: no reward has that name, no term that weight's name.
        SettingError: a weight is out of range, or it is none of these.
    """
    if isinstance(reward, str):
        if reward not in REWARDS:
            raise UnknownIdError(f"unknown reward {reward!r}; known: {', '.join(REWARDS)}")
        return partial(_beside_objects, reward=REWARDS[reward], weight=OBJECT_WEIGHT)
    if isinstance(reward, Mapping):
        unknown = [name for name in reward if name not in TERMS]
        if unknown or not reward:
            raise UnknownIdError(
                f"unknown term of a reward {', '.join(map(repr, unknown)) or 'in {}'}; "
                f"known: {', '.join(TERMS)}"
            )
        weights = dict.fromkeys(TERMS, 0.0)
        weights.update({k: real(f"the weight of {k}", v, 0.0, 100.0) for k, v in reward.items()})
        return partial(_weighted_terms, weights=weights)
    if callable(reward):
        return reward
    raise SettingError(f"reward must be a name, weights, or a function, not {reward!r}")
