"""The command line: ``sfv``.

Every command exits with 0 on success, 2 on wrong input, and 1 otherwise; machine-readable output
appears only under ``--json``, on stdout alone.
"""

from __future__ import annotations

import sys

import typer
from rich.markup import escape

from sfv_gym.cli import completing, learning, motions, playing, training  # noqa: F401  (their commands)
from sfv_gym.cli.options import app, console
from sfv_gym.errors import SFVError


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    help="Measure and compare: ablations, algorithms, book, matrix, policies, pushes, "
    "reconstruction, report, run, stills, suites, throughput, torques.",
    epilog="Example: [bold]sfv bench throughput --quick[/bold]",
)
def bench(context: typer.Context) -> None:
    """See ``sfv_gym.benchmarks.cli``."""
    # a group of its own, which is loaded only when it is asked for: it brings plots and training
    from sfv_gym.benchmarks.cli import app as group

    group(args=context.args, prog_name="sfv bench")


def main() -> None:
    """Entry point of ``sfv``: wrong input is one line on stderr and exit code 2."""
    try:
        app()
    except SFVError as error:
        console.print(
            f"[bold red]error:[/bold red] {escape(str(error))}", highlight=False, soft_wrap=True
        )
        sys.exit(2)
