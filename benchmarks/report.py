"""The report on a folder of results: Markdown, CSV, one HTML page, and a leaderboard."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from sfv_gym.benchmarks import plots
from sfv_gym.benchmarks.analysis import Analysis, analyse
from sfv_gym.benchmarks.book import (
    Cell,
    Column,
    Gallery,
    Page,
    Part,
    Picture,
    Table,
    Text,
    texts,
    with_interval,
)
from sfv_gym.benchmarks.results import FINISHED, Result, read_results, run_folder
from sfv_gym.benchmarks.rollout_video import ROLLOUT_VIDEO
from sfv_gym.benchmarks.statistics import REPETITIONS, Interval
from sfv_gym.benchmarks.studies import matrix, pushes
from sfv_gym.errors import BenchmarkError
from sfv_gym.files import write_text
from sfv_gym.jobs.folder import read_json

COMMAND = "sfv bench report"


def write_report(folder: Path, out: Path | None = None, leaderboard: Path | None = None) -> Path:
    """Write the report on the results in ``folder`` and return the HTML page's path.

    Args:
        out: folder to write to; ``folder`` itself by default.
        leaderboard: also write the leaderboard to this file.

    Raises:
        BenchmarkError: there are no results, or they do not belong together.
        OutputError: it cannot be written.
    """
    analysis = analyse(read_results(folder))
    out = out or folder
    report = page(analysis, folder)
    report.write(out)
    write_text(out / "report.html", report.html())
    board = leaderboard_page(analysis)
    board.write(out)
    if leaderboard is not None:
        write_text(leaderboard, board.markdown())
    write_text(out / "results.csv", _csv(_result_rows(analysis.results)))
    write_text(out / "curves.csv", _csv(_curve_rows(analysis.results)))
    return out / "report.html"


def page(analysis: Analysis, folder: Path) -> Page:
    """The report: tables and plots, policies' figures that lie beside the results, videos."""
    notes = [_note(analysis)]
    parts: list[Part] = [*_tables(analysis)]
    pictures = _pictures(analysis)
    if found := cast("matrix.Matrix", read_json(folder / matrix.MATRIX_FILE, BenchmarkError)):
        for policy in found["policies"]:
            pictures += matrix.matrix_pictures(found, policy)
        notes.append(matrix.protocol())
    if pushed := cast(
        "pushes.PushesFigures", read_json(folder / pushes.PUSHES_FILE, BenchmarkError)
    ):
        parts.append(pushes.push_table(pushed, "Largest push survived"))
        notes.append(pushes.protocol())
    parts += pictures
    if videos := _videos(folder, analysis):
        said = texts("sfv_gym.benchmarks", "report.yml")
        parts.append(Gallery(videos, said["videos_title"], said["videos"]))
    parts += [Text(note) for note in notes]
    return Page("report.md", analysis.suite.name, _lead(analysis), tuple(parts), COMMAND)


def leaderboard_page(analysis: Analysis) -> Page:
    """The ranking, and each task's figures."""
    ranking, by_task = _tables(analysis)[:2]
    parts = (replace(ranking, title=""), by_task, Text(_note(analysis)))
    title = f"Leaderboard of {analysis.suite.name}"
    return Page("leaderboard.md", title, _lead(analysis), parts, COMMAND)


def _tables(analysis: Analysis) -> list[Table]:
    keys = ("iqm", "mean", "median", "optimality_gap", "success")
    found, names = analysis.algorithms, [one.name for one in analysis.algorithms]
    seeds = {one.name: len(one.seeds) for one in found}
    ranking: list[tuple[Cell, ...]] = [
        (
            one.name,
            *(_cell(one.aggregates[key], seeds[one.name]) for key in keys),
            seeds[one.name],
            one.seconds[-1] / 60,
        )
        for one in found
    ]
    head = ("algorithm", "IQM of NR", "mean", "median", "optimality gap", "success", "seeds")
    by_task = [
        (task, *(_cell(one.by_task[task], seeds[one.name]) for one in found))
        for task in analysis.tasks
    ]
    tables = [
        Table.of((*head, Column("min a run", ".1f")), ranking, "Ranking"),
        Table.of(("task", *names), by_task, "Mean NR of each task"),
    ]
    if len(found) > 1:
        better = [
            (
                a,
                *(
                    "" if a == b else _cell(analysis.better[a, b], min(seeds[a], seeds[b]))
                    for b in names
                ),
            )
            for a in names
        ]
        tables.append(Table.of(("", *names), better, "Probability that row beats column"))
    if analysis.failures:
        failures = [
            (
                f"{one['task']} {one['algorithm']} seed {one['seed']}",
                one["error"]["blame"],
                one["error"]["message"].splitlines()[0],
            )
            for one in analysis.failures
        ]
        tables.append(Table.of(("run", "blame", "what"), failures, "Runs that failed"))
    return tables


