"""Many runs, some side by side: a queue whose whole state is what lies in the run folders.

Each run is a process of its own with one thread, since two runs side by side on two cores make
more samples than one with two threads. Whatever is killed, the same call goes on: a finished run
is left alone, one with a checkpoint goes on from it, one on a motion that has changed is put aside
and begun anew.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sfv_gym.errors import SettingError, SFVError
from sfv_gym.files import check_folder, locked_folder
from sfv_gym.play.policy import Policy
from sfv_gym.registry import find_motion, get_entry
from sfv_gym.seeds import checked_seed
from sfv_gym.train.config import PPOConfig
from sfv_gym.train.device import check_device, check_threads
from sfv_gym.train.install import install_policy
from sfv_gym.train.runs import LOG, PROGRESS, RunState, read_curve, read_json
from sfv_gym.train.worker import STOPPED, WAIT

POLL_SECONDS = 0.5
STOP_SECONDS = 120.0
"""How long a worker may take for its checkpoint before it is killed."""


@dataclass(frozen=True)
class Job:
    """One run of a queue.

    Attributes:
        label: what it is called in what is printed.
        settings: overrides of ``PPOConfig`` fields; a run that goes on keeps its own.
        init: a policy file to start a new run from.
    """

    env_id: str
    folder: Path
    label: str
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    init: str | None = None


@dataclass(frozen=True)
class RunResult:
    """How a run of the queue ended.

    Attributes:
        outcome: ``"target"``, ``"budget"``, or ``"failed"``.
        message: the error of a failed run; what was installed of a finished one.
        card: of the best policy; empty when there is none.
    """

    env_id: str
    folder: Path
    outcome: str
    message: str
    card: dict[str, Any]


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    log_start: int
    evaluations: int
    task: TaskID | None = field(default=None)


def train_all(
    env_ids: Sequence[str],
    out: str | os.PathLike[str] = "runs",
    *,
    workers: int | None = None,
    budget: int | None = None,
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
    evaluate_every: int | None = None,
    settings: dict[str, Any] | None = None,
    init: dict[str, str] | None = None,
    install: str | os.PathLike[str] | None = None,
    console: Console | None = None,
) -> list[RunResult]:
    """Train every id of ``env_ids`` in ``out``/<id>, and go on with what was begun.

    Args:
        workers: runs side by side; by default one for each core (over ``threads``).
        budget: control steps of a run at most; by default the recipe's.
        threads: of each run.
        settings: overrides of ``PPOConfig`` fields; for a run that goes on they are its own.
        init: policy files to start new runs from, by id.
        install: folder into which the policies of finished runs are copied when they are better
            than what lies there; see ``install_policy``.

    Raises:
        UnknownIdError, SettingError, OutputError, PolicyError: an id is not registered; a setting,
            seed, device or number is out of its range; a folder is none; a policy to start from
            is none. Nothing was started.
        KeyboardInterrupt: after every run has written a checkpoint.
    """
    if not env_ids:
        raise SFVError("there is nothing to train: no environment id fits")
    jobs = [
        Job(i, Path(out) / i, i, seed, dict(settings or {}), (init or {}).get(i))
        for i in dict.fromkeys(env_ids)
    ]
    return work_through(
        jobs,
        workers=workers,
        budget=budget,
        threads=threads,
        device=device,
        evaluate_every=evaluate_every,
        install=install,
        console=console,
    )


def work_through(
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    budget: int | None = None,
    threads: int = 1,
    device: str = "cpu",
    evaluate_every: int | None = None,
    install: str | os.PathLike[str] | None = None,
    console: Console | None = None,
) -> list[RunResult]:
    """Do every run of ``jobs``, whose folders must differ; arguments and errors as of
    ``train_all``."""
    check_threads(threads)
    if workers is None:
        workers = max(1, (os.cpu_count() or 1) // threads)
    if workers < 1:
        raise SettingError(f"workers must be at least 1, not {workers}")
    check_device(device)
    for job in jobs:
        get_entry(job.env_id)
        PPOConfig.for_env(job.env_id, steps=budget, **job.settings)
        checked_seed(job.seed)
        check_folder(job.folder)
        if job.init is not None:
            Policy.load(job.init)
    if install is not None:
        check_folder(Path(install))
    arguments = {"steps": budget, "num_threads": threads, "device": device}
    if evaluate_every:
        arguments["evaluate_every"] = evaluate_every
    folder = None if install is None else Path(install)
    return _Queue(arguments, folder, console or Console(stderr=True)).run(list(jobs), workers)


class _Queue:
    def __init__(self, arguments: dict[str, Any], install: Path | None, console: Console) -> None:
        self.arguments, self.install, self.console = arguments, install, console
        self.running: list[_Running] = []
        self.results: dict[Path, RunResult] = {}
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def run(self, jobs: list[Job], workers: int) -> list[RunResult]:
        waiting = list(jobs)
        with self.progress:
            everything = self.progress.add_task("all runs", total=len(jobs), state="")
            try:
                while waiting or self.running:
                    while waiting and len(self.running) < workers:
                        self._begin(waiting.pop(0))
                    for run in list(self.running):
                        self._look_at(run)
                    done = len(self.results)
                    state = f"{done} of {len(jobs)}"
                    self.progress.update(everything, completed=done, state=state)
                    if self.running:
                        time.sleep(POLL_SECONDS)
            finally:  # Ctrl-C, or an error of our own: no run is left alone
                self._stop()
        return [self.results[job.folder] for job in jobs]

    def _begin(self, job: Job) -> None:
        """Start a run's process, unless the run is finished."""
        folder, budget = job.folder, self.arguments["steps"]
        try:
            state = RunState.read(folder, budget)
            motion_hash = find_motion(job.env_id).content_hash()
            if state.motion_hash not in (None, motion_hash):
                self._put_aside(job, str(state.motion_hash))
                state = RunState.read(folder, budget)
            if state.finished:
                self._finish(job, "was finished before")
                return
            run = self._start(job)
        except (SFVError, OSError) as error:
            self._fail(job, str(error))
            return
        self._say(f"{job.label}: {'goes on' if state.exists else 'begins'}")
        run.task = self.progress.add_task(job.label, total=None, state="")
        self.running.append(run)

    def _put_aside(self, job: Job, motion_hash: str) -> None:
        """Rename the folder of a run on another motion than the present one."""
        # a worker of an earlier queue may be at work there for a moment, and would go on writing
        # under the old name, into the new run
        with locked_folder(job.folder, f"another process is training in {job.folder}", wait=WAIT):
            aside = _free_name(job.folder, motion_hash)
            job.folder.rename(aside)
        self._say(f"{job.label}: its motion has changed; the run on the old one is {aside}")

    def _start(self, job: Job) -> _Running:
        job.folder.mkdir(parents=True, exist_ok=True)
        arguments = {
            **self.arguments,
            "env_id": job.env_id,
            "run_dir": str(job.folder),
            "seed": job.seed,
            "settings": job.settings,
            "init": job.init,
            "parent": os.getpid(),
        }
        threads = str(self.arguments["num_threads"])
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
        log = open(job.folder / LOG, "ab")  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, "-m", "sfv_gym.train.worker", json.dumps(arguments)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches this process alone, which stops the others
        )
        return _Running(job, process, log, log.tell(), len(read_curve(job.folder)))

    def _look_at(self, run: _Running) -> None:
        """Show how far a run is; take it out when its process has ended."""
        figures = read_json(run.job.folder / PROGRESS)
        if figures and run.task is not None:
            rate = figures["samples_per_second"]
            state = f"{figures['samples'] / 1e6:.2f} M, {rate / 1000:.1f} k/s"
            if figures["annealing"]:
                state += ", annealing"
            self.progress.update(
                run.task,
                total=figures["ends_at"],
                completed=figures["samples"],
                state=state,
            )
        curve = read_curve(run.job.folder)
        for row in curve[run.evaluations :]:
            self._say(
                f"{run.job.label}: {row['samples'] / 1e6:.2f} M samples, {row['seconds'] / 60:.0f} "
                f"min, normalized return {row['normalized_return']:.3f} (sfv "
                f"{row['normalized_return_sfv']:.3f}), success {row['success_rate']:.2f}"
            )
        run.evaluations = len(curve)
        code = run.process.poll()
        if code is None:
            return
        self._take_out(run)
        if code == 0:
            self._finish(run.job, "")
        else:
            self._fail(run.job, _reason(run, code))

    def _finish(self, job: Job, message: str) -> None:
        card = RunState.read(job.folder).card
        if self.install is not None:
            try:
                message = ", ".join(
                    filter(None, (message, install_policy(job.folder, self.install)[1]))
                )
            except (SFVError, OSError) as error:
                message = f"not installed: {error}"
        outcome = card["outcome"]
        self.results[job.folder] = RunResult(job.env_id, job.folder, outcome, message, card)
        self._say(f"{job.label}: ended by its {outcome}. {message}".rstrip())

    def _fail(self, job: Job, message: str) -> None:
        card = RunState.read(job.folder).card
        self.results[job.folder] = RunResult(job.env_id, job.folder, "failed", message, card)
        self._say(f"[red]{job.label} failed[/red]: {escape(message)}")

    def _stop(self) -> None:
        """Let every running process write its checkpoint and end."""
        for run in self.running:
            run.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + STOP_SECONDS
        for run in list(self.running):
            try:
                run.process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                run.process.kill()
                run.process.wait()
            self._take_out(run)

    def _take_out(self, run: _Running) -> None:
        run.log.close()
        self.running.remove(run)
        if run.task is not None:
            self.progress.remove_task(run.task)

    def _say(self, text: str) -> None:
        self.progress.console.print(text, highlight=False, soft_wrap=True)


def _free_name(folder: Path, suffix: str) -> Path:
    """A name beside ``folder`` that nothing has."""
    names = (f"{folder.name}.{suffix}" + (f".{k}" if k else "") for k in range(1000))
    return next(path for name in names if not (path := folder.with_name(name)).exists())


def _reason(run: _Running, code: int) -> str:
    """Why a process ended: what it said last, or how."""
    if code == STOPPED:
        return "it was stopped; call again to go on"
    if code < 0:
        return f"killed by signal {-code}; call again to go on from its last checkpoint"
    with open(run.job.folder / LOG, "rb") as file:
        file.seek(run.log_start)
        lines = file.read().decode(errors="replace").strip().splitlines()
    last = lines[-1].removeprefix("error: ") if lines else f"exit code {code}"
    return f"{last} ({run.job.folder / LOG})"
