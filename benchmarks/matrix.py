"""Policies across terrains: success and return on each, at growing difficulty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from sfv_gym.benchmarks import plots
from sfv_gym.benchmarks.fingerprint import stream_name
from sfv_gym.benchmarks.pages import table_lines
from sfv_gym.benchmarks.players import Player, PlayerFile, measure_players, missing_lines
from sfv_gym.benchmarks.run import figures
from sfv_gym.errors import UnknownIdError
from sfv_gym.jobs.job import Executor, Reporter
from sfv_gym.play.evaluation import evaluate
from sfv_gym.registry import CHARACTER_TITLES, TERRAIN_TITLES, get_entry, make_id
from sfv_gym.seeds import Purpose, stream

MATRIX_FILE = "matrix.json"
DIFFICULTIES = (0.0, 0.25, 0.5, 0.75, 1.0)
FLAT = "flat"
MATRIX_NOTE = (
    "Across terrains: episodes from the clip's first frame, 20 s or as long as the clip; each "
    "draws its own ground. Flat ground has no difficulty. A policy that was trained on flat ground "
    "does not see other ground."
)


@dataclass(frozen=True)
class MatrixRow:
    """What a row of the matrix is made of."""

    player: PlayerFile
    terrains: tuple[str, ...]
    difficulties: tuple[float, ...]
    episodes: int
    seed: int


def measure_row(row: MatrixRow, reporter: Reporter) -> dict[str, Any]:
    """The cells of a policy: a job's function."""
    player, first = row.player.load(), stream(Purpose.MATRIX, row.seed)
    entry = get_entry(player.env_id)
    wanted: list[tuple[str, float | None]] = []
    for terrain in row.terrains:
        wanted += [(terrain, d) for d in ([None] if terrain == FLAT else row.difficulties)]
    cells: list[dict[str, Any]] = []
    for terrain, difficulty in wanted:
        reporter.advance(len(cells), len(wanted), f"cell {len(cells) + 1} of {len(wanted)}")
        titles = CHARACTER_TITLES[entry.character], TERRAIN_TITLES[terrain]
        found = evaluate(
            player.predict,
            make_id(entry.skill, *titles),
            episodes=row.episodes,
            seed=first,
            difficulty=difficulty,
        )
        cells.append({"terrain": terrain, "difficulty": difficulty, **figures(found)})
    return {"cells": cells}


def measure_matrix(
    players: Sequence[Player],
    *,
    terrains: Sequence[str] | None = None,
    difficulties: Sequence[float] = DIFFICULTIES,
    episodes: int = 50,
    seed: int = 0,
    file: Path | None = None,
    executor: Executor | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Evaluate every policy on every terrain, as it is written to ``matrix.json``.

    Args:
        seed: of the episodes: another one is another look at the same policies.
        file, executor, console: see ``players.measure_players``.

    Raises:
        UnknownIdError: an unknown terrain.
        SettingError: a seed that is out of range.
        OutputError: the file cannot be written.
    """
    chosen = list(terrains or TERRAIN_TITLES)
    for terrain in chosen:
        if terrain not in TERRAIN_TITLES:
            known = ", ".join(TERRAIN_TITLES)
            raise UnknownIdError(f"unknown terrain {terrain!r}; known: {known}")
    settings = {
        "episodes": episodes,
        "stream": stream_name(Purpose.MATRIX, seed),
        "terrains": chosen,
        "difficulties": list(difficulties),
    }

    def row(player: PlayerFile) -> MatrixRow:
        return MatrixRow(player, tuple(chosen), tuple(difficulties), episodes, seed)

    return measure_players(
        players,
        "sfv_gym.benchmarks.matrix:measure_row",
        row,
        settings,
        file=file,
        executor=executor,
        console=console,
    )


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


def matrix_overview(matrix: dict[str, Any]) -> Figure:
    """One heat map: the success of every policy on every terrain, at the middle difficulty."""
    middle, values = _middle(matrix), []
    for policy in matrix["policies"]:
        every = matrix_values(matrix, policy, "success_rate")
        values.append(every[:, matrix["difficulties"].index(middle)])
    names = [policy["policy"] for policy in matrix["policies"]]
    title = f"success, at difficulty {middle:g}"
    return plots.heat_map(np.array(values), names, matrix["terrains"], title)


def _middle(matrix: dict[str, Any]) -> float:
    return matrix["difficulties"][len(matrix["difficulties"]) // 2]


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


def matrix_markdown(
    matrix: dict[str, Any], picture: str | None = None, missing: Sequence[str] = ()
) -> str:
    """A page: an overview, then a table of each policy with success, return, their intervals.

    Args:
        picture: where ``matrix_overview`` lies, from the page.
        missing: names of policies that it lacks.
    """
    middle, rows = _middle(matrix), []
    for policy in matrix["policies"]:
        cells = [cell for cell in policy["cells"] if cell["difficulty"] in (None, middle)]
        rows.append([policy["policy"], *map(_share, cells)])
    overview = table_lines(["policy", *matrix["terrains"]], rows)
    parts = [f"## At difficulty {middle:g}", "", *overview]
    if picture is not None:
        parts += ["", f"![Success of every policy on every terrain]({picture})"]
    parts += [*missing_lines(missing), "", "## At every difficulty", ""]
    head = ["terrain", *(f"difficulty {d:g}" for d in matrix["difficulties"])]
    for policy in matrix["policies"]:
        rows = []
        for terrain in matrix["terrains"]:
            cells = [cell for cell in policy["cells"] if cell["terrain"] == terrain]
            texts = [f"{_share(cell)}<br>{_returned(cell)}" for cell in cells]
            rows.append([terrain, *texts, *[""] * (len(matrix["difficulties"]) - len(texts))])
        name = policy["policy"]
        parts += [f"<details><summary>{name}</summary>", "", *table_lines(head, rows)]
        parts += ["", "</details>", ""]
    return "\n".join(
        [
            "<!-- written by `sfv bench matrix` -->",
            "# Policies across terrains",
            "",
            f"Success, and below it normalized return where it is given, with 95 % intervals "
            f"(Wilson's, bootstrap); {matrix['episodes']} episodes each. " + MATRIX_NOTE,
            "",
            *parts,
        ]
    )


def _share(cell: dict[str, Any]) -> str:
    return _with_interval(cell["success_rate"], cell["success_interval"])


def _returned(cell: dict[str, Any]) -> str:
    return _with_interval(
        cell["normalized_return"],
        cell.get("normalized_return_interval", cell.get("return_interval")),
    )


def _with_interval(value: float, interval: Sequence[float] | None) -> str:
    if interval is None:  # of a single episode
        return f"{value:.2f}"
    return f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"
