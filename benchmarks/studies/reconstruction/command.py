"""``sfv bench reconstruction``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sfv_gym.benchmarks.studies.reconstruction.measure import Figures, measure
from sfv_gym.benchmarks.studies.reconstruction.page import page
from sfv_gym.benchmarks.studies.reconstruction.stages import table as stage_table
from sfv_gym.files import write_json
from sfv_gym.pose.registry import DEFAULT

FIGURES = "reconstruction.json"


def reconstruction(
    clips: Annotated[Path, typer.Argument(help="Folder of <clip>.mp4 with <clip>.npz truths.")],
    docs: Annotated[
        Path,
        typer.Option(help="Folder for figures and pictures; the tables go into reconstruction.md."),
    ] = Path("out/reconstruction"),
    only: Annotated[list[str] | None, typer.Option(help="Only this clip; repeatable.")] = None,
    estimator: Annotated[
        str,
        typer.Option(
            help="What finds the person in the frames: mediapipe, or your own as "
            "my_module:MyEstimator or path/file.py:MyEstimator."
        ),
    ] = DEFAULT,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Also leave out one part after the other.")
    ] = False,
    times: Annotated[
        bool,
        typer.Option("--times", help="Only how long each stage takes; clips need no truth then."),
    ] = False,
) -> None:
    """Measure reconstruction against the truth, beside raw MediaPipe."""
    if times:
        Console().print(stage_table(clips, only, estimator=estimator).rich())
        return
    figures = measure(clips, only, estimator=estimator, ablations=ablations)
    page(figures).show(Console())
    write_docs(figures, docs)


def write_docs(figures: Figures, docs: Path) -> None:
    """``reconstruction.json``, the tables between the marks of ``reconstruction.md``, and its
    pictures.

    Raises:
        SFVError: the page has no marks.
        OutputError: something cannot be written.
    """
    write_json(docs / FIGURES, figures)
    page(figures).write(docs)
