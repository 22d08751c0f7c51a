"""What a policy sees and whom it moves, by name: whether it fits an environment, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sfv_gym.errors import PolicyError
from sfv_gym.files import JSON

if TYPE_CHECKING:
    from sfv_gym.array_types import Int
    from sfv_gym.envs.task import Task

NAMED_AT_MOST = 4
"""Parts in a message."""


class Part(NamedTuple):
    """``size`` neighbouring numbers of an observation from ``start`` on."""

    name: str
    start: int
    size: int


@dataclass(frozen=True)
class PolicyLayout:
    """The parts of an observation, in order, and the character.

    Raises:
        ValueError: the parts have gaps, overlap, or share a name.
    """

    character: str
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        at = 0
        for part in self.parts:
            if part.size < 1 or part.start != at:
                raise ValueError(f"the observation's part {part.name!r} is not where it should be")
            at += part.size
        if not self.parts or len({part.name for part in self.parts}) < len(self.parts):
            raise ValueError("the observation's parts must have names of their own")

    @classmethod
    def of(cls, task: Task) -> PolicyLayout:
        """That of a task."""
        parts = (Part(part.name, part.start, part.size) for part in task.observation_parts)
        return cls(task.character.name, tuple(parts))

    @classmethod
    def from_json(cls, values: JSON) -> PolicyLayout:
        """The inverse of ``as_json``; ValueError, TypeError or KeyError for anything else."""
        parts = [Part(str(name), start, size) for name, start, size in values["observation"]]
        if any(type(number) is not int for part in parts for number in part[1:]):
            raise ValueError("the observation's parts must begin at whole numbers")
        return cls(str(values["character"]), tuple(parts))

    def as_json(self) -> JSON:
        """As a policy's file holds it."""
        return {"character": self.character, "observation": [list(part) for part in self.parts]}

    @property
    def size(self) -> int:
        """Numbers in an observation."""
        return self.parts[-1].start + self.parts[-1].size

    def without(self, *names: str) -> PolicyLayout:
        """The same without those parts at its end whose names begin with one of ``names``."""
        parts = list(self.parts)
        while parts[-1].name.startswith(names):
            parts.pop()
        return PolicyLayout(self.character, tuple(parts))

    def columns_in(self, other: PolicyLayout) -> Int[np.ndarray, " D"]:
        """Where in an observation of ``other`` this one's numbers (D,) lie.

        Raises:
            PolicyError: ``other`` lacks a part, or has it in another size.
        """
        there = {part.name: part for part in other.parts}
        missing = [part.name for part in self.parts if part.name not in there]
        if missing:
            raise PolicyError(f"it sees {_named(missing)}, which the environment does not show")
        for part in self.parts:
            if part.size != there[part.name].size:
                raise PolicyError(
                    f"it sees {part.size} numbers of {part.name}, the environment shows "
                    f"{there[part.name].size}"
                )
        spans = [np.arange(part.size) + there[part.name].start for part in self.parts]
        return np.concatenate(spans)

    def check_sees(self, other: PolicyLayout) -> None:
        """See that every part of ``other`` is one of this layout's.

        Raises:
            PolicyError: some are not.
        """
        own = {part.name for part in self.parts}
        unseen = [part.name for part in other.parts if part.name not in own]
        if unseen:
            raise PolicyError(f"it does not see {_named(unseen)}, which the environment shows")

    def check_same(self, other: PolicyLayout) -> None:
        """See that a policy of this layout can play an environment of the layout ``other``.

        Raises:
            PolicyError: it cannot; says what differs.
        """
        if self.character != other.character:
            raise PolicyError(f"it moves {self.character}, the environment {other.character}")
        self.columns_in(other)
        self.check_sees(other)
        moved = [part.name for part in other.parts if part not in self.parts]
        if moved:
            raise PolicyError(f"it has {_named(moved)} in another place than the environment")


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
