"""The truth of a real person: where the sight lines of several calibrated cameras meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.signal import butter, sosfiltfilt

from sfv_gym.benchmarks.studies.reconstruction.calibration import CalibratedCamera
from sfv_gym.errors import CalibrationError, PoseError

SPREAD = 0.005
"""Of a landmark in a picture, in shares of its distance: 20 mm at 4 m. What is off by more counts
for less."""
TURN_SPREAD = np.radians(0.5)
"""By which a camera may have turned since it was calibrated."""
ROUNDS = 5
"""Of weighted least squares, each with the weights that the one before it gives."""
CUTOFF_HZ, ORDER = 6.0, 4
"""Of the low-pass that people's movements are usually freed of noise with (Winter, Biomechanics and
Motor Control of Human Movement)."""
LEAST_VIEWS = 3
"""Two agree on too much: an error along both sight lines' plane goes unseen."""
_TINY = 1e-9
"""Keeps sight lines that run in one direction from being no error but a singular matrix."""
MOST_STEPS = 30
MOST_APART, MOST_TURNED = 0.1, np.radians(3.0)
"""Metres (the median) and radians by which views of one person at one time may be off."""


@dataclass(frozen=True)
class View:
    """What one camera saw of a person.

    Attributes:
        rays: (T, J, 2) the sight lines, see ``CalibratedCamera.rays``.
        weights: (T, J) how well each landmark was seen; 0 where it was not.
    """

    camera: CalibratedCamera
    rays: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Triangulation:
    """Points in the world, and how well the views agree on them.

    Attributes:
        points: (T, J, 3) metres, as they come, noise and all.
        errors: (V, T, J) metres between the points and the sight lines of each view, about.
        turned: (V,) radians by which each camera was turned, so that the views agree.
    """

    points: np.ndarray
    errors: np.ndarray
    turned: np.ndarray

    def smooth(self, fps: float) -> np.ndarray:
        """The points (T, J, 3) without what is faster than a person: a Butterworth low-pass, run
        forth and back so that nothing comes late."""
        below = butter(ORDER, min(CUTOFF_HZ, 0.45 * fps), fs=fps, output="sos")
        return np.asarray(sosfiltfilt(below, self.points, axis=0, padlen=min(15, self.frames - 1)))

    @property
    def frames(self) -> int:
        """T."""
        return len(self.points)


def triangulate(views: Sequence[View]) -> Triangulation:
    """Points in the world by weighted least squares over the views' sight lines.

    Large errors count for less (Cauchy's weights), and each camera is turned by the fraction of a
    degree with which all views agree best, since a tripod that was touched, or a calibration
    that is old, moves everything that its camera sees.

    Raises:
        PoseError: there are fewer views than LEAST_VIEWS, or a landmark is seen by fewer than two.
        CalibrationError: the views do not agree.
    """
    if len(views) < LEAST_VIEWS:
        raise PoseError(f"{len(views)} views: a truth takes {LEAST_VIEWS}")
    seen = np.stack([view.weights > 0 for view in views]).sum(0)
    if (few := np.flatnonzero((seen < 2).any(1))).size:
        raise PoseError(f"frame {few[0]}: seen by fewer than two of {len(views)} views")
    cameras = [view.camera for view in views]
    weights = np.stack([view.weights for view in views])
    rays = np.stack([np.nan_to_num(view.rays) for view in views])

    def residuals(vectors: np.ndarray) -> np.ndarray:
        turned = _turned(cameras, vectors)
        off = _off(turned, rays, _points(turned, rays, weights))
        off *= np.sqrt(weights)[..., None] / SPREAD
        return np.concatenate((off.ravel(), vectors / TURN_SPREAD))

    start = np.zeros(3 * len(views))
    best = least_squares(residuals, start, loss="soft_l1", max_nfev=MOST_STEPS).x
    turned = _turned(cameras, best)
    points = _points(turned, rays, weights)
    errors = np.linalg.norm(_off(turned, rays, points), axis=-1) * _depths(turned, points)
    apart = float(np.median(errors[weights > 0]))
    angles = np.linalg.norm(best.reshape(-1, 3), axis=1)
    if not (apart < MOST_APART and angles.max() < MOST_TURNED):
        raise CalibrationError(
            f"the views do not agree: {1e3 * apart:.0f} mm apart, cameras turned by up to "
            f"{np.degrees(angles.max()):.1f} degrees; they must show one person, begin at the same "
            "instant, and have the names of their cameras"
        )
    return Triangulation(points, errors, angles)


def _turned(cameras: Sequence[CalibratedCamera], vectors: np.ndarray) -> list[CalibratedCamera]:
    pairs = zip(cameras, vectors.reshape(-1, 3), strict=True)
    return [camera.turned(vector) for camera, vector in pairs]


def _points(
    cameras: Sequence[CalibratedCamera], rays: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Points (T, J, 3) nearest to sight lines (V, T, J, 2): the linear method, reweighted until it
    minimises distances in the pictures (Hartley and Sturm, Triangulation, 1997)."""
    rotations = np.stack([camera.rotation for camera in cameras])
    places = np.stack([camera.position for camera in cameras])
    # x (r3 . (p - c)) = r1 . (p - c), and the same for y
    rows = rays[..., None] * rotations[:, None, None, 2:] - rotations[:, None, None, :2]
    sides = (rows * places[:, None, None, None]).sum(-1)
    counts = weights
    for _ in range(ROUNDS):
        normal = np.einsum("vtj,vtjai,vtjak->tjik", counts, rows, rows)
        side = np.einsum("vtj,vtjai,vtja->tji", counts, rows, sides)
        points = np.linalg.solve(normal + _TINY * np.eye(3), side[..., None])[..., 0]
        depths = np.maximum(_depths(cameras, points), 0.1)  # nothing is behind a camera
        off = np.linalg.norm(_off(cameras, rays, points), axis=-1) / SPREAD
        counts = weights / (1.0 + off**2) / depths**2
    return np.asarray(points)


def _seen(cameras: Sequence[CalibratedCamera], points: np.ndarray) -> np.ndarray:
    """Points (V, T, J, 3) in each camera's frame."""
    return np.stack([(points - camera.position) @ camera.rotation.T for camera in cameras])


def _depths(cameras: Sequence[CalibratedCamera], points: np.ndarray) -> np.ndarray:
    return _seen(cameras, points)[..., 2]


def _off(cameras: Sequence[CalibratedCamera], rays: np.ndarray, points: np.ndarray) -> np.ndarray:
    """From the sight lines to the points (V, T, J, 2), on the plane z = 1."""
    seen = _seen(cameras, points)
    return np.asarray(seen[..., :2] / np.maximum(seen[..., 2:], 0.1) - rays)
