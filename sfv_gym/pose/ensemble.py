"""From many sightings of one person to one pose a frame: doubt, fusion, the best sequence.

MediaPipe is sure of people who stand, and often wrong about those who are upside down, lie, or are
small: it misses them, takes left for right, or front for back. Frames where that is likely are
looked at again, closer and turned (`Search`). Sightings that agree are averaged (`hypotheses`), and
`best_sequence` takes the hypothesis of each frame that goes best with the frames around it, or
none.

Distances between poses are in metres: those in the picture are divided by its pixels per metre,
which the person's own 3D landmarks give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sfv_gym.pose.bystanders import Bystanders
from sfv_gym.pose.doubt import NOISE, doubtful, jumps, stretched
from sfv_gym.pose.person import Person, confidence, joint_changes, pixels_per_metre, tilt
from sfv_gym.pose.view import View

ENSEMBLE_VERSION = 2
"""Part of every cache key: raised whenever the same clip gives other poses."""

# Views
SCALE_WINDOW = 0.5  # s, either side, of the running median of pixels per metre
MARGIN = 1.8  # side of a view, in diagonals of the person
MARGIN_GROWTH = 0.05  # per frame since they were last seen
MAX_MARGIN = 2.6
VIEW_PIXELS = (256, 512)  # least and most; between them a view has the frame's own pixels
MIN_VIEW_SIDE = 64.0  # pixels of the frame

# Rounds
ROUNDS = 3
MAX_LOOKS = 600  # views of a whole clip, which bounds its time; past it, fewer a frame
CLEAR = 0.6  # share of the sightings from which a hypothesis needs no more looks
SLANT, QUARTER = np.pi / 4, np.pi / 2
"""Angles from the trunk upright that the views of a known pose have: for the plain look MediaPipe
has turned the trunk upright itself, so that an upright view would add little."""

# Hypotheses
SAME_POSE, SAME_JOINT = 0.16, 0.25  # m, between sightings that are averaged: mean and worst joint
MAX_SCALE_CHANGE = 1.8  # of pixels per metre, from the track's
REACH = 0.4  # of a view's side, from its centre to that of a candidate

# The sequence; costs are in units of what one clear hypothesis can cost, two at most
NOBODY = 3.5  # a frame without a pose
SWAPPED = 0.1  # a hypothesis with left and right exchanged
SPEED = 2.0  # m/s: a change of pose by NOISE + SPEED * time costs 1 ...
MAX_CHANGE = 4.0  # ... and no change costs more than this
MEMORY = 0.5  # s, within which poses are compared across frames without one


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One pose that a frame may show.

    Attributes:
        person: the mean of the sightings that agree.
        share: of all sightings in the frame, weighted by confidence, in 0..1.
        cost: of taking it, whatever the other frames show.
    """

    person: Person
    share: float
    cost: float


# --- one sighting ----------------------------------------------------------------------------


def swapped(person: Person) -> Person:
    """The other body that looks alike: left and right exchanged, near and far too.

    A camera cannot tell the two but by shading and by how joints bend; exchanging the names alone
    would give a body whose limbs are on the wrong sides.
    """
    order = person.landmarks.mirror
    metres = person.landmarks_3d[order].copy()
    metres[:, 2] *= -1
    return Person(person.landmarks, person.landmarks_2d[order], person.visibility[order], metres)


# --- views -----------------------------------------------------------------------------------


def track_scale(track: Sequence[Person | None], window: int) -> np.ndarray:
    """(T,) pixels per metre: running median over ``window`` frames either side, holes bridged."""
    seen = [t for t, person in enumerate(track) if person is not None]
    raw = np.array([pixels_per_metre(p) for p in track if p is not None])
    smooth = [np.median(raw[np.abs(np.array(seen) - t) <= window]) for t in seen]
    return np.interp(np.arange(len(track)), seen, smooth)


def view_of(track: Sequence[Person | None], t: int, *, angle: float = 0.0) -> View:
    """A view of where the person is in frame ``t``, or must be by the frames around it."""
    seen = np.array([i for i, person in enumerate(track) if person is not None])
    boxes = np.array(
        [
            (*(p.landmarks_2d.min(0) + p.landmarks_2d.max(0)) / 2, p.size)
            for p in track
            if p is not None
        ]
    )
    x, y, size = (float(np.interp(t, seen, column)) for column in boxes.T)
    # a tucked body is about to unfold: the largest of the frames around it counts
    near = np.abs(seen - t) <= max(5, np.abs(seen - t).min() + 1)
    size = max(size, float(boxes[near, 2].max()))
    margin = min(MARGIN + MARGIN_GROWTH * int(np.abs(seen - t).min()), MAX_MARGIN)
    side = max(margin * size, MIN_VIEW_SIDE)
    pixels = int(np.clip(side, *VIEW_PIXELS))
    return View(x, y, side, angle, pixels)


