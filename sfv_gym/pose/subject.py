"""Which of several people: each track weighed, one chosen, and the user told who else is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sfv_gym.errors import PoseError
from sfv_gym.pose.person import LIMBS, confidence
from sfv_gym.pose.tracking import Track

LARGEST = "largest"

# Weight: size in metres' pixels, times seconds in view, times what movement adds
HOLE = 1.0  # s out of sight that count as in view: who is upside down is often missed
SIZE = 0.6  # power: who stands near the camera to watch must not win by that
STILL, HALF = 0.45, 0.15
"""A person who stands still counts STILL, one who moves faster and faster nears STILL + 1; at HALF
m/s half of that is added: tai chi is as fast."""
STEP, SMOOTH = 0.3, 0.1  # s: movement is measured over STEP, between means of SMOOTH either side
MAX_LIMB_SPEED = 3.0  # m/s, faster ones are errors
JITTER = 1.0  # times what smoothing takes out is no movement, but a person who is badly seen
MAX_TRAVEL_SPEED, TRAVEL = 1.0, 0.5
"""m/s beyond which locomotion counts no more, and what it counts against limbs that move:
passers-by walk, and a panning camera moves everybody who stands."""

# A point
ON_BODY, NEAR_BODY = 0.1, 0.25
"""Body sizes from the nearest limb or landmark: on the person, and so near that they are meant."""

LISTED = 6  # people named in a line
WORTH_MENTION = 0.1  # of the weight of the one who counts most: less is a glimpse


@dataclass(frozen=True)
class Subject:
    """One of the people of a clip.

    Attributes:
        number: from 1 on, by weight.
        track: their sightings.
        weight: see `weight`.
        place: (2,) of their middle, in shares of the picture's width and height, half-way through
            the time in which they were seen.
        span: first and last second.
    """

    number: int
    track: Track
    weight: float
    place: tuple[float, float]
    span: tuple[float, float]

    def __str__(self) -> str:
        return f"{self.place[0]:.2f},{self.place[1]:.2f} ({self.number})"


def subjects(found: Sequence[Track], fps: float, width: int, height: int) -> list[Subject]:
    """Everyone who was tracked, the one who counts most first."""
    weights = [weight(track, fps) for track in found]
    out: list[Subject] = []
    for i in sorted(range(len(found)), key=lambda i: -weights[i]):
        frames = found[i].frames
        x, y = found[i].people[int(frames[len(frames) // 2])].centre / (width, height)
        span = (float(frames[0] / fps), float((frames[-1] + 1) / fps))
        out.append(Subject(len(out) + 1, found[i], weights[i], (float(x), float(y)), span))
    return out


def weight(track: Track, fps: float) -> float:
    """How much a person counts: near to the camera, long in view, and moving.

    Size is that of the body, not of its outline: who lies or is seen head-on is no smaller.
    """
    gaps = np.diff(track.frames, append=track.frames[-1] + 1) / fps
    lasting = float(np.minimum(gaps, HOLE).sum())
    speed = activity(track, fps)
    sure = float(np.mean([confidence(p) for p in track.people.values()]))
    return track.scale**SIZE * lasting * sure * (STILL + speed / (speed + HALF))


def activity(track: Track, fps: float) -> float:
    """Metres per second: of the joints against the body's middle, and part of the middle's own.

    All in the picture, where a person's own size tells metres.
    """
    frames, joints = track.frames, next(iter(track.people.values())).landmarks.joints
    flat = np.array([p.landmarks_2d[joints] for p in track.people.values()]) / track.scale
    seen = np.array([p.visibility[joints] for p in track.people.values()])
    near = np.abs(frames[:, None] - frames) <= SMOOTH * fps
    smooth = np.array([np.median(flat[row], axis=0) for row in near])
    jitter = np.linalg.norm(_about_middle(flat) - _about_middle(smooth), axis=-1).mean(0)
    later = np.searchsorted(frames, frames + STEP * fps - 1e-6)
    pairs = [(i, j) for i, j in enumerate(later) if j < len(frames)]
    pairs = [(i, j) for i, j in pairs if frames[j] - frames[i] <= 2 * STEP * fps + 1]
    if not pairs:
        return 0.0
    i, j = np.array(pairs).T
    time = (frames[j] - frames[i]) / fps
    middle, own = smooth.mean(1), _about_middle(smooth)
    travel = np.linalg.norm(middle[j] - middle[i], axis=-1) / time
    limbs = np.linalg.norm(own[j] - own[i], axis=-1)
    limbs = np.clip((limbs - JITTER * jitter) / time[:, None], 0.0, MAX_LIMB_SPEED)
    limbs *= np.minimum(seen[i], seen[j])
    return float((limbs.mean(1) + TRAVEL * np.minimum(travel, MAX_TRAVEL_SPEED)).mean())


def _about_middle(joints: np.ndarray) -> np.ndarray:
    return np.asarray(joints - joints.mean(1, keepdims=True))


def parse_subject(subject: str | int) -> str | int | tuple[float, float]:
    """``"largest"``, a number from 1 on, or a point of the picture in shares of width and height.

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


