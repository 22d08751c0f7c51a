"""Where a body's landmarks are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sfv_gym import skeleton
from sfv_gym.fitting.articulation import Pose
from sfv_gym.fitting.canonical_body import PROPORTIONS, Body, LinkPoints

if TYPE_CHECKING:
    from sfv_gym.pose import LandmarkSet

_PROPORTIONS = {"neck": "head", "ankle": "foot", "hip": "hip_width"}
_GROUP = [
    PROPORTIONS.index(_PROPORTIONS.get(name.split("_")[-1], "trunk")) for name in skeleton.LINKS
]
"""(15,) the length of the body that a marker's offset on each link grows with."""


def marker_points(landmarks: LandmarkSet) -> LinkPoints:
    """The landmarks that have markers, on a body of any proportions."""
    return LinkPoints(
        landmarks.links.tolist(), landmarks.offsets, [_GROUP[link] for link in landmarks.links]
    )


def markers(body: Body, pose: Pose, landmarks: LandmarkSet) -> torch.Tensor:
    """Positions (T, M, 3) of the landmarks that have markers."""
    return pose.points(marker_points(landmarks).at(body.scale))
