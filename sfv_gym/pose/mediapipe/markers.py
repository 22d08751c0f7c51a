"""MediaPipe's landmarks on the canonical skeleton: which link each one rides on, and where.

Landmarks do not sit on the joints: the hips' lie outside and above, the feet's on the shoe.
"""

from __future__ import annotations

from sfv_gym.pose.landmarks import LandmarkSet, Marker, marker_pair
from sfv_gym.pose.mediapipe.landmarks import BONES, NAMES

MARKERS: tuple[Marker, ...] = (
    Marker("nose", "neck", (0.115, 0.0, 0.135), 0.5),
    Marker("right_eye", "neck", (0.09, -0.032, 0.165), 0.3),
    Marker("left_eye", "neck", (0.09, 0.032, 0.165), 0.3),
    Marker("right_ear", "neck", (0.01, -0.075, 0.145), 0.5),
    Marker("left_ear", "neck", (0.01, 0.075, 0.145), 0.5),
    *marker_pair("shoulder", "shoulder", 0.0, -0.015, 0.02),
    *marker_pair("elbow", "elbow", 0.0, -0.008, 0.008),
    *marker_pair("wrist", "wrist", 0.0, -0.007, -0.01),
    *marker_pair("hip", "hip", 0.031, -0.006, -0.025),
    *marker_pair("knee", "knee", 0.0, -0.011, 0.0),
    *marker_pair("ankle", "ankle", 0.0, 0.0, 0.024),
    *marker_pair("heel", "ankle", -0.05, 0.0, -0.035, 0.7),
    *marker_pair("foot_index", "ankle", 0.145, 0.0, -0.035, 0.7),
)

# The bones first, then lines across the trunk, the feet and the head that fix how those links are
# turned. The network errs half as much over the trunk as over the limbs.
DIRECTIONS: tuple[tuple[str, str, float], ...] = (
    *(
        (f"{side}_{a}", f"{side}_{b}", 1.0)
        for side in ("right", "left")
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
    ),
    ("left_hip", "right_hip", 4.0),
    ("left_shoulder", "right_shoulder", 4.0),
    ("left_hip", "left_shoulder", 4.0),
    ("right_hip", "right_shoulder", 4.0),
    ("left_hip", "right_shoulder", 2.0),
    ("right_hip", "left_shoulder", 2.0),
    ("right_heel", "right_foot_index", 0.5),
    ("left_heel", "left_foot_index", 0.5),
    ("right_ankle", "right_foot_index", 0.5),
    ("left_ankle", "left_foot_index", 0.5),
    ("right_ear", "left_ear", 0.5),
    ("right_ear", "nose", 0.3),
    ("left_ear", "nose", 0.3),
    ("left_hip", "left_ankle", 0.5),
    ("right_hip", "right_ankle", 0.5),
    ("left_shoulder", "left_wrist", 0.3),
    ("right_shoulder", "right_wrist", 0.3),
)

LANDMARKS = LandmarkSet("mediapipe", NAMES, MARKERS, DIRECTIONS, BONES)
