"""Commands that play environments: ``envs``, ``eval``, ``render``, ``play``."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
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
    ObservationName,
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
    from collections.abc import Callable, Sequence

    from sfv_gym.play.by_motion import MotionEvaluations
    from sfv_gym.play.evaluation import Evaluation


@app.command(epilog="Example: [bold]sfv envs --skill walk --character atlas[/bold]")
def envs(
    skill: Annotated[str | None, typer.Option(help="Only this skill, such as walk.")] = None,
    character: Annotated[str | None, typer.Option(help="Only this character.")] = None,
    terrain: Annotated[str | None, typer.Option(help="Only this terrain.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the registered environment ids: every skill, character and terrain, and the trackers,
    which are of every motion."""
    from sfv_gym import list_envs
    from sfv_gym.play.policy import shipped_policy_path
    from sfv_gym.registry import load_motion

    rows: list[JSON] = []
    wanted = {"skill": skill, "character": character, "terrain": terrain}
    for entry in list_envs():
        if any(value not in (None, getattr(entry, name)) for name, value in wanted.items()):
            continue
        row: JSON = {
            **asdict(entry), "motion": None, "seconds": None, "loop": None,
            "policy": shipped_policy_path(entry.env_id).is_file(),
        }  # fmt: skip
        if entry.motion:
            motion = load_motion(entry.motion)
            seconds = motion.period if motion.loop == "wrap" else motion.duration
            row |= {
                "motion": str(entry.motion),
                "seconds": round(seconds, 3),
                "loop": motion.loop,
            }
        rows.append(row)
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
            f"{row['seconds']:.2f}" if row["motion"] else "",
            row["loop"] or "every motion",
            "yes" if row["policy"] else "no",
        )
    Console().print(table)


@app.command("eval", epilog="Example: [bold]sfv eval SFV-Backflip-v0 --json[/bold]")
def evaluate_command(
    env_id: EnvId,
    agent: Agent = "policy",
    policy: PolicyFile = None,
    episodes: Annotated[
        int,
        typer.Option(
            help="Episodes to play from each kind of start, of each motion.",
            min=1,
            max=MOST_EPISODES,
        ),
    ] = 128,
    start: Annotated[
        str | None,
        typer.Option(help="fixed (the clip's first frame) or rsi (drawn ones); both by default."),
    ] = None,
    difficulty: Difficulty = None,
    observation: ObservationName = None,
    motion: Annotated[
        list[str] | None,
        typer.Option(
            help="Of this motion in place of the id's: a skill, a file, or a variant such as "
            "walk+mirrored; can be given several times."
        ),
    ] = None,
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

    On a tracker's id, which is of many motions, or with --motion: of every motion, and the means
    over them.

    The figures are those from the clip's first frame, and under "rsi" those from drawn starts.
    Without --seed, --episodes and --difficulty they are measured as every published one is, in the
    same episodes.
    """
    from sfv_gym.play.agents import choose_agent
    from sfv_gym.play.by_motion import evaluate_motions
    from sfv_gym.play.evaluation import play_agent
    from sfv_gym.registry import get_entry
    from sfv_gym.seeds import Purpose, stream

    if start not in (None, "fixed", "rsi"):
        raise SettingError(f"--start must be fixed or rsi, not {start!r}")
    kinds = ("fixed", "rsi") if start is None else (start,)
    chosen = choose_agent(agent, env_id, policy, observation=observation)
    options: JSON = {
        "episodes": episodes,
        "seed": stream(Purpose.PUBLICATION) if seed is None else seed,
        "difficulty": difficulty,
    }
    if observation is not None:
        options["observation"] = observation
    show: Callable[[], None]
    evaluations: Sequence[Evaluation | MotionEvaluations]
    if motion:
        options["motions"] = motion
    if get_entry(env_id).motion is None or motion:
        evaluations = tables = [
            evaluate_motions(chosen, env_id, start=kind, **options) for kind in kinds
        ]
        show = partial(print_motions, *tables)
    else:
        evaluations = columns = [
            play_agent(chosen, env_id, start=kind, **options).summary() for kind in kinds
        ]
        show = partial(print_evaluation, *columns)
    if not as_json:
        show()
        return
    figures = evaluations[0].as_dict()
    if start is None:
        figures["rsi"] = evaluations[1].as_dict()
    typer.echo(json.dumps(figures))


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
    observation: ObservationName = None,
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
        observation=observation,
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


def print_motions(*evaluations: MotionEvaluations) -> None:
    """A table for each kind of start: a row for each motion, and one of the means."""
    for evaluation in evaluations:
        table = Table(title=f"{evaluation.env_id} from {evaluation.start} starts")
        table.add_column("motion", no_wrap=True)
        for column in ("success", "NR pose", "NR sfv"):
            table.add_column(column, justify="right")
        rows: list[tuple[str, Evaluation | MotionEvaluations]] = [*evaluation.motions.items()]
        for name, one in (*rows, ("mean", evaluation)):
            if one is evaluation:
                table.add_section()
            figures = (one.success_rate, one.normalized_return, one.normalized_return_sfv)
            table.add_row(name, *(f"{value:.3f}" for value in figures))
        Console().print(table)
