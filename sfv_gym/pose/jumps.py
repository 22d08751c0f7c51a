"""Where a person jumps as nobody can: a cut that leaves the scene as it is."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np

from sfv_gym.pose.person import Person
from sfv_gym.pose.sequence import PoseSequence
from sfv_gym.pose.tracking import MAX_GROWTH, Track
from sfv_gym.video import VideoReader

PERSON_JUMPS = "the person jumps while the scene stays"

# Middles between left and right, which stay where they are when the two are confused
PAIRS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
SIDE = 4  # frames before and after, enough that one bad pose among them is outvoted
JITTER = 0.03  # standing heights by which poses are off in any frame
MIN_JUMP = 5.0
"""Times what the motion before and after leaves open: more than flips, kicks, spins and panning
cameras do, even with every other frame left out, and far less than a cut of a second."""

MIN_SHOT = 5  # frames for which somebody is seen on either side of a cut
MIN_CHANGE = 4.0  # grey levels, mean over the place where somebody appears
MIN_UNUSUAL = 3.0  # times the most that this place changes in the frames before


def find_jumps(poses: PoseSequence, again: np.ndarray | None = None) -> list[int]:
    """Frames in which the person is elsewhere, or in another pose, than any motion could lead to.

    Args:
        again: (T,) bool, frames that show another one's picture again.
    """
    score = jump_scores(poses, again)
    jumps: list[int] = []
    for t in np.flatnonzero(score >= MIN_JUMP).tolist():
        if jumps and t - jumps[-1] < SIDE:  # the same one, seen from beside
            if score[t] > score[jumps[-1]]:
                jumps[-1] = t
        else:
            jumps.append(t)
    return jumps


def jump_scores(poses: PoseSequence, again: np.ndarray | None = None) -> np.ndarray:
    """How much further the person gets than the motion before and after tells, (T,).

    The frames before and those after are each continued, at the speed that most of them have, to
    the moment in between. How far the two places are apart is counted in what they leave open: how
    far the frames lie from these lines, in a fast motion far. Next to frames without a person it
    is 0: what happened there was not seen.
    """
    score = np.zeros(poses.num_frames)
    kept = np.arange(poses.num_frames) if again is None else np.flatnonzero(~np.asarray(again))
    known = poses.known[kept]
    if not known.any():
        return score
    left, right = (
        poses.landmarks.indices(*(f"{side}_{name}" for name in PAIRS)) for side in ("left", "right")
    )
    flat = np.asarray(poses.landmarks_2d, float)[kept]
    middles = 0.5 * (flat[:, left] + flat[:, right]) / poses.standing_height  # (K, 6, 2)
    for t in range(2, len(kept) - 1):
        if not known[t - 2 : t + 2].all():
            continue
        between = 0.5 * (kept[t - 1] + kept[t])
        sides = []
        for window in (range(max(t - SIDE, 0), t), range(t, min(t + SIDE, len(kept)))):
            seen = [i for i in window if known[i]]
            sides.append(_continued(middles[seen], kept[seen] - between))
        (before, off_before), (after, off_after) = sides
        jump = np.linalg.norm(after - before, axis=-1).mean()
        score[kept[t]] = jump / (JITTER + max(off_before, off_after))
    return score


def _continued(places: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, float]:
    """Places (6, 2) at time 0 by the median line through those (K, 6, 2) at times (K,), K > 1.

    Returns:
        And how far the frame that fits worst lies from it, mean over the six.
    """
    i, j = np.triu_indices(len(times), 1)
    slopes = (places[j] - places[i]) / (times[j] - times[i])[:, None, None]
    moved = np.median(slopes, axis=0) * times[:, None, None]
    place = np.median(places - moved, axis=0)
    off = np.linalg.norm(places - moved - place, axis=-1).mean(-1)
    return place, float(off.max())


def find_far_jumps(
    video: VideoReader, found: list[Track], person: list[Person | None]
) -> list[int]:
    """The frame at which the person is gone and somebody appears too far off to be followed there.

    A bystander who is noticed when the person is lost was there before; at a cut the pixels of the
    place change at once.

    Args:
        found: everyone's tracks. person: (T,) the one that was chosen, or None.
    """
    seen = [t for t, somebody in enumerate(person) if somebody is not None]
    if len(seen) < MIN_SHOT:
        return []
    for track in found:
        if len(track.people) < MIN_SHOT:
            continue
        begins, ends = min(track.people), track.last_frame
        if begins == seen[-1] + 1:
            at, ends_with, begins_with = begins, person[seen[-1]], track.people.get(begins)
        elif ends == seen[0] - 1:
            at, ends_with, begins_with = seen[0], track.last, person[seen[0]]
        else:
            continue
        assert ends_with is not None
        assert begins_with is not None
        alike = 1 / MAX_GROWTH < begins_with.size / ends_with.size < MAX_GROWTH
        if alike and at >= 2 and _appears(video, at, begins_with):
            return [at]
    return []


def _appears(video: VideoReader, at: int, somebody: Person) -> bool:
    """Whether the place of somebody in frame ``at`` changes there as it did not before."""
    low = np.clip(somebody.landmarks_2d.min(0), 0, None).astype(int)
    high = np.ceil(somebody.landmarks_2d.max(0)).astype(int) + 1
    frames = [f.astype(np.int16) for f in islice(video, max(at - 1 - SIDE, 0), at + 1)]
    places = [frame[low[1] : high[1], low[0] : high[0]] for frame in frames]
    if not places[0].size:
        return False
    *before, now = (float(np.abs(b - a).mean()) for a, b in pairwise(places))
    return now >= max(MIN_CHANGE, MIN_UNUSUAL * max(before))
