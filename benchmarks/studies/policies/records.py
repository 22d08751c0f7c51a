"""What ``results.json`` holds of each policy."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from sfv_gym.benchmarks import results
from sfv_gym.registry import get_entry


class Figures(results.Figures):
    """An ``Evaluation`` as JSON has it; see there. Intervals may be missing."""

    env_id: str
    episodes: int
    start: str
    horizon_steps: int


class MadeOf(TypedDict):
    """What figures depend on: where one of these is another, they are old."""

    policy_hash: str
    environment_hash: str
    stream: str
    episodes: int


class TrainingFacts(TypedDict, total=False):
    """What the policy's card says of its training.

    ``samples`` and ``seconds`` are those up to the checkpoint that ships, ``_total`` the whole
    run's, ``_before`` what had gone into the policy that the run began from, ``init``.
    """

    samples: int
    seconds: float
    samples_total: int
    seconds_total: float
    seed: int
    machine: str
    threads: int
    init: str | None
    samples_before: int
    seconds_before: float
    motion_hash: str
    mujoco_version: str
    outcome: str
    reward: str


class Measured(TypedDict):
    """The part of a record that takes time."""

    made_of: NotRequired[MadeOf]
    first_frame: Figures
    rsi: Figures
    selection: Figures


class Again(Measured):
    """What a policy of another seed comes to."""

    training: TrainingFacts


class Record(Again):
    """What is known of a shipped policy; ``curve`` has rows of samples, seconds, return, NR `sfv`,
    success."""

    curve: list[list[float]]
    again: NotRequired[list[Again]]


Records = dict[str, Record]
"""By environment id."""


Paper = TypedDict("Paper", {"return": float, "samples": float}, total=False)
"""The paper's figures of a skill: normalized return and millions of samples."""


def kind_of(env_id: str) -> tuple[str, str]:
    """Its character and its terrain."""
    entry = get_entry(env_id)
    return entry.character, entry.terrain


def short_name(env_id: str) -> str:
    """``Walk-Slopes`` for ``SFV-Walk-Slopes-v0``."""
    return env_id.removeprefix("SFV-").removesuffix("-v0")
