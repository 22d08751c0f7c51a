"""The bounding volumes of a track's boxes, fitted to what was drawn."""

from __future__ import annotations

import numpy as np

from sfv_gym.physics import Physics


class VolumeTree:
    """The bounding volumes by which MuJoCo finds the boxes near a link.

    The compiler arranges them in a tree from the boxes' first places. The arrangement is kept:
    pieces never change their order. The volumes are made to fit anew.
    """

    def __init__(self, physics: Physics, body: int, first_geom: int) -> None:
        model = physics.model
        self._aabb = physics.expand("bvh_aabb")
        self._base = int(model.body_bvhadr[body])
        nodes = slice(self._base, self._base + int(model.body_bvhnum[body]))
        child, geom = model.bvh_child[nodes], model.bvh_nodeid[nodes]
        leaf = (child < 0).all(axis=1)
        self._leaves = np.flatnonzero(leaf)
        self._boxes = geom[leaf] - first_geom
        depth = model.bvh_depth[nodes]
        self._levels = [
            (level, child[level, 0], child[level, 1])
            for d in range(depth.max(), -1, -1)
            if len(level := np.flatnonzero(~leaf & (depth == d)))
        ]
        self._num_nodes = len(child)

    def write(self, ids: np.ndarray, pos: np.ndarray, extent: np.ndarray) -> None:
        """Fit the volumes to boxes at pos (n, K, 3) that extend (n, K, 3) to both sides."""
        low = np.empty((len(ids), self._num_nodes, 3))
        high = np.empty_like(low)
        low[:, self._leaves] = (pos - extent)[:, self._boxes]
        high[:, self._leaves] = (pos + extent)[:, self._boxes]
        for level, one, other in self._levels:
            low[:, level] = np.minimum(low[:, one], low[:, other])
            high[:, level] = np.maximum(high[:, one], high[:, other])
        nodes = slice(self._base, self._base + self._num_nodes)
        self._aabb[ids, nodes, :3] = 0.5 * (low + high)
        self._aabb[ids, nodes, 3:] = 0.5 * (high - low)
