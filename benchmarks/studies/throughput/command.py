"""``sfv bench throughput``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sfv_gym.benchmarks.studies.throughput.measure import COMPARED, Figures, measure
from sfv_gym.benchmarks.studies.throughput.page import page
from sfv_gym.files import write_json
from sfv_gym.jobs.typed_json import to_json

FIGURES = "throughput.json"


def throughput(
    docs: Annotated[Path, typer.Option(help="Folder for figures, page and picture.")] = Path(
        "out/throughput"
    ),
    seconds: Annotated[float, typer.Option(help="About how long a turn takes.")] = 2.0,
    rounds: Annotated[int, typer.Option(help="Turns of each implementation.", min=1)] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only 256 environments, ours against raw MuJoCo.")
    ] = False,
) -> None:
    """Measure control steps per second against raw MuJoCo and the usual vector environments."""
    if quick:
        figures = measure((COMPARED,), seconds=seconds, rounds=rounds, others=False)
    else:
        figures = measure(seconds=seconds, rounds=rounds)
    page(figures).show(Console())
    write_docs(figures, docs)


def write_docs(figures: Figures, docs: Path) -> None:
    """``throughput.json``, and the page with its picture.

    Raises:
        OutputError: something cannot be written.
    """
    write_json(docs / FIGURES, to_json(figures))
    page(figures).write(docs)
