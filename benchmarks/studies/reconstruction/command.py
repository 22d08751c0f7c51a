"""``sfv bench reconstruction``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypedDict, cast

import typer
from rich.console import Console

from sfv_gym.benchmarks.book import Page
from sfv_gym.benchmarks.studies.reconstruction.measure import Figures, measure
from sfv_gym.benchmarks.studies.reconstruction.page import (
    FILE,
    MARKS,
    REAL_MARKS,
    TITLE,
    page,
    real_page,
)
from sfv_gym.benchmarks.studies.reconstruction.real import RealFigures, measure_real, open_views
from sfv_gym.benchmarks.studies.reconstruction.stages import table as stage_table
from sfv_gym.errors import BenchmarkError, SettingError
from sfv_gym.files import write_json, write_text
from sfv_gym.jobs.folder import read_json
from sfv_gym.pose.registry import DEFAULT

FIGURES = "reconstruction.json"


class AllFigures(TypedDict, total=False):
    """What ``reconstruction.json`` holds: what was measured last on clips, and on real people."""

    clips: Figures
    real: RealFigures


def reconstruction(
    clips: Annotated[
        Path | None, typer.Argument(help="Folder of <clip>.mp4 with <clip>.npz truths.")
    ] = None,
    real: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a real person filmed by several calibrated cameras: "
            "calibration/*.qca.txt or *.toml, and videos/<camera>.mp4."
        ),
    ] = None,
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
    """Measure reconstruction against the truth, beside raw MediaPipe.

    Of clips and real people, what is not measured now stays as it was.
    """
    if clips is None and real is None:
        raise SettingError("nothing to measure: name a folder of clips, --real FOLDER, or both")
    if times:
        if clips is None:
            raise SettingError("--times wants a folder of clips")
        Console().print(stage_table(clips, only, estimator=estimator).rich())
        return
    if real is not None:
        open_views(real)  # a wrong folder must not cost the clips' minutes
    found: AllFigures = {}
    if clips is not None:
        found["clips"] = measure(clips, only, estimator=estimator, ablations=ablations)
    if real is not None:
        found["real"] = measure_real(real, estimator=estimator)
    for one in pages(found):
        one.show(Console())
    kept = cast("AllFigures", read_json(docs / FIGURES, BenchmarkError))
    write_docs({**kept, **found}, docs)


def pages(figures: AllFigures) -> list[Page]:
    """The places in ``reconstruction.md`` of what was measured."""
    found = [page(figures["clips"])] if "clips" in figures else []
    return found + ([real_page(figures["real"])] if "real" in figures else [])


def write_docs(figures: AllFigures, docs: Path) -> None:
    """``reconstruction.json``, the tables between the marks of ``reconstruction.md``, and its
    pictures.

    Raises:
        SFVError: the page has no marks.
        OutputError: something cannot be written.
    """
    write_json(docs / FIGURES, figures)
    if not (docs / FILE).is_file():
        places = "\n\n".join("\n".join(marks) for marks in (MARKS, REAL_MARKS))
        write_text(docs / FILE, f"# {TITLE}\n\n{places}\n")
    for one in pages(figures):
        one.write(docs)
