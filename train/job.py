"""A training run as a job, for a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sfv_gym.envs.task import Task
from sfv_gym.files import JSON
from sfv_gym.jobs import folder as job_folder
from sfv_gym.jobs.folder import locked_folder
from sfv_gym.jobs.job import Job, Reporter
from sfv_gym.play.policy import Policy
from sfv_gym.registry import get_entry
from sfv_gym.seeds import checked_seed
from sfv_gym.train.config import Asked
from sfv_gym.train.runs import RunState


@dataclass(frozen=True)
class Training:
    """A run as it is asked for; one that is there already goes on.

    Attributes:
        folder: the run's.
        asked: its settings; a run that goes on keeps its own where none is given.
        init: a policy file to begin a new run with.
        evaluate_every: control steps between evaluations; None for the trainer's own.
    """

    env_id: str
    folder: Path
    asked: Asked
    seed: int = 0
    init: Path | None = None
    threads: int = 1
    device: str = "cpu"
    evaluate_every: int | None = None

    @property
    def budget(self) -> int | None:
        """Control steps, if they were given."""
        return self.asked.config.steps if "steps" in self.asked.given else None

    def job(self, label: str) -> Job:
        """The job of doing it."""
        return training_job("sfv_gym.train.job:run", self, self, label)

    def check(self) -> None:
        """See that nothing is wrong with it, before anything is started.

        Raises:
            UnknownIdError, SettingError, PolicyError: the id, the seed, the policy to begin with.
        """
        get_entry(self.env_id)
        checked_seed(self.seed)
        if self.init is not None:
            Policy.load(self.init)

    def settle(self, label: str, console: Console) -> RunState:
        """Where the run is. One on another motion than the present one is put aside: renamed.

        Args:
            label: of the run, in what is printed.

        Raises:
            OutputError: another process is at work there, or the folder cannot be renamed.
            SFVError: a file there is damaged.
        """
        state = RunState.read(self.folder, self.budget)
        motion_hash = Task.of(self.env_id).motion_hash
        if state.motion_hash in (None, motion_hash):
            return state
        # a worker of an earlier queue may be at work there for a moment, and would go on writing
        # under the old name, into the new run
        busy = f"another process is training in {self.folder}"
        with locked_folder(self.folder, busy, wait=job_folder.WAIT):
            aside = _free_name(self.folder, str(state.motion_hash))
            self.folder.rename(aside)
        text = f"{label}: its motion has changed; the run on the old one is {aside}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        return RunState.read(self.folder, self.budget)


def training_job(function: str, arguments: object, training: Training, label: str) -> Job:
    """A job that does ``training``, by ``function`` with ``arguments``."""
    return Job(
        function,
        arguments,
        training.folder,
        label,
        threads=training.threads,
        gpu=training.device.startswith("cuda"),
        checkpoints=True,
    )


def run(training: Training, reporter: Reporter) -> JSON:
    """Do the run, or go on with it; what it has made is in its folder.

    Raises:
        StoppedError: after a checkpoint.
    """
    from sfv_gym.train.ppo import EVALUATE_EVERY, train_in

    goes_on = RunState.read(training.folder).exists
    reporter.say("goes on" if goes_on else "begins")
    train_in(
        training.folder,
        training.env_id,
        training.asked,
        seed=training.seed,
        resume=goes_on,
        init=training.init,
        num_threads=training.threads,
        device=training.device,
        evaluate_every=training.evaluate_every or EVALUATE_EVERY,
        listener=reporter,
    )
    return {}


def _free_name(folder: Path, suffix: str) -> Path:
    """A name beside ``folder`` that nothing has."""
    names = (f"{folder.name}.{suffix}" + (f".{k}" if k else "") for k in range(1000))
    return next(path for name in names if not (path := folder.with_name(name)).exists())
