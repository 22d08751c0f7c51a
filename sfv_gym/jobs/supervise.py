"""Sees jobs through: bars, further attempts where a worker has died, and a clean stop."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sfv_gym.files import JSON
from sfv_gym.jobs.job import (
    ATTEMPTS,
    STOP_SECONDS,
    Advanced,
    Died,
    Ended,
    Executor,
    Failed,
    Job,
    Said,
    Stopped,
)

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        result: what its function returned; None if it failed.
        error: why it failed, else empty.
        attempts: how often it was begun.
    """

    job: Job
    result: JSON | None
    error: str
    attempts: int


def supervise(
    jobs: Sequence[Job],
    executor: Executor,
    ended: Callable[[Outcome], str],
    *,
    title: str,
    console: Console,
    done: int = 0,
) -> None:
    """Do every job of ``jobs``, whose folders must differ. One that fails stops no other.

    A job whose worker dies is begun again, ``ATTEMPTS`` times in all: its function goes on from
    what lies in the folder. However this function is left, by Ctrl-C too, no job is left alone:
    those that write checkpoints have ``STOP_SECONDS`` for one.

    Args:
        ended: called with what became of each job, as it ends; the line to be printed of it, with
            rich's markup.
        title: of the bar over all jobs.
        done: how many were done before and are counted by that bar.
    """
    attempts = dict.fromkeys(jobs, 1)
    with _Bars(console, title, len(jobs) + done, done) as bars:
        left = set(jobs)

        def end(outcome: Outcome) -> None:
            left.discard(outcome.job)
            if outcome.result is not None and outcome.job.temporary:
                shutil.rmtree(outcome.job.folder, ignore_errors=True)
            bars.end(outcome.job, ended(outcome))

        try:
            for job in jobs:
                executor.submit(job)
            while left:
                for event in executor.poll(POLL_SECONDS):
                    job = event.job
                    match event:
                        case Advanced():
                            bars.advance(job, event.done, event.total, event.note)
                        case Said():
                            bars.say(f"{escape(job.label)}: {escape(event.text)}")
                        case Ended():
                            end(Outcome(job, event.result, "", attempts[job]))
                        case Failed():
                            end(Outcome(job, None, event.message, attempts[job]))
                        case Died() if attempts[job] < ATTEMPTS:
                            attempts[job] += 1
                            reason = escape(event.reason)
                            bars.say(f"{job.label}: its worker died ({reason}); begun again")
                            executor.submit(job)
                        case Died():
                            error = f"given up: its worker died {ATTEMPTS} times"
                            end(Outcome(job, None, error, attempts[job]))
                        case Stopped():
                            error = "it was stopped; the same command goes on"
                            end(Outcome(job, None, error, attempts[job]))
        finally:
            if left:
                executor.stop(STOP_SECONDS)


def bar_columns() -> tuple[ProgressColumn, ...]:
    """What a bar over long work shows: its name, how far it is, a note, and the times."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


class _Bars:
    """One bar over all jobs, one for each that is going on, and lines above them."""

    def __init__(self, console: Console, title: str, total: int, done: int) -> None:
        self._progress = Progress(
            *bar_columns(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._total, self._done = total, done
        self._all = self._progress.add_task(
            title, total=total, completed=done, note=f"{done} of {total}"
        )
        self._bars: dict[Job, TaskID] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def advance(self, job: Job, done: float, total: float | None, note: str) -> None:
        if job not in self._bars:
            self._bars[job] = self._progress.add_task(escape(job.label), total=total, note="")
        completed = done if total is None else min(done, total)
        self._progress.update(self._bars[job], completed=completed, total=total, note=note)

    def end(self, job: Job, line: str) -> None:
        if job in self._bars:
            self._progress.remove_task(self._bars.pop(job))
        self._done += 1
        note = f"{self._done} of {self._total}"
        self._progress.update(self._all, completed=self._done, note=note)
        if line:
            self.say(line)

    def say(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, soft_wrap=True)
