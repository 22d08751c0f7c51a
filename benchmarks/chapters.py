"""Every page of measured figures in the documentation, written again from the figures it is of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from sfv_gym.benchmarks.analysis import analyse
from sfv_gym.benchmarks.report import leaderboard_page
from sfv_gym.benchmarks.results import read_results
from sfv_gym.benchmarks.studies import ablations, matrix, pushes
from sfv_gym.benchmarks.studies.policies import command as policies
from sfv_gym.benchmarks.studies.policies.records import Records
from sfv_gym.benchmarks.studies.reconstruction import command as reconstruction
from sfv_gym.benchmarks.studies.stills import command as stills
from sfv_gym.benchmarks.studies.stills.page import AllFigures as StillsFigures
from sfv_gym.benchmarks.studies.stills.page import page as stills_page
from sfv_gym.benchmarks.studies.throughput import command as throughput
from sfv_gym.benchmarks.studies.throughput.measure import Figures as ThroughputFigures
from sfv_gym.benchmarks.studies.throughput.page import page as throughput_page
from sfv_gym.benchmarks.trained_policies import to_be_measured
from sfv_gym.errors import BenchmarkError, UnknownIdError
from sfv_gym.jobs.folder import read_json
from sfv_gym.jobs.typed_json import from_json

BASELINES = Path(str(resources.files("sfv_gym.benchmarks"))) / "baselines"
"""Figures that ship with the package, and not with the pages."""


@dataclass(frozen=True)
class Chapter:
    """A page of the documentation, or the places in one that hold figures.

    Attributes:
        study: the command that measures it.
        figures: where its figures are, for a folder of pages.
        write: write it from these figures into such a folder.
    """

    study: str
    figures: Callable[[Path], Path]
    write: Callable[[Path, Path], object]


def _policies(figures: Path, docs: Path) -> None:
    policies.write_docs(cast("Records", read_json(figures, BenchmarkError)), docs)


def _matrix(figures: Path, docs: Path) -> None:
    found = cast("matrix.Matrix", read_json(figures, BenchmarkError))
    matrix.page(found, to_be_measured(found)).write(docs)


def _pushes(figures: Path, docs: Path) -> None:
    found = cast("pushes.PushesFigures", read_json(figures, BenchmarkError))
    pushes.page(found, to_be_measured(found)).write(docs)


def _ablations(figures: Path, docs: Path) -> None:
    ablations.page(cast("ablations.Figures", read_json(figures, BenchmarkError))).write(docs)


def _throughput(figures: Path, docs: Path) -> None:
    try:
        found: ThroughputFigures = from_json(ThroughputFigures, read_json(figures, BenchmarkError))
    except TypeError as error:
        raise BenchmarkError(f"{figures}: no figures of this benchmark: {error}") from None
    throughput_page(found).write(docs)


def _reconstruction(figures: Path, docs: Path) -> None:
    for page in reconstruction.pages(
        cast("reconstruction.AllFigures", read_json(figures, BenchmarkError))
    ):
        page.write(docs)


def _stills(figures: Path, docs: Path) -> None:
    found = cast("StillsFigures", read_json(figures, BenchmarkError))
    stills_page(found).write(docs)


def _leaderboard(figures: Path, docs: Path) -> None:
    leaderboard_page(analyse(read_results(figures))).write(docs)


CHAPTERS = (
    Chapter("policies", lambda docs: docs / policies.FIGURES, _policies),
    Chapter("matrix", lambda _: BASELINES / "policies" / matrix.MATRIX_FILE, _matrix),
    Chapter("pushes", lambda _: BASELINES / "policies" / pushes.PUSHES_FILE, _pushes),
    Chapter("ablations", lambda docs: docs / ablations.FIGURES, _ablations),
    Chapter("throughput", lambda docs: docs / throughput.FIGURES, _throughput),
    Chapter("reconstruction", lambda docs: docs / reconstruction.FIGURES, _reconstruction),
    Chapter("stills", lambda docs: docs / stills.FIGURES, _stills),
    Chapter("report", lambda _: BASELINES / "SFV-Quick", _leaderboard),
)


def book(
    only: Annotated[
        list[str] | None,
        typer.Argument(help="Studies by the name of their command; all by default."),
    ] = None,
    docs: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("docs"),
) -> None:
    """Write the documentation's pages of figures again, from figures that are there already.

    Nothing is measured. A page whose figures are not there stays as it is.
    """
    known = {chapter.study: chapter for chapter in CHAPTERS}
    if unknown := [name for name in only or () if name not in known]:
        raise UnknownIdError(
            f"there is no page of {', '.join(unknown)}; there are {', '.join(known)}"
        )
    for name in only or known:
        figures = known[name].figures(docs)
        if figures.exists():
            known[name].write(figures, docs)
            said = f"written from {figures}"
        elif only:
            raise BenchmarkError(f"{figures} is not there: `sfv bench {name}` measures it")
        else:
            said = f"stays as it is: {figures} is not there, `sfv bench {name}` measures it"
        Console(stderr=True).print(f"{name}: {said}", highlight=False, markup=False, soft_wrap=True)
