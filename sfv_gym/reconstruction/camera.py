"""The camera: static, pinhole, roughly level, and where the person's path lies before it.

World frame: z up, the camera above the origin looking along +x. MediaPipe's and OpenCV's camera
frame: x right, y down, z away from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from sfv_gym.fitting.kinematics import rotation_matrix
from sfv_gym.fitting.tensors import DTYPE

DEFAULT_FOCAL = 1.1
"""Focal length in units of the picture's longer side: 49 degrees across, a phone's video."""

MIN_DEPTH = 0.1
"""Metres; nothing is projected from nearer, lest a point behind the camera flips over while a fit
is far from its goal."""
WORLD_TO_CAMERA: np.ndarray = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
"""A level camera's rotation: its x is the world's -y, its y is down, its z is forward."""
_LEVEL = torch.as_tensor(WORLD_TO_CAMERA, dtype=DTYPE)
_UP = torch.tensor([0.0, 0.0, 1.0], dtype=DTYPE)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at (0, 0, height) in the world.

    Attributes:
        focal: pixels.
        centre: (2,) pixels, the principal point.
        tilt: (2,) radians, turned about the world's x (roll) and y (pitch, down is positive).
        height: metres above the ground.
    """

    focal: torch.Tensor
    centre: torch.Tensor
    tilt: torch.Tensor
    height: torch.Tensor

    @cached_property
    def tilted(self) -> torch.Tensor:
        """(3, 3) the tilt as a rotation in the world, from a level camera to this one."""
        return rotation_matrix(torch.nn.functional.pad(self.tilt, (0, 1)))

    @cached_property
    def _to_camera(self) -> torch.Tensor:
        return _LEVEL @ self.tilted.T

    def rotation(self) -> torch.Tensor:
        """(3, 3) world to camera."""
        return self._to_camera

    def to_world(self, points: torch.Tensor) -> torch.Tensor:
        """World positions (..., 3) of points in the camera's frame, metres."""
        return points @ self.rotation() + self.height * _UP

    def project(self, points: torch.Tensor) -> torch.Tensor:
        """Pixels (..., 2) of world positions (..., 3)."""
        seen = (points - self.height * _UP) @ self.rotation().T
        depth = torch.clamp(seen[..., 2:], min=MIN_DEPTH)
        return self.centre + self.focal * seen[..., :2] / depth


def view_rotation(rays: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) that turn the optical axis onto each viewing ray (T, 2), the short way.

    A landmark network sees a crop around the person, so what it calls "away from the camera" is
    along the ray to the person and not along the optical axis.
    """
    ahead = np.concatenate((rays, np.ones((len(rays), 1))), 1)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    axis = np.cross([0.0, 0.0, 1.0], ahead)
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(sine[:, 0], ahead[:, 2])
    vector = axis / np.maximum(sine, 1e-9) * angle[:, None]
    return rotation_matrix(torch.as_tensor(vector, dtype=DTYPE)).numpy()
