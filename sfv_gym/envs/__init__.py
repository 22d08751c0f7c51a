"""The imitation environments: one batched simulation; interfaces of Gymnasium and SB3 to it."""

from sfv_gym.envs.imitation_env import ImitationEnv
from sfv_gym.envs.observations import observation_structure
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
    "FixedInitialization",
    "ImitationEnv",
    "ImitationVectorEnv",
    "Initialization",
    "Pushes",
    "ReferenceStateInitialization",
    "observation_structure",
]
