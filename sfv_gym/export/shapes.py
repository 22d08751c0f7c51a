"""Triangles of spheres, capsules and boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AROUND, RINGS = 16, 5
"""Points around a capsule, and rings of each of its halves."""


@dataclass(frozen=True)
class Mesh:
    """Attributes: points (V, 3) metres; normals (V, 3); triangles (F, 3), seen from outside
    counterclockwise."""

    points: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray


def capsule(radius: float, half_length: float) -> Mesh:
    """A capsule along z about the origin; of no length, a sphere."""
    upper = np.linspace(0.0, np.pi / 2, RINGS)
    polar = np.concatenate((upper, np.pi - upper[::-1]))  # from the upper pole to the lower
    middle = np.repeat([half_length, -half_length], RINGS)
    around = 2 * np.pi * np.arange(AROUND) / AROUND
    ring, turn = np.meshgrid(polar, around, indexing="ij")
    normals = np.stack(
        (np.sin(ring) * np.cos(turn), np.sin(ring) * np.sin(turn), np.cos(ring)), axis=-1
    )
    points = radius * normals
    points[..., 2] += middle[:, None]
    row, column = np.meshgrid(np.arange(2 * RINGS - 1), np.arange(AROUND), indexing="ij")
    here, beside = row * AROUND + column, row * AROUND + (column + 1) % AROUND
    triangles = np.concatenate(
        (
            np.stack((here, here + AROUND, beside), axis=-1).reshape(-1, 3),
            np.stack((beside, here + AROUND, beside + AROUND), axis=-1).reshape(-1, 3),
        )
    )
    return Mesh(points.reshape(-1, 3), normals.reshape(-1, 3), triangles)


def box(half: tuple[float, ...]) -> Mesh:
    """A box of half these extents about the origin."""
    points: list[np.ndarray] = []
    normals: list[np.ndarray] = []
    triangles: list[tuple[int, int, int]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            normal = np.zeros(3)
            normal[axis] = sign
            across = np.roll(np.abs(normal), 1)
            along = np.cross(normal, across)
            corners = [
                normal + a * across + b * along for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            ]
            first = len(points)
            points += corners
            normals += [normal] * 4
            triangles += [(first, first + 1, first + 2), (first, first + 2, first + 3)]
    return Mesh(np.array(points) * half, np.array(normals), np.array(triangles))