def choose(people: Sequence[Subject], subject: str | int, width: int, height: int) -> Subject:
    """The one who is asked for.

    Args:
        people: one at least. subject: see `parse_subject`. width, height: of the picture, pixels.

    Raises:
        PoseError: the subject is none, or there are not so many people, or nobody at the point.
    """
    wanted = parse_subject(subject)
    if isinstance(wanted, int):
        if wanted > len(people):
            raise PoseError(
                f"subject {wanted}: only {len(people)} people were found, at {_listed(people)}: "
                f"choose 1 to {len(people)}, or x,y for the person at a point"
            )
        return people[wanted - 1]
    if isinstance(wanted, tuple):
        return _at(wanted, people, np.array([wanted[0] * width, wanted[1] * height]))
    return people[0]


def _at(wanted: tuple[float, float], people: Sequence[Subject], point: np.ndarray) -> Subject:
    """Whom a point (2,) lies on at some time; of several, the one on whom it lies longest."""
    away = [distances(someone.track, point) for someone in people]
    nearest = min(float(sizes.min()) for sizes in away)
    if nearest > NEAR_BODY:
        raise PoseError(
            f"subject {_written(wanted)}: nobody is there at any time; people at "
            f"{_listed(people)}: give a number, or a point on the body"
        )
    within = max(nearest, ON_BODY)
    best = max(range(len(people)), key=lambda i: int((away[i] <= within).sum()))
    return people[best]


def distances(track: Track, point: np.ndarray) -> np.ndarray:
    """(S,) body sizes, from a point (2,) in the picture to the nearest limb or landmark."""
    landmarks = next(iter(track.people.values())).landmarks
    flat = np.array([p.landmarks_2d for p in track.people.values()]) - point
    ends = np.array([landmarks.indices(a, b) for a, b in LIMBS])
    a, b = flat[:, ends[:, 0]], flat[:, ends[:, 1]]
    along = ((b - a) * -a).sum(-1) / np.maximum(((b - a) ** 2).sum(-1), 1e-9)
    limbs = np.linalg.norm(a + np.clip(along, 0.0, 1.0)[..., None] * (b - a), axis=-1).min(1)
    return np.asarray(np.minimum(limbs, np.linalg.norm(flat, axis=-1).min(1)) / track.size)


def _others(best: Subject, people: Sequence[Subject]) -> list[Subject]:
    worth = WORTH_MENTION * people[0].weight
    return [s for s in people if s is not best and s.weight > worth]


def beside(best: Subject, people: Sequence[Subject]) -> list[Subject]:
    """Those who are seen at a time with the one who was taken, and for more than a glimpse."""
    frames = best.track.people.keys()
    return [s for s in _others(best, people) if s.track.people.keys() & frames]


def notes_on(best: Subject, people: Sequence[Subject], subject: str | int) -> list[str]:
    """For the user: who was taken, and who else is there."""
    together = beside(best, people)
    notes = []
    if together:
        wanted = parse_subject(subject)
        why = (
            "counts most by size, time in view and movement"
            if wanted == LARGEST
            else f"is asked for by --subject {_written(wanted)}"
        )
        notes.append(
            f"{len(together) + 1} people seen; the one at {best}, who {why}, was taken; "
            f"others at {_listed(together)} (--subject {together[0].number}, or x,y)"
        )
    if apart := len(_others(best, people)) - len(together):
        notes.append(
            f"the person was lost and maybe found again elsewhere: {apart} more tracks left out"
        )
    return notes


def _listed(people: Sequence[Subject]) -> str:
    more = len(people) - LISTED
    return ", ".join(map(str, people[:LISTED])) + (f" and {more} more" if more > 0 else "")


def _written(wanted: str | int | tuple[float, float]) -> str:
    return f"{wanted[0]:g},{wanted[1]:g}" if isinstance(wanted, tuple) else str(wanted)
