"""The commands under ``sfv bench``."""

from __future__ import annotations

import typer

from sfv_gym.benchmarks.reconstruction import reconstruction
from sfv_gym.benchmarks.throughput import throughput
from sfv_gym.benchmarks.torques import torques

app = typer.Typer(help="Measure environments, policies and reconstruction.", no_args_is_help=True)
app.command(epilog="Example: [bold]sfv bench throughput --quick[/bold]")(throughput)
app.command(epilog="Example: [bold]sfv bench reconstruction clips --ablations[/bold]")(
    reconstruction
)
app.command(epilog="Example: [bold]sfv bench torques SFV-Backflip-v0[/bold]")(torques)
