"""From people in frames to tracks: who is the same person from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from sfv_gym.pose.person import Person, pixels_per_metre

SLACK = 0.5  # body sizes that a centre may jump beside that: people half out of the picture jitter
MAX_SPEED = 5.0  # body sizes per second: a sprinter
MAX_JUMP = 2.0  # body sizes, however long someone was out of sight
HEIGHT = 1.7  # m
MAX_GROWTH = 2.5  # of the size, either way: from stretched to tucked

# Prediction: people who cross go on as they went
HISTORY = 0.5  # s of sightings that the velocity is fitted to
MIN_HISTORY = 4  # sightings, fewer say nothing of it
MAX_PREDICTION = 0.7  # s out of sight, after which nobody is known to go on

# Costs, in body sizes from where a track should be
POSE = 0.3  # part of the landmarks' mean distance, which a turn or a flip changes, too
LOST = 0.2  # for each second out of sight
COLOUR, OTHER_COLOUR = 0.3, 30.0
"""What other clothes cost, and from which difference in CIELAB they are others."""
COLOUR_MEMORY = 0.9
"""Of a track's colours, what stays in the next frame."""
NEARER = 0.1
"""Body sizes by which an alternative sighting is nearer to somebody else's place, to be theirs."""


class Track:
    """One person from frame to frame.

    Attributes:
        people: the person in each frame in which they were seen, by frame, in order.
    """

    def __init__(self, start: int, person: Person) -> None:
        self.people = {start: person}
        self.last_frame, self.last = start, person
        self.colour = person.colour

    @property
    def frames(self) -> np.ndarray:
        """(S,) in which the person was seen."""
        return np.array(list(self.people))

    @property
    def scale(self) -> float:
        """Pixels per metre, the median: how large the person is, in whatever pose."""
        return float(np.median([pixels_per_metre(p) for p in self.people.values()]))

    @property
    def size(self) -> float:
        """Pixels, of the whole body: tucked or seen head-on, the outline is smaller."""
        outline = float(np.median([p.size for p in self.people.values()]))
        return max(outline, HEIGHT * self.scale)

    def moved(self, frame: int, fps: float) -> np.ndarray:
        """(2,) pixels that the person must have moved by ``frame``, going on as before."""
        gap = frame - self.last_frame
        recent = [t for t in list(self.people)[-round(HISTORY * fps) - 1 :]
                  if self.last_frame - t <= HISTORY * fps]  # fmt: skip
        if len(recent) < MIN_HISTORY or gap > MAX_PREDICTION * fps:
            return np.zeros(2)
        centres = np.array([self.people[t].centre for t in recent])
        return np.asarray(np.polyfit(np.array(recent) - recent[-1], centres, 1)[0] * gap)

    def fits(self, frame: int, person: Person, moved: np.ndarray, fps: float) -> bool:
        """Whether this can be the same person: no further off than a sprinter gets, nor resized."""
        reach = min(SLACK + MAX_SPEED * (frame - self.last_frame) / fps, MAX_JUMP) * self.last.size
        off = person.centre - self.last.centre
        growth = person.size / self.last.size
        near = min(float(np.linalg.norm(off)), float(np.linalg.norm(off - moved))) < reach
        return near and 1 / MAX_GROWTH < growth < MAX_GROWTH

    def off(self, person: Person, moved: np.ndarray) -> float:
        """Mean distance of the landmarks from where they should be, in body sizes."""
        apart = person.landmarks_2d - self.last.landmarks_2d - moved
        return float(np.linalg.norm(apart, axis=-1).mean()) / self.last.size

    def cost(self, frame: int, person: Person, moved: np.ndarray, fps: float) -> float:
        """Of going on with this person, in body sizes."""
        sightings = [p for p in (person, person.alternative) if p is not None]
        places = [np.linalg.norm(p.centre - self.last.centre - moved) for p in sightings]
        place = min(float(away) for away in places) / self.last.size
        pose = min(self.off(p, moved) for p in sightings)
        lost = (frame - self.last_frame - 1) / fps
        return place + POSE * pose + LOST * lost + COLOUR * self.other_clothes(person)

    def add(self, frame: int, person: Person) -> None:
        """Go on with this person."""
        self.people[frame] = person
        self.last_frame, self.last = frame, person
        if person.colour is not None:
            before = person.colour if self.colour is None else self.colour
            self.colour = COLOUR_MEMORY * before + (1 - COLOUR_MEMORY) * person.colour

    def other_clothes(self, person: Person) -> float:
        """In 0..1, how much the person's clothes differ in colour from the track's."""
        if self.colour is None or person.colour is None:
            return 0.0
        apart = float(np.linalg.norm(self.colour - person.colour, axis=-1).mean())
        return min(apart / OTHER_COLOUR, 1.0)


