"""What came of a picture for one skill."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from sfv_gym.completion.nearest import FAR, Match
from sfv_gym.files import JSON


@dataclass(frozen=True)
class Completion:
    """How one skill goes on from a picture.

    Attributes:
        skill: name. mirrored: with left and right exchanged.
        time: seconds into the motion, of the state nearest to the picture.
        distance: metres, see ``words``. pose: its part by the links' places.
            contacts: how many hands and feet touch the ground in one of the two alone.
        words: the distance: ``"close"``, ``"like it"`` or ``"far"``.
        policy: id of the environment whose shipped policy went on; None where none ships, or the
            picture is too far.
        share: of the picture's pose in the start, 0..1; the rest is the motion's.
        stays_up: for a second, or to the motion's end where that comes first, without early
            termination; None where nothing was played.
        film: mp4; None where none was made.
    """

    skill: str
    mirrored: bool
    time: float
    distance: float
    pose: float
    contacts: int
    words: str
    policy: str | None = None
    share: float | None = None
    stays_up: bool | None = None
    film: Path | None = None

    @property
    def is_near(self) -> bool:
        """Whether the picture may show this skill at all."""
        return self.distance <= FAR

    def as_dict(self) -> JSON:
        """As JSON has it."""
        return {**asdict(self), "film": None if self.film is None else str(self.film)}

    @classmethod
    def of(cls, match: Match) -> Completion:
        """Of what was found; nothing is played yet."""
        return cls(
            match.skill, match.mirrored, match.time, match.distance, match.pose, match.contacts,
            match.in_words,
        )  # fmt: skip
