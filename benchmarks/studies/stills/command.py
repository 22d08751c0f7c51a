"""``sfv bench stills``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypedDict, cast

import typer
from rich.console import Console

from sfv_gym.benchmarks.book import Page
from sfv_gym.benchmarks.studies.stills.frames import COUNT, SEED, clips_in, drawn
from sfv_gym.benchmarks.studies.stills.measure import Figures, measure
from sfv_gym.benchmarks.studies.stills.page import GUIDE, MARKS, page, real_page
from sfv_gym.benchmarks.studies.stills.real import RealPicture, measure_real
from sfv_gym.errors import BenchmarkError, SettingError
from sfv_gym.files import write_json, write_text
from sfv_gym.jobs.folder import read_json

FIGURES = "stills.json"


class AllFigures(TypedDict, total=False):
    """What ``stills.json`` holds: what was measured last on pictures with truth, and what came
    of real ones."""

    truth: Figures
    real: list[RealPicture]


def stills(
    clips: Annotated[
        Path | None, typer.Argument(help="Folder of <skill>_<anything>.mp4, of known skills.")
    ] = None,
    real: Annotated[
        Path | None, typer.Option(help="Folder of clips of real people, for a contact sheet.")
    ] = None,
    show: Annotated[
        list[str] | None,
        typer.Option(
            help="Clip of --real, by its name without suffix, whose pixels the sheet may show; "
            "repeatable. Of the others, a drawing of the person's landmarks."
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="Pictures to draw from the clips.", min=1)] = COUNT,
    seed: Annotated[int, typer.Option(help="Of the draw.", min=0)] = SEED,
    out: Annotated[Path, typer.Option(help="Folder where pictures and poses are kept.")] = Path(
        "out/stills"
    ),
    docs: Annotated[Path, typer.Option(help="Folder of the pages and of stills.json.")] = Path(
        "out/stills/docs"
    ),
) -> None:
    """Complete pictures whose skill is known, and count; the same command goes on where it was
    stopped.

    What is not measured now stays as it was.
    """
    if clips is None and real is None:
        raise SettingError("nothing to measure: name a folder of clips, --real FOLDER, or both")
    console = Console(stderr=True)
    found: AllFigures = {}
    if clips is not None:
        frames = drawn(clips_in(clips), count, seed)
        found["truth"] = measure(frames, seed, out, console)
    if real is not None:
        folder = clips_in(real)
        found["real"] = measure_real(
            drawn(folder, len(folder), seed), out, docs, show or (), console
        )
    for one in pages(found):
        one.show(Console())
    kept = cast("AllFigures", read_json(docs / FIGURES, BenchmarkError))
    write_docs({**kept, **found}, docs)


def pages(figures: AllFigures) -> list[Page]:
    """The page of pictures with truth, and the place in the guide of real ones."""
    found = [page(figures["truth"])] if "truth" in figures else []
    return found + ([real_page(figures["real"])] if "real" in figures else [])


def write_docs(figures: AllFigures, docs: Path) -> None:
    """``stills.json`` and the pages.

    Raises:
        SFVError: the guide has no place for the real ones.
        OutputError: something cannot be written.
    """
    write_json(docs / FIGURES, figures)
    if not (docs / GUIDE).is_file():
        write_text(docs / GUIDE, "\n".join(("# Complete a picture", "", *MARKS, "")))
    for one in pages(figures):
        one.write(docs)
