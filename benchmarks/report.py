"""The report on a folder of results: Markdown, CSV, one HTML page, and a leaderboard."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from sfv_gym.benchmarks import plots
from sfv_gym.benchmarks.analysis import Analysis, analyse
from sfv_gym.benchmarks.films import FILM
from sfv_gym.benchmarks.matrix import MATRIX_FILE, MATRIX_NOTE, matrix_figures
from sfv_gym.benchmarks.pages import table_lines
from sfv_gym.benchmarks.pushes import PUSHES_FILE, PUSHES_NOTE, push_table
from sfv_gym.benchmarks.results import FINISHED, read_results, run_folder
from sfv_gym.benchmarks.statistics import Interval
from sfv_gym.errors import BenchmarkError
from sfv_gym.files import atomic_path, write_text
from sfv_gym.jobs.folder import read_json

NOTE = (
    "NR: normalized return, the return under the pose reward divided by the most that an episode "
    "can give, of the last policy over {episodes} episodes from the clip's first frame. "
    "Intervals: 95 %, by stratified bootstrap over seeds with {repetitions:,} samples; with one "
    "seed there are none. A run that its algorithm broke (an exception, NaN actions) counts 0."
)


FILMS_TITLE = "What was learned"
FILMS_NOTE = "Left the reference, right the character; each algorithm's best run on each task."


@dataclass(frozen=True)
class Table:
    """A table with a title; the first column names the row."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Its lines without the title, as a table of GitHub's Markdown."""
        return "\n".join(table_lines(self.head, self.rows))


@dataclass(frozen=True)
class Picture:
    """A plot with a title; ``name`` is that of its file."""

    name: str
    title: str
    figure: Figure


@dataclass(frozen=True)
class Film:
    """An animated picture of a run: the best of an algorithm's on a task."""

    task: str
    algorithm: str
    score: float
    image: bytes

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.task}_{self.algorithm}.webp"

    @property
    def data(self) -> str:
        """The image as a URL that holds it."""
        return f"data:image/webp;base64,{base64.b64encode(self.image).decode()}"


def write_report(folder: Path, out: Path | None = None, leaderboard: Path | None = None) -> Path:
    """Write the report on the results in ``folder`` and return the HTML page's path.

    Args:
        out: folder to write to; ``folder`` itself by default.
        leaderboard: also write the leaderboard there.

    Raises:
        BenchmarkError: there are no results, or they do not belong together.
        OutputError: it cannot be written.
    """
    analysis = analyse(read_results(folder))
    out = out or folder
    tables = _tables(analysis)
    pictures = _pictures(analysis)
    if matrix := read_json(folder / MATRIX_FILE, BenchmarkError):
        pictures += [
            Picture(f"matrix_{i}", title, figure)
            for i, (title, figure) in enumerate(matrix_figures(matrix))
        ]
    if pushes := read_json(folder / PUSHES_FILE, BenchmarkError):
        head, rows = push_table(pushes)
        tables.append(Table("Largest push survived", head, rows))
    films = _films(folder, analysis)
    for one in films:
        with atomic_path(out / "figures" / one.name) as temporary:
            temporary.write_bytes(one.image)
    images = {one.name: plots.svg(one.figure, one.name) for one in pictures}
    for name, image in images.items():
        write_text(out / "figures" / f"{name}.svg", image)
    write_text(out / "report.md", _markdown(analysis, tables, pictures, films))
    write_text(out / "leaderboard.md", leaderboard_text(analysis, tables))
    if leaderboard is not None:
        write_text(leaderboard, leaderboard_text(analysis, tables))
    write_text(out / "results.csv", _csv(_result_rows(analysis.results)))
    write_text(out / "curves.csv", _csv(_curve_rows(analysis.results)))
    page = out / "report.html"
    write_text(page, _html(analysis, tables, pictures, images, films))
    return page


def leaderboard_text(analysis: Analysis, tables: Sequence[Table]) -> str:
    """The leaderboard as a Markdown page."""
    ranking, by_task = tables[:2]
    return "\n".join(
        [
            "<!-- written by `sfv bench report` -->",
            f"# Leaderboard of {analysis.suite.name}",
            "",
            _lead(analysis),
            "",
            ranking.markdown(),
            "",
            f"## {by_task.title}",
            "",
            by_task.markdown(),
            "",
            _note(analysis),
            "",
        ]
    )


def _tables(analysis: Analysis) -> list[Table]:
    ranking = Table(
        "Ranking",
        (
            "algorithm",
            "IQM of NR",
            "mean",
            "median",
            "optimality gap",
            "success",
            "seeds",
            "min a run",
        ),
        tuple(
            (
                one.name,
                *(
                    _cell(one.aggregates[key], len(one.seeds))
                    for key in ("iqm", "mean", "median", "optimality_gap", "success")
                ),
                str(len(one.seeds)),
                f"{one.seconds[-1] / 60:.1f}",
            )
            for one in analysis.algorithms
        ),
    )
    by_task = Table(
        "Mean NR of each task",
        ("task", *(one.name for one in analysis.algorithms)),
        tuple(
            (task, *(_cell(one.by_task[task], len(one.seeds)) for one in analysis.algorithms))
            for task in analysis.tasks
        ),
    )
    tables = [ranking, by_task]
    if len(analysis.algorithms) > 1:
        names = [one.name for one in analysis.algorithms]
        seeds = {one.name: len(one.seeds) for one in analysis.algorithms}
        rows = tuple(
            (
                a,
                *(
                    "" if a == b else _cell(analysis.better[a, b], min(seeds[a], seeds[b]))
                    for b in names
                ),
            )
            for a in names
        )
        tables.append(Table("Probability that row beats column", ("", *names), rows))
    if analysis.failures:
        tables.append(
            Table(
                "Runs that failed",
                ("run", "blame", "what"),
                tuple(
                    (
                        f"{one['task']} {one['algorithm']} seed {one['seed']}",
                        one["error"]["blame"],
                        one["error"]["message"].replace("|", "\\|").splitlines()[0],
                    )
                    for one in analysis.failures
                ),
            )
        )
    return tables


