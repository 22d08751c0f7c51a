"""MediaPipe's 33 landmarks on the canonical skeleton: which link each one rides on, and where.

A marker is a point fixed in a link's frame. Landmarks are learned from pictures of skin, so they
do not sit on the joints: the hips' lie outside and above, the feet's on the shoe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym import skeleton


@dataclass(frozen=True)
class Marker:
    """One landmark that the fit uses.

    Attributes:
        landmark: index in MediaPipe's 33.
        link: link name.
        offset: (3,) metres in the link's frame, on the canonical skeleton.
        weight: of its 2D residual, 1 for a landmark that is as good as a wrist.
    """

    landmark: int
    link: str
    offset: tuple[float, float, float]
    weight: float = 1.0


def _pair(
    right: int, left: int, link: str, x: float, y: float, z: float, weight: float = 1.0
) -> list[Marker]:
    """A right and a left landmark, mirror images; ``y`` is metres outward from the body."""
    return [
        Marker(right, f"right_{link}", (x, -y, z), weight),
        Marker(left, f"left_{link}", (x, y, z), weight),
    ]


MARKERS: tuple[Marker, ...] = (
    Marker(0, "neck", (0.115, 0.0, 0.135), 0.5),
    Marker(5, "neck", (0.09, -0.032, 0.165), 0.3),
    Marker(2, "neck", (0.09, 0.032, 0.165), 0.3),
    Marker(8, "neck", (0.01, -0.075, 0.145), 0.5),
    Marker(7, "neck", (0.01, 0.075, 0.145), 0.5),
    *_pair(12, 11, "shoulder", 0.0, -0.015, 0.02),
    *_pair(14, 13, "elbow", 0.0, -0.008, 0.008),
    *_pair(16, 15, "wrist", 0.0, -0.007, -0.01),
    *_pair(24, 23, "hip", 0.031, -0.006, -0.025),
    *_pair(26, 25, "knee", 0.0, -0.011, 0.0),
    *_pair(28, 27, "ankle", 0.0, 0.0, 0.024),
    *_pair(30, 29, "ankle", -0.05, 0.0, -0.035, 0.7),
    *_pair(32, 31, "ankle", 0.145, 0.0, -0.035, 0.7),
)

LANDMARKS: np.ndarray = np.array([m.landmark for m in MARKERS])
"""(M,) the MediaPipe index of every marker."""
LANDMARK_LINKS: np.ndarray = np.array([skeleton.link_index(m.link) for m in MARKERS])
"""(M,) the link index of every marker."""
LANDMARK_OFFSETS: np.ndarray = np.array([m.offset for m in MARKERS])
"""(M, 3) metres in the link's frame."""
LANDMARK_WEIGHTS: np.ndarray = np.array([m.weight for m in MARKERS])

# Pairs of landmarks whose direction in 3D is evidence: the bones first, then lines across the
# trunk, the feet and the head that fix how those links are turned. The network errs half as much
# over the trunk as over the limbs.
DIRECTIONS: tuple[tuple[int, int, float], ...] = (
    (12, 14, 1.0), (14, 16, 1.0), (24, 26, 1.0), (26, 28, 1.0),
    (11, 13, 1.0), (13, 15, 1.0), (23, 25, 1.0), (25, 27, 1.0),
    (23, 24, 4.0), (11, 12, 4.0), (23, 11, 4.0), (24, 12, 4.0), (23, 12, 2.0), (24, 11, 2.0),
    (30, 32, 0.5), (29, 31, 0.5), (28, 32, 0.5), (27, 31, 0.5),
    (8, 7, 0.5), (8, 0, 0.3), (7, 0, 0.3),
    (23, 27, 0.5), (24, 28, 0.5), (11, 15, 0.3), (12, 16, 0.3),
)  # fmt: skip
"""(from landmark, to landmark, weight)."""

_COLUMN = {int(landmark): i for i, landmark in enumerate(LANDMARKS)}
DIRECTION_PAIRS: np.ndarray = np.array([(_COLUMN[a], _COLUMN[b]) for a, b, _ in DIRECTIONS])
"""(D, 2) columns of MARKERS."""
DIRECTION_WEIGHTS: np.ndarray = np.array([w for _, _, w in DIRECTIONS])


def column(landmark: int) -> int:
    """The column of MARKERS that shows a MediaPipe landmark."""
    return _COLUMN[landmark]