def tracks(frames: Sequence[Sequence[Person]], fps: float) -> list[Track]:
    """Follow everyone from frame to frame; in the order in which they appear.

    Of two sightings of a person that contradict each other, the one that goes on is taken. Where
    people cross, they may be one of each: then each gets their own.

    Args:
        frames: (T,) the people in each frame.
    """
    found: list[Track] = []
    for frame, people in enumerate(frames):
        moved = [track.moved(frame, fps) for track in found]
        pairs = _assigned(found, people, moved, frame, fps)
        spare: list[_Spare] = []
        for i, j in pairs:
            track, person = found[i], people[j]
            place = track.last.centre + moved[i]
            if person.alternative is not None:
                next_to = frame - track.last_frame == 1
                first, second = replace(person, alternative=None), person.alternative
                if next_to and track.off(second, moved[i]) < track.off(first, moved[i]):
                    first, second = second, first
                    person = replace(first, alternative=second)
                spare.append(_Spare(track, second, place))
            track.add(frame, person)
        for i in sorted(set(range(len(found))) - {i for i, _ in pairs}):
            _take_spare(found[i], spare, moved[i], frame, fps)
        taken = {j for _, j in pairs}
        found += [Track(frame, person) for j, person in enumerate(people) if j not in taken]
    return found


@dataclass(frozen=True, eq=False)
class _Spare:
    """The second sighting of someone, which may be somebody else.

    Attributes:
        owner: the track that went on with the first sighting. person: the second one.
        place: (2,) pixels, where the owner's centre was to be expected.
    """

    owner: Track
    person: Person
    place: np.ndarray


def _take_spare(
    track: Track, spare: list[_Spare], moved: np.ndarray, frame: int, fps: float
) -> None:
    """Give a track that would go without the second sighting that is in its place, if one is."""

    def away(one: _Spare, place: np.ndarray) -> float:
        return float(np.linalg.norm(one.person.centre - place)) / track.last.size

    place = track.last.centre + moved
    fitting = [
        s
        for s in spare
        if track.fits(frame, s.person, moved, fps) and away(s, place) + NEARER < away(s, s.place)
    ]
    best = min(fitting, key=lambda s: away(s, place), default=None)
    if best is not None:
        spare.remove(best)
        best.owner.add(frame, replace(best.owner.last, alternative=None))
        track.add(frame, best.person)


def _assigned(
    found: Sequence[Track],
    people: Sequence[Person],
    moved: Sequence[np.ndarray],
    frame: int,
    fps: float,
) -> list[tuple[int, int]]:
    """Pairs of a track and a person of this frame, those that go together best in all."""
    impossible = 1e6
    cost = np.full((len(found), len(people)), impossible)
    for i, track in enumerate(found):
        for j, person in enumerate(people):
            if track.fits(frame, person, moved[i], fps):
                cost[i, j] = track.cost(frame, person, moved[i], fps)
    pairs = zip(*linear_sum_assignment(cost), strict=True)
    return [(int(i), int(j)) for i, j in pairs if cost[i, j] < impossible]
