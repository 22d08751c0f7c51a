"""Policies across terrains: success and return on each, at growing difficulty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NotRequired, cast

import numpy as np
import typer
from matplotlib.figure import Figure
from rich.console import Console

from sfv_gym.benchmarks import plots
from sfv_gym.benchmarks.book import Fold, Page, Part, Picture, Table, texts, with_interval
from sfv_gym.benchmarks.fingerprint import stream_name
from sfv_gym.benchmarks.results import Figures
from sfv_gym.benchmarks.run import figures
from sfv_gym.benchmarks.trained_policies import (
    KEPT,
    Docs,
    Measured,
    MeasuredPolicy,
    OutFolder,
    Policies,
    PolicyFile,
    TrainedPolicy,
    find_policies,
    measure_policies,
    missing_parts,
    to_be_measured,
)
from sfv_gym.errors import UnknownIdError
from sfv_gym.files import JSON
from sfv_gym.jobs.job import Executor, Reporter
from sfv_gym.jobs.options import Address, ExecutorName, Workers, interruptible, make_executor
from sfv_gym.play.evaluation import evaluate
from sfv_gym.registry import CHARACTER_TITLES, TERRAIN_TITLES, get_entry, make_id
from sfv_gym.seeds import Purpose, stream

MATRIX_FILE = "matrix.json"
DIFFICULTIES = (0.0, 0.25, 0.5, 0.75, 1.0)
FLAT = "flat"
PICTURE = "images/terrains_matrix.svg"


class Cell(Figures):
    """Figures of a policy on a terrain; flat ground has no difficulty."""

    terrain: str
    difficulty: float | None
    return_interval: NotRequired[list[float] | None]  # so called by earlier versions


Key = Literal["success_rate", "normalized_return"]
"""The figures of a cell that are drawn."""


class MatrixPolicy(MeasuredPolicy):
    """A policy's cells."""

    cells: list[Cell]


class Matrix(Measured[MatrixPolicy]):
    """What ``matrix.json`` holds."""

    episodes: int
    stream: str
    terrains: list[str]
    difficulties: list[float]


@dataclass(frozen=True)
class MatrixRow:
    """What a row of the matrix is made of."""

    policy: PolicyFile
    terrains: tuple[str, ...]
    difficulties: tuple[float, ...]
    episodes: int
    seed: int


def measure_row(row: MatrixRow, reporter: Reporter) -> JSON:
    """The cells of a policy: a job's function."""
    policy, first = row.policy.load(), stream(Purpose.MATRIX, row.seed)
    entry = get_entry(policy.env_id)
    wanted: list[tuple[str, float | None]] = []
    for terrain in row.terrains:
        wanted += [(terrain, d) for d in ([None] if terrain == FLAT else row.difficulties)]
    cells: list[Cell] = []
    for terrain, difficulty in wanted:
        reporter.advance(len(cells), len(wanted), f"cell {len(cells) + 1} of {len(wanted)}")
        titles = CHARACTER_TITLES[entry.character], TERRAIN_TITLES[terrain]
        found = evaluate(
            policy.predict,
            make_id(entry.skill, *titles),
            episodes=row.episodes,
            seed=first,
            difficulty=difficulty,
        )
        cell = {"terrain": terrain, "difficulty": difficulty, **figures(found)}
        cells.append(cast("Cell", cell))
    return {"cells": cells}


def measure_matrix(
    policies: Sequence[TrainedPolicy],
    *,
    terrains: Sequence[str] | None = None,
    difficulties: Sequence[float] = DIFFICULTIES,
    episodes: int = 50,
    seed: int = 0,
    file: Path | None = None,
    executor: Executor | None = None,
    console: Console | None = None,
) -> Matrix:
    """Evaluate every policy on every terrain, as it is written to ``matrix.json``.

    Args:
        seed: of the episodes: another one is another look at the same policies.
        file, executor, console: see ``trained_policies.measure_policies``.

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

    def row(policy: PolicyFile) -> MatrixRow:
        return MatrixRow(policy, tuple(chosen), tuple(difficulties), episodes, seed)

    found = measure_policies(
        policies,
        f"{__name__}:{measure_row.__name__}",
        row,
        settings,
        file=file,
        executor=executor,
        console=console,
    )
    return cast("Matrix", found)


def matrix_values(matrix: Matrix, policy: MatrixPolicy, key: Key) -> np.ndarray:
    """A figure of a policy (terrains, difficulties); flat ground's is the same at each."""
    values = np.full((len(matrix["terrains"]), len(matrix["difficulties"])), np.nan)
    for cell in policy["cells"]:
        row = matrix["terrains"].index(cell["terrain"])
        if cell["difficulty"] is None:
            values[row] = cell[key]
        else:
            values[row, matrix["difficulties"].index(cell["difficulty"])] = cell[key]
    return values


