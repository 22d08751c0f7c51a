"""The search for an object's place: the likeliest by its touches, the body, and the picture."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import minimize

from sfv_gym.array_types import Float
from sfv_gym.motion.clip_objects import body_points
from sfv_gym.objects import SceneObject
from sfv_gym.reconstruction.edges import Edges

OVERHANG = 0.02
"""Metres, spread of hands and feet beyond the edge of the top that they are on."""
SQUARE = np.radians(15.0)
"""Spread of the heading from one square to the way over it."""
CENTRED = 1.0
"""Spread of the touches from the top's middle, in halves of its lengths."""
ROOM, CLEAR = 0.01, 0.01
"""Metres that the body may be inside of it, and the spread of what is more."""
EVIDENCE = 60.0
"""What all of an object's outline seen in the picture counts, as the logarithm of a likelihood."""
SCALES, SCALE = np.linspace(-0.24, 0.24, 7), 0.15
"""Of the scene, logarithms: what is tried where it is looked for, too, and its spread."""
STEP, TURN = 0.08, np.radians(9.0)
"""Metres and radians, of the grid that is searched."""
STARTS = 5
"""Of the grid's places, from which the search goes on."""
_STEPS = np.array([0.5 * STEP, 0.5 * STEP, 0.5 * TURN, 0.05])


@dataclass(frozen=True)
class Found:
    """A place that was found.

    Attributes:
        place: (2,) metres. heading: radians.
        scale: by which the scene would have to grow for the object to look as large as it is.
    """

    place: np.ndarray
    heading: float
    scale: float


class PlaceSearch:
    """The cost of an object's places, as the negative logarithm of a likelihood.

    What is tried is (x, y, heading, logarithm of the scene's scale); the scene stays as it is, and
    the object shrinks where the scene should grow.

    Args:
        thing: standing at the origin.
        spots: (S, 2) metres, where its top is touched.
        joints: (T, 15, 3) metres. way: radians, the direction in which the body goes over it.
        edges: what the picture shows, if anything.
    """

    def __init__(
        self,
        thing: SceneObject,
        spots: Float[np.ndarray, "S 2"],
        joints: Float[np.ndarray, "T 15 3"],
        way: float | None,
        edges: Edges | None,
    ) -> None:
        self._thing, self._half, self._spots = thing, thing.half, spots
        self._way, self._edges = None if thing.is_round else way, edges
        points, radius, _ = body_points(joints)
        near = np.linalg.norm(points[..., :2] - spots.mean(0), axis=-1)
        near = near < 2.5 * np.hypot(*self._half[:2]) + 0.5
        self._points = points[near]
        self._radius = np.broadcast_to(radius, near.shape)[near]

    def best(self, *, scaled: bool = False) -> Found:
        """The most likely place.

        Args:
            scaled: look for the scene's scale as well, which needs a picture.
        """
        middle, reach = self._spots.mean(0), float(self._half[:2].max()) + 0.1
        steps = np.arange(-reach, reach + STEP, STEP)
        turns = np.zeros(1) if self._thing.is_round else np.arange(0.0, np.pi, TURN)
        if self._way is not None:  # those that are square to the way are among them
            turns = turns + self._way
        scales = SCALES if scaled else np.zeros(1)
        tried = np.array([(*(middle + d), *a) for *d, a in product(
            steps, steps, [np.array(a) for a in product(turns, scales)])])  # fmt: skip
        cost = self._by_contacts(tried)
        likely = tried[cost < cost.min() + EVIDENCE]
        cost = self._by_contacts(likely) - self._by_picture(likely, sharp=False)
        order = np.argsort(cost)[: 20 * STARTS]
        likely = likely[order]
        cost = cost[order] + self._by_body(likely)
        free = 4 if scaled else 3
        found, least = likely[0], np.inf
        for start in likely[np.argsort(cost)[:STARTS]]:
            for sharp in (False, True):
                simplex = start[:free] + np.vstack((np.zeros(free), np.diag(_STEPS[:free])))
                result = minimize(
                    lambda x, sharp=sharp: self._cost(x, sharp=sharp),
                    start[:free],
                    method="Nelder-Mead",
                    options={"initial_simplex": simplex, "maxiter": 120,
                             "xatol": 1e-3, "fatol": 1e-2},
                )  # fmt: skip
                start = np.append(result.x, np.zeros(4 - free))
            if result.fun < least:
                found, least = start, float(result.fun)
        return Found(found[:2], float(found[2]), float(np.exp(found[3])))

    def _cost(self, one: np.ndarray, *, sharp: bool) -> float:
        tried = np.append(one, np.zeros(4 - len(one)))[None]
        return float(
            self._by_contacts(tried)[0]
            + self._by_body(tried)[0]
            - self._by_picture(tried, sharp=sharp)[0]
        )

    def _by_contacts(self, tried: np.ndarray) -> np.ndarray:
        shrunk = np.exp(-tried[:, 3:])
        half = (self._half[:2] * shrunk)[:, None]
        local = turned_back(self._spots - tried[:, None, :2], tried[:, 2])  # (N, S, 2)
        beyond = np.maximum(np.abs(local) - half, 0.0)
        cost = 0.5 * (beyond / OVERHANG) ** 2
        off = local.mean(1) / half[:, 0] / CENTRED
        found = cost.sum(-1).max(-1) + 0.5 * (off**2).sum(-1) + 0.5 * (tried[:, 3] / SCALE) ** 2
        if self._way is not None:
            askew = (tried[:, 2] - self._way + np.pi / 4) % (np.pi / 2) - np.pi / 4
            found = found + 0.5 * (askew / SQUARE) ** 2
        return np.asarray(found)

    def _by_body(self, tried: np.ndarray) -> np.ndarray:
        """The deepest point of the body in it counts."""
        found = np.zeros(len(tried))
        for i, (x, y, heading, scale) in enumerate(tried):
            half = self._half * np.exp(-scale)
            local = turned_back((self._points[:, :2] - (x, y))[None], np.array([heading]))[0]
            side = (half[:2] + self._radius[:, None] - np.abs(local)).min(-1)
            up = half[2] + self._radius - np.abs(self._points[:, 2] - half[2])
            depth = np.minimum(up, side).max(initial=0.0)
            found[i] = 0.5 * (max(0.0, depth - ROOM) / CLEAR) ** 2
        return found

    def _by_picture(self, tried: np.ndarray, *, sharp: bool) -> np.ndarray:
        if self._edges is None:
            return np.zeros(len(tried))
        half = self._half * np.exp(-tried[:, 3:])
        places = np.concatenate((tried[:, :2], half[:, 2:]), axis=1)
        return EVIDENCE * self._edges.outline(half, places, tried[:, 2], sharp=sharp)


def turned_back(flat: np.ndarray, headings: np.ndarray) -> np.ndarray:
    """Flat vectors (N, S, 2) in the frames of headings (N,)."""
    cos, sin = np.cos(headings)[:, None], np.sin(headings)[:, None]
    x, y = flat[..., 0], flat[..., 1]
    return np.stack((cos * x + sin * y, cos * y - sin * x), axis=-1)
