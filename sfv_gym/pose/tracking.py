"""From people in frames to one person through the clip."""

from __future__ import annotations

import numpy as np

from sfv_gym.pose.person import Person, pose_distance

SLACK = 0.5  # body sizes that a centre may jump beside that: people half out of the picture jitter
MAX_SPEED = 5.0  # body sizes per second: a sprinter
MAX_JUMP = 2.0  # body sizes, however long someone was out of sight
MAX_GROWTH = 2.5  # of the size, either way: from stretched to tucked
RIVAL = 0.2  # share of the main track's weight from which another one is worth a note


class _Track:
    def __init__(self, start: int, person: Person) -> None:
        self.people = {start: person}
        self.last_frame, self.last = start, person

    @property
    def weight(self) -> float:
        """Body sizes summed over the frames: large and lasting wins."""
        return sum(person.size for person in self.people.values())

    def fits(self, frame: int, person: Person, fps: float) -> bool:
        reach = min(SLACK + MAX_SPEED * (frame - self.last_frame) / fps, MAX_JUMP) * self.last.size
        growth = person.size / self.last.size
        return (
            float(np.linalg.norm(person.centre - self.last.centre)) < reach
            and 1 / MAX_GROWTH < growth < MAX_GROWTH
        )

    def add(self, frame: int, person: Person) -> None:
        """Go on with this person, in the pose that fits what was seen last."""
        if person.alternative is not None and frame - self.last_frame == 1:
            person = min(person, person.alternative, key=lambda p: pose_distance(p, self.last))
        self.people[frame] = person
        self.last_frame, self.last = frame, person


def largest_track(frames: list[list[Person]], fps: float) -> tuple[list[Person | None], list[str]]:
    """Follow everyone from frame to frame and take the largest, longest track.

    Args:
        frames: (T,) the people in each frame.

    Returns:
        The person (or None) in each frame, and notes for the user on what was decided.
    """
    tracks: list[_Track] = []
    for frame, people in enumerate(frames):
        free_tracks, free_people = list(tracks), list(people)
        pairs = [(t, p) for t in tracks for p in people if t.fits(frame, p, fps)]
        for track, person in sorted(pairs, key=lambda pair: pose_distance(pair[0].last, pair[1])):
            if track in free_tracks and person in free_people:
                track.add(frame, person)
                free_tracks.remove(track)
                free_people.remove(person)
        tracks += [_Track(frame, person) for person in free_people]
    if not tracks:
        return [None] * len(frames), []
    best = max(tracks, key=lambda t: t.weight)
    return [best.people.get(frame) for frame in range(len(frames))], _notes(best, tracks)


def _notes(best: _Track, tracks: list[_Track]) -> list[str]:
    others = [t for t in tracks if t is not best and t.weight > RIVAL * best.weight]
    together = [t for t in others if t.people.keys() & best.people.keys()]
    notes = []
    if together:
        notes.append(f"{len(together) + 1} people seen; the largest, longest track was taken")
    if apart := len(others) - len(together):
        notes.append(
            f"the person was lost and maybe found again elsewhere: {apart} more tracks left out"
        )
    return notes
