"""``sfv bench stills``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from sfv_gym.benchmarks.studies.stills.calibration import calibrate
from sfv_gym.benchmarks.studies.stills.frames import COUNT, SEED, clips_in, drawn
from sfv_gym.benchmarks.studies.stills.measure import measure
from sfv_gym.benchmarks.studies.stills.page import AllFigures, page
from sfv_gym.benchmarks.studies.stills.real import measure_real
from sfv_gym.errors import BenchmarkError, SettingError
from sfv_gym.files import write_json
from sfv_gym.jobs.folder import read_json

FIGURES = "stills.json"
CALIBRATION_COUNT, CALIBRATION_SEED = 15, 7


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
    calibration: Annotated[
        Path | None,
        typer.Option(help="Folder of other clips of known skills, to choose the ranking by."),
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
    if clips is None and real is None and calibration is None:
        raise SettingError(
            "nothing to measure: name a folder of clips, --real FOLDER, or --calibration FOLDER"
        )
    console = Console(stderr=True)
    found: AllFigures = {}
    if clips is not None:
        frames = drawn(clips_in(clips), count, seed)
        found["truth"] = measure(frames, seed, out, console)
    if calibration is not None:
        others = drawn(clips_in(calibration), CALIBRATION_COUNT, CALIBRATION_SEED)
        found["calibration"] = calibrate(others, CALIBRATION_SEED, out / "calibration", console)
    if real is not None:
        folder = clips_in(real)
        found["real"] = measure_real(
            drawn(folder, len(folder), seed), out, docs, show or (), console
        )
    page(found).show(Console())
    kept = cast("AllFigures", read_json(docs / FIGURES, BenchmarkError))
    write_docs({**kept, **found}, docs)


def write_docs(figures: AllFigures, docs: Path) -> None:
    """``stills.json`` and the page.

    Raises:
        OutputError: something cannot be written.
    """
    write_json(docs / FIGURES, figures)
    page(figures).write(docs)
