"""How hard a run's terrain is: harder as it gets better."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from sfv_gym.files import JSON
from sfv_gym.train.config import PPOConfig

EPISODES = 200
"""How many are counted before it may become harder."""


@dataclass
class Curriculum:
    """A difficulty that rises a step whenever enough of the last episodes end without early
    termination.

    Attributes:
        limit: 0..1, to which the terrain's difficulties are drawn evenly from 0.
        ended, completed: training episodes since the last step was looked at.
    """

    limit: float
    ended: int = 0
    completed: int = 0

    @classmethod
    def begin(cls, config: PPOConfig) -> Curriculum:
        """A run's first: up to ``first_difficulty``, nothing counted yet."""
        return cls(config.first_difficulty)

    def count(self, ended: int, completed: int) -> None:
        """Take note of episodes that ended, and of how many of those were not cut by failure."""
        self.ended += ended
        self.completed += completed

    def adapt(self, config: PPOConfig) -> None:
        """Make it a step harder when enough of the last episodes went through."""
        if self.ended < EPISODES:
            return
        if self.completed >= config.harder_at * self.ended:
            self.limit = min(self.limit + config.harder_by, config.last_difficulty)
        self.ended = self.completed = 0

    def draw(self, seed: int, samples: int) -> float:
        """The difficulty of the rollout after ``samples``; the same for a run that goes on."""
        return float(np.random.default_rng((seed, samples)).uniform(0.0, self.limit))

    def as_dict(self) -> JSON:
        """For a checkpoint; its entries are the constructor's arguments."""
        return asdict(self)
