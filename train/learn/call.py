"""One call of ``learn``, whose arguments were checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sfv_gym.train.config import Asked
from sfv_gym.train.learn.folder import Stages
from sfv_gym.train.learn.source import Source
from sfv_gym.train.learn.start import Start


@dataclass(frozen=True, eq=False)
class Call:
    """What is to be learned, how, and where.

    Attributes:
        folder: of everything; this process has locked it.
        env_id: whose environment is played.
        asked: settings of the training.
        minutes: how long all stages may take together; None is no limit.
        stages: those that are done.
        console: where lines are printed.
    """

    folder: Path
    env_id: str
    source: Source
    start: Start
    asked: Asked
    minutes: float | None
    seed: int
    threads: int
    strict: bool
    progress: bool
    stages: Stages
    console: Console

    @property
    def target(self) -> float:
        """Success rate from which on a policy is good."""
        return self.asked.config.target_success

    @property
    def observation(self) -> str:
        """What the policy sees of the reference, by name."""
        return self.asked.config.observation

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text)