def matrix_overview(matrix: Matrix) -> Figure:
    """One heat map: the success of every policy on every terrain, at the middle difficulty."""
    middle, values = _middle(matrix), []
    for policy in matrix["policies"]:
        every = matrix_values(matrix, policy, "success_rate")
        values.append(every[:, matrix["difficulties"].index(middle)])
    names = [policy["policy"] for policy in matrix["policies"]]
    title = f"success, at difficulty {middle:g}"
    return plots.heat_map(np.array(values), names, matrix["terrains"], title)


def _middle(matrix: Matrix) -> float:
    return matrix["difficulties"][len(matrix["difficulties"]) // 2]


def matrix_pictures(matrix: Matrix, policy: MatrixPolicy) -> list[Picture]:
    """Two heat maps of a policy."""
    columns = [f"{difficulty:g}" for difficulty in matrix["difficulties"]]
    found = []
    drawn: tuple[tuple[Key, str], ...] = (
        ("success_rate", "success"),
        ("normalized_return", "normalized return"),
    )
    for key, words in drawn:
        path = f"figures/matrix_{policy['policy']}_{key}.svg"
        figure = partial(
            plots.heat_map,
            matrix_values(matrix, policy, key),
            matrix["terrains"],
            columns,
            f"{words} by difficulty",
        )
        title = f"{policy['policy']}: {words}"
        found.append(Picture(path, title, title, draw=partial(plots.svg, figure, path)))
    return found


def protocol() -> str:
    """What was done, in words."""
    return texts("sfv_gym.benchmarks.studies", "matrix.yml")["protocol"]


def page(matrix: Matrix, missing: Sequence[str] = (), *, pictures: bool = False) -> Page:
    """An overview, then a table of each policy with success, return, their intervals.

    Args:
        missing: names of policies that it lacks.
        pictures: whether heat maps stand beside each policy's table.
    """
    middle, rows = _middle(matrix), []
    for policy in matrix["policies"]:
        cells = [cell for cell in policy["cells"] if cell["difficulty"] in (None, middle)]
        rows.append([policy["policy"], *map(_share, cells)])
    parts: list[Part] = [
        Table.of(["policy", *matrix["terrains"]], rows, f"At difficulty {middle:g}"),
        Picture(
            PICTURE,
            "Success of every policy on every terrain",
            draw=partial(plots.svg, partial(matrix_overview, matrix), "matrix"),
        ),
        *missing_parts(missing),
    ]
    head = ["terrain", *(f"difficulty {d:g}" for d in matrix["difficulties"])]
    for i, policy in enumerate(matrix["policies"]):
        rows = []
        for terrain in matrix["terrains"]:
            cells = [cell for cell in policy["cells"] if cell["terrain"] == terrain]
            shown = [f"{_share(cell)}\n{_returned(cell)}" for cell in cells]
            rows.append([terrain, *shown, *[""] * (len(matrix["difficulties"]) - len(shown))])
        inner: list[Part] = [Table.of(head, rows)]
        if pictures:
            inner += matrix_pictures(matrix, policy)
        title = "" if i else "At every difficulty"
        parts.append(Fold(policy["policy"], tuple(inner), title))
    said = texts("sfv_gym.benchmarks.studies", "matrix.yml")["note"]
    note = said.format(episodes=matrix["episodes"], protocol=protocol())
    return Page("terrains.md", "Policies across terrains", note, tuple(parts), "sfv bench matrix")


def _share(cell: Cell) -> str:
    return with_interval(cell["success_rate"], cell["success_interval"], 2)


def _returned(cell: Cell) -> str:
    bounds = cell.get("normalized_return_interval", cell.get("return_interval"))
    return with_interval(cell["normalized_return"], bounds, 2)


def matrix(
    policy: Policies = None,
    terrain: Annotated[list[str] | None, typer.Option(help="Only this terrain.")] = None,
    episodes: Annotated[int, typer.Option(help="In each cell.", min=1)] = 50,
    seed: Annotated[int, typer.Option(help="Of start noise and ground.")] = 0,
    out: OutFolder = Path("bench"),
    docs: Docs = None,
    executor: ExecutorName = "local",
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Success and return of policies on every terrain, by difficulty: matrix.json and its page.

    What the folder holds of the same policies already is kept: the same command goes on.
    """
    console, policies = Console(stderr=True), find_policies(policy)
    with interruptible(console, KEPT), make_executor(executor, workers, address) as chosen:
        found = measure_matrix(
            policies,
            terrains=terrain,
            episodes=episodes,
            seed=seed,
            file=out / MATRIX_FILE,
            executor=chosen,
            console=console,
        )
    missing = to_be_measured(found) if docs else ()
    written = page(found, missing, pictures=docs is None).write(docs or out)
    console.print(f"{out / MATRIX_FILE} and {written}")
