"""Commands that train: ``train``, ``train-all`` and ``distill``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sfv_gym.errors import SettingError
from sfv_gym.jobs.options import Address, ExecutorName, Workers, interruptible, make_executor

if TYPE_CHECKING:
    from sfv_gym.play.by_motion import IdEvaluation
    from sfv_gym.train.train_all import RunResult

from sfv_gym.cli.options import (
    AsJson,
    Device,
    EnvId,
    Seed,
    Settings,
    Threads,
    _finite,
    app,
    console,
    parsed_settings,
)
from sfv_gym.cli.playing import print_evaluation, print_motions


@app.command(epilog="Example: [bold]sfv train SFV-Walk-v0 --steps 4000000 --out runs/walk[/bold]")
def train(
    env_id: EnvId,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/<id> by default.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Control steps in all; the recipe's by default.", min=1)
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="End after so many minutes, if that is sooner; the last evaluation comes on top.",
            min=0.0,
            callback=_finite,
        ),
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.")] = None,
    seed: Seed = 0,
    threads: Threads = 1,
    device: Device = "cpu",
    otherwise: Settings = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="A policy file to start from, of this id or of another: a terrain's or Atlas's "
            "run can start from the flat ground's or the humanoid's policy, and any, with --set "
            "observation=window, from a tracker's (`sfv distill`)."
        ),
    ] = None,
    list_settings: Annotated[
        bool,
        typer.Option(
            "--settings",
            help="List the settings that --set takes: name, type, range, default, meaning.",
            is_eager=True,
            callback=_list_settings,
        ),
    ] = False,
) -> None:
    """Train a policy with Stable-Baselines3's PPO; ends when it is good for long enough."""
    from sfv_gym.train.ppo import train as run

    folder = _run_folder(env_id, out, resume)
    try:
        evaluation = run(
            env_id,
            folder,
            steps=steps,
            seed=seed,
            resume=resume is not None,
            num_threads=threads,
            init=init,
            device=device,
            settings={**parsed_settings(otherwise), "minutes": minutes},
        )
    except KeyboardInterrupt:
        _interrupted(f"sfv train {env_id}", folder)
    _print_result(evaluation, folder)


@app.command(
    epilog="Example: [bold]sfv distill SFV-Tracker-v0 --minutes 10 --out runs/tracker[/bold], then "
    "[bold]sfv train SFV-Tracker-v0 --init runs/tracker/policy.safetensors[/bold]"
)
def distill(
    env_id: Annotated[str, typer.Argument(help="A tracker's id, such as SFV-Tracker-v0.")],
    specialists: Annotated[
        Path | None,
        typer.Option(
            help="Folder of policies to learn from, each called by its id, such as "
            "SFV-Walk-v0.safetensors; the shipped ones by default."
        ),
    ] = None,
    skill: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this skill, or a variant such as walk+warped-0.9; can be given several "
            "times. Every skill by default."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="End after so many minutes; the last evaluation comes on top.",
            min=0.0,
            callback=_finite,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="End after so many control steps; 1,000,000 by default, without --minutes.", min=1
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/<id> by default.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.")] = None,
    seed: Seed = 0,
    threads: Threads = 1,
    otherwise: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Another value for a setting, as noise=0.05; can be given several times. "
            "`sfv distill --settings` lists them with their ranges.",
        ),
    ] = None,
    list_settings: Annotated[
        bool,
        typer.Option(
            "--settings",
            help="List the settings that --set takes: name, type, range, default, meaning.",
            is_eager=True,
            callback=_list_distill_settings,
        ),
    ] = False,
) -> None:
    """Make one policy of many motions from policies of single ones.

    It plays every motion, is told at each step what the motion's own policy would do, and learns
    that (DAgger). Motions that have no policy yet are left out. What comes out plays a tracker's
    id, and is what PPO goes on from: on all motions, or, with --set observation=window, on one,
    known or new.
    """
    from sfv_gym.train.distill import distill as run

    folder = _run_folder(env_id, out, resume)
    settings = {**parsed_settings(otherwise), "minutes": minutes, "steps": steps}
    try:
        evaluation = run(
            env_id,
            folder,
            specialists=specialists,
            skills=skill,
            seed=seed,
            resume=resume is not None,
            num_threads=threads,
            settings=settings,
        )
    except KeyboardInterrupt:
        _interrupted(f"sfv distill {env_id}", folder)
    _print_result(evaluation, folder)


