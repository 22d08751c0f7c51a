"""The ground of N environments: each has the track that its episode drew.

In MuJoCo a track is a static body ``terrain`` of box geoms ``terrain_<k>``; where the body stands
and what its boxes are like differs between the simulations of a batch. The same tracks are kept as
tables over cells along u, from which heights are looked up without asking MuJoCo.
"""

from __future__ import annotations

import math
from dataclasses import replace

import mujoco
import numpy as np

from sfv_gym.physics import Physics
from sfv_gym.terrains.bounding_volumes import VolumeTree
from sfv_gym.terrains.scenery import add_pit_material, add_scenery
from sfv_gym.terrains.smoothing import smooth
from sfv_gym.terrains.terrain import CELL, START_HALF, Pieces, Terrain

HEIGHT_MAP_X = np.linspace(-0.6, 1.8, 13)
"""Metres ahead of the root, in its heading frame, at which observations see the ground."""
HEIGHT_MAP_Y = np.linspace(-0.4, 0.4, 5)
"""Metres to its left."""
HEIGHT_MAP_STAGGER = 0.04
"""Metres by which each row of points lies ahead of the row to its right; the middle one not."""
HEIGHT_MAP_SIZE = len(HEIGHT_MAP_X) * len(HEIGHT_MAP_Y)
HEIGHT_MAP_RANGE = 1.0
"""Metres: heights further up or down are seen as this."""

DIP_OVERLAP = 0.03
"""Metres by which tilted boxes are longer than their tops, where that does not show."""

# y runs fastest. Each row is put ahead of the one to its right, so that an edge across the track,
# which all of them see, is seen to HEIGHT_MAP_STAGGER and not to a row's whole spacing.
_ROWS_TO_THE_LEFT = np.arange(len(HEIGHT_MAP_Y)) - len(HEIGHT_MAP_Y) // 2
_GRID_X = np.add.outer(HEIGHT_MAP_X, HEIGHT_MAP_STAGGER * _ROWS_TO_THE_LEFT).ravel()
_GRID_Y = np.tile(HEIGHT_MAP_Y, len(HEIGHT_MAP_X))
_TURNED = np.array([0.0, 0.0, 0.0, 1.0])  # by half a turn about z: a box stays the same
_SHADES = (1.0, 0.88)  # of neighbouring pieces, so that their borders are seen

Ids = np.ndarray | slice


