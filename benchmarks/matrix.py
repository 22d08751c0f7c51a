"""Policies across terrains: success and return on each, at growing difficulty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sfv_gym.benchmarks import plots
from sfv_gym.benchmarks.machine import describe_machine, git_revision, versions
from sfv_gym.benchmarks.players import Player
from sfv_gym.benchmarks.run import figures
from sfv_gym.benchmarks.statistics import bootstrap, mean, wilson
from sfv_gym.errors import UnknownIdError
from sfv_gym.evaluation import play
from sfv_gym.registry import CHARACTER_TITLES, TERRAIN_TITLES, get_entry, make_id

MATRIX_FILE = "matrix.json"
DIFFICULTIES = (0.0, 0.25, 0.5, 0.75, 1.0)
FLAT = "flat"
MATRIX_NOTE = (
    "Across terrains: episodes from the clip's first frame, 20 s or as long as the clip; each "
    "draws its own ground. Flat ground has no difficulty. A policy that was trained on flat ground "
    "does not see other ground."
)


def measure_matrix(
    players: Sequence[Player],
    *,
    terrains: Sequence[str] | None = None,
    difficulties: Sequence[float] = DIFFICULTIES,
    episodes: int = 50,
    seed: int = 0,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Evaluate every policy on every terrain, as it is written to ``matrix.json``.

    Raises:
        UnknownIdError: an unknown terrain.
    """
    chosen = list(terrains or TERRAIN_TITLES)
    for terrain in chosen:
        if terrain not in TERRAIN_TITLES:
            known = ", ".join(TERRAIN_TITLES)
            raise UnknownIdError(f"unknown terrain {terrain!r}; known: {known}")
    rows = []
    for player in players:
        entry = get_entry(player.env_id)
        cells = []
        for terrain in chosen:
            titles = CHARACTER_TITLES[entry.character], TERRAIN_TITLES[terrain]
            env_id = make_id(entry.skill, *titles)
            for difficulty in [None] if terrain == FLAT else difficulties:
                played = play(
                    player.predict, env_id, episodes=episodes, seed=seed, difficulty=difficulty
                )
                wins = int(played.success.sum())
                rng = np.random.default_rng(seed)
                returned = bootstrap(played.returns["pose"][:, None], mean, rng)
                interval = float(returned.low), float(returned.high)
                cells.append(
                    {
                        "terrain": terrain,
                        "difficulty": difficulty,
                        **figures(played.summary()),
                        "success_interval": [round(x, 4) for x in wilson(wins, episodes)],
                        "return_interval": [round(x, 4) for x in interval],
                    }
                )
                progress(f"{player.name} on {terrain}")
        rows.append({**player.describe(), "cells": cells})
    return {
        "episodes": episodes,
        "seed": seed,
        "terrains": chosen,
        "difficulties": list(difficulties),
        "policies": rows,
        "machine": describe_machine(),
        "versions": versions(),
        "revision": git_revision(),
    }


def matrix_values(matrix: dict[str, Any], policy: dict[str, Any], key: str) -> np.ndarray:
    """A figure of a policy (terrains, difficulties); flat ground's is the same at each."""
    values = np.full((len(matrix["terrains"]), len(matrix["difficulties"])), np.nan)
    for cell in policy["cells"]:
        row = matrix["terrains"].index(cell["terrain"])
        if cell["difficulty"] is None:
            values[row] = cell[key]
        else:
            values[row, matrix["difficulties"].index(cell["difficulty"])] = cell[key]
    return values


def matrix_figures(matrix: dict[str, Any]) -> list[tuple[str, Figure]]:
    """Two heat maps of each policy, with their titles."""
    found = []
    columns = [f"{difficulty:g}" for difficulty in matrix["difficulties"]]
    for policy in matrix["policies"]:
        for key, words in (("success_rate", "success"), ("normalized_return", "normalized return")):
            title = f"{policy['policy']}: {words}"
            values = matrix_values(matrix, policy, key)
            figure = plots.heat_map(values, matrix["terrains"], columns, f"{words} by difficulty")
            found.append((title, figure))
    return found


def matrix_markdown(matrix: dict[str, Any]) -> str:
    """A table of each policy: success with its interval, and normalized return."""
    parts = []
    for policy in matrix["policies"]:
        head = ["terrain", *(f"difficulty {d:g}" for d in matrix["difficulties"])]
        parts += [
            f"## {policy['policy']}",
            "",
            f"| {' | '.join(head)} |",
            f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|",
        ]
        for terrain in matrix["terrains"]:
            cells = [cell for cell in policy["cells"] if cell["terrain"] == terrain]
            texts = [_cell(cell) for cell in cells]
            texts += [""] * (len(matrix["difficulties"]) - len(texts))
            parts.append(f"| {terrain} | {' | '.join(texts)} |")
        parts.append("")
    return "\n".join(
        [
            "<!-- written by `sfv bench matrix` -->",
            "# Policies across terrains",
            "",
            f"Success and below it normalized return, with 95 % intervals (Wilson's, bootstrap); "
            f"{matrix['episodes']} episodes each. " + MATRIX_NOTE,
            "",
            *parts,
        ]
    )


def _cell(cell: dict[str, Any]) -> str:
    texts = []
    for key, interval in (("success_rate", "success_interval"),
                          ("normalized_return", "return_interval")):  # fmt: skip
        low, high = cell[interval]
        texts.append(f"{cell[key]:.2f} [{low:.2f}, {high:.2f}]")
    return "<br>".join(texts)
