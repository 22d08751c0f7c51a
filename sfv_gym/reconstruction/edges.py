"""How much of a box's outline a picture shows."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from sfv_gym.array_types import Float
from sfv_gym.motion import MotionCamera

COARSE, FINE = 1 / 180, 1 / 480
"""Of the picture's longer side, how far an edge may be off."""
CLEAR, OF_LARGEST = 0.92, 0.15
"""Quantile of the picture's gradients, and share of the largest one, from which on an edge is as
clear as can be."""
SAMPLES = 14
"""Points on each edge."""
NEAREST = 0.1
"""Metres before the camera; what reaches nearer shows nothing."""
MOST_AT_ONCE = 4000
"""Boxes that are projected together, for memory's sake."""


def _edges_of_a_box() -> tuple[np.ndarray, np.ndarray]:
    """Of each of 12 edges the signs (12, 2, 3) of its ends, and of the two faces that meet in it
    the axes and sides (12, 2, 2)."""
    ends, faces = [], []
    for along in range(3):
        b, c = (axis for axis in range(3) if axis != along)
        for sb, sc in product((-1, 1), repeat=2):
            end = np.zeros((2, 3))
            end[:, along], end[:, b], end[:, c] = (-1, 1), sb, sc
            ends.append(end)
            faces.append(((b, sb), (c, sc)))
    return np.array(ends), np.array(faces)


_ENDS, _FACES = _edges_of_a_box()


class Edges:
    """A picture's gradients, and the camera that took it.

    Args:
        picture: in 0..1. camera: of a motion, still.
    """

    def __init__(self, picture: Float[np.ndarray, "H W C"], camera: MotionCamera) -> None:
        self._camera = camera
        side = max(picture.shape[:2])
        self._fields = {sharp: _gradients(picture, side * s) for sharp, s in
                        ((False, COARSE), (True, FINE))}  # fmt: skip

    def outline(
        self,
        half: Float[np.ndarray, "N 3"],
        places: Float[np.ndarray, "N 3"],
        headings: Float[np.ndarray, " N"],
        *,
        sharp: bool,
    ) -> Float[np.ndarray, " N"]:
        """The share in 0..1 of the edges of upright boxes that are seen in the picture.

        Args:
            half: metres, half of their lengths. places: metres, of their centres. headings: radians
                about z.
            sharp: an edge has to lie where it is, not nearby.
        """
        parts = range(0, len(places), MOST_AT_ONCE)
        found = [
            self._outline(sharp, *(a[i : i + MOST_AT_ONCE] for a in (half, places, headings)))
            for i in parts
        ]
        return np.concatenate(found) if found else np.zeros(0)

    def _outline(
        self, sharp: bool, half: np.ndarray, places: np.ndarray, headings: np.ndarray
    ) -> np.ndarray:
        field, clear = self._fields[sharp]
        camera = self._camera
        cos, sin = np.cos(headings), np.sin(headings)
        turn = np.zeros((len(places), 3, 3))
        turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = cos, -sin, sin, cos
        turn[:, 2, 2] = 1.0
        eye = np.einsum("nji,nj->ni", turn, camera.position - places)  # in each box's frame
        faces, sides = _FACES[..., 0], _FACES[..., 1]
        turned_here = sides * eye[:, faces] > half[:, faces]  # (N, 12, 2)
        seen = turned_here.any(-1)
        share = np.linspace(0.02, 0.98, SAMPLES)[:, None]
        lines = _ENDS[:, :1] * (1 - share) + _ENDS[:, 1:] * share  # (12, S, 3)
        points = np.einsum("nij,nj,esj->nesi", turn, half, lines) + places[:, None, None]
        ahead = (points - camera.position) @ camera.rotation.T
        depth = np.maximum(ahead[..., 2], NEAREST)
        flat = camera.centre_px + camera.focal_px * ahead[..., :2] / depth[..., None]
        along = flat[:, :, -1] - flat[:, :, 0]
        length = np.linalg.norm(along, axis=-1)  # (N, 12) pixels
        normal = np.stack((-along[..., 1], along[..., 0]), -1)
        normal /= np.maximum(length, 1e-6)[..., None]
        # an edge is darker on the same side all along, unlike the joints of a wall: signs count
        slopes = _sampled(field, flat, smoothly=sharp).mean(-1)  # (C, 2, N, 12)
        across = (slopes * np.moveaxis(normal, -1, 0)).sum(1)
        strength = np.minimum(np.linalg.norm(across, axis=0) / clear, 1.0)
        strength *= (ahead[..., 2] > NEAREST).all(-1)
        weight = seen * length
        return np.asarray((weight * strength).sum(-1) / np.maximum(weight.sum(-1), 1e-6))


def _sampled(field: np.ndarray, flat: np.ndarray, *, smoothly: bool) -> np.ndarray:
    """Gradients (C, 2, N, 12, S) at pixels (N, 12, S, 2); 0 outside of the picture."""
    if smoothly:
        at = np.moveaxis(flat, -1, 0)[::-1]
        found = [map_coordinates(g, at, order=1, mode="constant") for c in field for g in c]
        return np.reshape(found, (*field.shape[:2], *flat.shape[:-1]))
    height, width = field.shape[2:]
    x, y = np.moveaxis(np.round(flat).clip(-1, max(width, height)).astype(int), -1, 0)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.asarray(field[:, :, y.clip(0, height - 1), x.clip(0, width - 1)] * inside)


def _gradients(picture: np.ndarray, sigma: float) -> tuple[np.ndarray, float]:
    """Gradients (C, 2, H, W) along x and y at a scale of ``sigma`` pixels, and a clear one's."""
    channels = np.moveaxis(np.asarray(picture, np.float64), -1, 0)
    along = (0, 1), (1, 0)
    field = np.array(
        [[gaussian_filter(c, sigma, order=order) for order in along] for c in channels]
    )
    strength = np.sqrt((field**2).sum((0, 1)))
    clear = max(np.quantile(strength, CLEAR), OF_LARGEST * strength.max(), 1e-6)
    return field, float(clear)