@app.command("train-all", epilog="Example: [bold]sfv train-all --out runs --workers 2[/bold]")
def train_all_command(
    env_ids: Annotated[
        list[str] | None, typer.Argument(help="Environment ids; by default those that fit below.")
    ] = None,
    skill: Annotated[
        list[str] | None, typer.Option(help="Only this skill; can be given several times.")
    ] = None,
    character: Annotated[
        list[str] | None, typer.Option(help="Only these; humanoid by default.")
    ] = None,
    terrain: Annotated[list[str] | None, typer.Option(help="Only these; flat by default.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs, one each.")] = Path("runs"),
    executor: ExecutorName = "local",
    address: Address = None,
    workers: Workers = None,
    budget: Annotated[
        int | None,
        typer.Option(help="Control steps of each run at most; the recipe's by default.", min=1),
    ] = None,
    otherwise: Settings = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Folder of policies to start new runs from: of changed motions their "
            "own, otherwise a terrain's from the flat ground's, Atlas's from the humanoid's."
        ),
    ] = None,
    seed: Seed = 0,
    threads: Threads = 1,
    device: Device = "cpu",
    install: Annotated[
        Path | None,
        typer.Option(
            help="Folder of policies into which finished ones are copied, where they are better "
            "than what lies there or that is of another motion."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train many environments; killed at any moment, the same call goes on."""
    from sfv_gym import list_envs
    from sfv_gym.train.device import check_threads
    from sfv_gym.train.train_all import train_all
    from sfv_gym.train.warm_start import parent_policy

    wanted = {"character": character or ["humanoid"], "terrain": terrain or ["flat"]}
    if skill:
        wanted["skill"] = skill
    ids = env_ids or [
        entry.env_id
        for entry in list_envs()
        if entry.motion and all(getattr(entry, name) in values for name, values in wanted.items())
    ]
    parents = {i: parent_policy(i, init) for i in ids} if init else {}
    check_threads(threads)
    with (
        interruptible(console, "every run has a checkpoint"),
        make_executor(executor, workers, address, threads=threads) as chosen,
    ):
        results = train_all(
            ids,
            out,
            executor=chosen,
            budget=budget,
            seed=seed,
            threads=threads,
            device=device,
            settings=parsed_settings(otherwise),
            init={i: str(path) for i, path in parents.items() if path},
            install=install,
            console=console,
        )
    if as_json:
        rows = [{**asdict(result), "folder": str(result.folder)} for result in results]
        typer.echo(json.dumps(rows))
    else:
        _print_runs(results)
    failed = [result.env_id for result in results if result.outcome == "failed"]
    if failed:
        console.print(f"[red]{len(failed)} of {len(results)} runs failed[/red]")
        raise typer.Exit(1)


def _list_settings(wanted: bool) -> None:
    """Print what ``sfv train --settings`` asks for and end."""
    if wanted:
        from sfv_gym.train.config import PPOConfig

        _print_settings(PPOConfig)


def _list_distill_settings(wanted: bool) -> None:
    """Print what ``sfv distill --settings`` asks for and end."""
    if wanted:
        from sfv_gym.train.distill_config import DistillConfig

        _print_settings(DistillConfig)


def _print_settings(kind: type) -> NoReturn:
    from sfv_gym.train.settings import rows

    out = Console(highlight=False)
    for row in rows(kind):
        out.print(f"[bold]{row.name}[/bold]={escape(row.default)}  {row.kind}, {row.span}")
        out.print(f"    {escape(row.meaning)}", soft_wrap=True)
    raise typer.Exit


def _run_folder(env_id: str, out: Path | None, resume: Path | None) -> Path:
    if resume and out:
        raise SettingError("--resume names the run's folder: give it or --out, not both")
    return resume or out or Path("runs") / env_id


def _interrupted(command: str, folder: Path) -> NoReturn:
    console.print(f"Interrupted. Go on with: {command} --resume {escape(str(folder))}")
    raise typer.Exit(1)


def _print_result(evaluation: IdEvaluation, folder: Path) -> None:
    from sfv_gym.play.by_motion import MotionEvaluations

    if isinstance(evaluation, MotionEvaluations):
        print_motions(evaluation)
    else:
        print_evaluation(evaluation)
    console.print(f"The best policy is [bold]{escape(str(folder / 'policy.safetensors'))}[/bold].")


def _print_runs(results: list[RunResult]) -> None:
    table = Table(title=f"{len(results)} runs", box=None)
    table.add_column("id", no_wrap=True)
    for column in ("ended by", "M samples", "min", "NR pose", "NR sfv", "success", "root mm"):
        table.add_column(column, justify="right")
    for result in results:
        card, figures = result.card, result.card.get("evaluation", {})
        row = [""] * 6
        if figures:
            end = "_total" if "samples_total" in card else ""
            row = [
                f"{card[f'samples{end}'] / 1e6:.2f}",
                f"{card[f'seconds{end}'] / 60:.0f}",
                *(
                    f"{figures[name]:.3f}"
                    for name in ("normalized_return", "normalized_return_sfv")
                ),
                f"{figures['success_rate']:.2f}",
                f"{figures['mpjpe_root_mm']:.0f}",
            ]
        table.add_row(result.env_id, result.outcome, *row)
    Console().print(table)
