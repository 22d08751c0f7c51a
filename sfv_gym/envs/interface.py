"""What the single environment and the vector environment share: spaces, and checks of arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from sfv_gym.checks import whole
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import MAX_HORIZON
from sfv_gym.errors import SettingError, UnknownIdError

RESET_OPTIONS = frozenset(("reference_step", "motion"))
MAX_PICTURE = 4096
"""Pixels, of a picture's sides."""


def asked_starts(
    simulation: ImitationSimulation, options: Mapping[str, Any] | None, known: frozenset[str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The reference steps and the motions (N,) that ``options`` of a reset ask for, or None each.

    Args:
        known: names that are allowed in ``options``.

    Raises:
        SettingError: an option is unknown, there is no such motion, or a step is not one that an
            episode of the motion may begin at.
    """
    if not options:
        return None, None
    unknown = sorted(set(options) - known)
    if unknown:
        raise SettingError(
            f"unknown option of reset {', '.join(map(str, unknown))}; known: "
            f"{', '.join(sorted(known))}"
        )
    references = simulation.references
    motions = _whole_numbers(simulation, options, "motion", len(references) - 1)
    if options.get("reference_step") is None:
        return None, motions
    if motions is None and len(references) > 1:
        raise SettingError("reference_step with several motions needs the option motion, too")
    last = references.last_start(simulation.motion if motions is None else motions)
    return _whole_numbers(simulation, options, "reference_step", last), motions


def _whole_numbers(
    simulation: ImitationSimulation, options: Mapping[str, Any], name: str, most: Any
) -> np.ndarray | None:
    """An option as (N,) from 0 to ``most``, which is a number or (N,)."""
    if options.get(name) is None:
        return None
    asked = np.asarray(options[name])
    if asked.dtype.kind not in "iu" or asked.shape not in ((), (simulation.num_envs,)):
        raise SettingError(
            f"{name} must be a whole number, or one for each environment, not {options[name]!r}"
        )
    if (asked < 0).any() or (asked > most).any():
        raise SettingError(f"{name} must lie between 0 and {int(np.min(most))}, it is {asked}")
    return np.broadcast_to(asked, simulation.num_envs).astype(int)


def spaces(simulation: ImitationSimulation) -> tuple[gym.spaces.Box, gym.spaces.Box]:
    """Observation and action space of one environment."""
    return (
        gym.spaces.Box(-np.inf, np.inf, (simulation.observation_size,), np.float32),
        gym.spaces.Box(-1.0, 1.0, (simulation.action_size,), np.float32),
    )


def picture_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of a picture; SettingError if they make no sense."""
    return whole("width", width, 1, MAX_PICTURE), whole("height", height, 1, MAX_PICTURE)


def check_render_mode(mode: str | None, known: Sequence[str]) -> None:
    """UnknownIdError if ``mode`` is none of those that an environment knows."""
    if mode is not None and mode not in known:
        raise UnknownIdError(f"unknown render_mode {mode!r}; known: {', '.join(known)}")


def agreed_horizon(horizon: int | None, max_episode_steps: int) -> int:
    """Control steps of an episode, of the environment's ``horizon`` and Gymnasium's limit.

    Raises:
        SettingError: the horizon is beyond the limit, which would cut it.
    """
    limit = whole("max_episode_steps", max_episode_steps, 1, MAX_HORIZON)
    if horizon is None:
        return limit
    if horizon > limit:
        raise SettingError(
            f"horizon={horizon} is beyond max_episode_steps={limit}: give "
            f"max_episode_steps={horizon} in its place"
        )
    return horizon
