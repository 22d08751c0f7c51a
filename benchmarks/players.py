"""Policies that are compared across environments: by id, or from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sfv_gym.benchmarks.fingerprint import environment_hash
from sfv_gym.benchmarks.machine import describe_machine, git_revision, versions
from sfv_gym.benchmarks.results import read_json
from sfv_gym.errors import PolicyError
from sfv_gym.files import write_json
from sfv_gym.play.policy import Policy, load_policy, policies_folder
from sfv_gym.registry import find_motion


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
        """What tells whether a row of figures is still this policy's."""
        return {
            "policy": self.name,
            "env_id": self.env_id,
            "samples": self.policy.card.get("samples"),
            "policy_hash": self.policy.content_hash(),
            "motion_hash": find_motion(self.env_id).content_hash(),
            "environment_hash": environment_hash(self.env_id),
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


def to_be_measured(found: dict[str, Any]) -> list[str]:
    """Names of the shipped policies that ``measure_players``'s result ``found`` has no row of, or
    one of other weights, another motion or another environment."""
    rows = {row["policy"]: row for row in found["policies"]}
    return [
        player.name
        for player in find_players(None)
        if not player.describe().items() <= rows.get(player.name, {}).items()
    ]


def missing_lines(names: Sequence[str]) -> list[str]:
    """Markdown lines that say which policies a page lacks."""
    if not names:
        return []
    return ["", f"To be measured, since they are new or have changed: {', '.join(names)}.", ""]


def measure_players(
    players: Sequence[Player],
    measure: Callable[[Player], dict[str, Any]],
    settings: dict[str, Any],
    file: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Measure policies one after the other, as it is written to a JSON file.

    Rows that ``file`` holds of the same weights, motion and environment are kept, if it was written
    with the same settings and versions; so a measurement that was stopped goes on, and a new
    policy costs its own row alone. In the end the file holds the policies asked for.

    Args:
        measure: the figures of one policy.
        settings: what the figures depend on beside the policies.
        file: JSON to go on from, and to write after each policy.
        progress: called with the number of policies that are done.

    Raises:
        BenchmarkError: the file is damaged.
        OutputError: it cannot be written.
    """
    settings, installed = json.loads(json.dumps(settings)), versions()
    known: list[dict[str, Any]] = []
    if file is not None and file.is_file():
        earlier = read_json(file)
        if earlier.get("versions") == installed and settings.items() <= earlier.items():
            known = earlier["policies"]
    rows: list[dict[str, Any]] = []
    found = {**settings, "policies": rows, "machine": describe_machine(), "versions": installed}
    for done, player in enumerate(players):
        progress(done)
        facts = player.describe()
        row = next((row for row in known if facts.items() <= row.items()), None)
        rows.append(row or {**facts, "revision": git_revision(), **measure(player)})
        if file is not None:
            # what comes later in the file is not lost if this is stopped
            later = [row for row in known if row["policy"] not in {r["policy"] for r in rows}]
            write_json(file, {**found, "policies": [*rows, *later]})
    if file is not None:
        write_json(file, found)
    return found
