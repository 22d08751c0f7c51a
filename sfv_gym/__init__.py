"""Physical skills from ordinary video: reference motions, Gymnasium environments, policies.

Importing this package registers every ``SFV-...`` id with Gymnasium and loads neither MuJoCo nor
torch nor mediapipe: the names below load what they need when they are first used. What is not among
them, modules and all, is the library's own and may change from one release to the next.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sfv_gym.errors import SFVError
from sfv_gym.registry import (
    EnvEntry,
    list_envs,
    register_all,
    register_character,
    register_motion,
    register_terrain,
)

if TYPE_CHECKING:
    from sfv_gym.assessment import assess
    from sfv_gym.characters import Character, get_character
    from sfv_gym.completion import Completion, complete
    from sfv_gym.envs.imitation_env import ImitationEnv
    from sfv_gym.envs.motion_sampling import FailureWeightedMotions
    from sfv_gym.envs.observations import Observation
    from sfv_gym.envs.perturbations import DomainRandomization, Pushes
    from sfv_gym.envs.rewards import TrackingErrors
    from sfv_gym.envs.sb3 import SB3VecEnv
    from sfv_gym.envs.starts import (
        AdaptiveStateInitialization,
        FailureWeightedInitialization,
        FixedInitialization,
        ReferenceStateInitialization,
    )
    from sfv_gym.envs.task import Task
    from sfv_gym.envs.terminations import EarlyTermination
    from sfv_gym.envs.vector_env import ImitationVectorEnv
    from sfv_gym.export import export_motion
    from sfv_gym.extract import extract_motion, import_motion
    from sfv_gym.motion import Finding, ReferenceMotion, Verdict
    from sfv_gym.objects import Ball, Box, SceneObject, register_object
    from sfv_gym.play.by_motion import MotionEvaluations, evaluate_motions
    from sfv_gym.play.evaluation import Evaluation, evaluate
    from sfv_gym.play.policy import Policy, load_policy
    from sfv_gym.play.rollout import Rollout, rollout
    from sfv_gym.pose import (
        FrameEstimator,
        LandmarkSet,
        Person,
        PoseEstimator,
        register_estimator,
    )
    from sfv_gym.registry import find_motion, vary_motion
    from sfv_gym.retargeting.retarget import retarget
    from sfv_gym.terrains import Pieces, Terrain
    from sfv_gym.train.distill import distill as distill_policies
    from sfv_gym.train.learn import Learned, learn
    from sfv_gym.train.ppo import train as train_policy

__version__ = "0.1.0"

register_all()

_LAZY = {
    "AdaptiveStateInitialization": "envs.starts",
    "Ball": "objects",
    "Box": "objects",
    "Character": "characters",
    "Completion": "completion",
    "DomainRandomization": "envs.perturbations",
    "EarlyTermination": "envs.terminations",
    "Evaluation": "play.evaluation",
    "FailureWeightedInitialization": "envs.starts",
    "FailureWeightedMotions": "envs.motion_sampling",
    "Finding": "motion",
    "FixedInitialization": "envs.starts",
    "FrameEstimator": "pose",
    "ImitationEnv": "envs.imitation_env",
    "ImitationVectorEnv": "envs.vector_env",
    "LandmarkSet": "pose",
    "Learned": "train.learn",
    "MotionEvaluations": "play.by_motion",
    "Observation": "envs.observations",
    "Pieces": "terrains",
    "Policy": "play.policy",
    "Person": "pose",
    "PoseEstimator": "pose",
    "Pushes": "envs.perturbations",
    "ReferenceMotion": "motion",
    "ReferenceStateInitialization": "envs.starts",
    "Rollout": "play.rollout",
    "SB3VecEnv": "envs.sb3",
    "SceneObject": "objects",
    "Task": "envs.task",
    "Terrain": "terrains",
    "TrackingErrors": "envs.rewards",
    "Verdict": "motion",
    "assess": "assessment",
    "complete": "completion",
    "distill_policies": "train.distill:distill",
    "evaluate": "play.evaluation",
    "evaluate_motions": "play.by_motion",
    "export_motion": "export",
    "extract_motion": "extract",
    "find_motion": "registry",
    "get_character": "characters",
    "import_motion": "extract",
    "learn": "train.learn",
    "load_policy": "play.policy",
    "register_estimator": "pose",
    "register_object": "objects",
    "retarget": "retargeting.retarget",
    "rollout": "play.rollout",
    "train_policy": "train.ppo:train",
    "vary_motion": "registry",
}
"""Where each name lives, and what it is called there if otherwise."""

__all__ = [
    "AdaptiveStateInitialization",
    "Ball",
    "Box",
    "Character",
    "Completion",
    "DomainRandomization",
    "EarlyTermination",
    "EnvEntry",
    "Evaluation",
    "FailureWeightedInitialization",
    "FailureWeightedMotions",
    "Finding",
    "FixedInitialization",
    "FrameEstimator",
    "ImitationEnv",
    "ImitationVectorEnv",
    "LandmarkSet",
    "Learned",
    "MotionEvaluations",
    "Observation",
    "Person",
    "Pieces",
    "Policy",
    "PoseEstimator",
    "Pushes",
    "ReferenceMotion",
    "ReferenceStateInitialization",
    "Rollout",
    "SB3VecEnv",
    "SFVError",
    "SceneObject",
    "Task",
    "Terrain",
    "TrackingErrors",
    "Verdict",
    "__version__",
    "assess",
    "complete",
    "distill_policies",
    "evaluate",
    "evaluate_motions",
    "export_motion",
    "extract_motion",
    "find_motion",
    "get_character",
    "import_motion",
    "learn",
    "list_envs",
    "load_policy",
    "register_character",
    "register_estimator",
    "register_motion",
    "register_object",
    "register_terrain",
    "retarget",
    "rollout",
    "train_policy",
    "vary_motion",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'sfv_gym' has no attribute {name!r}")
    place, _, inside = _LAZY[name].partition(":")
    return getattr(importlib.import_module(f"sfv_gym.{place}"), inside or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
