"""The camera that a motion was seen with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.errors import MotionError


@dataclass(frozen=True)
class MotionCamera:
    """A pinhole camera in a motion's world.

    Attributes:
        rotation: (3, 3) world to camera: x right, y down, z ahead.
        position: (3,) metres.
        focal_px: pixels.
        centre_px: (2,) pixels, the principal point.
        turns: of a camera that turned, (T, 3) rotation vectors from each frame's camera to this
            one; None of one at rest.
        zooms: of a camera that zoomed, (T,) each frame's focal length over ``focal_px``; None
            otherwise.
    """

    rotation: np.ndarray
    position: np.ndarray
    focal_px: float
    centre_px: np.ndarray
    turns: np.ndarray | None = None
    zooms: np.ndarray | None = None

    def validate(self, frames: int) -> None:
        """Raise MotionError, naming the field, unless it is the camera of so many frames."""
        shapes = {"rotation": (3, 3), "position": (3,), "focal_px": (), "centre_px": (2,)}
        if self.turns is not None:
            shapes["turns"] = (frames, 3)
        if self.zooms is not None:
            shapes["zooms"] = (frames,)
        for name, shape in shapes.items():
            value = np.asarray(getattr(self, name))
            if value.shape != shape:
                raise MotionError(f"camera_{name} must have shape {shape}, it has {value.shape}")
            if not np.isfinite(value).all():
                raise MotionError(f"camera_{name} has NaN or infinite values")
        for name in ("focal_px", "zooms"):
            value = getattr(self, name)
            if value is not None and not np.all(np.asarray(value) > 0):
                raise MotionError(f"camera_{name} must be positive, not {np.min(value)}")
