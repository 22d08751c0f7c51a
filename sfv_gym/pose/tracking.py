"""From people in frames to one person through the clip."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from sfv_gym.errors import PoseError
from sfv_gym.pose.person import Person, pose_distance

SLACK = 0.5  # body sizes that a centre may jump beside that: people half out of the picture jitter
MAX_SPEED = 5.0  # body sizes per second: a sprinter
MAX_JUMP = 2.0  # body sizes, however long someone was out of sight
MAX_GROWTH = 2.5  # of the size, either way: from stretched to tucked
RIVAL = 0.2  # share of the main track's weight from which another one is worth a note
TRAVEL = 1.0  # body sizes; who gets about by that much or more counts double

LARGEST = "largest"


class Track:
    """One person from frame to frame."""

    def __init__(self, start: int, person: Person) -> None:
        self.people = {start: person}
        self.last_frame, self.last = start, person

    @property
    def weight(self) -> float:
        """Body sizes summed over the frames: large and lasting wins.

        Whoever gets about counts up to double, since performers do and spectators sit.
        """
        sizes = [person.size for person in self.people.values()]
        centres = np.array([person.centre for person in self.people.values()])
        low, high = np.percentile(centres, [10, 90], axis=0)  # without what jitters
        travel = float(np.linalg.norm(high - low)) / float(np.median(sizes))
        return sum(sizes) * (1.0 + min(travel / TRAVEL, 1.0))

    def distance(self, x: float, y: float) -> float:
        """Pixels, from a point to the nearest of the person's centres."""
        return min(math.dist(person.centre, (x, y)) for person in self.people.values())

    def fits(self, frame: int, person: Person, fps: float) -> bool:
        """Whether this can be the same person: no further off than a sprinter gets, nor resized."""
        reach = min(SLACK + MAX_SPEED * (frame - self.last_frame) / fps, MAX_JUMP) * self.last.size
        growth = person.size / self.last.size
        return (
            float(np.linalg.norm(person.centre - self.last.centre)) < reach
            and 1 / MAX_GROWTH < growth < MAX_GROWTH
        )

    def add(self, frame: int, person: Person) -> None:
        """Go on with this person, in the pose that fits what was seen last."""
        other, next_to = person.alternative, frame - self.last_frame == 1
        if other is not None and next_to and self._goes_on(other) < self._goes_on(person):
            person = replace(other, alternative=replace(person, alternative=None))
        self.people[frame] = person
        self.last_frame, self.last = frame, person

    def _goes_on(self, person: Person) -> float:
        return pose_distance(person, self.last)


def tracks(frames: list[list[Person]], fps: float) -> list[Track]:
    """Follow everyone from frame to frame; the track of most weight first.

    Args:
        frames: (T,) the people in each frame.
    """
    found: list[Track] = []
    for frame, people in enumerate(frames):
        free_tracks, free_people = list(found), list(people)
        pairs = [(t, p) for t in found for p in people if t.fits(frame, p, fps)]
        for track, person in sorted(pairs, key=lambda pair: pose_distance(pair[0].last, pair[1])):
            if track in free_tracks and person in free_people:
                track.add(frame, person)
                free_tracks.remove(track)
                free_people.remove(person)
        found += [Track(frame, person) for person in free_people]
    return sorted(found, key=lambda t: -t.weight)


def parse_subject(subject: str | int) -> str | int | tuple[float, float]:
    """``"largest"``, a rank from 1 on, or a point of the picture in shares of width and height.

    Raises:
        PoseError: it is none of them.
    """
    text = str(subject).strip()
    if text == LARGEST:
        return LARGEST
    numbers = text.split(",")
    try:
        if len(numbers) == 1 and int(text) >= 1:
            return int(text)
        if len(numbers) == 2:
            x, y = (float(number) for number in numbers)
            if 0.0 <= x <= 1.0 and 0.0 <= y <= 1.0:
                return x, y
    except ValueError:
        pass
    raise PoseError(
        f"subject must be largest, a number from 1 on (1 is the largest person), or x,y with both "
        f"in 0..1, such as 0.5,0.5 for the picture's middle; not {subject!r}"
    )


def choose_track(
    found: list[Track], subject: str | int, frames: int, width: int, height: int
) -> tuple[list[Person | None], list[str]]:
    """The track of the subject.

    Args:
        found: by weight. subject: see `parse_subject`. frames: of the clip.

    Returns:
        The person (or None) in each frame, and notes for the user on what was decided.

    Raises:
        PoseError: the subject is none, or there are not so many people.
    """
    wanted = parse_subject(subject)
    if not found:
        return [None] * frames, []
    rivals = [t for t in found if t.weight > RIVAL * found[0].weight]
    if isinstance(wanted, tuple):
        x, y = wanted[0] * width, wanted[1] * height
        best = min(rivals, key=lambda t: t.distance(x, y))
    elif isinstance(wanted, int):
        if wanted > len(found):
            raise PoseError(
                f"subject {wanted}: only {len(found)} people were found; choose 1 to {len(found)}, "
                "or x,y for the person near a point"
            )
        best = found[wanted - 1]
    else:
        best = found[0]
    return [best.people.get(frame) for frame in range(frames)], _notes(best, rivals, wanted)


def _notes(best: Track, rivals: list[Track], wanted: str | int | tuple[float, float]) -> list[str]:
    others = [t for t in rivals if t is not best]
    together = [t for t in others if t.people.keys() & best.people.keys()]
    notes = []
    if together:
        note = f"{len(together) + 1} people seen; "
        if wanted == LARGEST:
            note += "the largest, longest track was taken (another one: --subject 2, or x,y)"
        else:
            note += f"the one asked for (--subject {_written(wanted)}) was taken"
        notes.append(note)
    if apart := len(others) - len(together):
        notes.append(
            f"the person was lost and maybe found again elsewhere: {apart} more tracks left out"
        )
    return notes


def _written(wanted: str | int | tuple[float, float]) -> str:
    return f"{wanted[0]:g},{wanted[1]:g}" if isinstance(wanted, tuple) else str(wanted)
