"""Where a body's landmarks are."""

from __future__ import annotations

import torch

from sfv_gym import skeleton
from sfv_gym.fitting.articulation import Pose
from sfv_gym.fitting.canonical_body import PROPORTIONS, Body
from sfv_gym.fitting.tensors import DTYPE
from sfv_gym.reconstruction.correspondence import LANDMARK_LINKS, LANDMARK_OFFSETS

_PROPORTIONS = {"neck": "head", "ankle": "foot", "hip": "hip_width"}
_GROUP = torch.as_tensor(
    [
        PROPORTIONS.index(_PROPORTIONS.get(skeleton.LINKS[i].split("_")[-1], "trunk"))
        for i in LANDMARK_LINKS
    ]
)
"""(M,) the length of the body that each marker's offset grows with."""


def markers(body: Body, pose: Pose) -> torch.Tensor:
    """Landmark positions (T, M, 3), see correspondence.MARKERS."""
    offsets = torch.as_tensor(LANDMARK_OFFSETS, dtype=DTYPE) * body.scale[_GROUP][:, None]
    return pose.points(torch.as_tensor(LANDMARK_LINKS), offsets)
