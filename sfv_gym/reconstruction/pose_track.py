"""One person's landmarks over a whole clip: every frame filled, all in the camera's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym import skeleton
from sfv_gym.errors import PoseError
from sfv_gym.pose.landmarks import LandmarkSet
from sfv_gym.pose.sequence import PoseSequence, bridged
from sfv_gym.reconstruction.camera import DEFAULT_FOCAL, view_rotation

MIN_FRAMES = 5


@dataclass(frozen=True)
class PoseTrack:
    """Of T frames and K landmarks.

    Attributes:
        landmarks: the K.
        fps: frames per second.
        focal: pixels.
        centre: (2,) pixels, the principal point.
        flat: (T, K, 2) pixels.
        solid: (T, K, 3) metres, camera frame, hip-centred.
        visibility: (T, K) in 0..1, how sure the estimator is that a landmark is in view.
        trust: (T, K) in 0..1; a hidden landmark is still a guess worth something.
        detected: (T,) bool; the other frames are bridged.
        scale: (T,) pixels per metre at the person's depth, by weak perspective.
    """

    landmarks: LandmarkSet
    fps: float
    focal: float
    centre: np.ndarray
    flat: np.ndarray
    solid: np.ndarray
    visibility: np.ndarray
    trust: np.ndarray
    detected: np.ndarray
    scale: np.ndarray


def pose_track(poses: PoseSequence, focal_px: float | None = None) -> PoseTrack:
    """Check a pose sequence and fill its frames.

    Raises:
        PoseError: too few frames, too few detections, or arrays that do not belong together.
    """
    poses.check_shapes()
    landmarks, frames = poses.landmarks, poses.num_frames
    if frames < MIN_FRAMES:
        raise PoseError(f"the clip has {frames} frames, a motion needs at least {MIN_FRAMES}")
    if not (np.isfinite(poses.fps) and poses.fps > 0 and poses.width > 0 and poses.height > 0):
        raise PoseError(f"bad fps or size: {poses.fps}, {poses.width} x {poses.height}")

    detected = poses.known
    if detected.sum() < max(MIN_FRAMES, 0.3 * frames):
        raise PoseError(
            f"the person was found in {int(detected.sum())} of {frames} frames: choose a range of "
            "the clip in which the whole body can be seen"
        )
    visible = np.clip(np.nan_to_num(np.asarray(poses.visibility, float)), 0, 1)
    visible = np.where(detected[:, None], visible, 0.0)
    flat = bridged(np.asarray(poses.landmarks_2d, float), detected)
    solid = bridged(np.asarray(poses.landmarks_3d, float), detected)

    focal = float(focal_px or DEFAULT_FOCAL * max(poses.width, poses.height))
    if not (np.isfinite(focal) and focal > 0):
        raise PoseError(f"the focal length must be positive, it is {focal}")
    centre = np.array([0.5 * poses.width, 0.5 * poses.height])
    marked = landmarks.marked
    if landmarks.cropped:
        limbs = marked[landmarks.links != skeleton.link_index("neck")]
        turn = view_rotation((flat[:, limbs].mean(1) - centre) / focal)
        solid = np.einsum("tij,tmj->tmi", turn, solid)
    # Visibility is how sure the network is that a landmark is not hidden.
    trust = np.where(detected[:, None], 0.1 + 0.9 * visible, 0.0)
    weights = trust[:, marked] * landmarks.weights
    size = np.maximum(_spread(solid[:, marked, :2], weights), 1e-6)
    scale = _spread(flat[:, marked], weights) / size
    return PoseTrack(
        landmarks=landmarks,
        fps=float(poses.fps),
        focal=focal,
        centre=centre,
        flat=flat,
        solid=solid,
        visibility=visible,
        trust=trust,
        detected=detected,
        scale=np.clip(scale, focal / 100.0, focal / 0.5),  # from half a metre to 100 m away
    )


def _spread(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(T,) how far points (T, M, 2) lie from their middle, root mean square."""
    weights = weights + 1e-6
    total = weights.sum(1)
    middle = (weights[..., None] * points).sum(1) / total[:, None]
    square = ((points - middle[:, None]) ** 2).sum(-1)
    return np.asarray(np.sqrt((weights * square).sum(1) / total))
