"""Policies that are compared across environments: by id, or from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sfv_gym.errors import PolicyError
from sfv_gym.policy import Policy, load_policy, policies_folder
from sfv_gym.registry import get_entry, load_motion


@dataclass(frozen=True)
class Player:
    """A policy with the id that it was trained on.

    Attributes:
        name: what it was asked for by, for tables.
    """

    name: str
    env_id: str
    policy: Policy

    def predict(self, observations: np.ndarray) -> np.ndarray:
        """Actions (N, A), for flat ground's observations and for terrain's.

        The heights of the ground come last in an observation. A policy of flat ground does not
        see them; to one of terrain, flat ground is all zeros.
        """
        size = len(self.policy.mean)
        missing = size - observations.shape[1]
        if missing > 0:
            observations = np.pad(observations, ((0, 0), (0, missing)))
        return self.policy.predict(observations[:, :size])

    def describe(self) -> dict[str, Any]:
        entry = get_entry(self.env_id)
        return {
            "policy": self.name,
            "env_id": self.env_id,
            "samples": self.policy.card.get("samples"),
            "motion_hash": load_motion(entry.motion).content_hash(),
        }


def find_player(text: str) -> Player:
    """The policy that ships for an id, or that in a file, whose card names its id.

    Raises:
        UnknownIdError, PolicyError: there is none, or its card does not say what it is for.
    """
    if not text.endswith(".safetensors"):
        return Player(text, text, load_policy(text))
    env_id = Policy.load(text).card.get("env_id")
    if not env_id:
        raise PolicyError(f"{text}: its card does not say which environment it was trained on")
    return Player(Path(text).name, env_id, load_policy(env_id, text))


def find_players(texts: list[str] | None) -> list[Player]:
    """Those asked for, or every shipped one."""
    shipped = sorted(path.stem for path in policies_folder().glob("*.safetensors"))
    return [find_player(text) for text in texts or shipped]
