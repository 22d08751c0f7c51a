"""What the video says, in the shape that the fit needs; frames without a person are bridged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from sfv_gym import skeleton
from sfv_gym.errors import PoseError
from sfv_gym.fitting.tensors import DTYPE
from sfv_gym.pose.legs import leg_jumps, untangle_legs
from sfv_gym.pose.sequence import bridged
from sfv_gym.reconstruction.camera import DEFAULT_FOCAL, WORLD_TO_CAMERA, view_rotation

if TYPE_CHECKING:
    from sfv_gym.pose import LandmarkSet, PoseSequence

MIN_FRAMES = 5
STANDING = 1.6
"""Metres that a person's landmarks are tall."""
CLEAR = 0.5
"""Visibility from which on a landmark's place in the picture is believed."""
OUTLIER_WEIGHT = 0.2
"""Factor on the weights of a frame that contradicts its neighbours."""


class PoseObservations(Protocol):
    """What a first guess of a pose needs to know, from a camera or from motion capture."""

    @property
    def landmarks(self) -> LandmarkSet:
        """Those that were found; M of them have markers."""

    @property
    def fps(self) -> float:
        """Frames per second."""

    @property
    def frames(self) -> int:
        """T."""

    @property
    def upright(self) -> np.ndarray:
        """(T, M, 3) metres, z up."""

    @property
    def detected(self) -> np.ndarray:
        """(T,) bool."""

    @property
    def outliers(self) -> np.ndarray:
        """(T,) bool, frames that are taken for wrong."""


