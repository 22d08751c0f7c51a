"""Physical skills from ordinary video: reference motions, Gymnasium environments, policies.

Importing this package registers every ``SFV-...`` id with Gymnasium and loads neither torch
nor mediapipe nor OpenCV.
"""

from sfv_gym.registry import (
    EnvEntry,
    list_envs,
    register_all,
    register_character,
    register_motion,
    register_terrain,
)

__version__ = "0.1.0.dev0"

register_all()

__all__ = [
    "EnvEntry",
    "__version__",
    "list_envs",
    "load_policy",
    "register_character",
    "register_motion",
    "register_terrain",
]


def __getattr__(name: str) -> object:
    if name == "load_policy":  # lazy: it reads weights, which most imports do not need
        from sfv_gym.play.policy import load_policy

        return load_policy
    raise AttributeError(f"module 'sfv_gym' has no attribute {name!r}")
