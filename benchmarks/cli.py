"""The commands under ``sfv bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sfv_gym.benchmarks.book import Column, Table
from sfv_gym.benchmarks.chapters import book
from sfv_gym.benchmarks.studies.ablations import ablations
from sfv_gym.benchmarks.studies.matrix import matrix
from sfv_gym.benchmarks.studies.policies.command import policies
from sfv_gym.benchmarks.studies.pushes import pushes
from sfv_gym.benchmarks.studies.reconstruction.command import reconstruction
from sfv_gym.benchmarks.studies.stills.command import stills
from sfv_gym.benchmarks.studies.throughput.command import throughput
from sfv_gym.benchmarks.studies.torques import torques
from sfv_gym.benchmarks.trained_policies import KEPT
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
app.command(epilog="Example: [bold]sfv bench ablations --ablation narrow_noise[/bold]")(ablations)
app.command(epilog="Example: [bold]sfv bench torques SFV-Backflip-v0[/bold]")(torques)
app.command(epilog="Example: [bold]sfv bench matrix --policy SFV-Walk-v0[/bold]")(matrix)
app.command(epilog="Example: [bold]sfv bench pushes --policy SFV-Walk-v0[/bold]")(pushes)
app.command(epilog="Example: [bold]sfv bench stills clips --docs docs[/bold]")(stills)
app.command(epilog="Example: [bold]sfv bench book --docs docs[/bold]")(book)
console = Console(stderr=True)


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


@app.command(epilog="Example: [bold]sfv bench suites --json[/bold]")
def suites(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """List the suites and their tasks."""
    from dataclasses import asdict

    from sfv_gym.benchmarks.suites import SUITES

    if as_json:
        rows = [{**asdict(s), "name": s.name, "hash": s.content_hash()} for s in SUITES]
        typer.echo(json.dumps(rows))
        return
    table = [
        (
            suite.name,
            len(suite.tasks),
            ", ".join(f"{name} {b.steps:,}" for name, b in suite.budgets.items()),
            suite.title,
        )
        for suite in SUITES
    ]
    head = ("suite", "tasks", Column("control steps", left=True), Column("what", left=True))
    Console().print(Table.of(head, table).rich())


@app.command(epilog="Example: [bold]sfv bench algorithms[/bold]")
def algorithms() -> None:
    """List the algorithms, and which of them are ready to use here."""
    from importlib import metadata

    from sfv_gym.benchmarks.algorithms import BUILT_IN, GROUP, ZERO, find_algorithm
    from sfv_gym.errors import SFVError

    rows = []
    own = [entry.name for entry in metadata.entry_points(group=GROUP)]
    for name in [*BUILT_IN, ZERO, *own]:
        try:
            find_algorithm(name)
            rows.append((name, "ready"))
        except SFVError as error:
            rows.append((name, str(error)))
    Console().print(Table.of(("algorithm", Column("", left=True)), rows).rich())
