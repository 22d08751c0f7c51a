"""Commands that train: ``train`` and ``train-all``."""

from __future__ import annotations

import json
import reprlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sfv_gym.errors import SettingError
from sfv_gym.files import JSON
from sfv_gym.jobs.options import Address, ExecutorName, Workers, interruptible, make_executor

if TYPE_CHECKING:
    from sfv_gym.train.train_all import RunResult

from sfv_gym.cli.options import AsJson, Device, EnvId, Seed, Settings, Threads, app, console
from sfv_gym.cli.playing import print_evaluation


@app.command(epilog="Example: [bold]sfv train SFV-Walk-v0 --steps 4000000 --out runs/walk[/bold]")
def train(
    env_id: EnvId,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/<id> by default.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Control steps in all; the recipe's by default.", min=1)
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
            "run can start from the flat ground's or the humanoid's policy."
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

    if resume and out:
        raise SettingError("--resume names the run's folder: give it or --out, not both")
    folder = resume or out or Path("runs") / env_id
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
            settings=_settings(otherwise),
        )
    except KeyboardInterrupt:
        console.print(f"Interrupted. Go on with: sfv train {env_id} --resume {escape(str(folder))}")
        raise typer.Exit(1) from None
    print_evaluation(evaluation)
    console.print(f"The best policy is [bold]{escape(str(folder / 'policy.safetensors'))}[/bold].")


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
            help="Folder of policies to start new runs from: a terrain's from the flat ground's, "
            "Atlas's from the humanoid's."
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
            settings=_settings(otherwise),
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
    """Print what ``--settings`` asks for and end."""
    if not wanted:
        return
    from sfv_gym.train.settings import rows

    out = Console(highlight=False)
    for row in rows():
        out.print(f"[bold]{row.name}[/bold]={escape(row.default)}  {row.kind}, {row.span}")
        out.print(f"    {escape(row.meaning)}", soft_wrap=True)
    raise typer.Exit


def _settings(pairs: list[str] | None) -> JSON:
    """What ``--set`` was given; raises SettingError for what is not of the form NAME=VALUE."""
    import yaml

    settings = {}
    for pair in pairs or []:
        name, sign, text = pair.partition("=")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):  # no date, say; brackets without end
            value = None
        if not sign or value is None:
            raise SettingError(
                f"--set takes NAME=VALUE, as gamma=0.98; it was given {reprlib.repr(pair)}"
            )
        settings[name.strip()] = value
    if "steps" in settings:
        raise SettingError("the number of control steps is not for --set: give --steps or --budget")
    return settings


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
