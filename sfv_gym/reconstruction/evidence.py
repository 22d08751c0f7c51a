"""What the video says, in the shape that the fit needs; frames without a person are bridged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from sfv_gym.fitting.tensors import DTYPE, tensor
from sfv_gym.pose.landmarks import JOINTS
from sfv_gym.pose.legs import leg_jumps, untangle_legs
from sfv_gym.pose.mediapipe.markers import LANDMARKS
from sfv_gym.reconstruction.camera import WORLD_TO_CAMERA
from sfv_gym.reconstruction.joint_network import PAIRS, JointGuess, JointNetworks, network_inputs
from sfv_gym.reconstruction.pose_track import pose_track

if TYPE_CHECKING:
    from sfv_gym.pose import LandmarkSet, PoseSequence

STANDING = 1.6
"""Metres that a person's landmarks are tall."""
CLEAR = 0.5
"""Visibility from which on a landmark's place in the picture is believed."""
GUESSED_PLACE, GUESSED_DIRECTION = 1.5, 0.25
"""What a joint's place and direction by the networks weigh beside the landmarks': places are
nearer the truth; what is wrong with a direction stays wrong for many frames."""
MOST_TRUST = 4.0
"""How much more than usual a guess may weigh."""
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


def gather_evidence(
    poses: PoseSequence,
    focal_px: float | None = None,
    *,
    networks: JointNetworks | None = None,
) -> Evidence:
    """Check a pose sequence and turn it into evidence.

    Args:
        networks: what tells joints from MediaPipe's landmarks; without them the landmarks are taken
            as they are, as those of other estimators always are.

    Raises:
        PoseError: too few frames, too few detections, or arrays that do not belong together.
    """
    track = pose_track(poses, focal_px)
    landmarks, marked = track.landmarks, track.landmarks.marked
    flat, solid = track.flat[:, marked], track.solid[:, marked]
    trust, visible = track.trust[:, marked], track.visibility[:, marked]
    start, end = landmarks.direction_pairs.T
    directions = solid[:, end] - solid[:, start]
    length = np.linalg.norm(directions, axis=-1, keepdims=True)
    directions = directions / np.maximum(length, 1e-6)
    pair_trust = np.minimum(trust[:, start], trust[:, end])
    evidence = Evidence(
        landmarks=landmarks,
        fps=track.fps,
        focal=track.focal,
        centre=track.centre,
        # of whom is seen along the body, as in a push-up from the front, the pictures are short
        body_px=max(poses.standing_height, STANDING * float(np.median(track.scale))),
        scale=track.scale,
        pixels=torch.as_tensor(flat, dtype=DTYPE),
        pixel_weights=torch.as_tensor(trust * landmarks.weights, dtype=DTYPE),
        visibility=visible,
        points=solid,
        directions=torch.as_tensor(directions, dtype=DTYPE),
        direction_weights=torch.as_tensor(pair_trust * landmarks.direction_weights, dtype=DTYPE),
        detected=track.detected,
        outliers=leg_jumps(poses),
        crossed=untangle_legs(poses)[1],
        confidence=visible.mean(1),
    )
    if not networks or landmarks.name != LANDMARKS.name:
        return evidence
    seen, middle, scale = network_inputs(track)
    if not torch.isfinite(seen).all():  # a file may leave out what has no marker
        return evidence
    return _with_joints(evidence, networks.guess(seen, track.fps), middle, scale)


def _with_joints(
    evidence: Evidence, guess: JointGuess, middle: np.ndarray, scale: np.ndarray
) -> Evidence:
    """The evidence, JOINTS' places and the directions between them taken from a guess.

    Args:
        middle: (T, 2) pixels, scale: (T,) pixels per metre; of the guess's places.
    """
    landmarks = evidence.landmarks.at_joints()
    columns = [landmarks.marker(name) for name in JOINTS]
    found = torch.as_tensor(evidence.detected)[:, None].to(DTYPE)
    pixels, pixel_weights = evidence.pixels.clone(), evidence.pixel_weights.clone()
    places = guess.places.to(DTYPE) * tensor(scale)[:, None, None]
    pixels[:, columns] = places + tensor(middle)[:, None]
    pixel_weights[:, columns] = GUESSED_PLACE * found * _weights(guess.place_trust)
    directions, weights = evidence.directions.clone(), evidence.direction_weights.clone()
    lines = [(columns[a], columns[b]) for a, b in PAIRS]
    at = [landmarks.direction_pairs.tolist().index(list(line)) for line in lines]
    directions[:, at] = guess.directions.to(DTYPE)
    usual = GUESSED_DIRECTION * tensor(landmarks.direction_weights[at])
    weights[:, at] = found * usual * _weights(guess.direction_trust)
    return replace(
        evidence,
        landmarks=landmarks,
        pixels=pixels,
        pixel_weights=pixel_weights,
        directions=directions,
        direction_weights=weights,
    )


def _weights(trust: torch.Tensor) -> torch.Tensor:
    return torch.clamp(trust.to(DTYPE), max=MOST_TRUST)
