"""The commands under ``sfv bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sfv_gym.benchmarks.choices import choices
from sfv_gym.benchmarks.policies import policies
from sfv_gym.benchmarks.reconstruction import reconstruction
from sfv_gym.benchmarks.throughput import throughput
from sfv_gym.benchmarks.torques import torques
from sfv_gym.jobs.options import Address, ExecutorName, Workers, interruptible, make_executor

app = typer.Typer(
    help="Compare algorithms and policies; measure environments and reconstruction.",
    no_args_is_help=True,
)
app.command(epilog="Example: [bold]sfv bench throughput --quick[/bold]")(throughput)
app.command(epilog="Example: [bold]sfv bench reconstruction clips --ablations[/bold]")(
    reconstruction
)
app.command(epilog="Example: [bold]sfv bench policies --docs docs[/bold]")(policies)
app.command(epilog="Example: [bold]sfv bench choices --choice narrow_noise[/bold]")(choices)
app.command(epilog="Example: [bold]sfv bench torques SFV-Backflip-v0[/bold]")(torques)
console = Console(stderr=True)
KEPT = "finished results are kept"

Policies = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        help="An id whose policy ships, or a .safetensors file; can be given several times. "
        "Every shipped policy by default.",
    ),
]
OutFolder = Annotated[Path, typer.Option(help="Folder to write to.")]
Docs = Annotated[Path | None, typer.Option(help="Write the page there, not to --out.")]


@app.command(
    epilog="Example: [bold]sfv bench run --suite SFV-Quick --algo ppo --algo sac --seeds 5[/bold]"
)
def run(
    suite: Annotated[str, typer.Option(help="Name of a suite: `sfv bench suites` lists them.")],
    algo: Annotated[
        list[str],
        typer.Option(
            help="An algorithm: `sfv bench algorithms` lists them; or your own, as "
            "my_module:make_agent or path/file.py:make_agent. Can be given several times."
        ),
    ],
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.", min=1)] = 1,
    budget: Annotated[
        str, typer.Option(help="small, standard, or a number of control steps for each run.")
    ] = "small",
    task: Annotated[
        list[str] | None, typer.Option(help="Only this task of the suite; several times for more.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("bench"),
    executor: ExecutorName = "local",
    address: Address = None,
    workers: Workers = None,
    remake: Annotated[
        bool,
        typer.Option("--remake", help="Do again what was made with another motion or character."),
    ] = False,
) -> None:
    """Train and score algorithms on a suite; the same command goes on where it was stopped."""
    from sfv_gym.benchmarks.runner import run_benchmark

    with interruptible(console, KEPT), make_executor(executor, workers, address) as chosen:
        summary = run_benchmark(
            suite,
            algo,
            seeds=seeds,
            budget=budget,
            out=out,
            executor=chosen,
            tasks=task,
            remake=remake,
            console=console,
        )
    console.print(
        f"{summary.finished} runs finished, {summary.kept} were there already, "
        f"{len(summary.failed)} failed. Report: [bold]sfv bench report {out}[/bold]"
    )
    if summary.failed:
        raise typer.Exit(1)


@app.command(epilog="Example: [bold]sfv bench report bench[/bold]")
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of results.")] = Path("bench"),
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; that of the results by default.")
    ] = None,
    leaderboard: Annotated[
        Path | None, typer.Option(help="Also write the leaderboard to this file.")
    ] = None,
) -> None:
    """Write report.html, report.md, leaderboard.md and CSV from a folder of results."""
    from sfv_gym.benchmarks.report import write_report

    page = write_report(folder, out, leaderboard)
    console.print(f"Open [bold]{escape(str(page))}[/bold] in a browser.")


@app.command(epilog="Example: [bold]sfv bench matrix --policy SFV-Walk-v0[/bold]")
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
    """Success and return of policies on every terrain, by difficulty: matrix.json and pictures.

    What the folder holds of the same policies already is kept: the same command goes on.
    """
    from sfv_gym.benchmarks import plots
    from sfv_gym.benchmarks.matrix import (
        MATRIX_FILE,
        matrix_figures,
        matrix_markdown,
        matrix_overview,
        measure_matrix,
    )
    from sfv_gym.benchmarks.players import find_players, to_be_measured
    from sfv_gym.files import write_text

    players = find_players(policy)
    with interruptible(console, KEPT), make_executor(executor, workers, address) as chosen:
        found = measure_matrix(
            players,
            terrains=terrain,
            episodes=episodes,
            seed=seed,
            file=out / MATRIX_FILE,
            executor=chosen,
            console=console,
        )
    if docs is not None:
        picture = docs.with_name("images") / f"{docs.stem}_matrix.svg"
        write_text(picture, plots.svg(matrix_overview(found), "matrix"))
        write_text(docs, matrix_markdown(found, f"images/{picture.name}", to_be_measured(found)))
    else:
        docs = out / "matrix.md"
        write_text(docs, matrix_markdown(found))
        for i, (_, figure) in enumerate(matrix_figures(found)):
            name = f"matrix_{i}"
            write_text(out / "figures" / f"{name}.svg", plots.svg(figure, name))
    console.print(f"{out / MATRIX_FILE} and {docs}")


@app.command(epilog="Example: [bold]sfv bench pushes --policy SFV-Walk-v0[/bold]")
def pushes(
    policy: Policies = None,
    step: Annotated[float, typer.Option(help="Newtons by which the push grows.", min=1.0)] = 20.0,
    most: Annotated[float, typer.Option(help="Newtons, the largest push to try.")] = 1000.0,
    episodes: Annotated[int, typer.Option(help="Of each policy and direction.", min=1)] = 32,
    seed: Annotated[int, typer.Option(help="Of start noise and the times of pushes.")] = 0,
    out: OutFolder = Path("bench"),
    docs: Docs = None,
    executor: ExecutorName = "local",
    address: Address = None,
    workers: Workers = None,
) -> None:
    """The largest push over 0.2 s, from the front and the side, that policies survive.

    What the folder holds of the same policies already is kept: the same command goes on.
    """
    from sfv_gym.benchmarks.players import find_players, to_be_measured
    from sfv_gym.benchmarks.pushes import PUSHES_FILE, measure_pushes, push_table, pushes_markdown
    from sfv_gym.files import write_text

    players = find_players(policy)
    with interruptible(console, KEPT), make_executor(executor, workers, address) as chosen:
        found = measure_pushes(
            players,
            step=step,
            most=most,
            episodes=episodes,
            seed=seed,
            file=out / PUSHES_FILE,
            executor=chosen,
            console=console,
        )
    missing = to_be_measured(found) if docs else ()
    write_text(docs or out / "pushes.md", pushes_markdown(found, missing))
    head, rows = push_table(found)
    table = Table(*head)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


@app.command(epilog="Example: [bold]sfv bench suites --json[/bold]")
def suites(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """List the suites and their tasks."""
    from dataclasses import asdict

    from sfv_gym.benchmarks.suites import SUITES

    if as_json:
        rows = [{**asdict(s), "name": s.name, "hash": s.content_hash()} for s in SUITES]
        typer.echo(json.dumps(rows))
        return
    table = Table("suite", "tasks", "control steps", "what", box=None)
    for suite in SUITES:
        budgets = ", ".join(f"{name} {b.steps:,}" for name, b in suite.budgets.items())
        table.add_row(suite.name, str(len(suite.tasks)), budgets, suite.title)
    Console().print(table)


@app.command(epilog="Example: [bold]sfv bench algorithms[/bold]")
def algorithms() -> None:
    """List the algorithms, and which of them are ready to use here."""
    from importlib import metadata

    from sfv_gym.benchmarks.algorithms import BUILT_IN, GROUP, ZERO, find_algorithm
    from sfv_gym.errors import SFVError

    table = Table("algorithm", "", box=None)
    own = [entry.name for entry in metadata.entry_points(group=GROUP)]
    for name in [*BUILT_IN, ZERO, *own]:
        try:
            find_algorithm(name)
            table.add_row(name, "ready")
        except SFVError as error:
            table.add_row(name, escape(str(error)))
    Console().print(table)