@dataclass(frozen=True)
class Evidence:
    """Landmarks of one person in a video, every frame filled.

    Attributes:
        landmarks: those that were found; M of them have markers on the body.
        fps: frames per second.
        focal: pixels.
        centre: (2,) pixels, the principal point.
        body_px: how tall the person would stand in the picture, pixels.
        scale: (T,) pixels per metre at the person's depth, by weak perspective.
        pixels: (T, M, 2).
        pixel_weights: (T, M), 0 where there is no evidence.
        visibility: (T, M) in 0..1, how sure the estimator is that a landmark is in view.
        points: (T, M, 3) metres, camera frame, hip-centred.
        directions: (T, D, 3) unit vectors between landmarks, camera frame.
        direction_weights: (T, D).
        detected: (T,) bool.
        outliers: (T,) bool, detected but taken for wrong by the pose stage.
        crossed: (T,) bool, in which the legs seem to have changed places.
        confidence: (T,) in 0..1.
    """

    landmarks: LandmarkSet
    fps: float
    focal: float
    centre: np.ndarray
    body_px: float
    scale: np.ndarray
    pixels: torch.Tensor
    pixel_weights: torch.Tensor
    visibility: np.ndarray
    points: np.ndarray
    directions: torch.Tensor
    direction_weights: torch.Tensor
    detected: np.ndarray
    outliers: np.ndarray
    crossed: np.ndarray
    confidence: np.ndarray

    @property
    def frames(self) -> int:
        """How many there are, T; all are filled, whether the person was detected or not."""
        return len(self.detected)

    @property
    def upright(self) -> np.ndarray:
        """(T, M, 3) metres, the points in the world of a level camera, z up."""
        return np.asarray(self.points @ WORLD_TO_CAMERA)  # camera to world is the transpose

    def speeds(self, name: str) -> np.ndarray:
        """(T,) m/s at which a landmark moves across the picture, in metres at the person's depth;
        infinite where it is not clearly seen."""
        if not self.landmarks.marks(name):
            return np.full(self.frames, np.inf)
        column = self.landmarks.marker(name)
        path = gaussian_filter1d(self.pixels[:, column].numpy(), 0.04 * self.fps, axis=0)
        speed = np.linalg.norm(np.gradient(path, axis=0), axis=-1) * self.fps
        speed /= self.scale
        return np.where(self.visibility[:, column] >= CLEAR, speed, np.inf)

    def downweighted(self, frames: np.ndarray) -> Evidence:
        """The same with ``OUTLIER_WEIGHT`` on these frames (T,) bool."""
        share = torch.as_tensor(np.where(frames, OUTLIER_WEIGHT, 1.0), dtype=DTYPE)[:, None]
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
    poses.check_shapes()
    landmarks, frames = poses.landmarks, poses.num_frames
    if frames < MIN_FRAMES:
        raise PoseError(f"the clip has {frames} frames, a motion needs at least {MIN_FRAMES}")
    if not (np.isfinite(poses.fps) and poses.fps > 0 and poses.width > 0 and poses.height > 0):
        raise PoseError(f"bad fps or size: {poses.fps}, {poses.width} x {poses.height}")

    flat = np.asarray(poses.landmarks_2d, float)[:, landmarks.marked]
    solid = np.asarray(poses.landmarks_3d, float)[:, landmarks.marked]
    visible = np.asarray(poses.visibility, float)[:, landmarks.marked]
    detected = poses.known
    if detected.sum() < max(MIN_FRAMES, 0.3 * frames):
        raise PoseError(
            f"the person was found in {int(detected.sum())} of {frames} frames: choose a range of "
            "the clip in which the whole body can be seen"
        )
    visible = np.where(detected[:, None], np.clip(np.nan_to_num(visible), 0, 1), 0.0)
    flat, solid = bridged(flat, detected), bridged(solid, detected)

    focal = float(focal_px or DEFAULT_FOCAL * max(poses.width, poses.height))
    if not (np.isfinite(focal) and focal > 0):
        raise PoseError(f"the focal length must be positive, it is {focal}")
    centre = np.array([0.5 * poses.width, 0.5 * poses.height])
    if landmarks.cropped:
        middle = flat[:, landmarks.links != skeleton.link_index("neck")].mean(1)
        turn = view_rotation((middle - centre) / focal)
        solid = np.einsum("tij,tmj->tmi", turn, solid)
    start, end = landmarks.direction_pairs.T
    directions = solid[:, end] - solid[:, start]
    length = np.linalg.norm(directions, axis=-1, keepdims=True)
    directions = directions / np.maximum(length, 1e-6)

    # Visibility is how sure the network is that a landmark is not hidden; a hidden one is still
    # a guess worth something.
    trust = 0.1 + 0.9 * visible
    trust[~detected] = 0.0
    pair_trust = np.minimum(trust[:, start], trust[:, end])
    weights = trust * landmarks.weights
    scale = _spread(flat, weights) / np.maximum(_spread(solid[..., :2], weights), 1e-6)
    scale = np.clip(scale, focal / 100.0, focal / 0.5)  # a person half a metre to 100 m away
    return Evidence(
        landmarks=landmarks,
        fps=float(poses.fps),
        focal=focal,
        centre=centre,
        # of whom is seen along the body, as in a push-up from the front, the pictures are short
        body_px=max(poses.standing_height, STANDING * float(np.median(scale))),
        scale=scale,
        pixels=torch.as_tensor(flat, dtype=DTYPE),
        pixel_weights=torch.as_tensor(weights, dtype=DTYPE),
        visibility=visible,
        points=solid,
        directions=torch.as_tensor(directions, dtype=DTYPE),
        direction_weights=torch.as_tensor(pair_trust * landmarks.direction_weights, dtype=DTYPE),
        detected=detected,
        outliers=leg_jumps(poses),
        crossed=untangle_legs(poses)[1],
        confidence=visible.mean(1),
    )


def _spread(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(T,) how far points (T, M, 2) lie from their middle, root mean square."""
    weights = weights + 1e-6
    total = weights.sum(1)
    middle = (weights[..., None] * points).sum(1) / total[:, None]
    square = ((points - middle[:, None]) ** 2).sum(-1)
    return np.asarray(np.sqrt((weights * square).sum(1) / total))
