"""PoseSequence: what the pose stage hands on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sfv_gym.errors import PoseError
from sfv_gym.files import read_nested_json, read_npz, write_npz
from sfv_gym.pose.landmarks import LANDMARKS

SCHEMA = 1
_ARRAYS = ("landmarks_2d", "visibility", "landmarks_3d", "detected")


@dataclass
class PoseSequence:
    """One person's landmarks in every frame of a clip.

    Attributes:
        landmarks_2d: (T, 33, 2) pixels from the picture's upper left corner, x right, y down;
            the middle of the first pixel is (0.5, 0.5).
        visibility: (T, 33) in 0..1.
        landmarks_3d: (T, 33, 3) metres from the middle of the hips, in the camera's frame:
            x right, y down, z away from the camera.
        detected: (T,) bool, whether the person was found; where not, the others are NaN and the
            visibility is 0.
        fps, width, height: of the video.
        source: file name, hash, frame range, model, versions, and ``notes`` on what was decided.
    """

    landmarks_2d: np.ndarray
    visibility: np.ndarray
    landmarks_3d: np.ndarray
    detected: np.ndarray
    fps: float
    width: int
    height: int
    source: dict[str, Any] = field(default_factory=dict)

    @property
    def num_frames(self) -> int:
        return len(self.detected)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one compressed ``.npz``, whole or not at all."""
        write_npz(
            path,
            schema=np.array(SCHEMA),
            fps=np.array(self.fps),
            size=np.array([self.width, self.height]),
            source=np.array(json.dumps(self.source, sort_keys=True)),
            **{name: getattr(self, name) for name in _ARRAYS},
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PoseSequence:
        """Read a pose file; raises PoseError if it is missing or not one."""
        data = read_npz(path, "pose file", PoseError)
        try:
            if int(data["schema"]) != SCHEMA:
                raise ValueError(f"schema {int(data['schema'])}, not {SCHEMA}")
            width, height = (int(side) for side in data["size"])
            poses = cls(
                **{name: data[name] for name in _ARRAYS},
                fps=float(data["fps"]),
                width=width,
                height=height,
                source=read_nested_json(str(data["source"])),
            )
            poses._check_shapes()
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise PoseError(f"{path}: not a pose file: {error}") from None
        return poses

    def _check_shapes(self) -> None:
        frames, marks = len(self.detected), len(LANDMARKS)
        for name, shape in {
            "detected": (frames,),
            "visibility": (frames, marks),
            "landmarks_2d": (frames, marks, 2),
            "landmarks_3d": (frames, marks, 3),
        }.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"{name} has shape {found}, not {shape}")