def _pictures(analysis: Analysis) -> list[Picture]:
    found = [
        Picture("curves", "Sample efficiency and time", plots.learning_curves(analysis)),
        Picture("aggregates", "Aggregates", plots.aggregates(analysis)),
        Picture("profiles", "Performance profiles", plots.profiles(analysis)),
    ]
    if len(analysis.algorithms) > 1:
        found.append(Picture("improvement", "Who beats whom", plots.improvement(analysis)))
    found.append(Picture("tasks", "Every run", plots.task_curves(analysis)))
    return found


def _films(folder: Path, analysis: Analysis) -> list[Film]:
    """Of each algorithm on each task the run with the best score, where it left a film."""
    best: dict[tuple[str, str], Film] = {}
    for result in analysis.results:
        if result["status"] != FINISHED:
            continue
        task, algorithm, score = result["task"], result["algorithm"], float(result["score"])
        path = run_folder(folder, task, algorithm, result["seed"]) / FILM
        known = best.get((task, algorithm))
        if path.is_file() and (known is None or score > known.score):
            best[task, algorithm] = Film(task, algorithm, score, path.read_bytes())
    names = [one.name for one in analysis.algorithms]
    return [best[t, a] for t in analysis.tasks for a in names if (t, a) in best]


def _cell(found: Interval, seeds: int) -> str:
    if seeds < 2:  # nothing to estimate a spread from
        return f"{float(found.value):.3f}"
    return f"{float(found.value):.3f} [{float(found.low):.3f}, {float(found.high):.3f}]"


def _lead(analysis: Analysis) -> str:
    suite = analysis.suite
    part = len(analysis.tasks)
    of_all = f"{part} tasks" if part == len(suite.tasks) else f"{part} of {len(suite.tasks)} tasks"
    text = (
        f"{suite.title}: {of_all}, {analysis.steps:,} control steps a run. "
        f"Suite {suite.name}, contents {suite.content_hash()}."
    )
    if analysis.incomplete:
        text += f" Left out, since no seed has all tasks: {', '.join(analysis.incomplete)}."
    return text


def _note(analysis: Analysis) -> str:
    from sfv_gym.benchmarks.statistics import REPETITIONS

    text = NOTE.format(episodes=analysis.suite.protocol.final_episodes, repetitions=REPETITIONS)
    return f"{text} {_made_with(analysis.results)}"


def _made_with(results: Sequence[dict[str, Any]]) -> str:
    def names(values: Sequence[str]) -> str:
        return ", ".join(sorted(set(values)))

    machines = names([f"{r['machine']['cpu']}, {r['machine']['cores']} cores" for r in results])
    mujoco = names([r["versions"].get("mujoco", "?") for r in results])
    revisions = names([r["revision"] or "no checkout" for r in results])
    return (
        f"Machine: {machines}; minutes are the clock's, whatever else it did. MuJoCo {mujoco}. "
        f"Revision: {revisions}."
    )


def _markdown(
    analysis: Analysis,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    films: Sequence[Film],
) -> str:
    parts = [f"# {analysis.suite.name}", _lead(analysis)]
    for table in tables:
        parts += [f"## {table.title}", table.markdown()]
    for picture in pictures:
        parts += [f"## {picture.title}", f"![{picture.title}](figures/{picture.name}.svg)"]
    if films:
        parts += [f"## {FILMS_TITLE}", FILMS_NOTE]
    for film in films:
        label = f"{film.task}, {film.algorithm}, NR {film.score:.3f}"
        parts += [f"{label}:", f"![{label}](figures/{film.name})"]
    return "\n\n".join([*parts, *_notes(analysis, tables, pictures)]) + "\n"


def _notes(analysis: Analysis, tables: Sequence[Table], pictures: Sequence[Picture]) -> list[str]:
    notes = [_note(analysis)]
    if any(picture.name.startswith("matrix") for picture in pictures):
        notes.append(MATRIX_NOTE)
    if any(table.title == "Largest push survived" for table in tables):
        notes.append(PUSHES_NOTE)
    return notes


def _html(
    analysis: Analysis,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    images: dict[str, str],
    films: Sequence[Film],
) -> str:
    import jinja2

    source = resources.files("sfv_gym.benchmarks").joinpath("templates", "report.html")
    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(source.read_text(encoding="utf-8"))
    return template.render(
        title=analysis.suite.name,
        lead=_lead(analysis),
        tables=tables,
        pictures=pictures,
        images=images,
        films=films,
        films_title=FILMS_TITLE,
        films_note=FILMS_NOTE,
        notes=_notes(analysis, tables, pictures),
    )


def _result_rows(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = ("suite", "task", "algorithm", "seed", "status", "score", "samples", "seconds")
    return [
        {
            **{key: result.get(key) for key in keys},
            **_flat(result.get("evaluation", {})),
            "motion_hash": result["motion_hash"],
            "revision": result["revision"],
        }
        for result in results
    ]


def _curve_rows(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**{key: result[key] for key in ("task", "algorithm", "seed")}, **_flat(point)}
        for result in results
        if result["status"] == FINISHED
        for point in result["curve"]
    ]


def _flat(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures with the two ends of an interval as figures of their own, for a table."""
    flat: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, list):
            flat[f"{name}_low"], flat[f"{name}_high"] = value
        else:
            flat[name] = value
    return flat


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, keys, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
