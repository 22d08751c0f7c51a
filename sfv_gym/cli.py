"""The command line: ``sfv``.

Every command exits with 0 on success, 2 on wrong input, and 1 otherwise; machine-readable output
appears only under ``--json``, on stdout alone.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sfv_gym.errors import SettingError, SFVError
from sfv_gym.files import check_folder
from sfv_gym.jobs.options import (
    Address,
    ExecutorName,
    Workers,
    interruptible,
    make_executor,
)
from sfv_gym.seeds import MAX_SEED

if TYPE_CHECKING:
    from sfv_gym.library import Built
    from sfv_gym.train.train_all import RunResult

app = typer.Typer(
    name="sfv",
    help="From a video of a person to a simulated character that does the same.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)
# Progress and messages go to stderr: stdout is for what was asked for.
console = Console(stderr=True)

MOST_EPISODES = 4096
"""That are played side by side: so many seeds a stream of random numbers has room for."""
LONGEST_FILM = 3600.0
"""Seconds; the states of all of it lie in memory."""


def _finite(value: float | None) -> float | None:
    """A range lets NaN through, which is neither below nor above anything."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


EnvId = Annotated[str, typer.Argument(help="Environment id, such as SFV-Backflip-v0.")]
PolicyFile = Annotated[
    Path | None, typer.Option(help="A policy file; the shipped policy by default.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
Agent = Annotated[str, typer.Option(help="policy, or without learning: zero, random, reference.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Another value for a setting of the recipe, as gamma=0.98 or reward=pose; can be "
        "given several times. `sfv train --settings` lists them with their ranges.",
    ),
]
Difficulty = Annotated[
    float | None,
    typer.Option(
        help="Of the terrain, 0 to 1; 0.5 by default.", min=0.0, max=1.0, callback=_finite
    ),
]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.", min=0, max=MAX_SEED)]
Threads = Annotated[
    int, typer.Option(help="Of a run: of its physics and of torch.", min=1, max=1024)
]
Device = Annotated[str, typer.Option(help="For the updates: cpu, cuda, cuda:1 or auto.")]


@app.command(epilog="Example: [bold]sfv demo --out out/demo[/bold]")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path(
        "out/demo"
    ),
    train: Annotated[
        bool, typer.Option("--train", help="Train the policies again instead of the shipped ones.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(help="With --train: control steps of each training run.", min=1)
    ] = None,
) -> None:
    """Two videos -> motions -> environments -> policies -> pictures and a report."""
    from sfv_gym.demo import run_demo

    check_folder(out)
    report = run_demo(out, train=train, steps=steps)
    console.print(f"Open [bold]{escape(str(report))}[/bold] in a browser.")


@app.command(epilog="Example: [bold]sfv doctor[/bold]")
def doctor(as_json: AsJson = False) -> None:
    """Show what works here: physics, rendering, pose model, training."""
    from sfv_gym.doctor import diagnose, healthy, print_report, to_json

    checks = diagnose()
    if as_json:
        typer.echo(to_json(checks))
    else:
        print_report(checks)
    raise typer.Exit(0 if healthy(checks) else 1)


@app.command(epilog="Example: [bold]sfv extract jump.mp4 --skill jump --start 1.5 --end 4[/bold]")
def extract(
    video: Annotated[Path, typer.Argument(help="A video of one person, from a camera at rest.")],
    skill: Annotated[
        str | None, typer.Option(help="snake_case name of the skill; the file's name by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Motion file to write; <skill>.npz by default.")
    ] = None,
    start: Annotated[
        float | None, typer.Option(help="First second to use, as a player shows it.")
    ] = None,
    end: Annotated[float | None, typer.Option(help="Second to stop at.")] = None,
    speed: Annotated[
        float,
        typer.Option(
            help="How fast the video plays what it shows: 0.25 for slow motion at a quarter of "
            "the real speed. Without it, a slow-motion jump falls slower than gravity."
        ),
    ] = 1.0,
    loop: Annotated[str, typer.Option(help="auto, wrap (a cyclic skill) or none.")] = "auto",
    camera: Annotated[
        str, typer.Option(help="static, or moving: it pans after the person from one place.")
    ] = "static",
    focal: Annotated[
        float | None,
        typer.Option(
            help="The camera's focal length, where it is known, in units of the picture's longer "
            "side: its 35 mm equivalent / 36. By default 1.1, about that of a phone's video."
        ),
    ] = None,
    subject: Annotated[
        str,
        typer.Option(
            help="Which of several people: largest (and longest in view), a number in that order "
            "from 1 on, or x,y: the one nearest to that point, in shares of width and height."
        ),
    ] = "largest",
    overlay: Annotated[
        Path | None, typer.Option(help="Also write the video with the skeleton drawn in.")
    ] = None,
) -> None:
    """Take the motion of a person out of a video."""
    from sfv_gym.extract import extract_motion

    name = skill or _skill_of(video)
    target = out or Path(f"{name}.npz")
    motion = extract_motion(
        video,
        skill=name,
        out=target,
        start=start,
        end=end,
        speed=speed,
        loop=loop,
        camera=camera,
        focal=focal,
        subject=subject,
        overlay=overlay,
    )
    table = Table(title=f"{target}: {motion.num_frames} frames, {motion.duration:.2f} s")
    table.add_column("quality")
    table.add_column("value", justify="right")
    for key, value in motion.provenance.get("quality", {}).items():
        table.add_row(key, f"{value:.3g}" if isinstance(value, float) else str(value))
    console.print(table)
    console.print(
        f"Use it with [bold]SFV_GYM_MOTIONS={target.parent.resolve()}[/bold] or "
        f"sfv_gym.register_motion({str(target)!r})."
    )


@app.command(
    "build-library",
    epilog="Example: [bold]sfv build-library clips/ --out motions/ --sheets sheets/[/bold]",
)
def build_library_command(
    folders: Annotated[list[Path], typer.Argument(help="Folders that hold the library's clips.")],
    out: Annotated[Path, typer.Option(help="Folder for the motions.")] = Path("library"),
    skill: Annotated[
        list[str] | None, typer.Option(help="Only this skill; can be given several times.")
    ] = None,
    sheets: Annotated[
        Path | None, typer.Option(help="Folder for a picture of each: video above, motion below.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make again what is up to date.")] = False,
    executor: ExecutorName = "local",
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Make the reference motions of the whole library; goes on where it was interrupted."""
    from sfv_gym.library import build_library

    for folder in filter(None, (out, sheets)):
        check_folder(folder)
    kept = "finished motions are kept"
    with interruptible(console, kept), make_executor(executor, workers, address) as chosen:
        made: list[Built] = build_library(
            folders,
            out,
            skills=skill,
            sheets=sheets,
            force=force,
            executor=chosen,
            console=console,
        )
    failed = sum(built.motion is None for built in made)
    if failed:
        console.print(f"[red]{failed} motions could not be made[/red]")
        raise typer.Exit(1)  # wrong input it need not be


@app.command(epilog="Example: [bold]sfv assess walk --plot walk.svg[/bold]")
def assess(
    motion: Annotated[str, typer.Argument(help="A motion file (.npz), or a skill such as walk.")],
    character: Annotated[str, typer.Option(help="humanoid or atlas.")] = "humanoid",
    plot: Annotated[
        Path | None, typer.Option(help="Also draw its course, as an .svg picture.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Could a simulated character do this motion? Forces, torques, contacts, frame by frame."""
    from sfv_gym import imitability
    from sfv_gym.registry import find_motion

    found = imitability.assess(find_motion(motion), character)
    if plot is not None:
        imitability.plot(found, plot)
    if as_json:
        troubles = [asdict(trouble) for trouble in found.troubles()]
        typer.echo(json.dumps({"motion": motion, **found.summary(), "troubles": troubles}))
    else:
        imitability.print_report(found, motion, Console())


@app.command(epilog="Example: [bold]sfv envs --skill walk --character atlas[/bold]")
def envs(
    skill: Annotated[str | None, typer.Option(help="Only this skill, such as walk.")] = None,
    character: Annotated[str | None, typer.Option(help="Only this character.")] = None,
    terrain: Annotated[str | None, typer.Option(help="Only this terrain.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the registered environment ids: every skill, character and terrain."""
    from sfv_gym import list_envs
    from sfv_gym.policy import shipped_policy_path
    from sfv_gym.registry import load_motion

    rows: list[dict[str, Any]] = []
    wanted = {"skill": skill, "character": character, "terrain": terrain}
    for entry in list_envs():
        if any(value not in (None, getattr(entry, name)) for name, value in wanted.items()):
            continue
        motion = load_motion(entry.motion)
        rows.append(
            {
                **{k: str(v) for k, v in asdict(entry).items()},
                "seconds": round(motion.period if motion.loop == "wrap" else motion.duration, 3),
                "loop": motion.loop,
                "policy": shipped_policy_path(entry.env_id).is_file(),
            }
        )
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(title=f"{len(rows)} environments", box=None)
    for column in ("id", "character", "terrain", "seconds", "loop", "policy"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(
            row["env_id"],
            row["character"],
            row["terrain"],
            f"{row['seconds']:.2f}",
            row["loop"],
            "yes" if row["policy"] else "no",
        )
    Console().print(table)


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
    _print_evaluation(evaluation.as_dict())
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
        if all(getattr(entry, name) in values for name, values in wanted.items())
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


@app.command("eval", epilog="Example: [bold]sfv eval SFV-Backflip-v0 --json[/bold]")
def evaluate_command(
    env_id: EnvId,
    policy: PolicyFile = None,
    episodes: Annotated[
        int,
        typer.Option(help="Episodes to play from each kind of start.", min=1, max=MOST_EPISODES),
    ] = 128,
    start: Annotated[
        str | None,
        typer.Option(help="fixed (the clip's first frame) or rsi (drawn ones); both by default."),
    ] = None,
    difficulty: Difficulty = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Of start noise and terrain, for episodes of your own; by default those of the "
            "published figures.",
            min=0,
            max=MAX_SEED,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a policy: normalized return, success, joint error.

    The figures are those from the clip's first frame, and under "rsi" those from drawn starts.
    Without --seed, --episodes and --difficulty they are measured as every published one is, in the
    same episodes.
    """
    from sfv_gym.evaluation import evaluate
    from sfv_gym.policy import load_policy
    from sfv_gym.seeds import Purpose, stream

    if start not in (None, "fixed", "rsi"):
        raise SettingError(f"--start must be fixed or rsi, not {start!r}")
    loaded = load_policy(env_id, policy)
    settings: dict[str, Any] = {
        "episodes": episodes,
        "seed": stream(Purpose.PUBLICATION) if seed is None else seed,
        "difficulty": difficulty,
    }
    evaluations = [
        evaluate(loaded.predict, env_id, start=kind, **settings)
        for kind in (("fixed", "rsi") if start is None else (start,))
    ]
    figures = evaluations[0].as_dict()
    if start is None:
        figures["rsi"] = evaluations[1].as_dict()
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        _print_evaluation(*(one.as_dict() for one in evaluations))


@app.command(epilog="Example: [bold]sfv render SFV-Backflip-v0 --out backflip.mp4[/bold]")
@app.command("play", epilog="Example: [bold]sfv play SFV-Walk-v0 --agent zero[/bold]")
def render(
    env_id: EnvId,
    out: Annotated[Path | None, typer.Option(help="Video to write; <id>.mp4 by default.")] = None,
    agent: Agent = "policy",
    policy: PolicyFile = None,
    seconds: Annotated[
        float, typer.Option(help="Longest to play.", min=0.1, max=LONGEST_FILM, callback=_finite)
    ] = 10.0,
    difficulty: Difficulty = None,
    seed: Seed = 0,
) -> None:
    """Write a video of the reference motion beside the simulated character.

    The agents reference (replays the reference's PD targets), zero and random show what the
    environment does without learning.
    """
    from sfv_gym.rendering import render_video

    target = out or Path(f"{env_id}.mp4")
    summary = render_video(
        env_id,
        target,
        agent=agent,
        policy=policy,
        seconds=seconds,
        seed=seed,
        difficulty=difficulty,
    )
    console.print(f"{target}: {summary}", markup=False)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    help="Measure and compare: algorithms, choices, matrix, policies, pushes, reconstruction, "
    "report, run, suites, throughput, torques.",
    epilog="Example: [bold]sfv bench throughput --quick[/bold]",
)
def bench(context: typer.Context) -> None:
    """See ``sfv_gym.benchmarks.cli``."""
    # a group of its own, which is loaded only when it is asked for: it brings plots and training
    from sfv_gym.benchmarks.cli import app as group

    group(args=context.args, prog_name="sfv bench")


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


def _skill_of(video: Path) -> str:
    """A skill's name out of a file's: phones number their videos, and people write any script."""
    words = re.sub(r"[^a-z0-9]+", "_", video.stem.lower()).strip("_")
    return words if words[:1].isalpha() else f"clip_{words}".rstrip("_")


def _settings(pairs: list[str] | None) -> dict[str, Any]:
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


def _print_evaluation(*evaluations: dict[str, Any]) -> None:
    """A column for each evaluation of the same id."""
    table = Table(title=str(evaluations[0]["env_id"]))
    table.add_column("figure")
    for figures in evaluations:
        table.add_column(f"from {figures['start']} starts", justify="right")
    for key in evaluations[0]:
        if key not in ("env_id", "start"):
            values = [figures[key] for figures in evaluations]
            table.add_row(key, *(f"{v:.3f}" if isinstance(v, float) else str(v) for v in values))
    Console().print(table)


def _print_runs(results: list[RunResult]) -> None:
    table = Table(title=f"{len(results)} runs", box=None)
    table.add_column("id", no_wrap=True)
    for column in ("ended by", "M samples", "min", "NR pose", "NR sfv", "success", "root mm"):
        table.add_column(column, justify="right")
    for result in results:
        card, figures = result.card, result.card.get("evaluation", {})
        row = [""] * 6
        if figures:
            row = [
                f"{card.get('samples_total', card['samples']) / 1e6:.2f}",
                f"{card.get('seconds_total', card['seconds']) / 60:.0f}",
                *(
                    f"{figures[name]:.3f}"
                    for name in ("normalized_return", "normalized_return_sfv")
                ),
                f"{figures['success_rate']:.2f}",
                f"{figures['mpjpe_root_mm']:.0f}",
            ]
        table.add_row(result.env_id, result.outcome, *row)
    Console().print(table)


def main() -> None:
    """Entry point of ``sfv``: wrong input is one line on stderr and exit code 2."""
    try:
        app()
    except SFVError as error:
        console.print(
            f"[bold red]error:[/bold red] {escape(str(error))}", highlight=False, soft_wrap=True
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
