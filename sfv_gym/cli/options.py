"""The application ``sfv`` and the options that several of its commands take."""

from __future__ import annotations

import math
import reprlib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sfv_gym.errors import SettingError
from sfv_gym.files import JSON
from sfv_gym.motion import BAD, DOUBTFUL, GOOD, NOTE, Verdict
from sfv_gym.seeds import MAX_SEED

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
LONGEST_VIDEO = 3600.0
"""Seconds; the states of all of it lie in memory."""


_COLOURS = {GOOD: "green", NOTE: "dim", DOUBTFUL: "yellow", BAD: "red"}


def print_verdict(verdict: Verdict | None, to: Console) -> None:
    """What a reconstruction is worth, and why; nothing where nobody judged it."""
    if verdict is None:
        return
    colour = _COLOURS[verdict.grade]
    to.print(f"Reconstruction: [bold {colour}]{verdict.grade}[/]", highlight=False)
    for severity, text in verdict.lines():
        to.print(f"- [{_COLOURS[severity]}]{escape(text)}[/]", highlight=False)


def _finite(value: float | None) -> float | None:
    """A range lets NaN through, which is neither below nor above anything."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


EnvId = Annotated[str, typer.Argument(help="Environment id, such as SFV-Backflip-v0.")]
PolicyFile = Annotated[
    Path | None, typer.Option(help="A policy file; the shipped policy by default.")
]
SkillName = Annotated[
    str | None, typer.Option(help="snake_case name of the skill; the file's name by default.")
]
MotionOut = Annotated[
    Path | None, typer.Option(help="Motion file to write; <skill>.npz by default.")
]
ReportOut = Annotated[
    Path | None,
    typer.Option(
        help="Page to judge the motion by: verdict, video, the person from two sides; "
        "<out>_report.html by default."
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="A motion that is bad is an error, and nothing is written.")
]
FirstSecond = Annotated[
    float | None, typer.Option(help="First second to use, as a player shows it.")
]
LastSecond = Annotated[float | None, typer.Option(help="Second to stop at.")]
Loop = Annotated[str, typer.Option(help="auto, wrap (a cyclic skill) or none.")]
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
ObservationName = Annotated[
    str | None,
    typer.Option(
        help="What the policy sees: phase or window, which fine-tuned trackers see; the id's own "
        "by default."
    ),
]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.", min=0, max=MAX_SEED)]
Threads = Annotated[
    int, typer.Option(help="Of a run: of its physics and of torch.", min=1, max=1024)
]
Device = Annotated[str, typer.Option(help="For the updates: cpu, cuda, cuda:1 or auto.")]


def parsed_settings(pairs: list[str] | None) -> JSON:
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
    if "minutes" in settings:
        raise SettingError("the number of minutes is not for --set: give --minutes")
    return settings
