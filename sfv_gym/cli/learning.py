"""The command that does it all: ``learn``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sfv_gym.cli.options import (
    AsJson,
    Seed,
    Settings,
    SkillName,
    Strict,
    _finite,
    app,
    console,
    parsed_settings,
)
from sfv_gym.errors import MissingExtraError
from sfv_gym.files import JSON
from sfv_gym.jobs.options import interruptible

if TYPE_CHECKING:
    from sfv_gym.train.learn import Learned


@app.command(epilog="Example: [bold]sfv learn jump.mp4 --minutes 5[/bold]")
def learn(
    source: Annotated[
        str,
        typer.Argument(
            help="A video of one person; joints in space, such as .bvh; a motion file (.npz); or a "
            "skill such as walk."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything; learned/<skill> by default.")
    ] = None,
    character: Annotated[str, typer.Option(help="Who learns it: humanoid or atlas.")] = "humanoid",
    terrain: Annotated[
        str, typer.Option(help="Where: flat, slopes, gaps, steps or beam.")
    ] = "flat",
    minutes: Annotated[
        float | None,
        typer.Option(
            help="How long it may take in all; what evaluation and film take is kept back from "
            "training. Without it, training ends when the policy is good, or after --steps.",
            min=0.0,
            callback=_finite,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="The most control steps to learn from; 1,000,000 by default.", min=1),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(
            help="Success rate from which on a policy is good, and training ends; 0.95 by default.",
            min=0.0,
            max=1.0,
            callback=_finite,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="What to start from: tracker (the shipped policy of many motions), a policy "
            "file, or none; the tracker where one ships."
        ),
    ] = None,
    first: Annotated[
        float | None, typer.Option("--from", help="First second of the clip, as a player shows it.")
    ] = None,
    last: Annotated[float | None, typer.Option("--to", help="Second to stop at.")] = None,
    speed: Annotated[
        float | None,
        typer.Option(help="How fast the video plays what it shows: 0.25 for slow motion."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="Which of several people, as for sfv extract.")
    ] = None,
    loop: Annotated[str | None, typer.Option(help="auto, wrap (a cyclic skill) or none.")] = None,
    skill: SkillName = None,
    seed: Seed = 0,
    threads: Annotated[
        int | None,
        typer.Option(help="Of the physics; the cores by default, at most 4.", min=1, max=1024),
    ] = None,
    otherwise: Settings = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Make a character do what a video shows: motion, verdict, training, film, report, model card.

    The same command again goes on where it was stopped; with more --minutes or --steps it learns
    on.
    """
    try:
        from sfv_gym.train.learn import learn as run
    except ImportError as error:
        raise MissingExtraError(
            f"sfv learn needs more packages ({error}): pip install 'sfv-gym[video,train]'"
        ) from None

    extraction: JSON = {
        "start": first,
        "end": last,
        "speed": speed,
        "subject": subject,
        "loop": loop,
    }
    with interruptible(console, "what is done is kept"):
        learned = run(
            source,
            out,
            character=character,
            terrain=terrain,
            minutes=minutes,
            steps=steps,
            target=target,
            start=start,
            skill=skill,
            seed=seed,
            threads=threads,
            strict=strict,
            extraction={name: value for name, value in extraction.items() if value is not None},
            settings=parsed_settings(otherwise),
        )
    _print(learned)
    if as_json:
        typer.echo(json.dumps(learned.as_dict()))


def _print(learned: Learned) -> None:
    """What came out, and how to use it, on stderr."""
    found = learned.evaluation
    colour = "green" if learned.is_good else "yellow"
    success = f"[bold {colour}]{found.success_rate:.2f}[/]"
    console.print(
        f"[bold]{learned.env_id}[/bold]: success {success} in {found.episodes} episodes, "
        f"normalized return {found.normalized_return:.3f}, after {learned.minutes:.1f} min and "
        f"{learned.samples / 1e6:.2f} M samples",
        highlight=False,
        soft_wrap=True,
    )
    if not learned.is_good:
        console.print(
            f"It is not good yet ({learned.target:g}): with more --minutes or --steps the same "
            "command learns on.",
            highlight=False,
        )
    console.print(f"Open [bold]{escape(str(learned.report))}[/bold] in a browser. In Python:")
    console.print(learned.usage, highlight=False, markup=False, soft_wrap=True)
