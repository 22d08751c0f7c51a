"""Evaluations of one player on many motions, one at a time, and of ids of whichever kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sfv_gym.envs.task import Task
from sfv_gym.files import JSON
from sfv_gym.play.agents import Agent, policy_agent
from sfv_gym.play.episodes import Predict
from sfv_gym.play.evaluation import PUBLISHED_EPISODES, Evaluation, evaluate, play_agent
from sfv_gym.registry import get_entry
from sfv_gym.seeds import Purpose, stream


@dataclass(frozen=True)
class MotionEvaluations:
    """Figures of each motion of a task, and their means, in which every motion counts alike.

    Attributes:
        motions: by the names that ``Task.motion_names`` gives, in its order.
    """

    env_id: str
    motions: dict[str, Evaluation]

    @property
    def start(self) -> str:
        """Where the episodes began: ``"fixed"`` or ``"rsi"``."""
        return next(iter(self.motions.values())).start

    @property
    def success_rate(self) -> float:
        """Mean over motions, 0..1."""
        return self._mean("success_rate")

    @property
    def normalized_return(self) -> float:
        """Mean over motions, 0..1, under the pose reward."""
        return self._mean("normalized_return")

    @property
    def normalized_return_sfv(self) -> float:
        """Mean over motions, 0..1, under the paper's reward."""
        return self._mean("normalized_return_sfv")

    def as_dict(self) -> JSON:
        """All figures as JSON has them."""
        return {
            "env_id": self.env_id,
            "start": self.start,
            "success_rate": self.success_rate,
            "normalized_return": self.normalized_return,
            "normalized_return_sfv": self.normalized_return_sfv,
            "motions": {name: one.as_dict() for name, one in self.motions.items()},
        }

    @classmethod
    def from_dict(cls, figures: JSON) -> MotionEvaluations:
        """The inverse of ``as_dict``; further keys are ignored."""
        motions = {n: Evaluation.from_dict(one) for n, one in figures["motions"].items()}
        return cls(figures["env_id"], motions)

    def _mean(self, figure: str) -> float:
        return float(np.mean([getattr(one, figure) for one in self.motions.values()]))


def evaluate_motions(
    agent: Agent,
    task: Task | str,
    *,
    episodes: int = PUBLISHED_EPISODES,
    seed: int | None = None,
    **settings: Any,
) -> MotionEvaluations:
    """Play every motion of a task by itself: the same episodes as with that motion alone.

    Args:
        agent: who plays: one of ``AGENTS``, or ``policy_agent(policy.predict)``.
        task: or an environment id, such as ``SFV-Tracker-v0``.
        episodes: of each motion.
        seed: of the episodes; by default that of published figures, which choose nothing.
        settings: further ones of ``play_agent``, and of the task.
    """
    name = settings.pop("name", task if isinstance(task, str) else "")
    how = {key: settings.pop(key) for key in ("start", "num_threads") if key in settings}
    whole = Task.of(task, **settings)
    evaluations = {
        motion_name: play_agent(
            agent,
            Task.of(whole, motions=[motion], motion_weights=None),
            episodes=episodes,
            seed=stream(Purpose.PUBLICATION) if seed is None else seed,
            name=name,
            **how,
        ).summary()
        for motion_name, motion in zip(whole.motion_names, whole.motions, strict=True)
    }
    return MotionEvaluations(name, evaluations)


IdEvaluation = Evaluation | MotionEvaluations
"""Of an id: of its motion, or of each of a tracker's."""


def evaluate_id(
    predict: Predict, env_id: str, *, episodes: int, seed: int, **settings: Any
) -> IdEvaluation:
    """Measure a policy on an id: on its motion, or on each of a tracker's.

    Args:
        predict: deterministic actions (N, A) for observations (N, D).
        episodes: of each motion.
        settings: further ones of ``play_agent``, and of the task.
    """
    settings |= {"episodes": episodes, "seed": seed}
    if get_entry(env_id).motion is None:
        return evaluate_motions(policy_agent(predict), env_id, **settings)
    return evaluate(predict, env_id, **settings)


def publish_id(
    predict: Predict, env_id: str, *, episodes: int = PUBLISHED_EPISODES, **settings: Any
) -> tuple[IdEvaluation, IdEvaluation]:
    """What ``publish`` measures, of an id of whichever kind, whose task has these settings."""
    settings |= {"episodes": episodes, "seed": stream(Purpose.PUBLICATION)}
    fixed, rsi = (evaluate_id(predict, env_id, start=kind, **settings) for kind in ("fixed", "rsi"))
    return fixed, rsi


def evaluation_from_dict(figures: JSON) -> IdEvaluation:
    """The evaluation whose ``as_dict`` these are."""
    kind = MotionEvaluations if "motions" in figures else Evaluation
    return kind.from_dict(figures)
