"""One person in one frame, and what the mirrored frame adds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sfv_gym.pose.landmarks import MIRROR

SAME_POSE = 0.08
"""Mean distance between the landmarks of two sightings that are averaged, in body sizes. The
upright and the mirrored sighting of a pose that MediaPipe understands are 0.01 apart."""
SAME_LIMB = 0.1
"""The same for the landmark that is furthest off: two legs that are crossed in one sighting have no
mean."""
SAME_PERSON = 0.6
"""Overlap of two boxes that belong to one person."""


@dataclass(frozen=True, eq=False)  # equal is who is the same object: arrays do not compare
class Person:
    """A sighting.

    Attributes:
        landmarks_2d: (33, 2) pixels from the picture's upper left corner.
        visibility: (33,) in 0..1.
        landmarks_3d: (33, 3) metres from the middle of the hips: x right, y down, z away.
        alternative: what the mirrored frame shows, where that is another pose.
    """

    landmarks_2d: np.ndarray
    visibility: np.ndarray
    landmarks_3d: np.ndarray
    alternative: Person | None = None

    @property
    def centre(self) -> np.ndarray:
        """(2,) pixels."""
        return self.landmarks_2d.mean(0)

    @property
    def size(self) -> float:
        """Pixels, of the diagonal of the box around all landmarks."""
        return float(np.linalg.norm(np.ptp(self.landmarks_2d, axis=0)))

    def mirrored(self, width: int) -> Person:
        """The same person in the mirror image of a picture ``width`` pixels wide."""
        pixels, metres = self.landmarks_2d[MIRROR].copy(), self.landmarks_3d[MIRROR].copy()
        pixels[:, 0] = width - pixels[:, 0]
        metres[:, 0] *= -1
        return Person(pixels, self.visibility[MIRROR], metres)


def pose_distance(a: Person, b: Person) -> float:
    """Mean distance of the landmarks, pixels."""
    return float(np.linalg.norm(a.landmarks_2d - b.landmarks_2d, axis=-1).mean())


def overlap(a: Person, b: Person) -> float:
    """Share of the smaller of the boxes around two people that lies in the larger one."""
    low_a, low_b = a.landmarks_2d.min(0), b.landmarks_2d.min(0)
    high_a, high_b = a.landmarks_2d.max(0), b.landmarks_2d.max(0)
    both = np.prod(np.clip(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), 0.0, None))
    return float(both / max(min(np.prod(high_a - low_a), np.prod(high_b - low_b)), 1e-9))


def without_doubles(people: list[Person]) -> list[Person]:
    """MediaPipe sometimes reports one person twice: keep the one it sees better."""
    kept: list[Person] = []
    for person in sorted(people, key=lambda p: -float(p.visibility.mean())):
        if all(overlap(person, other) < SAME_PERSON for other in kept):
            kept.append(person)
    return kept


def merge(people: list[Person], twins: list[Person], *, strict: bool = False) -> list[Person]:
    """Join each person with the sighting in the mirrored frame, already mirrored back.

    Where both show the same pose they are averaged: MediaPipe's errors in depth differ between
    left and right, so part of them cancels. Where they do not, the person keeps the mirrored
    sighting as the alternative; ``strict`` goes by single limbs, too.
    """
    merged, left = [], list(twins)
    for person in people:
        twin = max(left, key=lambda t: overlap(person, t), default=None)
        if twin is None or overlap(person, twin) < SAME_PERSON:
            merged.append(person)
            continue
        left.remove(twin)
        apart = np.linalg.norm(person.landmarks_2d - twin.landmarks_2d, axis=-1) / person.size
        if apart.mean() > SAME_POSE or (strict and apart.max() > SAME_LIMB):
            merged.append(replace(person, alternative=twin))
            continue
        merged.append(
            Person(
                0.5 * (person.landmarks_2d + twin.landmarks_2d),
                0.5 * (person.visibility + twin.visibility),
                0.5 * (person.landmarks_3d + twin.landmarks_3d),
            )
        )
    return without_doubles(merged + left)  # `left`: whom only the mirrored frame shows
