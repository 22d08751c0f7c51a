"""Where a body's landmarks are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sfv_gym import skeleton
from sfv_gym.fitting.articulation import Pose
from sfv_gym.fitting.canonical_body import PROPORTIONS, Body
from sfv_gym.fitting.tensors import DTYPE

if TYPE_CHECKING:
    from sfv_gym.pose import LandmarkSet

_PROPORTIONS = {"neck": "head", "ankle": "foot", "hip": "hip_width"}
_GROUP = torch.as_tensor(
    [PROPORTIONS.index(_PROPORTIONS.get(name.split("_")[-1], "trunk")) for name in skeleton.LINKS]
)
"""(15,) the length of the body that a marker's offset on each link grows with."""


def markers(body: Body, pose: Pose, landmarks: LandmarkSet) -> torch.Tensor:
    """Positions (T, M, 3) of the landmarks that have markers."""
    links = torch.as_tensor(landmarks.links)
    offsets = torch.as_tensor(landmarks.offsets, dtype=DTYPE) * body.scale[_GROUP[links]][:, None]
    return pose.points(links, offsets)
