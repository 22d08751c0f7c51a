"""Where an episode starts: the step of the reference, and how far from it.

An ``Initialization`` is a small typed setting. Its ``sampler`` draws starts for N environments, and
the adaptive ones learn from how the episodes ended.
"""

from __future__ import annotations

from dataclasses import fields

from sfv_gym.checks import named
from sfv_gym.envs.starts.adaptive import AdaptiveStateInitialization
from sfv_gym.envs.starts.base import (
    FixedInitialization,
    Initialization,
    ReferenceStateInitialization,
    Starts,
    StartSampler,
)
from sfv_gym.envs.starts.failure import FailureWeightedInitialization

INITIALIZATIONS: dict[str, type[Initialization]] = {
    "rsi": ReferenceStateInitialization,
    "fixed": FixedInitialization,
    "failure": FailureWeightedInitialization,
    "asi": AdaptiveStateInitialization,
}


def get_initialization(initialization: str | Initialization, **settings: float) -> Initialization:
    """The object itself, or the one of that name, with those of ``settings`` that it has.

    Raises:
        UnknownIdError: there is none of that name.
        SettingError: a setting makes no sense, or it is neither a name nor an ``Initialization``.
    """
    kind = named("initialization", initialization, Initialization, INITIALIZATIONS)
    if isinstance(kind, Initialization):
        return kind
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in settings.items() if name in known})


__all__ = [
    "INITIALIZATIONS",
    "AdaptiveStateInitialization",
    "FailureWeightedInitialization",
    "FixedInitialization",
    "Initialization",
    "ReferenceStateInitialization",
    "StartSampler",
    "Starts",
    "get_initialization",
]
