"""The imitation environments: one batched simulation; interfaces of Gymnasium and SB3 to it."""

from sfv_gym.envs.imitation_env import ImitationEnv
from sfv_gym.envs.motion_sampling import FailureWeightedMotions
from sfv_gym.envs.observations import Observation, observation_structure
from sfv_gym.envs.perturbations import DomainRandomization, Pushes
from sfv_gym.envs.starts import (
    AdaptiveStateInitialization,
    FailureWeightedInitialization,
    FixedInitialization,
    Initialization,
    ReferenceStateInitialization,
)
from sfv_gym.envs.terminations import EarlyTermination
from sfv_gym.envs.vector_env import ImitationVectorEnv

__all__ = [
    "AdaptiveStateInitialization",
    "DomainRandomization",
    "EarlyTermination",
    "FailureWeightedInitialization",
    "FailureWeightedMotions",
    "FixedInitialization",
    "ImitationEnv",
    "ImitationVectorEnv",
    "Initialization",
    "Observation",
    "Pushes",
    "ReferenceStateInitialization",
    "observation_structure",
]
