"""One person in one frame, and what the mirrored frame adds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sfv_gym.pose.landmarks import LandmarkSet

SAME_POSE = 0.08
"""Mean distance between the landmarks of two sightings that are averaged, in body sizes. The
upright and the mirrored sighting of a pose that MediaPipe understands are 0.01 apart."""
SAME_LIMB = 0.1
"""The same for the landmark that is furthest off: two legs that are crossed in one sighting have no
mean."""
SAME_PERSON = 0.6
"""Overlap of two boxes that belong to one person."""

LIMBS = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
) + tuple((f"{a}_shoulder", f"{b}_hip") for a in ("left", "right") for b in ("left", "right"))
"""Pairs of joints that a limb or the trunk lies between."""


@dataclass(frozen=True, eq=False)  # equal is who is the same object: arrays do not compare
class Person:
    """A sighting.

    Attributes:
        landmarks: the K that the arrays hold.
        landmarks_2d: (K, 2) pixels from the picture's upper left corner, all of them finite: a
            landmark that is hidden is a guess.
        visibility: (K,) in 0..1, how sure it is that the landmark is not hidden.
        landmarks_3d: (K, 3) metres from the middle of the hips: x right, y down, z away.
        alternative: what the mirrored frame shows, where that is another pose.
        colour: (2, 3) mean CIELAB colours of trunk and legs, where somebody took them.
    """

    landmarks: LandmarkSet
    landmarks_2d: np.ndarray
    visibility: np.ndarray
    landmarks_3d: np.ndarray
    alternative: Person | None = None
    colour: np.ndarray | None = None

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
        order = self.landmarks.mirror
        pixels, metres = self.landmarks_2d[order].copy(), self.landmarks_3d[order].copy()
        pixels[:, 0] = width - pixels[:, 0]
        metres[:, 0] *= -1
        return Person(self.landmarks, pixels, self.visibility[order], metres)


def confidence(person: Person) -> float:
    """Mean visibility of the joints."""
    return float(person.visibility[person.landmarks.joints].mean())


def pixels_per_metre(person: Person) -> float:
    """Size in the picture against size in space, seen from the camera."""
    joints = person.landmarks.joints
    pixels, metres = person.landmarks_2d[joints], person.landmarks_3d[joints, :2]
    spread = float(np.linalg.norm(metres - metres.mean(0)))
    return float(np.linalg.norm(pixels - pixels.mean(0)) / max(spread, 1e-6))


def tilt(person: Person) -> float:
    """Radians, clockwise, from the picture's up to the direction from hips to shoulders."""
    known, pixels = person.landmarks, person.landmarks_2d
    shoulders = pixels[known.indices("left_shoulder", "right_shoulder")].mean(0)
    right, down = shoulders - pixels[known.indices("left_hip", "right_hip")].mean(0)
    return float(np.arctan2(right, -down))


def change(a: Person, b: Person, scale: float) -> float:
    """Metres between two poses: mean over the joints, of picture and space."""
    return float(joint_changes(a, b, scale).mean())


def joint_changes(a: Person, b: Person, scale: float) -> np.ndarray:
    """(12,) metres, mean of picture and space."""
    joints = a.landmarks.joints
    flat = np.linalg.norm(a.landmarks_2d[joints] - b.landmarks_2d[joints], axis=-1)
    deep = np.linalg.norm(a.landmarks_3d[joints] - b.landmarks_3d[joints], axis=-1)
    return np.asarray(0.5 * (flat / scale + deep))


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
    """An estimator may report one person twice: keep the one it sees better."""
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
        over = [t for t in left if overlap(person, t) >= SAME_PERSON]
        twin = min(over, key=lambda t: pose_distance(person, t), default=None)
        if twin is None:
            merged.append(person)
            continue
        left.remove(twin)
        apart = np.linalg.norm(person.landmarks_2d - twin.landmarks_2d, axis=-1) / person.size
        if apart.mean() > SAME_POSE or (strict and apart.max() > SAME_LIMB):
            merged.append(replace(person, alternative=twin))
            continue
        merged.append(
            Person(
                person.landmarks,
                0.5 * (person.landmarks_2d + twin.landmarks_2d),
                0.5 * (person.visibility + twin.visibility),
                0.5 * (person.landmarks_3d + twin.landmarks_3d),
            )
        )
    return without_doubles(merged + left)  # `left`: whom only the mirrored frame shows


def joined(
    people: list[Person], mirrored: list[Person], width: int, *, strict: bool = False
) -> list[Person]:
    """Everyone whom a frame and its mirror image show, as the frame has them, see `merge`.

    Args:
        people, mirrored: as the estimator found them in each. width: pixels, of the frame.
    """
    twins = [person.mirrored(width) for person in without_doubles(mirrored)]
    return merge(without_doubles(people), twins, strict=strict)
