"""``--executor``, ``--address`` and ``--workers``, and what Ctrl-C does: the same for every command
that does jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from sfv_gym.errors import SettingError
from sfv_gym.jobs.job import Executor
from sfv_gym.jobs.local import LocalExecutor

EXECUTORS = ("local", "ray")

ExecutorName = Annotated[
    str, typer.Option("--executor", help="Where: local (processes here) or ray (a cluster).")
]
Address = Annotated[
    str | None, typer.Option(help="Of a Ray cluster, such as auto; else one on this machine.")
]
Workers = Annotated[
    int | None,
    typer.Option(help="How many side by side; one for each core by default.", min=1),
]


def make_executor(
    name: str = "local",
    workers: int | None = None,
    address: str | None = None,
    *,
    threads: int = 1,
) -> Executor:
    """``"local"`` or ``"ray"``.

    Args:
        workers: jobs side by side; by default as many as there are cores for.
        address: of a Ray cluster; else one is started on this machine.
        threads: of each job.

    Raises:
        SettingError: another name, an address that needs Ray or where nothing answers, or a number
            of workers below 1.
        MissingExtraError: Ray is not installed.
    """
    if name not in EXECUTORS:
        raise SettingError(f"unknown executor {name!r}; known: {', '.join(EXECUTORS)}")
    if workers is not None and workers < 1:
        raise SettingError(f"workers must be at least 1, not {workers}")
    if name == "ray":
        from sfv_gym.jobs.ray import RayExecutor

        return RayExecutor(workers, address, threads)
    if address is not None:
        raise SettingError("--address is that of a Ray cluster: add --executor ray")
    return LocalExecutor(workers or max(1, (os.cpu_count() or 1) // threads))


@contextmanager
def interruptible(console: Console, kept: str) -> Iterator[None]:
    """Ctrl-C ends a command with a line, and exit code 1.

    Args:
        kept: what is not lost, such as ``"finished results are kept"``.
    """
    try:
        yield
    except KeyboardInterrupt:
        console.print(f"Interrupted; {kept}. The same command goes on.")
        raise typer.Exit(1) from None
