"""What the video says, in the shape that the fit needs; frames without a person are bridged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from sfv_gym.errors import PoseError
from sfv_gym.fitting.tensors import DTYPE
from sfv_gym.reconstruction.camera import DEFAULT_FOCAL, view_rotation
from sfv_gym.reconstruction.correspondence import (
    DIRECTION_PAIRS,
    DIRECTION_WEIGHTS,
    LANDMARK_WEIGHTS,
    LANDMARKS,
)

if TYPE_CHECKING:
    from sfv_gym.pose import PoseSequence

MIN_FRAMES = 5
DOUBT = 0.2
"""Weight of a frame that contradicts its neighbours."""


@dataclass(frozen=True)
class Evidence:
    """Landmarks of one person, every frame filled.

    Attributes:
        fps: frames per second.
        focal: pixels.
        centre: (2,) pixels, the principal point.
        body_px: how tall the person stands in the picture, pixels.
        pixels: (T, M, 2).
        pixel_weights: (T, M), 0 where there is no evidence.
        points: (T, M, 3) metres, camera frame, hip-centred.
        directions: (T, D, 3) unit vectors between landmarks, camera frame.
        direction_weights: (T, D).
        detected: (T,) bool.
        confidence: (T,) in 0..1.
    """

    fps: float
    focal: float
    centre: np.ndarray
    body_px: float
    pixels: torch.Tensor
    pixel_weights: torch.Tensor
    points: np.ndarray
    directions: torch.Tensor
    direction_weights: torch.Tensor
    detected: np.ndarray
    confidence: np.ndarray

    @property
    def frames(self) -> int:
        return len(self.detected)

    def doubting(self, frames: np.ndarray) -> Evidence:
        """The same with little weight on these frames (T,) bool."""
        share = torch.as_tensor(np.where(frames, DOUBT, 1.0), dtype=DTYPE)[:, None]
        return replace(
            self,
            pixel_weights=share * self.pixel_weights,
            direction_weights=share * self.direction_weights,
        )


def gather_evidence(poses: PoseSequence, focal_px: float | None = None) -> Evidence:
    """Check a pose sequence and turn it into evidence.

    Raises:
        PoseError: too few frames, too few detections, or arrays that do not belong together.
    """
    detected = np.asarray(poses.detected, bool).copy()
    frames = len(detected)
    shapes = {"landmarks_2d": (frames, 33, 2), "visibility": (frames, 33),
              "landmarks_3d": (frames, 33, 3)}  # fmt: skip
    for name, shape in shapes.items():
        if np.shape(getattr(poses, name)) != shape:
            raise PoseError(f"{name} must have shape {shape}, not {np.shape(getattr(poses, name))}")
    if frames < MIN_FRAMES:
        raise PoseError(f"the clip has {frames} frames, a motion needs at least {MIN_FRAMES}")
    if not (np.isfinite(poses.fps) and poses.fps > 0 and poses.width > 0 and poses.height > 0):
        raise PoseError(f"bad fps or size: {poses.fps}, {poses.width} x {poses.height}")

    flat = np.asarray(poses.landmarks_2d, float)[:, LANDMARKS]
    solid = np.asarray(poses.landmarks_3d, float)[:, LANDMARKS]
    visible = np.asarray(poses.visibility, float)[:, LANDMARKS]
    detected &= np.isfinite(flat).all((1, 2)) & np.isfinite(solid).all((1, 2))
    if detected.sum() < max(MIN_FRAMES, 0.3 * frames):
        raise PoseError(
            f"the person was found in {int(detected.sum())} of {frames} frames: choose a range of "
            "the clip in which the whole body can be seen"
        )
    visible = np.where(detected[:, None], np.clip(np.nan_to_num(visible), 0, 1), 0.0)
    flat, solid = _fill(flat, detected), _fill(solid, detected)

    focal = float(focal_px or DEFAULT_FOCAL * max(poses.width, poses.height))
    if not (np.isfinite(focal) and focal > 0):
        raise PoseError(f"the focal length must be positive, it is {focal}")
    centre = np.array([0.5 * poses.width, 0.5 * poses.height])
    middle = flat[:, LANDMARKS >= 11].mean(1)
    turn = view_rotation((middle - centre) / focal)
    solid = np.einsum("tij,tmj->tmi", turn, solid)
    directions = solid[:, DIRECTION_PAIRS[:, 1]] - solid[:, DIRECTION_PAIRS[:, 0]]
    length = np.linalg.norm(directions, axis=-1, keepdims=True)
    directions = directions / np.maximum(length, 1e-6)

    # Visibility is how sure the network is that a landmark is not hidden; a hidden one is still
    # a guess worth something.
    trust = 0.1 + 0.9 * visible
    trust[~detected] = 0.0
    pair_trust = np.minimum(trust[:, DIRECTION_PAIRS[:, 0]], trust[:, DIRECTION_PAIRS[:, 1]])
    return Evidence(
        fps=float(poses.fps),
        focal=focal,
        centre=centre,
        body_px=_body_pixels(flat[detected]),
        pixels=torch.as_tensor(flat, dtype=DTYPE),
        pixel_weights=torch.as_tensor(trust * LANDMARK_WEIGHTS, dtype=DTYPE),
        points=solid,
        directions=torch.as_tensor(directions, dtype=DTYPE),
        direction_weights=torch.as_tensor(pair_trust * DIRECTION_WEIGHTS, dtype=DTYPE),
        detected=detected,
        confidence=visible.mean(1),
    )


def _fill(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Interpolate frames that are not ``known`` linearly along axis 0."""
    if known.all():
        return values
    at = np.flatnonzero(known)
    every = np.arange(len(values))
    shape = values.shape
    columns = values.reshape(shape[0], -1)
    filled = np.stack([np.interp(every, at, c[at]) for c in columns.T], axis=1)
    return filled.reshape(shape)


def _body_pixels(flat: np.ndarray) -> float:
    """Standing height in pixels: the median length of trunk and legs stretched out.

    Measured along the bones, so that a crouching or upside-down person counts in full.
    """

    def length(a: int, b: int) -> np.ndarray:
        i, j = (int(np.flatnonzero(x == LANDMARKS)[0]) for x in (a, b))
        return np.asarray(np.linalg.norm(flat[:, i] - flat[:, j], axis=-1))

    chain = [(11, 23), (23, 25), (25, 27), (12, 24), (24, 26), (26, 28)]
    bones = [np.percentile(length(a, b), 80) for a, b in chain]
    # shoulder to ankle is about 0.75 of the height
    return float(max(0.5 * sum(bones) / 0.75, 1.0))
