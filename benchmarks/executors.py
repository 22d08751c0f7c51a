"""Where runs are done: in local processes, or on a Ray cluster. Both behind one small interface."""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sfv_gym.benchmarks.results import RunSpec
from sfv_gym.errors import BenchmarkError, MissingExtraError
from sfv_gym.registry import MOTIONS_VARIABLE

SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
"""Environment of a worker: as many runs as cores side by side, and scores that do not depend on
how many cores there are."""


@dataclass(frozen=True)
class Advanced:
    """A run has learned from ``samples`` control steps; ``score`` is its newest, if any."""

    run: RunSpec
    samples: int
    score: float | None


@dataclass(frozen=True)
class Ended:
    """A run has a result: finished, or failed."""

    run: RunSpec
    result: dict[str, Any]


@dataclass(frozen=True)
class Died:
    """The worker of a run has vanished: killed, out of memory, its machine gone."""

    run: RunSpec
    reason: str


Event = Advanced | Ended | Died


class Executor(Protocol):
    """Does runs, several at once."""

    def submit(self, run: RunSpec) -> None:
        """Do ``run`` as soon as there is room."""

    def poll(self, seconds: float) -> list[Event]:
        """What has happened; waits for it, at most that long."""

    def close(self) -> None:
        """End every run that is still going on."""


class LocalExecutor:
    """A process for each run, ``workers`` at once."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._waiting: list[RunSpec] = []
        self._processes: dict[RunSpec, subprocess.Popen[bytes]] = {}
        self._texts: dict[RunSpec, bytes] = {}
        self._results: set[RunSpec] = set()
        self._selector = selectors.DefaultSelector()

    def submit(self, run: RunSpec) -> None:
        self._waiting.append(run)
        self._fill()

    def poll(self, seconds: float) -> list[Event]:
        events: list[Event] = []
        for key, _ in self._selector.select(seconds):
            run: RunSpec = key.data
            data = os.read(key.fd, 65536)
            if data:
                *lines, self._texts[run] = (self._texts[run] + data).split(b"\n")
                events += [self._event(run, json.loads(line)) for line in lines]
            else:
                events += self._gone(run)
        self._fill()
        return events

    def close(self) -> None:
        self._waiting.clear()
        for process in self._processes.values():
            process.kill()  # its last checkpoint is what the next start goes on from
        for run in list(self._processes):
            self._gone(run)
        self._selector.close()

    def pids(self) -> dict[RunSpec, int]:
        """The processes of the runs that are going on."""
        return {run: process.pid for run, process in self._processes.items()}

    def _fill(self) -> None:
        while self._waiting and len(self._processes) < self.workers:
            run = self._waiting.pop(0)
            process = subprocess.Popen(
                [sys.executable, "-m", "sfv_gym.benchmarks.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **SINGLE_THREADED},
                start_new_session=True,  # Ctrl-C is for the runner, which then ends its workers
            )
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(run.to_json().encode() + b"\n")
            process.stdin.flush()
            self._processes[run], self._texts[run] = process, b""
            self._selector.register(process.stdout, selectors.EVENT_READ, run)

    def _event(self, run: RunSpec, message: dict[str, Any]) -> Event:
        if "result" in message:
            self._results.add(run)
            return Ended(run, message["result"])
        return Advanced(run, message["samples"], message["score"])

    def _gone(self, run: RunSpec) -> list[Event]:
        process = self._processes.pop(run)
        assert process.stdin is not None and process.stdout is not None
        self._selector.unregister(process.stdout)
        process.stdin.close()
        process.stdout.close()
        code = process.wait()
        if run in self._results:
            self._results.discard(run)
            return []
        reason = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return [Died(run, f"{reason}; see {Path(run.folder) / 'log.txt'}")]


class RayExecutor:
    """A task for each run on a Ray cluster: the one at ``address``, or one on this machine.

    A run's checkpoints lie in its folder, which is under the runner's ``--out``: a cluster of
    several machines needs it on a shared file system to go on with a run on another machine.
    """

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        try:
            import ray
            from ray.util.queue import Queue
        except ImportError as error:
            raise MissingExtraError(
                f"--executor ray needs ray, which is not installed ({error}): "
                "pip install 'sfv-gym[ray]'"
            ) from None
        self._ray = ray
        self._ours = not ray.is_initialized()
        own = {MOTIONS_VARIABLE: os.environ.get(MOTIONS_VARIABLE, "")}
        environment = {**SINGLE_THREADED, **{k: v for k, v in own.items() if v}}
        if self._ours:
            # without an address Ray would look for a cluster that happens to run here
            options: dict[str, Any] = (
                {"address": address}
                if address
                else {
                    "address": "local",
                    "num_cpus": workers or os.cpu_count(),
                    "include_dashboard": False,
                }
            )
            # Ray's own workers yield to everything else on the machine: several times slower on a
            # busy one, where learning curves over time would not be comparable with local ones
            os.environ.setdefault("RAY_worker_niceness", "0")
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
            except Exception as error:  # what Ray raises depends on what is wrong
                raise BenchmarkError(
                    f"there is no Ray cluster at {address or 'this machine'}: "
                    f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
                ) from None
        self._queue = Queue(actor_options={"num_cpus": 0})
        # A fresh process for each run: nothing of the one before may reach into it. What becomes
        # of a run whose worker has died is for the runner to say.
        self._remote = ray.remote(
            num_cpus=1, max_calls=1, max_retries=0, runtime_env={"env_vars": environment}
        )(_execute_on_ray)
        self._runs: dict[Any, RunSpec] = {}

    def submit(self, run: RunSpec) -> None:
        self._runs[self._remote.remote(run.to_json(), self._queue)] = run

    def poll(self, seconds: float) -> list[Event]:
        if not self._runs:
            time.sleep(seconds)
            return []
        done, _ = self._ray.wait(list(self._runs), num_returns=1, timeout=seconds)
        events = self._messages()
        for reference in done:
            run = self._runs.pop(reference)
            try:
                events.append(Ended(run, self._ray.get(reference)))
            except self._ray.exceptions.RayError as error:
                text = str(error).strip().splitlines()
                events.append(Died(run, text[0] if text else type(error).__name__))
        return events

    def close(self) -> None:
        for reference in self._runs:
            self._ray.cancel(reference, force=True)
        self._runs.clear()
        self._queue.shutdown(force=True)
        if self._ours:
            self._ray.shutdown()

    def _messages(self) -> list[Event]:
        runs = {run.to_json(): run for run in self._runs.values()}
        count = self._queue.qsize()
        messages = self._queue.get_nowait_batch(count) if count else []
        return [Advanced(runs[text], *rest) for text, *rest in messages if text in runs]


def _execute_on_ray(text: str, queue: Any) -> dict[str, Any]:
    from sfv_gym.benchmarks.run import execute

    def report(samples: int, score: float | None) -> None:
        queue.put((text, samples, score))

    return execute(RunSpec.from_json(text), report)


def make_executor(name: str, workers: int | None = None, address: str | None = None) -> Executor:
    """``"local"`` or ``"ray"``.

    Raises:
        BenchmarkError: another name, or an address that needs Ray.
        MissingExtraError: Ray is not installed.
    """
    if name == "ray":
        return RayExecutor(workers, address)
    if name != "local":
        raise BenchmarkError(f"unknown executor {name!r}; known: local, ray")
    if address is not None:
        raise BenchmarkError("--address is that of a Ray cluster: add --executor ray")
    return LocalExecutor(workers)
