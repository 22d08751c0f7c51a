"""The policy that learning starts from: the shipped tracker, one's own file, or none."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfv_gym.envs.observations import OBSERVATIONS
from sfv_gym.envs.task import Task
from sfv_gym.errors import PolicyError
from sfv_gym.play.episodes import Predict
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.policy import Policy, shipped_policy_path
from sfv_gym.registry import CHARACTER_TITLES, TERRAIN_TITLES, TRACKER, library_skills, make_id
from sfv_gym.train.warm_start import columns_seen

NONE = "none"


@dataclass(frozen=True)
class Start:
    """What learning starts from.

    Attributes:
        name: ``"tracker"``, the file's name, or ``"none"``.
        path, policy: of the file; None without one.
        observation: what the policy sees of the reference, by name; None without one: then the
            recipe's.
        columns: (D,) where in the environment's observation what it sees lies.
        asked: whether it was asked for; else it is what there is.
    """

    name: str
    path: Path | None = None
    policy: Policy | None = None
    observation: str | None = None
    columns: np.ndarray | None = None
    asked: bool = True

    @property
    def digest(self) -> str:
        """Changes with the policy."""
        return NONE if self.policy is None else self.policy.content_hash()

    def fits(self, task: Task) -> bool:
        """Whether the policy sees just what the task shows, and so is one of its own."""
        if self.policy is None or self.columns is None:
            return False
        if self.policy.layout is None:  # a file that tells only how many numbers it sees
            return np.array_equal(self.columns, np.arange(task.observation_size))
        try:
            self.policy.layout.check_same(PolicyLayout.of(task))
        except PolicyError:
            return False
        return True

    def predict(self) -> Predict:
        """The policy's actions (N, A) for the environment's observations (N, D)."""
        policy, columns = self.policy, self.columns
        assert policy is not None
        return lambda observation: policy.predict(observation[:, columns])


def find_start(start: str | os.PathLike[str] | None, character: str, terrain: str) -> Start:
    """What ``start`` names.

    Args:
        start: ``"tracker"``, ``"none"``, a policy file, or None for the tracker where one ships.

    Raises:
        PolicyError: there is no such file or tracker, or it does not fit character and terrain.
    """
    if start == NONE:
        return Start(NONE)
    path: Path | None
    if start in (None, TRACKER):
        path = tracker_path(character, terrain)
        if path is None and start is None:
            return Start(NONE, asked=False)
        if path is None:
            raise PolicyError(
                f"no tracker of {character} ships: start from a policy file, or from none"
            )
        name = TRACKER
    else:
        assert start is not None
        path = Path(start)
        name = path.name
    policy = Policy.load(path)
    observation, columns = _seen(policy, path, character, terrain)
    return Start(name, path, policy, observation, columns, start is not None)


def tracker_path(character: str, terrain: str) -> Path | None:
    """The shipped tracker of a character, on that terrain or else on flat ground."""
    title = CHARACTER_TITLES.get(character, character)
    for ground in (TERRAIN_TITLES.get(terrain, terrain), ""):
        path = shipped_policy_path(make_id(TRACKER, title, ground))
        if path.is_file():
            return path
    return None


def _seen(policy: Policy, path: Path, character: str, terrain: str) -> tuple[str, np.ndarray]:
    """What the policy sees of the reference, and where in an observation all that it sees lies."""
    reason = ""
    if len(policy.layers) < 2:
        raise PolicyError(f"{path}: it has no hidden layer, and cannot be trained on")
    for name in OBSERVATIONS:
        task = Task.of(library_skills()[0], character=character, terrain=terrain, observation=name)
        actions = len(policy.layers[-1][1])
        if actions != task.action_size:
            reason = f"it has {actions} actions, the character takes {task.action_size}"
            break
        try:
            return name, columns_seen(policy, PolicyLayout.of(task))
        except PolicyError as error:
            reason = reason or str(error)
    raise PolicyError(f"{path}: {reason}")