class Ground:
    """Tracks of one terrain for N environments.

    Before ``draw``, all of them are level, without gaps, and start at the world's origin.

    Args:
        terrain: what the tracks are drawn from.
        num_envs: N.
        ahead, behind: metres of track that an episode needs from its start along +u and -u.
    """

    def __init__(
        self, terrain: Terrain, num_envs: int, *, ahead: float = 10.0, behind: float = 10.0
    ) -> None:
        self.terrain, self.num_envs = terrain, num_envs
        self.is_flat = terrain.is_flat
        self._attached = False
        self.fields: dict[str, np.ndarray] = {}  # of the simulations' models, (N, ...)
        counts = [
            max(1, math.ceil((reach - START_HALF) / terrain.spacing)) for reach in (behind, ahead)
        ]
        self.num_pieces = 0 if self.is_flat else sum(counts) + 1
        self.num_uniform = 2 * self.num_pieces  # for where a piece ends, and for its shape
        if self.is_flat:
            return
        self._start = counts[0]  # the piece that episodes start on
        spacing, half = round(terrain.spacing / CELL), round(START_HALF / CELL)
        self._regular = np.concatenate(
            (
                -half - spacing * np.arange(counts[0], -1, -1),
                half + spacing * np.arange(counts[1] + 1),
            )
        )
        loose = np.ones(self.num_pieces + 1)
        loose[[0, self._start, self._start + 1, -1]] = 0.0
        self._loose = 2.0 * terrain.jitter * spacing * loose
        self._first_cell = int(self._regular[0]) - 1  # a cell of floor at each end
        self._cells = int(self._regular[-1]) + 1 - self._first_cell

        # The tables. Rows of different environments follow each other in one long array.
        n, pieces = num_envs, self.num_pieces + 1  # the last one is the floor
        self._row = np.arange(n)
        self._piece = np.zeros((n, self._cells), np.intp)  # into the next three, flattened
        self._base, self._grade = np.full((n, pieces), terrain.floor), np.zeros((n, pieces))
        self._half_width = np.zeros((n, pieces))
        self._lift = np.zeros((n, self._cells + 1))  # height offsets, by their name in checkpoints
        self._origin, self._axis = np.zeros((n, 2)), np.zeros((n, 2))
        self._cell_middle = (self._first_cell + 0.5 + np.arange(self._cells)) * CELL
        self._forget_draws()

    def _forget_draws(self) -> None:
        self._write_tables(self._row, self._level(self.num_envs))
        self._origin[:], self._axis[:] = 0.0, (1.0, 0.0)

    def _level(self, n: int) -> Pieces:
        """Regular pieces at z = 0, as wide as the terrain's are on average."""
        ends = np.tile(self._regular, (n, 1))
        level = np.zeros((n, self.num_pieces))
        half = np.full(level.shape, 0.5)
        width = self.terrain.shape(ends, half, self._start).half_width
        return Pieces(ends[:, :-1], ends[:, 1:], level, level, width)

    # --- MuJoCo -----------------------------------------------------------------------------

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """Add sky, light, and the ground before any draw to a character's model."""
        add_scenery(spec)
        if self.is_flat:
            _add_plane(spec, 0.0, "ground")
            return
        add_pit_material(spec)
        _add_plane(spec, self.terrain.floor, "pit")
        # A body of its own: its frame is the track's, in which the boxes' bounding volumes fit.
        body = spec.worldbody.add_body(name="terrain")
        pos, _, size, _ = self._boxes(self._level(1))
        for k in range(self.num_pieces):
            shade = _SHADES[(k - self._start) % 2]
            body.add_geom(
                name=f"terrain_{k}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                pos=pos[0, k],
                quat=_TURNED,  # MuJoCo ignores the rotation of a geom compiled without one
                size=size[0, k],
                material="ground",
                rgba=[shade, shade, shade, 1.0],
                mass=0.0,
                friction=[1.0, 0.005, 0.0001],
                condim=3,
                contype=0,
                conaffinity=1,
            )

    def attach(self, physics: Physics) -> None:
        """Give each simulation of ``physics`` its own track, for ``draw`` to write.

        Its model is one that ``add_to`` has been at; tracks drawn before are forgotten.
        """
        if self.is_flat:
            return
        model = physics.model
        self._attached = True
        body = model.body("terrain")
        self._body = body.id
        first = int(body.geomadr[0])
        self._geoms = slice(first, first + self.num_pieces)
        self._body_pos, self._body_quat = physics.expand("body_pos"), physics.expand("body_quat")
        self._geom_pos, self._geom_quat = physics.expand("geom_pos"), physics.expand("geom_quat")
        self._geom_size, self._geom_aabb = physics.expand("geom_size"), physics.expand("geom_aabb")
        self._geom_rbound = physics.expand("geom_rbound")
        self._volumes = VolumeTree(physics, self._body, first)
        self.fields = {name: physics.expand(name) for name in _FIELDS}
        self._forget_draws()

    def snapshot(self) -> dict[str, np.ndarray | Terrain]:
        """All that was drawn, without the fields of the simulations."""
        if self.is_flat:
            return {}
        drawn = {name: getattr(self, name).copy() for name in _DRAWN}
        return {**drawn, "terrain": self.terrain}

    def resume(self, snapshot: dict[str, np.ndarray | Terrain]) -> None:
        """Go on from what ``snapshot`` returned."""
        if self.is_flat:
            return
        for name in _DRAWN:
            getattr(self, name)[:] = snapshot[name]
        terrain = snapshot["terrain"]
        assert isinstance(terrain, Terrain)
        self.terrain = terrain

    # --- drawing ----------------------------------------------------------------------------

    def set_difficulty(self, difficulty: float) -> None:
        """That of the tracks drawn from now on, 0..1; raises SFVError if it is none."""
        self.terrain = replace(self.terrain, difficulty=difficulty)

    def draw(
        self, ids: np.ndarray, uniform: np.ndarray, origin: np.ndarray, yaw: np.ndarray
    ) -> None:
        """New tracks for the environments ``ids`` (n,).

        Args:
            ids: (n,) sorted.
            uniform: (n, num_uniform) in [0, 1).
            origin: (n, 2) metres, world: where the episodes start.
            yaw: (n,) rad, direction of u in the world.
        """
        if self.is_flat:
            return
        place, shape = uniform[:, : self.num_pieces], uniform[:, self.num_pieces :]
        ends = np.tile(self._regular, (len(ids), 1))
        moved = self._loose[1:] * (place - 0.5)
        ends[:, 1:] += np.rint(moved).astype(ends.dtype)
        pieces = self.terrain.shape(ends, shape, self._start)
        self._origin[ids] = origin
        self._axis[ids, 0], self._axis[ids, 1] = np.cos(yaw), np.sin(yaw)
        self._write_tables(ids, pieces)
        if self._attached:
            self._write_simulations(ids, pieces, yaw)

    def _write_tables(self, ids: np.ndarray, pieces: Pieces) -> None:
        n, count = len(ids), self.num_pieces
        length = (pieces.last - pieces.first) * CELL
        grade = (pieces.z_last - pieces.z_first) / length
        self._grade[ids, :count] = grade
        self._base[ids, :count] = pieces.z_first - grade * (pieces.first * CELL)
        self._half_width[ids, :count] = pieces.half_width

        # +1 where a piece begins and -1 where it ends, added up, says whether a cell is in one;
        # the number of those begun says in which.
        row = np.arange(n)[:, None]
        begun, inside = np.zeros((n, self._cells), np.intp), np.zeros((n, self._cells), np.intp)
        first, last = pieces.first - self._first_cell, pieces.last - self._first_cell
        begun[row, first] = 1
        inside[row, first] += 1
        inside[row, last] -= 1
        piece = np.where(np.cumsum(inside, axis=1) > 0, np.cumsum(begun, axis=1) - 1, count)
        piece += ids[:, None] * (count + 1)
        self._piece[ids] = piece
        if self.terrain.smoothing:
            at = self._cell_middle
            height = self._base.ravel()[piece] + self._grade.ravel()[piece] * at
            height[:, 0], height[:, -1] = height[:, 1], height[:, -2]  # not the floor beyond
            self._lift[ids] = smooth(height, round(self.terrain.smoothing / CELL))

    def _write_simulations(self, ids: np.ndarray, pieces: Pieces, yaw: np.ndarray) -> None:
        pos, quat, size, extent = self._boxes(pieces)
        self._body_pos[ids, self._body, :2] = self._origin[ids]
        self._body_quat[ids, self._body, 0] = np.cos(0.5 * yaw)
        self._body_quat[ids, self._body, 3] = np.sin(0.5 * yaw)
        self._geom_pos[ids, self._geoms] = pos
        self._geom_quat[ids, self._geoms] = quat
        self._geom_size[ids, self._geoms] = size
        self._geom_aabb[ids, self._geoms, 3:] = size
        x, y, z = size[..., 0], size[..., 1], size[..., 2]
        self._geom_rbound[ids, self._geoms] = np.sqrt(x * x + y * y + z * z)
        self._volumes.write(ids, pos, extent)

    def _boxes(self, pieces: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Boxes in the track's frame that reach from the pieces' tops into the floor.

        Returns:
            Positions (n, K, 3), quaternions (n, K, 4), half sizes (n, K, 3), and half sizes
            (n, K, 3) of what bounds each along the track's axes.
        """
        u_first, u_last = pieces.first * CELL, pieces.last * CELL
        run, rise = u_last - u_first, pieces.z_last - pieces.z_first
        length = np.sqrt(run * run + rise * rise)
        cos, sin = run / length, rise / length
        middle = 0.5 * (pieces.z_first + pieces.z_last)
        half_depth = 0.5 * (middle - self.terrain.floor) + 0.1
        half_cos = np.sqrt(0.5 * (1.0 + cos))
        zero = np.zeros(run.shape)
        pos = np.stack(
            (0.5 * (u_first + u_last) + half_depth * sin, zero, middle - half_depth * cos), axis=-1
        )
        quat = np.stack((half_cos, zero, -0.5 * sin / half_cos, zero), axis=-1)
        size = np.stack((0.5 * length, pieces.half_width, half_depth), axis=-1)
        # In a dip, box ends part downwards like a V: each reaches on, below the other's top.
        dip = np.zeros((len(run), self.num_pieces + 1))
        dip[:, 1:-1] = np.where(sin[:, 1:] > sin[:, :-1], DIP_OVERLAP, 0.0)
        before, after = dip[:, :-1], dip[:, 1:]
        size[..., 0] += 0.5 * (before + after)
        on = 0.5 * (after - before)
        pos[..., 0] += on * cos
        pos[..., 2] += on * sin
        steep = np.abs(sin)
        extent = np.stack(
            (
                cos * size[..., 0] + steep * half_depth,
                pieces.half_width,
                steep * size[..., 0] + cos * half_depth,
            ),
            axis=-1,
        )
        return pos, quat, size, extent

    # --- looking up -------------------------------------------------------------------------

    def height(self, ids: Ids, xy: np.ndarray) -> np.ndarray:
        """Height (n, ...) in metres of the ground at world points ``xy`` (n, ..., 2).

        It is the floor's in gaps and beside the track.
        """
        if self.is_flat:
            return np.zeros(xy.shape[:-1])
        rows = self._row[ids]
        u, v = self._along(rows, xy)
        return self._height(rows, u, v)

    def height_offset(self, ids: Ids, xy: np.ndarray) -> np.ndarray:
        """By how much (n, ...) in metres the reference motion is raised at ``xy`` (n, ..., 2).

        Continuous: the ground's height averaged along the track, or 0 where the terrain has
        holes rather than heights.
        """
        if self.is_flat or not self.terrain.smoothing:
            return np.zeros(xy.shape[:-1])
        rows = self._row[ids]
        u, _ = self._along(rows, xy)
        at = _within(u * (1.0 / CELL) - self._first_cell, self._cells)
        cell = np.minimum(at.astype(np.intp), self._cells - 1)
        at -= cell
        cell += _as_column(rows * (self._cells + 1), cell.ndim)
        table = self._lift.ravel()
        before = table.take(cell, mode="clip")
        return before + at * (table.take(cell + 1, mode="clip") - before)

    def height_map(
        self, ids: Ids, root_xy: np.ndarray, cos: np.ndarray, sin: np.ndarray, out: np.ndarray
    ) -> None:
        """Write the ground's heights on a grid around each root, from the height offset there.

        Args:
            ids: of n environments.
            root_xy: (n, 2) metres, world.
            cos, sin: (n,) of the roots' headings.
            out: (n, HEIGHT_MAP_SIZE) metres, clipped to +-``HEIGHT_MAP_RANGE``; the points are
                ``HEIGHT_MAP_X`` times ``HEIGHT_MAP_Y`` in the heading frame, y runs fastest, each
                row ``HEIGHT_MAP_STAGGER`` ahead of the one to its right.
        """
        if self.is_flat:
            out[:] = 0.0
            return
        rows = self._row[ids]
        root_u, root_v = self._along(rows, root_xy)
        axis = self._axis[rows]
        turn_cos = (cos * axis[:, 0] + sin * axis[:, 1])[:, None]
        turn_sin = (sin * axis[:, 0] - cos * axis[:, 1])[:, None]
        u = turn_cos * _GRID_X
        u -= turn_sin * _GRID_Y
        u += root_u[:, None]
        v = turn_sin * _GRID_X
        v += turn_cos * _GRID_Y
        v += root_v[:, None]
        height = self._height(rows, u, v)
        if self.terrain.smoothing:
            height -= self.height_offset(ids, root_xy)[:, None]
        np.clip(height, -HEIGHT_MAP_RANGE, HEIGHT_MAP_RANGE, out=height)
        out[:] = height

    def _along(self, rows: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places (n, ...) along the tracks and to their left of points (n, ..., 2)."""
        dims = xy.ndim - 1
        cos, sin = (_as_column(self._axis[rows, k], dims) for k in (0, 1))
        x, y = (xy[..., k] - _as_column(self._origin[rows, k], dims) for k in (0, 1))
        return x * cos + y * sin, y * cos - x * sin

    def _height(self, rows: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        at = u * (1.0 / CELL)
        at -= self._first_cell
        _within(at, self._cells - 1)
        cell = at.astype(np.intp)
        cell += _as_column(rows * self._cells, u.ndim)
        piece = self._piece.ravel().take(cell, mode="clip")
        height = self._grade.ravel().take(piece, mode="clip")
        height *= u
        height += self._base.ravel().take(piece, mode="clip")
        beside = np.abs(v) > self._half_width.ravel().take(piece, mode="clip")
        height[beside] = self.terrain.floor
        return height


_FIELDS = (
    "body_pos", "body_quat", "geom_pos", "geom_quat", "geom_size", "geom_aabb", "geom_rbound",
    "bvh_aabb",
)  # fmt: skip
"""Of a model, what a draw writes."""
_DRAWN = ("_piece", "_base", "_grade", "_half_width", "_lift", "_origin", "_axis")
"""The tables that a draw writes."""


def _add_plane(spec: mujoco.MjSpec, z: float, material: str) -> None:
    spec.worldbody.add_geom(
        name="ground",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        pos=[0, 0, z],
        size=[0, 0, 0.05],
        material=material,
        friction=[1.0, 0.005, 0.0001],
        condim=3,
        contype=0,
        conaffinity=1,
    )


def _as_column(values: np.ndarray, dims: int) -> np.ndarray:
    """Values (n,) as (n, 1, ...) with ``dims`` dimensions."""
    return values.reshape(len(values), *(1,) * (dims - 1))


def _within(at: np.ndarray, most: int) -> np.ndarray:
    """Bring ``at`` into 0..most, in place; NaN, from a simulation that diverged, becomes 0."""
    np.fmax(at, 0.0, out=at)
    return np.fmin(at, most, out=at)
