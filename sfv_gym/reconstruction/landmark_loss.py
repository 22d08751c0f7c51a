"""The data terms of a video, a body's markers against a network's landmarks: l_2D and l_3D."""

from __future__ import annotations

import numpy as np
import torch

from sfv_gym.fitting.tensors import with_gradient
from sfv_gym.reconstruction.camera import MIN_DEPTH, Camera
from sfv_gym.reconstruction.evidence import Evidence

ROBUST = 3.0
"""Spreads from which on a residual counts as its logarithm."""
ACROSS = 0.3
"""How much of a direction's residual across the view counts. The 2D landmarks know that part
better, and a direction seen too flat would shorten the bone instead of turning it."""


class LandmarkLoss:
    """How far markers are from a clip's landmarks.

    l_2D is the robust distance between projected markers and landmarks. l_3D holds the directions
    between markers against the landmarks': not their positions, for a landmark network's lengths
    change with the view.

    Args:
        pixel_sigma: pixels. direction_sigma: radians.
    """

    def __init__(self, evidence: Evidence, pixel_sigma: float, direction_sigma: float) -> None:
        def in_memory(x: torch.Tensor) -> np.ndarray:
            return np.ascontiguousarray(x.numpy().T)

        # space, points, time: all that is one operation goes through memory in order
        self._aim = in_memory(evidence.pixels - torch.as_tensor(evidence.centre))  # (2, M, T)
        self._directions = in_memory(evidence.directions)  # (3, D, T)
        self._weights = [
            in_memory(evidence.pixel_weights), in_memory(evidence.direction_weights)
        ]  # fmt: skip
        self._factors = [(ROBUST * sigma) ** -2 for sigma in (pixel_sigma, direction_sigma)]
        start, end = np.eye(len(evidence.landmarks.markers))[evidence.landmarks.direction_pairs.T]
        self._lines = end - start  # (D, M)
        self._focal = evidence.focal

    def value(self, points: torch.Tensor, camera: Camera, nod: torch.Tensor) -> torch.Tensor:
        """l_2D and l_3D of markers (T, M, 3) in the world.

        Args:
            nod: (3, 3), by which all of the landmarks' directions are turned in the camera's frame.
        """
        return with_gradient(self._term, points, camera.rotation(), camera.height, nod)

    def _term(
        self, points: np.ndarray, rotation: np.ndarray, height: np.ndarray, nod: np.ndarray
    ) -> tuple[float, list[np.ndarray]]:
        place = points.T.copy()  # (3, M, T)
        place[2] -= height
        flat = place.reshape(3, -1)
        seen = (rotation @ flat).reshape(place.shape)
        by_seen = np.empty_like(seen)

        inverse = 1 / np.maximum(seen[2], MIN_DEPTH)
        image = seen[:2] * inverse
        off = self._focal * image - self._aim
        flat_value, by_off = self._robust(off, 0)
        by_off *= self._focal * inverse
        by_seen[:2] = by_off
        by_seen[2] = -(by_off * image).sum(0) * (seen[2] > MIN_DEPTH)

        lines = self._lines @ seen  # (3, D, T)
        length = np.sqrt((lines * lines).sum(0) + 1e-8)
        lines /= length
        aim = (nod @ self._directions.reshape(3, -1)).reshape(lines.shape)
        off = lines - aim
        off[:2] *= ACROSS
        deep_value, by_off = self._robust(off, 1)
        by_off[:2] *= ACROSS
        by_nod = -by_off.reshape(3, -1) @ self._directions.reshape(3, -1).T
        by_off -= lines * (lines * by_off).sum(0)  # a line's length does not matter
        by_seen += self._lines.T @ (by_off / length)

        flat_by = by_seen.reshape(3, -1)
        by_place = (rotation.T @ flat_by).reshape(place.shape)
        return flat_value + deep_value, [
            by_place.T, flat_by @ flat.T, np.asarray(-by_place[2].sum()), by_nod
        ]  # fmt: skip

    def _robust(self, off: np.ndarray, kind: int) -> tuple[float, np.ndarray]:
        """The robust sum of residuals (n, M or D, T), and its gradient."""
        weights, factor = self._weights[kind], self._factors[kind]
        grown = 1 + factor * (off * off).sum(0)
        value = ROBUST**2 * float(np.vdot(weights, np.log(grown)))
        return value, off * (2 * ROBUST**2 * factor * weights / grown)
