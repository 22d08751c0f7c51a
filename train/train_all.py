"""Many runs, some side by side, whose whole state is what lies in the run folders.

Each run is a job of one thread, since runs side by side wait for each other less than the threads
of one run. Whatever is killed, the same call goes on: a finished run is left alone, one with a
checkpoint goes on from it, one on a motion that has changed is put aside and begun anew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from sfv_gym.errors import SettingError, SFVError
from sfv_gym.files import JSON, check_folder
from sfv_gym.jobs.folder import LOG
from sfv_gym.jobs.job import Executor, Job
from sfv_gym.jobs.options import make_executor
from sfv_gym.jobs.supervise import Outcome, supervise
from sfv_gym.train.config import Asked
from sfv_gym.train.device import check_device, check_threads
from sfv_gym.train.install import install_policy
from sfv_gym.train.job import Training
from sfv_gym.train.runs import RunState


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        outcome: ``"target"``, ``"budget"``, or ``"failed"``.
        message: the error of a failed run; what was installed of a finished one.
        card: of the best policy; empty when there is none.
    """

    env_id: str
    folder: Path
    outcome: str
    message: str
    card: JSON


def train_all(
    env_ids: Sequence[str],
    out: str | os.PathLike[str] = "runs",
    *,
    executor: Executor | None = None,
    budget: int | None = None,
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
    evaluate_every: int | None = None,
    settings: JSON | None = None,
    init: Mapping[str, str] | None = None,
    install: str | os.PathLike[str] | None = None,
    console: Console | None = None,
) -> list[RunResult]:
    """Train every id of ``env_ids`` in ``out``/<id>, and go on with what was begun.

    Args:
        executor: who does the runs; by default processes here, one for each core (over
            ``threads``).
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
    check_threads(threads)
    check_device(device)
    if evaluate_every is not None and evaluate_every < 1:
        raise SettingError(f"evaluate_every must be at least 1, not {evaluate_every}")
    trainings = [
        Training(
            env_id,
            Path(out).absolute() / env_id,
            Asked.for_env(env_id, budget, settings),
            seed=seed,
            init=Path(init[env_id]).absolute() if init and env_id in init else None,
            threads=threads,
            device=device,
            evaluate_every=evaluate_every,
        )
        for env_id in dict.fromkeys(env_ids)
    ]
    for training in trainings:
        training.check()
        check_folder(training.folder)
    if install is not None:
        check_folder(Path(install))
    queue = _Queue(None if install is None else Path(install), console or Console(stderr=True))
    if executor is not None:
        return queue.run(trainings, executor)
    with make_executor(threads=threads) as own:
        return queue.run(trainings, own)


class _Queue:
    """What is done with each run before and after its job."""

    def __init__(self, install: Path | None, console: Console) -> None:
        self.install, self.console = install, console
        self.results: dict[str, RunResult] = {}

    def run(self, trainings: Sequence[Training], executor: Executor) -> list[RunResult]:
        jobs: list[Job] = []
        for training in trainings:
            env_id = training.env_id
            try:
                state = training.settle(env_id, self.console)
                if state.finished:
                    self._say(env_id, self._finish(training, "was finished before"))
                else:
                    jobs.append(training.job(env_id))
            except (SFVError, OSError) as error:
                self._say(env_id, self._fail(training, str(error)))
        supervise(
            jobs,
            executor,
            self._ended,
            title="all runs",
            console=self.console,
            done=len(trainings) - len(jobs),
        )
        return [self.results[training.env_id] for training in trainings]

    def _ended(self, outcome: Outcome) -> str:
        training: Training = outcome.job.arguments
        if outcome.result is None:
            line = self._fail(training, f"{outcome.error} ({training.folder / LOG})")
        else:
            line = self._finish(training, "")
        return f"{training.env_id}: {line}"

    def _finish(self, training: Training, message: str) -> str:
        card = RunState.read(training.folder).card
        if self.install is not None:
            try:
                message = ", ".join(
                    filter(None, (message, install_policy(training.folder, self.install)[1]))
                )
            except (SFVError, OSError) as error:
                message = f"not installed: {error}"
        outcome = card["outcome"]
        self._keep(training, outcome, message, card)
        return escape(f"ended by its {outcome}. {message}".rstrip())

    def _fail(self, training: Training, message: str) -> str:
        try:
            card = RunState.read(training.folder).card
        except SFVError:  # the very reason, maybe
            card = {}
        self._keep(training, "failed", message, card)
        return f"[red]failed[/red]: {escape(message)}"

    def _keep(self, training: Training, outcome: str, message: str, card: JSON) -> None:
        result = RunResult(training.env_id, training.folder, outcome, message, card)
        self.results[training.env_id] = result

    def _say(self, label: str, text: str) -> None:
        self.console.print(f"{label}: {text}", highlight=False, soft_wrap=True)
