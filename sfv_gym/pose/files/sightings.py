"""What a file says of the people in a video's frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.errors import PoseFileError
from sfv_gym.pose.landmarks import LandmarkSet


@dataclass(frozen=True)
class Seen:
    """Somebody in a frame.

    Attributes:
        pixels: (K, 2) in the picture; None where they follow from ``metres``, ``place`` and the
            camera.
        scores: (K,) in 0..1.
        metres: (K, 3) x right, y down, z away from the camera; None where the file has no depth.
        place: (3,) metres in the camera's frame, of the point that ``metres`` are measured from.
    """

    pixels: np.ndarray | None
    scores: np.ndarray
    metres: np.ndarray | None
    place: np.ndarray | None = None

    @property
    def finite(self) -> bool:
        """Whether every number is one: what is not was not seen."""
        parts = (self.pixels, self.scores, self.metres, self.place)
        return all(part is None or bool(np.isfinite(part).all()) for part in parts)


@dataclass(frozen=True)
class Sightings:
    """The people of a whole video.

    Attributes:
        kind: of file, for people to read.
        landmarks: the K of everyone.
        frames: (T,) the people in each frame of the video's file.
        focal: pixels, of the camera, where the file has it.
        centre: (2,) pixels, the middle of the picture that ``focal`` is of, where that may be a
            smaller one than the video's; None where it is the video's.
    """

    kind: str
    landmarks: LandmarkSet
    frames: list[list[Seen]]
    focal: float | None = None
    centre: np.ndarray | None = None

    @property
    def has_depth(self) -> bool:
        """Whether everyone comes with metres."""
        return all(seen.metres is not None for people in self.frames for seen in people)


def numbers(value: object, what: str, *shape: int | None) -> np.ndarray:
    """An array of floats of this shape, in which None stands for any length.

    Raises:
        PoseFileError: it is not; ``what`` names it.
    """
    try:
        found = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise PoseFileError(f"{what} must be numbers") from None
    fits = found.ndim == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, found.shape, strict=True)
    )
    if not fits:
        wanted = " x ".join("any" if length is None else str(length) for length in shape)
        raise PoseFileError(f"{what} must be {wanted} numbers, not {found.shape}")
    return found
