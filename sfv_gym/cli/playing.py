"""Commands that play environments: ``envs``, ``eval``, ``render``, ``play``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from sfv_gym.cli.options import (
    LONGEST_VIDEO,
    MOST_EPISODES,
    Agent,
    AsJson,
    Difficulty,
    EnvId,
    PolicyFile,
    Seed,
    _finite,
    app,
    console,
)
from sfv_gym.errors import SettingError
from sfv_gym.files import JSON
from sfv_gym.seeds import MAX_SEED

if TYPE_CHECKING:
    from sfv_gym.play.evaluation import Evaluation


@app.command(epilog="Example: [bold]sfv envs --skill walk --character atlas[/bold]")
def envs(
    skill: Annotated[str | None, typer.Option(help="Only this skill, such as walk.")] = None,
    character: Annotated[str | None, typer.Option(help="Only this character.")] = None,
    terrain: Annotated[str | None, typer.Option(help="Only this terrain.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the registered environment ids: every skill, character and terrain."""
    from sfv_gym import list_envs
    from sfv_gym.play.policy import shipped_policy_path
    from sfv_gym.registry import load_motion

    rows: list[JSON] = []
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
    from sfv_gym.play.evaluation import evaluate
    from sfv_gym.play.policy import load_policy
    from sfv_gym.seeds import Purpose, stream

    if start not in (None, "fixed", "rsi"):
        raise SettingError(f"--start must be fixed or rsi, not {start!r}")
    loaded = load_policy(env_id, policy)
    evaluations = [
        evaluate(
            loaded.predict,
            env_id,
            start=kind,
            episodes=episodes,
            seed=stream(Purpose.PUBLICATION) if seed is None else seed,
            difficulty=difficulty,
        )
        for kind in (("fixed", "rsi") if start is None else (start,))
    ]
    figures = evaluations[0].as_dict()
    if start is None:
        figures["rsi"] = evaluations[1].as_dict()
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        print_evaluation(*evaluations)


@app.command(epilog="Example: [bold]sfv render SFV-Backflip-v0 --out backflip.mp4[/bold]")
@app.command("play", epilog="Example: [bold]sfv play SFV-Walk-v0 --agent zero[/bold]")
def render(
    env_id: EnvId,
    out: Annotated[Path | None, typer.Option(help="Video to write; <id>.mp4 by default.")] = None,
    agent: Agent = "policy",
    policy: PolicyFile = None,
    seconds: Annotated[
        float, typer.Option(help="Longest to play.", min=0.1, max=LONGEST_VIDEO, callback=_finite)
    ] = 10.0,
    difficulty: Difficulty = None,
    seed: Seed = 0,
) -> None:
    """Write a video of the reference motion beside the simulated character.

    The agents reference (replays the reference's PD targets), zero and random show what the
    environment does without learning.
    """
    from sfv_gym.play.pictures import render_video

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


def print_evaluation(*evaluations: Evaluation) -> None:
    """A column for each evaluation of the same id."""
    table = Table(title=evaluations[0].env_id)
    table.add_column("figure")
    for evaluation in evaluations:
        table.add_column(f"from {evaluation.start} starts", justify="right")
    columns = [evaluation.as_dict() for evaluation in evaluations]
    for key in columns[0]:
        if key not in ("env_id", "start"):
            values = [figures[key] for figures in columns]
            table.add_row(key, *(f"{v:.3f}" if isinstance(v, float) else str(v) for v in values))
    Console().print(table)
