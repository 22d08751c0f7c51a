"""Where one look at a frame is not enough: hard poses, jumps, limbs of two people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sfv_gym.pose.person import LIMBS, Person, change, confidence, tilt

NOISE = 0.06  # m, of a pose from one frame to the next
LOW_VISIBILITY = 0.6  # mean of the joints
MAX_TILT = np.radians(60.0)  # of the trunk in the picture
MAX_SPEED = 4.0  # m/s, mean over the joints, in the picture and hip-centred in space
SMALL = 120.0  # pixels, of a person's diagonal
STRETCHED = 1.5  # times its length in space, by the whole track: no limb looks longer


def doubtful(track: Sequence[Person | None], scale: np.ndarray, fps: float) -> np.ndarray:
    """(T,) bool: where the plain look at the frame may be wrong."""
    hard = np.array([p is None or _looks_hard(p) for p in track])
    return hard | jumps(track, scale, fps)


def stretched(track: Sequence[Person | None], scale: np.ndarray) -> np.ndarray:
    """(T,) bool: where a limb is too long, as when its ends are two people's."""
    seen = [p for p in track if p is not None]
    ends = np.array([seen[0].landmarks.indices(*limb) for limb in LIMBS]).T
    lengths = np.median([_lengths(p.landmarks_3d, ends) for p in seen], axis=0)
    return np.array(
        [
            p is not None and bool((_lengths(p.landmarks_2d, ends) > STRETCHED * s * lengths).any())
            for p, s in zip(track, scale, strict=True)
        ]
    )


def _lengths(landmarks: np.ndarray, ends: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(landmarks[ends[0]] - landmarks[ends[1]], axis=-1))


def jumps(track: Sequence[Person | None], scale: np.ndarray, fps: float) -> np.ndarray:
    """(T,) bool: frames on either side of a change of pose that is too fast."""
    found = np.zeros(len(track), bool)
    for t in range(1, len(track)):
        a, b = track[t - 1], track[t]
        if a is not None and b is not None and change(a, b, scale[t]) > NOISE + MAX_SPEED / fps:
            found[t - 1 : t + 1] = True
    return found


def _looks_hard(person: Person) -> bool:
    return (
        person.alternative is not None
        or confidence(person) < LOW_VISIBILITY
        or abs(tilt(person)) > MAX_TILT
        or person.size < SMALL
    )
