"""A job, what happens to it, and what its function is given."""

from __future__ import annotations

import importlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, get_type_hints

from sfv_gym.files import JSON
from sfv_gym.jobs.typed_json import from_json, to_json

ATTEMPTS = 3
"""How often a job is begun whose worker dies."""
STOP_SECONDS = 120.0
"""How long a worker may take for its checkpoint before it is killed."""
REPORT_SECONDS = 0.25
JobFunction = Callable[[Any, "Reporter"], JSON]
"""What it returns goes from process to process."""


@dataclass(frozen=True, eq=False)
class Job:
    """Work for a process of its own.

    Attributes:
        function: ``"package.module:name"`` of a ``JobFunction`` that the worker can import. Its
            first parameter's type is what ``arguments`` are read as.
        arguments: a dataclass of what ``typed_json`` can write.
        folder: the job's own, for one process at a time: see ``folder``.
        label: what it is called in what is printed.
        threads: of its numerics, and as many cores of a cluster.
        gpu: whether it needs one, of a cluster.
        checkpoints: whether the function looks at ``Reporter.stopping``. If so it has
            ``STOP_SECONDS`` to end by itself; else it is killed at once.
        temporary: whether the folder is of no use once the job has ended well.
    """

    function: str
    arguments: Any
    folder: Path
    label: str
    threads: int = 1
    gpu: bool = False
    checkpoints: bool = False
    temporary: bool = False

    def to_json(self) -> str:
        """The job in a line that another process or machine understands."""
        return json.dumps(to_json(replace(self, folder=self.folder.absolute())))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The inverse; imports what is needed to read the arguments."""
        values = json.loads(text)
        kind = _kind_of_arguments(find_function(values["function"]))
        values["arguments"] = from_json(kind, values["arguments"])
        values["folder"] = Path(values["folder"])
        return cls(**values)


def find_function(name: str) -> JobFunction:
    """The function called ``"package.module:name"``."""
    module, _, attribute = name.partition(":")
    function: JobFunction = getattr(importlib.import_module(module), attribute)
    return function


def _kind_of_arguments(function: JobFunction) -> Any:
    hints = get_type_hints(function)
    return hints[next(name for name in hints if name != "return")]


# --- what happens to a job -----------------------------------------------------------------------


@dataclass(frozen=True)
class Advanced:
    """A job has got to ``done`` of ``total``, None if that is not known."""

    job: Job
    done: float
    total: float | None
    note: str = ""


@dataclass(frozen=True)
class Said:
    """A job has something to tell."""

    job: Job
    text: str


@dataclass(frozen=True)
class Ended:
    """A job's function has returned ``result``."""

    job: Job
    result: JSON


@dataclass(frozen=True)
class Failed:
    """A job's function has raised: it would again."""

    job: Job
    message: str


@dataclass(frozen=True)
class Stopped:
    """A job has ended before it was done, since it was asked to."""

    job: Job


@dataclass(frozen=True)
class Died:
    """The worker of a job has vanished: killed, out of memory, its machine gone."""

    job: Job
    reason: str


Event = Advanced | Said | Ended | Failed | Stopped | Died


def event_of(job: Job, message: JSON) -> Event:
    """What a worker's message says of its job; see ``worker.run_job`` and ``Reporter``."""
    if "result" in message:
        return Ended(job, message["result"])
    if "failed" in message:
        return Failed(job, message["failed"])
    if "said" in message:
        return Said(job, message["said"])
    if "stopped" in message:
        return Stopped(job)
    return Advanced(job, message["done"], message["total"], message["note"])


# --- what a function is given ---------------------------------------------------------------------


class StoppedError(Exception):
    """Raised by a job's function that was asked to stop, once all that it needs is written."""


class Listener(Protocol):
    """Whom long work tells how far it is, and asks whether to stop."""

    def advance(self, done: float, total: float | None = None, note: str = "") -> None:
        """It is at ``done`` of ``total``, None if that is not known."""

    def say(self, text: str) -> None:
        """A line to be printed."""

    @property
    def stopping(self) -> bool:
        """Whether to write what it takes to go on, and raise ``StoppedError``."""


class Reporter:
    """The ``Listener`` of a job's function: sends messages to whoever supervises the job.

    Args:
        send: takes each message; an OSError in it means that nobody listens any more.
    """

    def __init__(self, send: Callable[[JSON], None]) -> None:
        self._send, self._sent = send, -REPORT_SECONDS
        self._stop = threading.Event()

    def advance(self, done: float, total: float | None = None, note: str = "") -> None:
        """As a ``Listener``; what comes within ``REPORT_SECONDS`` of another is not sent."""
        now = time.monotonic()
        if now - self._sent >= REPORT_SECONDS:
            self._sent = now
            self._tell({"done": done, "total": total, "note": note})

    def say(self, text: str) -> None:
        """As a ``Listener``."""
        self._tell({"said": text})

    @property
    def stopping(self) -> bool:
        """As a ``Listener``."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask the function to stop."""
        self._stop.set()

    def _tell(self, message: JSON) -> None:
        try:
            self._send(message)
        except OSError:
            self.stop()


# --- who does jobs --------------------------------------------------------------------------------


class Executor(Protocol):
    """Does jobs, several at once. Closed, it is of no use any more."""

    def submit(self, job: Job) -> None:
        """Do ``job`` as soon as there is room."""

    def poll(self, seconds: float) -> list[Event]:
        """What has happened; waits for it, at most that long."""

    def stop(self, seconds: float) -> None:
        """End every job; those that write checkpoints may take ``seconds`` for it."""

    def close(self) -> None:
        """Kill whatever is still going on."""

    def __enter__(self) -> Executor: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Closing:
    """An executor's ``with``: it is closed at the end."""

    def close(self) -> None:
        """Kill whatever is still going on."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