def _pictures(analysis: Analysis) -> list[Picture]:
    drawn = [
        ("curves", "Sample efficiency and time", plots.learning_curves),
        ("aggregates", "Aggregates", plots.aggregates),
        ("profiles", "Performance profiles", plots.profiles),
    ]
    if len(analysis.algorithms) > 1:
        drawn.append(("improvement", "Who beats whom", plots.improvement))
    drawn.append(("tasks", "Every run", plots.task_curves))
    return [
        Picture(
            f"figures/{name}.svg", title, title, partial(plots.svg, partial(draw, analysis), name)
        )
        for name, title, draw in drawn
    ]


def _videos(folder: Path, analysis: Analysis) -> tuple[Picture, ...]:
    """Of each algorithm on each task the run with the best score, where it left a video."""
    best: dict[tuple[str, str], tuple[float, Path]] = {}
    for result in analysis.results:
        if result["status"] != FINISHED:
            continue
        task, algorithm, score = result["task"], result["algorithm"], result["score"]
        path = run_folder(folder, task, algorithm, result["seed"]) / ROLLOUT_VIDEO
        known = best.get((task, algorithm))
        if path.is_file() and (known is None or score > known[0]):
            best[task, algorithm] = score, path
    pictures = []
    for task, algorithm in itertools.product(analysis.tasks, (a.name for a in analysis.algorithms)):
        if (task, algorithm) in best:
            score, path = best[task, algorithm]
            words = f"{task}, {algorithm}, NR {score:.3f}"
            name = f"figures/{task}_{algorithm}.webp"
            pictures.append(Picture(name, words, draw=path.read_bytes))
    return tuple(pictures)


def _cell(found: Interval, seeds: int) -> str:
    # of one seed there is nothing to estimate a spread from
    bounds = None if seeds < 2 else (float(found.low), float(found.high))
    return with_interval(float(found.value), bounds, 3)


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
    text = texts("sfv_gym.benchmarks", "report.yml")["note"].format(
        episodes=analysis.suite.protocol.final_episodes, repetitions=REPETITIONS
    )
    return f"{text} {_made_with(analysis.results)}"


def _made_with(results: Sequence[Result]) -> str:
    def names(values: Sequence[str]) -> str:
        return ", ".join(sorted(set(values)))

    machines = names([f"{r['machine']['cpu']}, {r['machine']['cores']} cores" for r in results])
    mujoco = names([r["versions"].get("mujoco", "?") for r in results])
    revisions = names([r["revision"] or "no checkout" for r in results])
    return (
        f"Machine: {machines}; minutes are the clock's, whatever else it did. MuJoCo {mujoco}. "
        f"Revision: {revisions}."
    )


CSVRow = dict[str, object]


def _result_rows(results: Sequence[Result]) -> list[CSVRow]:
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


def _curve_rows(results: Sequence[Result]) -> list[CSVRow]:
    return [
        {**{key: result[key] for key in ("task", "algorithm", "seed")}, **_flat(point)}
        for result in results
        if result["status"] == FINISHED
        for point in result["curve"]
    ]


def _flat(figures: Mapping[str, object]) -> CSVRow:
    """Figures with the two ends of an interval as figures of their own, for a table."""
    flat: CSVRow = {}
    for name, value in figures.items():
        if isinstance(value, list):
            flat[f"{name}_low"], flat[f"{name}_high"] = value
        else:
            flat[name] = value
    return flat


def _csv(rows: Sequence[CSVRow]) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, keys, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