def guessed_tilt(track: Sequence[Person | None], t: int) -> float:
    """The trunk's direction in frame ``t``, turning evenly between the frames around it."""
    before = next((i for i in range(t, -1, -1) if track[i] is not None), None)
    after = next((i for i in range(t, len(track)) if track[i] is not None), None)
    ends = [(i, track[i]) for i in (before, after) if i is not None]
    angles = [tilt(person) for _, person in ends if person is not None]
    if not angles:
        return 0.0
    if len(angles) == 1 or before == after:
        return angles[0]
    assert before is not None
    assert after is not None
    turn = (angles[1] - angles[0] + np.pi) % (2 * np.pi) - np.pi
    return float(angles[0] + turn * (t - before) / (after - before))


def both_ways(view: View) -> list[View]:
    """The view and its mirror image: MediaPipe's errors differ between left and right."""
    return [view, replace(view, mirrored=True)]


def around(view: View, up: float, attempt: int) -> list[View]:
    """Eight angles from ``up`` on, every other one mirrored; each attempt has others."""
    return [
        replace(
            view,
            angle=up + (i + 0.5 * (attempt // 2)) * np.pi / 4,
            mirrored=(i + attempt) % 2 == 1,
            equalized=view.is_fine,
        )
        for i in range(8)
    ]


def within(plan: dict[int, list[View]], looks: int) -> dict[int, list[View]]:
    """The plan with every other view left out of each frame until it fits, then of the frames."""
    while sum(len(views) for views in plan.values()) > max(looks, 0):
        if all(len(views) == 1 for views in plan.values()):
            plan = dict(list(plan.items())[::2]) if len(plan) > 1 else {}
        else:
            plan = {t: views[::2] for t, views in plan.items()}
    return plan


# --- hypotheses ------------------------------------------------------------------------------


def hypotheses(sightings: Sequence[Person], scale: float) -> list[Hypothesis]:
    """Sightings of one frame that agree, averaged; the most trusted first."""
    groups: list[list[Person]] = []
    for person in sorted(sightings, key=lambda p: -confidence(p)):
        apart = [joint_changes(mean_person(group), person, scale) for group in groups]
        same = [i for i, d in enumerate(apart) if d.mean() < SAME_POSE and d.max() < SAME_JOINT]
        if same:
            groups[min(same, key=lambda i: float(apart[i].mean()))].append(person)
        else:
            groups.append([person])
    total = sum(confidence(p) for p in sightings)
    found = []
    for group in groups:
        person = mean_person(group)
        share = sum(confidence(p) for p in group) / max(total, 1e-6)
        found.append(Hypothesis(person, share, (1.0 - share) + (1.0 - confidence(person))))
    return sorted(found, key=lambda h: h.cost)


def mean_person(group: Sequence[Person]) -> Person:
    """The mean of sightings, weighted by confidence."""
    weights = np.array([max(confidence(p), 1e-3) for p in group])
    weights /= weights.sum()
    return Person(
        group[0].landmarks,
        np.tensordot(weights, [p.landmarks_2d for p in group], 1),
        np.tensordot(weights, [p.visibility for p in group], 1),
        np.tensordot(weights, [p.landmarks_3d for p in group], 1),
    )


def is_candidate(person: Person, view: View, scale: float) -> bool:
    """Whether someone seen at the track's place can be the person: no bystander, no stray limb."""
    low, high = person.landmarks_2d.min(0), person.landmarks_2d.max(0)
    away = np.linalg.norm(0.5 * (low + high) - np.array([view.x, view.y]))
    factor = pixels_per_metre(person) / scale
    near = away < REACH * view.side
    return bool(near and 1 / MAX_SCALE_CHANGE < factor < MAX_SCALE_CHANGE)


# --- the search ------------------------------------------------------------------------------


class Search:
    """What is known about the person while hard frames are looked at again.

    Args:
        people: (T,) everyone in each frame. track: (T,) the person among them, or None.
        fps: frames per second.
        others: the other tracks' sightings, by frame, see `Bystanders`.

    Attributes:
        person: (T,) the best sequence so far.
    """

    def __init__(
        self,
        people: Sequence[Sequence[Person]],
        track: Sequence[Person | None],
        fps: float,
        others: Sequence[Mapping[int, Person]] = (),
    ) -> None:
        self.person, self._fps = list(track), fps
        self._window = max(round(SCALE_WINDOW * fps), 1)
        self._scale = track_scale(track, self._window)
        self._doubt = doubtful(track, self._scale, fps)
        self._looks_left = MAX_LOOKS
        self._sightings: list[list[Person]] = []
        self._shares = np.zeros(len(track))
        self._bystanders = Bystanders(track, others, fps)
        if others:
            self._doubt |= stretched(track, self._scale)
        for t, (seen, chosen) in enumerate(zip(people, track, strict=True)):
            place = view_of(track, t)
            near = [p for p in seen if p is chosen or is_candidate(p, place, self._scale[t])]
            if chosen is not None and all(p is not chosen for p in near):
                near.append(chosen)  # the track's own choice of two sightings
            looks = [look for p in near for look in _looks(p)]
            own = [look for look in looks if not self._bystanders.has(t, look, self._scale[t])]
            self._doubt[t] |= len(own) < len(looks)
            self._sightings.append(own)

    def plan(self, attempt: int) -> dict[int, list[View]]:
        """The views to take next, by frame: few where a pose is known, all around where none is."""
        out: dict[int, list[View]] = {}
        for t in np.flatnonzero(self._doubt).tolist():
            up = guessed_tilt(self.person, t)
            view = view_of(self.person, t)
            if self.person[t] is None or attempt == 1:
                out[t] = around(view, up, attempt)
            elif attempt == 0:
                upright, aside = (replace(view, angle=up + a) for a in (SLANT, QUARTER))
                out[t] = [*both_ways(replace(upright, equalized=view.is_fine)), *both_ways(aside)]
        out = within(out, self._looks_left)
        self._looks_left -= sum(len(views) for views in out.values())
        return out

    def add(self, t: int, seen: Sequence[tuple[View, Person]]) -> None:
        """Take note of whom the views of frame ``t`` show."""
        scale = self._scale[t]
        near = [p for v, p in seen if is_candidate(p, v, scale)]
        self._sightings[t] += [p for p in near if not self._bystanders.has(t, p, scale)]

    def settle(self) -> None:
        """Find the best sequence with all that is known."""
        frames = [
            hypotheses(seen, scale)
            for seen, scale in zip(self._sightings, self._scale, strict=True)
        ]
        best = best_sequence(frames, self._scale, self._fps)
        self._shares = np.array([0.0 if h is None else h.share for h in best])
        if all(h is None for h in best):
            return
        self.person = [None if h is None else h.person for h in best]
        self._scale = track_scale(self.person, self._window)
        self._doubt = (self._shares < CLEAR) | jumps(self.person, self._scale, self._fps)


def _looks(person: Person) -> list[Person]:
    """The sightings behind a person of the plain look; two that agreed count as two."""
    if person.alternative is not None:
        return [replace(person, alternative=None), person.alternative]
    return [person, person]


# --- the sequence ----------------------------------------------------------------------------


_State = tuple[int, int]  # a frame and one of its hypotheses


def best_sequence(
    frames: Sequence[Sequence[Hypothesis]], scale: np.ndarray, fps: float
) -> list[Hypothesis | None]:
    """The hypothesis of each frame, or None, that costs least in all.

    A frame's hypotheses compete with each other, with their copies that have left and right
    exchanged, and with nobody. Neighbours in the sequence pay for the change between their poses.

    Args:
        frames: (T,) the hypotheses of each frame. scale: (T,) pixels per metre.
    """
    states = [
        [*found, *(replace(h, person=swapped(h.person), cost=h.cost + SWAPPED) for h in found)]
        for found in frames
    ]
    flat = [np.array([h.person.landmarks_2d[h.person.landmarks.joints] for h in s]) for s in states]
    deep = [np.array([h.person.landmarks_3d[h.person.landmarks.joints] for h in s]) for s in states]
    memory = max(round(MEMORY * fps), 1)
    costs: list[np.ndarray] = []  # of the cheapest sequence that ends in each state
    origins: list[list[_State | None]] = []  # the state before it
    # the cheapest sequence so far, whatever it ends in, and its last state
    least = 0.0
    last: _State | None = None
    for t, found in enumerate(states):
        # whoever was seen last, and however long ago: a change of pose costs no more
        best = np.full(len(found), least if last is None else least + MAX_CHANGE)
        origin: list[_State | None] = [last] * len(found)
        for s in range(max(t - memory, 0), t):
            if not states[s] or not found:
                continue
            moved = _distances(flat[s], flat[t]) / (0.5 * (scale[s] + scale[t]))
            posed = _distances(deep[s], deep[t])
            step = 0.5 * (moved + posed) / (NOISE + SPEED * (t - s) / fps)
            through = costs[s][:, None] + np.minimum(step, MAX_CHANGE) + NOBODY * (t - s - 1)
            for j in np.flatnonzero(through.min(0) < best).tolist():
                i = int(through[:, j].argmin())
                best[j], origin[j] = through[i, j], (s, i)
        costs.append(best + np.array([h.cost for h in found]))
        origins.append(origin)
        least += NOBODY
        for j, cost in enumerate(costs[t].tolist()):
            if cost < least:
                least, last = cost, (t, j)
    sequence: list[Hypothesis | None] = [None] * len(states)
    while last is not None:
        t, j = last
        sequence[t], last = states[t][j], origins[t][j]
    return sequence


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) mean distance of the landmarks of poses (A, 12, D) and (B, 12, D)."""
    return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=-1).mean(-1))
