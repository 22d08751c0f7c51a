"""Stage 1: 2D and 3D landmarks of a person in every frame.

What looks at pictures is imported on first use: reading poses needs no OpenCV.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sfv_gym.pose.estimator import PoseEstimator
from sfv_gym.pose.frame_estimator import FrameEstimator
from sfv_gym.pose.landmarks import LandmarkSet, Marker, marker_pair
from sfv_gym.pose.person import Person
from sfv_gym.pose.registry import ESTIMATORS, get_estimator, register_estimator
from sfv_gym.pose.sequence import PoseSequence
from sfv_gym.pose.subject import parse_subject

if TYPE_CHECKING:
    from sfv_gym.pose.estimate import estimate_pose, find_people
    from sfv_gym.pose.overlay import draw_pose, overlay_frames
    from sfv_gym.pose.people_sheet import people_sheet

_LAZY = {
    "draw_pose": "sfv_gym.pose.overlay",
    "estimate_pose": "sfv_gym.pose.estimate",
    "find_people": "sfv_gym.pose.estimate",
    "overlay_frames": "sfv_gym.pose.overlay",
    "people_sheet": "sfv_gym.pose.people_sheet",
}

__all__ = [
    "ESTIMATORS",
    "FrameEstimator",
    "LandmarkSet",
    "Marker",
    "Person",
    "PoseEstimator",
    "PoseSequence",
    "draw_pose",
    "estimate_pose",
    "find_people",
    "get_estimator",
    "marker_pair",
    "overlay_frames",
    "parse_subject",
    "people_sheet",
    "register_estimator",
]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
