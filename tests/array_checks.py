"""What checks the shapes of arrays at every call while tests run: see conftest.py."""

from collections.abc import Callable
from typing import Any, Self

from beartype import BeartypeConf, beartype

CHECKED = (
    "sfv_gym.motion.trajectory",
    "sfv_gym.envs.rewards",
    "sfv_gym.pose.sequence",
    "sfv_gym.fitting.contacts",
)
"""Where arrays go from folder to folder. What every control step calls (rotations, measurement,
terminations) is left out: checked, it made the tests a fifth longer."""
REFUSES = ("get_reward",)
"""Functions that take what a user sets, and refuse what is none by an error of their own."""

_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its arguments and what it returns checked at every call."""
    # beartype knows Self of whole classes alone
    with_self = any(hint in ("Self", Self) for hint in function.__annotations__.values())
    return function if with_self or function.__name__ in REFUSES else _beartype(function)
