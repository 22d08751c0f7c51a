"""The command that goes on from a picture: ``complete``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sfv_gym.cli.options import AsJson, _finite, app, console
from sfv_gym.errors import MissingExtraError


@app.command(epilog="Example: [bold]sfv complete kick.jpg[/bold]")
def complete(
    image: Annotated[Path, typer.Argument(help="A picture of a whole person.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for films, contact sheet and report; completed/<image> by default."
        ),
    ] = None,
    character: Annotated[str, typer.Option(help="Who goes on: humanoid or atlas.")] = "humanoid",
    count: Annotated[int, typer.Option(help="Skills to play.", min=1, max=10)] = 3,
    subject: Annotated[
        str, typer.Option(help="Which of several people, as for sfv extract.")
    ] = "largest",
    seconds: Annotated[
        float, typer.Option(help="Longest to play.", min=0.1, max=60.0, callback=_finite)
    ] = 3.0,
    as_json: AsJson = False,
) -> None:
    """What the person in a picture may go on to do: the nearest skills, played on from there.

    A picture that is far from all skills gets that answer, and no films.
    """
    try:
        from sfv_gym.completion import complete as run
    except ImportError as error:
        raise MissingExtraError(
            f"sfv complete needs more packages ({error}): pip install 'sfv-gym[video]'"
        ) from None
    target = out or Path("completed") / image.stem
    found = run(
        image, out=target, character=character, count=count, subject=subject, seconds=seconds
    )
    for one in found:
        name = one.skill + (", mirrored" if one.mirrored else "")
        then = "no policy ships for it"
        if one.stays_up is not None:
            then = "stays up" if one.stays_up else "does not stay up for a second"
        elif not one.is_near:
            then = "too far to play"
        console.print(
            f"[bold]{name}[/bold] at {one.time:.2f} s: {one.words} "
            f"({100 * one.distance:.0f} cm), {then}",
            highlight=False,
        )
    if not any(one.is_near for one in found):
        console.print("[yellow]The picture is far from all skills.[/yellow]")
    console.print(f"Open [bold]{escape(str(target / 'report.html'))}[/bold] in a browser.")
    if as_json:
        typer.echo(json.dumps([one.as_dict() for one in found]))
