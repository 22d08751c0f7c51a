"""PoseSequence: what the pose stage hands on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

import numpy as np

from sfv_gym.array_types import Bool, Float
from sfv_gym.errors import PoseError
from sfv_gym.files import JSON, read_nested_json, read_npz, write_npz
from sfv_gym.pose.landmarks import LandmarkSet
from sfv_gym.pose.registry import get_landmarks

SCHEMA = 2
_FIRST_LANDMARKS = "mediapipe"
"""Those of every file of schema 1, which does not name them."""
_ARRAYS = ("landmarks_2d", "visibility", "landmarks_3d", "detected")


@dataclass
class PoseSequence:
    """One person's landmarks in every frame of a clip.

    Attributes:
        landmarks: the K that the arrays hold.
        landmarks_2d: (T, K, 2) pixels from the picture's upper left corner, x right, y down;
            the middle of the first pixel is (0.5, 0.5).
        visibility: (T, K) in 0..1.
        landmarks_3d: (T, K, 3) metres from the middle of the hips, in the camera's frame:
            x right, y down, z away from the camera.
        detected: (T,) bool, whether the person was found; where not, the others are NaN and the
            visibility is 0.
        fps, width, height: of the video.
        source: file name, hash, frame range, model, versions, and ``notes`` on what was decided.
    """

    landmarks: LandmarkSet
    landmarks_2d: np.ndarray
    visibility: np.ndarray
    landmarks_3d: np.ndarray
    detected: np.ndarray
    fps: float
    width: int
    height: int
    source: JSON = field(default_factory=dict)

    @property
    def num_frames(self) -> int:
        """T, of the clip: frames in which nobody was found are counted too."""
        return len(self.detected)

    @property
    def known(self) -> Bool[np.ndarray, " T"]:
        """(T,) bool: where the person was found, and every landmark that has a marker."""
        marked = self.landmarks.marked
        flat = np.isfinite(np.asarray(self.landmarks_2d, float)[:, marked]).all((1, 2))
        solid = np.isfinite(np.asarray(self.landmarks_3d, float)[:, marked]).all((1, 2))
        return np.asarray(np.asarray(self.detected, bool) & flat & solid)

    @property
    def standing_height(self) -> float:
        """Pixels: the median length of trunk and legs stretched out.

        Measured along the bones, so that a crouching or upside-down person counts in full.
        """
        flat = np.asarray(self.landmarks_2d, float)[self.known]

        def length(side: str, a: str, b: str) -> np.ndarray:
            i, j = self.landmarks.indices(f"{side}_{a}", f"{side}_{b}")
            return np.asarray(np.linalg.norm(flat[:, i] - flat[:, j], axis=-1))

        chain = (("shoulder", "hip"), ("hip", "knee"), ("knee", "ankle"))
        bones = [
            np.percentile(length(side, a, b), 80) for side in ("left", "right") for a, b in chain
        ]
        # shoulder to ankle is about 0.75 of the height
        return float(max(0.5 * sum(bones) / 0.75, 1.0))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one compressed ``.npz``, whole or not at all."""
        write_npz(
            path,
            schema=np.array(SCHEMA),
            landmarks=np.array(self.landmarks.name),
            fps=np.array(self.fps),
            size=np.array([self.width, self.height]),
            source=np.array(json.dumps(self.source, sort_keys=True)),
            **{name: getattr(self, name) for name in _ARRAYS},
        )

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], landmarks: LandmarkSet | None = None
    ) -> PoseSequence:
        """Read a pose file.

        Args:
            landmarks: those that the file must have; by default it may have any estimator's that is
                registered.

        Raises:
            PoseError: it is missing, not a pose file, or has other landmarks.
        """
        data = read_npz(path, "pose file", PoseError)
        try:
            schema = int(data["schema"])
            if schema not in (1, SCHEMA):
                raise ValueError(f"schema {schema}, not {SCHEMA}")
            name = str(data["landmarks"]) if schema > 1 else _FIRST_LANDMARKS
            if landmarks is not None and landmarks.name != name:
                raise ValueError(f"landmarks {name!r}, not {landmarks.name!r}")
            width, height = (int(side) for side in data["size"])
            poses = cls(
                landmarks=landmarks or get_landmarks(name),
                **{name: data[name] for name in _ARRAYS},
                fps=float(data["fps"]),
                width=width,
                height=height,
                source=read_nested_json(str(data["source"])),
            )
            poses.check_shapes()
        except (ValueError, KeyError, TypeError, OverflowError, PoseError) as error:
            raise PoseError(f"{path}: not a pose file: {error}") from None
        return poses

    def check_shapes(self) -> None:
        """Raise PoseError where arrays do not belong together."""
        frames, marks = np.shape(self.detected), len(self.landmarks)
        for name, shape in {
            "detected": frames[:1],
            "visibility": (*frames, marks),
            "landmarks_2d": (*frames, marks, 2),
            "landmarks_3d": (*frames, marks, 3),
        }.items():
            found = np.shape(getattr(self, name))
            if found != shape:
                raise PoseError(f"{name} must have shape {shape}, not {found}")


def bridged(
    values: Float[np.ndarray, "T ..."], known: Bool[np.ndarray, " T"]
) -> Float[np.ndarray, "T ..."]:
    """Values (T, ...) with frames that are not ``known`` (T,) interpolated linearly."""
    if known.all():
        return values
    at = np.flatnonzero(known)
    every = np.arange(len(values))
    shape = values.shape
    columns = values.reshape(shape[0], -1)
    filled = np.stack([np.interp(every, at, c[at]) for c in columns.T], axis=1)
    return filled.reshape(shape)
