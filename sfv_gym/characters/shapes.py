"""A character's geoms against the ground: how low each of them reaches, in one place.

Everything that asks whether a body touches the ground, falls on it or sinks into it asks here.
"""

from __future__ import annotations

import mujoco
import numpy as np

from sfv_gym.errors import CharacterError
from sfv_gym.rotations import Array, namespace, quat_to_matrix

_KIND = mujoco.mjtGeom
RING = 16
"""Points that stand for the round edge of a cylinder; they lie on it."""


def character_geoms(model: mujoco.MjModel) -> np.ndarray:
    """Ids of the character's geoms: of the bodies that hang on the first one, not the ground's and
    not those of objects."""
    return np.flatnonzero(model.body_rootid[model.geom_bodyid] == 1)


def colliding_geoms(model: mujoco.MjModel) -> np.ndarray:
    """Ids of those of the character that can touch the ground."""
    moving = character_geoms(model)
    return moving[model.geom_contype[moving] > 0]


class Shapes:
    """How far the lowest points of geoms lie below their centres.

    Exact for spheres, capsules, boxes, cylinders, ellipsoids, and the hulls of meshes.

    Args:
        geoms: (G,) ids.

    Raises:
        CharacterError: a geom is of another kind.

    Attributes:
        geoms: (G,) ids. body: (G,) the bodies that they belong to.
        place: (G, 3) metres, and ``turn`` (G, 3, 3), the geoms' frames in their bodies'.
    """

    def __init__(self, model: mujoco.MjModel, geoms: np.ndarray) -> None:
        self.geoms = geoms
        self.body = model.geom_bodyid[geoms]
        self.place, self.turn = model.geom_pos[geoms], quat_to_matrix(model.geom_quat[geoms])
        kind, size = model.geom_type[geoms], model.geom_size[geoms]
        known = (
            _KIND.mjGEOM_SPHERE, _KIND.mjGEOM_CAPSULE, _KIND.mjGEOM_BOX,
            _KIND.mjGEOM_CYLINDER, _KIND.mjGEOM_ELLIPSOID, _KIND.mjGEOM_MESH,
        )  # fmt: skip
        for geom in geoms[~np.isin(kind, known)]:
            raise CharacterError(
                f"geom {model.geom(geom).name or geom} is a {_KIND(model.geom_type[geom]).name}; "
                "a character touches the ground with spheres, capsules, boxes, cylinders, "
                "ellipsoids and meshes"
            )
        ball = np.isin(kind, (_KIND.mjGEOM_SPHERE, _KIND.mjGEOM_CAPSULE))
        self._radius = np.where(ball, size[:, 0], 0.0)
        self._half = np.where((kind == _KIND.mjGEOM_BOX)[:, None], size, 0.0)  # along its axes
        long = np.isin(kind, (_KIND.mjGEOM_CAPSULE, _KIND.mjGEOM_CYLINDER))
        self._half[long, 2] = size[long, 1]
        self._round = not self._half.any()
        self._oval = {}  # column: semi-axes
        for column in np.flatnonzero(kind == _KIND.mjGEOM_ELLIPSOID):
            self._oval[int(column)] = size[column]
        for column in np.flatnonzero(kind == _KIND.mjGEOM_CYLINDER):
            self._oval[int(column)] = np.array([size[column, 0], size[column, 0], 0.0])
        self._hull = {
            int(column): _vertices(model, int(geoms[column]))
            for column in np.flatnonzero(kind == _KIND.mjGEOM_MESH)
        }

    def bottom(self, height: Array, up: Array) -> Array:
        """Height (..., G) of each geom's lowest point, in metres.

        Args:
            height: (..., G) of their centres. up: (..., G, 3) the world's z axis in their frames.
        """
        xp = namespace(height)
        bottom = height - _like(self._radius, height)
        if not self._round:
            bottom -= xp.einsum("...jk,jk->...j", xp.abs(up), _like(self._half, height))
        for column, axes in self._oval.items():
            stretched = up[..., column, :] * _like(axes, height)
            bottom[..., column] -= xp.sqrt((stretched * stretched).sum(-1) + 1e-18)
        for column, vertices in self._hull.items():
            bottom[..., column] += xp.amin(up[..., column, :] @ _like(vertices.T, height), -1)
        return bottom

    def bottom_of_frames(self, geom_xpos: np.ndarray, geom_xmat: np.ndarray) -> np.ndarray:
        """The same from MuJoCo's frames of all geoms, (n, ngeom, 3) and (n, ngeom, 9)."""
        return self.bottom(geom_xpos[:, self.geoms, 2], geom_xmat[:, self.geoms, 6:9])

    def bottom_of_bodies(self, pos: Array, rot: Array) -> Array:
        """The same (T, G) from frames of all bodies but the world, (T, B, 3) and (T, B, 3, 3)."""
        place, turn = _like(self.place, pos), _like(self.turn, pos)
        column = (self.body - 1).tolist()
        below = rot[:, column, 2]  # (T, G, 3) the world's z axis in the bodies' frames
        height = pos[:, column, 2] + (below * place).sum(-1)
        return self.bottom(height, (below[..., None, :] @ turn)[..., 0, :])


def outline(model: mujoco.MjModel, geom: int) -> tuple[np.ndarray, float]:
    """Points (n, 3) in the geom's frame and a radius: the hull of balls about them is the geom, or
    within it by less than a fiftieth of its size where it is round in another way.

    Raises:
        CharacterError: of another kind than ``Shapes`` knows.
    """
    kind, size = model.geom_type[geom], model.geom_size[geom]
    if kind == _KIND.mjGEOM_SPHERE:
        return np.zeros((1, 3)), float(size[0])
    if kind == _KIND.mjGEOM_CAPSULE:
        return np.array([[0, 0, size[1]], [0, 0, -size[1]]]), float(size[0])
    if kind == _KIND.mjGEOM_BOX:
        return size * np.array(np.meshgrid(*[(-1.0, 1.0)] * 3)).reshape(3, -1).T, 0.0
    angles = np.arange(RING) * (2 * np.pi / RING)
    ring = np.stack((np.cos(angles), np.sin(angles), 0 * angles), axis=1)
    if kind == _KIND.mjGEOM_CYLINDER:
        edge = ring * size[0]
        up = np.array([0.0, 0.0, size[1]])
        return np.concatenate((edge + up, edge - up)), 0.0
    if kind == _KIND.mjGEOM_ELLIPSOID:
        slopes = np.linspace(-np.pi / 2, np.pi / 2, RING // 2 + 1)
        return np.concatenate(
            [(ring * np.cos(slope) + [0, 0, np.sin(slope)]) * size for slope in slopes]
        ), 0.0
    Shapes(model, np.array([geom]))  # names the kind where it is unknown
    return _vertices(model, geom), 0.0


def _vertices(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """(V, 3) of a mesh, in its geom's frame; only those of its hull if that is known."""
    mesh = model.geom_dataid[geom]
    first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    return np.asarray(model.mesh_vert[first : first + count], float)


def _like(values: np.ndarray, other: Array) -> Array:
    if isinstance(other, np.ndarray):
        return values
    return namespace(other).asarray(values, dtype=other.dtype)
