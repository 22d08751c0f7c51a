"""Jobs on this machine: each in a process of its own, or one after the other in this one."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time

from sfv_gym.files import JSON
from sfv_gym.jobs.folder import LOG
from sfv_gym.jobs.job import (
    Closing,
    Died,
    Ended,
    Event,
    Failed,
    Job,
    Reporter,
    Stopped,
    event_of,
)
from sfv_gym.jobs.worker import environment, run_job


class LocalExecutor(Closing):
    """A process for each job, ``workers`` at once."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._waiting: list[Job] = []
        self._processes: dict[Job, subprocess.Popen[bytes]] = {}
        self._texts: dict[Job, bytes] = {}
        self._over: set[Job] = set()
        self._selector = selectors.DefaultSelector()

    def submit(self, job: Job) -> None:
        """Start the job's process at once if fewer than ``workers`` are running."""
        self._waiting.append(job)
        self._fill()

    def poll(self, seconds: float) -> list[Event]:
        """What the processes wrote to their pipes since, and that they died; fills free places."""
        events = self._read(seconds)
        self._fill()
        return events

    def stop(self, seconds: float) -> None:
        """Interrupt jobs that write checkpoints and wait ``seconds`` for them; kill the rest."""
        self._waiting.clear()
        for job, process in self._processes.items():
            if job.checkpoints:
                process.send_signal(signal.SIGINT)
            else:
                process.kill()
        deadline = time.monotonic() + seconds
        while self._processes and (left := deadline - time.monotonic()) > 0:
            self._read(min(left, 1.0))
        self.close()

    def close(self) -> None:
        """Kill the processes, and wait until they are gone."""
        self._waiting.clear()
        for process in self._processes.values():
            process.kill()  # its last checkpoint is what the next start goes on from
        for job in list(self._processes):
            self._gone(job)
        self._selector.close()

    def _read(self, seconds: float) -> list[Event]:
        events: list[Event] = []
        for key, _ in self._selector.select(seconds):
            job: Job = key.data
            data = os.read(key.fd, 65536)
            if data:
                *lines, self._texts[job] = (self._texts[job] + data).split(b"\n")
                events += [self._event(job, json.loads(line)) for line in lines]
            else:
                events += self._gone(job)
        return events

    def _fill(self) -> None:
        while self._waiting and len(self._processes) < self.workers:
            job = self._waiting.pop(0)
            process = subprocess.Popen(
                [sys.executable, "-m", "sfv_gym.jobs.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **environment(job.threads)},
                start_new_session=True,  # Ctrl-C is for the supervisor, which then stops its jobs
            )
            assert process.stdin is not None and process.stdout is not None
            with contextlib.suppress(BrokenPipeError):  # it has died already: ``_gone`` will say so
                process.stdin.write(job.to_json().encode() + b"\n")
                process.stdin.flush()
            self._processes[job], self._texts[job] = process, b""
            self._selector.register(process.stdout, selectors.EVENT_READ, job)

    def _event(self, job: Job, message: JSON) -> Event:
        event = event_of(job, message)
        if isinstance(event, Ended | Failed | Stopped):
            self._over.add(job)
        return event

    def _gone(self, job: Job) -> list[Event]:
        process = self._processes.pop(job)
        assert process.stdin is not None and process.stdout is not None
        self._selector.unregister(process.stdout)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        code = process.wait()
        if job in self._over:
            self._over.discard(job)
            return []
        reason = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return [Died(job, f"{reason}; see {job.folder / LOG}")]


class InlineExecutor(Closing):
    """Does jobs in this process, one after the other: for a few, and for notebooks."""

    workers = 1

    def __init__(self) -> None:
        self._waiting: list[Job] = []

    def submit(self, job: Job) -> None:
        """Keep the job for a ``poll``, which is where it is done."""
        self._waiting.append(job)

    def poll(self, seconds: float) -> list[Event]:
        """Do one whole job, however long it takes, and return all that it had to say."""
        if not self._waiting:
            return []
        job, events = self._waiting.pop(0), []
        reporter = Reporter(lambda message: events.append(event_of(job, message)))
        events.append(event_of(job, run_job(job.to_json(), reporter)))
        return events

    def stop(self, seconds: float) -> None:
        """Forget the jobs that wait; none is being done between two calls."""
        self._waiting.clear()

    def close(self) -> None:
        """Forget the jobs that wait."""
        self._waiting.clear()
