"""What a distillation is about: a tracker, its motions, and who teaches them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sfv_gym.envs.task import Task
from sfv_gym.files import JSON
from sfv_gym.train.specialists import Specialist


@dataclass(frozen=True)
class Lesson:
    """What is taught, and by whom.

    Attributes:
        skills: those that were asked for.
        specialists: of those that are taught, in order.
        without: those that have no specialist.
        source: the folder that the specialists are from; None for the shipped ones.
        seed: of the run.
    """

    env_id: str
    skills: tuple[str, ...]
    specialists: tuple[Specialist, ...]
    without: tuple[str, ...]
    source: Path | None
    seed: int

    @property
    def taught(self) -> list[str]:
        """Skills, in the order of the specialists."""
        return [one.skill for one in self.specialists]

    def identity(self) -> JSON:
        """What a run that goes on must have in common with the one that began."""
        return {
            "env_id": self.env_id,
            "motion_hash": Task.of(self.env_id, motions=self.taught).motion_hash,
            "seed": self.seed,
            "skills": list(self.skills),
            "specialists": {one.skill: one.policy.content_hash() for one in self.specialists},
        }
