"""Suites: which tasks are learned, how they are scored, and how much may be spent on them.

A suite is data. Once it is released nothing in it changes: a test holds its hash, and a result
carries it. What has to change becomes the next version, beside the old one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from sfv_gym.errors import UnknownIdError
from sfv_gym.registry import make_id


@dataclass(frozen=True)
class SuiteTask:
    """One environment id, on terrain with its difficulty in 0..1."""

    env_id: str
    difficulty: float | None = None

    @property
    def name(self) -> str:
        """``SFV-Walk-v0``, or ``SFV-Walk-Slopes-v0@0.5``: also the name of its folder."""
        return self.env_id if self.difficulty is None else f"{self.env_id}@{self.difficulty:g}"


@dataclass(frozen=True)
class Budget:
    """What a run may spend.

    Attributes:
        steps: control steps over all environments.
        evaluations: points of the learning curve, evenly spread over the steps.
    """

    steps: int
    evaluations: int


@dataclass(frozen=True)
class Protocol:
    """What is the same for every algorithm: the environment it learns in, and how it is scored.

    Attributes:
        reward: that the algorithm learns from.
        train_horizon: control steps (at 30 Hz) of a training episode.
        first_frame: share of training episodes that start at the clip's first frame; the others
            start at a uniformly drawn one.
        curve_episodes, final_episodes: played for a point of the curve, and for the score. They
            start at the first frame and last 20 s, or as long as the clip. Which random numbers
            they and the training draw is in ``sfv_gym.seeds``.
    """

    reward: str = "pose"
    train_horizon: int = 90
    first_frame: float = 0.2
    curve_episodes: int = 20
    final_episodes: int = 128


@dataclass(frozen=True)
class Suite:
    """A named and versioned list of tasks, ``SFV-Quick-v2`` for family ``SFV-Quick``."""

    family: str
    version: int
    title: str
    tasks: tuple[SuiteTask, ...]
    budgets: dict[str, Budget]
    protocol: Protocol = field(default_factory=Protocol)

    @property
    def name(self) -> str:
        """The id that results and the command line know it by."""
        return f"{self.family}-v{self.version}"

    def content_hash(self) -> str:
        """Sixteen hex digits of everything that makes up the suite."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def task(self, name: str) -> SuiteTask:
        """The task called ``name``.

        Raises:
            UnknownIdError: the suite has no such task.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        known = ", ".join(task.name for task in self.tasks)
        raise UnknownIdError(f"{self.name} has no task {name!r}; it has {known}")

    def budget(self, text: str) -> Budget:
        """A budget by its name, or a number of steps as text.

        Raises:
            UnknownIdError: neither.
        """
        if text in self.budgets:
            return self.budgets[text]
        digits = text.replace("_", "").replace(",", "")
        if digits.isdecimal() and int(digits) > 0:
            return Budget(int(digits), evaluations=10)
        raise UnknownIdError(
            f"unknown budget {text!r}: give {', '.join(self.budgets)} or a number of steps"
        )


def _tasks(
    *skills: str, titles: tuple[str, ...] = (), difficulty: float | None = None
) -> tuple[SuiteTask, ...]:
    return tuple(SuiteTask(make_id(skill, *titles), difficulty) for skill in skills)


_TEN = (
    "walk",
    "run",
    "jump",
    "squat",
    "punch",
    "kick",
    "dance_a",
    "cartwheel",
    "backflip",
    "get_up_face_up",
)
# Listed and not taken from the library: a skill that is added later must not change a suite.
_ALL = (
    *_TEN,
    "balance",
    "balance_b",
    "crawl",
    "dance_b",
    "dance_c",
    "dance_spin",
    "frontflip",
    "get_up_face_down",
    "jog",
    "juggle",
    "roll",
    "sideflip",
    "spin",
    "spinkick",
    "stealthy_walk",
    "walk_b",
    "zombie_walk",
)
_BUDGETS = {"small": Budget(250_000, 10), "standard": Budget(4_000_000, 20)}
_QUICK_BUDGETS = {"small": Budget(400_000, 8), "standard": Budget(1_000_000, 20)}

WITHDRAWN = {
    f"{family}-v1": "training runs of its seeds 0, 1 and 2 shared nearly all of their start states"
    for family in ("SFV-Quick", "SFV-10", "SFV-Terrain", "SFV-Atlas", "SFV-Full")
}
"""Versions that are not there any more, and why: their results are not to be compared."""

SUITES: tuple[Suite, ...] = (
    Suite(
        "SFV-Quick",
        2,
        "Three skills: on the spot, in a cycle, through the air",
        _tasks("punch", "walk", "backflip"),
        _QUICK_BUDGETS,
    ),
    Suite("SFV-10", 2, "Ten skills on flat ground", _tasks(*_TEN), _BUDGETS),
    Suite(
        "SFV-Terrain",
        2,
        "Walk, run and jump on flat ground, slopes and gaps of growing difficulty",
        (
            *_tasks("walk", "run", "jump"),
            *(
                task
                for terrain in ("Slopes", "Gaps")
                for difficulty in (0.25, 0.5, 1.0)
                for task in _tasks("walk", "run", "jump", titles=(terrain,), difficulty=difficulty)
            ),
        ),
        _BUDGETS,
    ),
    Suite(
        "SFV-Atlas",
        2,
        "Six skills of people, for a robot of 182 kg",
        _tasks("walk", "run", "jump", "punch", "dance_a", "backflip", titles=("Atlas",)),
        _BUDGETS,
    ),
    Suite(
        "SFV-Full",
        2,
        "Every skill with both characters, and walking on every terrain",
        (
            *_tasks(*_ALL),
            *_tasks(*_ALL, titles=("Atlas",)),
            *(
                task
                for terrain in ("Slopes", "Gaps", "Steps", "Beam")
                for task in _tasks("walk", titles=(terrain,), difficulty=0.5)
            ),
        ),
        _BUDGETS,
    ),
)


def get_suite(name: str) -> Suite:
    """A suite by its full name, or the newest of a family: ``SFV-Quick`` -> ``SFV-Quick-v2``.

    Raises:
        UnknownIdError: there is none.
    """
    found = [suite for suite in SUITES if name in (suite.name, suite.family)]
    if name in WITHDRAWN:
        raise UnknownIdError(f"{name} was withdrawn: {WITHDRAWN[name]}; take its next version")
    if not found:
        known = ", ".join(suite.name for suite in SUITES)
        raise UnknownIdError(f"unknown suite {name!r}; known: {known}")
    return max(found, key=lambda suite: suite.version)
