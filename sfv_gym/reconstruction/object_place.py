"""Where the objects of a clip stand: under the hands that bear on them, and where the picture shows
their edges.

Known are an object's size, that it stands on the ground, what touches its top and when, and the
camera. Looked for are its place and its heading. Hands and feet say where its top has to be, within
its own length and width; the body, where it is not; the picture says the rest. Without a
picture the heading is taken to be square to the way over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import minimize

from sfv_gym import skeleton
from sfv_gym.array_types import Bool, Float
from sfv_gym.motion import MotionCamera, ReferenceMotion
from sfv_gym.motion.clip_objects import body_points
from sfv_gym.motion.object_hints import ObjectHint
from sfv_gym.objects import SceneObject
from sfv_gym.reconstruction.edges import Edges
from sfv_gym.rotations import rotvec_to_quat

OVERHANG = 0.02
"""Metres, spread of hands and feet beyond the edge of the top that they are on."""
SQUARE = np.radians(15.0)
"""Spread of the heading from one square to the way over it."""
WAY = 0.3
"""Metres that the body has to go for it to have a way, and the seconds before and after."""
CENTRED = 1.0
"""Spread of the touches from the top's middle, in halves of its lengths."""
ROOM, CLEAR = 0.01, 0.01
"""Metres that the body may be inside of it, and the spread of what is more."""
EVIDENCE = 60.0
"""What all of an object's outline seen in the picture counts, as the logarithm of a likelihood."""
STEP, TURN = 0.06, np.radians(6.0)
"""Metres and radians, of the grid that is searched."""
STARTS = 12
"""Of the grid's places, from which the search goes on."""


@dataclass(frozen=True)
class Placed:
    """An object in its place.

    Attributes:
        thing: in the motion's world.
        outline: 0..1, how much of its outline the picture shows; None without a picture.
        off_top: metres, mean height of what touches it over its top, without a sign.
        overhang: metres, largest distance of a touch beyond the edge of its top.
    """

    thing: SceneObject
    outline: float | None
    off_top: float
    overhang: float


def place_object(
    hint: ObjectHint,
    touching: Bool[np.ndarray, "T 4"],
    motion: ReferenceMotion,
    scale: float,
    picture: Float[np.ndarray, "H W C"] | None = None,
) -> Placed:
    """Find the place of one object in a motion.

    Args:
        hint: the object, of its real size.
        touching: when it bears what of ``skeleton.END_EFFECTORS``.
        motion: the character's, with its camera, and yet without objects.
        scale: the motion's lengths over real ones.
        picture: what the camera sees where nobody stands in front, in 0..1; None where that is
            not known, as of a camera that moves.
    """
    thing = hint.thing.scaled(scale)
    joints = motion.joint_positions()
    effectors = [skeleton.link_index(name) for name in skeleton.END_EFFECTORS]
    held = joints[:, effectors]  # (T, 4, 3)
    edges = None
    if picture is not None and motion.camera is not None and thing.geom == "box":
        edges = Edges(picture, _scaled(motion.camera, scale))
    if not hint.placed:
        search = _Search(thing, held[touching][:, :2], joints, _way(joints, touching, motion.fps))
        place, yaw = search.best(edges)
        turn = rotvec_to_quat(np.array([0.0, 0.0, yaw]))
        thing = thing.placed(turn, np.append(place, 0.0))
    outline = None
    if edges is not None:
        yaw = 2.0 * np.arctan2(thing.turns[0, 3], thing.turns[0, 0])
        outline = float(edges.outline(thing.half, thing.places[:1], np.array([yaw]), sharp=True)[0])
    local = _in_frame(held[touching], thing)
    lows = np.concatenate((joints[:, effectors[:2], 2], _sole_heights(motion)), axis=1)[touching]
    lows = lows - np.where(np.nonzero(touching)[1] < 2, skeleton.BODY["right_wrist"].size[0], 0.0)
    top = thing.places[0, 2] + thing.drop(thing.half, thing.turns[0])
    beyond = np.maximum(np.abs(local[:, :2]) - thing.half[:2], 0.0)
    return Placed(
        thing,
        outline,
        off_top=float(np.abs(lows - top).mean()) if len(lows) else 0.0,
        overhang=float(np.linalg.norm(beyond, axis=-1).max(initial=0.0)),
    )


class _Search:
    """The cost of an object's places, as the negative logarithm of a likelihood.

    Args:
        thing: at the origin, its height its own.
        spots: (N, 2) metres, where its top is touched.
        joints: (T, 15, 3) metres. way: radians, the direction in which the body goes over it.
    """

    def __init__(
        self, thing: SceneObject, spots: np.ndarray, joints: np.ndarray, way: float | None
    ) -> None:
        self._thing, self._half, self._spots, self._way = thing, thing.half, spots, way
        points, radius, _ = body_points(joints)
        near = np.linalg.norm(points[..., :2] - spots.mean(0), axis=-1)
        near = near < 2 * np.hypot(*self._half[:2]) + 0.5
        self._points = points[near]
        self._radius = np.broadcast_to(radius, near.shape)[near]

    def best(self, edges: Edges | None) -> tuple[np.ndarray, float]:
        """Its place (2,) in metres and its heading in radians."""
        middle, reach = self._spots.mean(0), float(self._half[:2].max()) + 0.1
        steps = np.arange(-reach, reach + STEP, STEP)
        turns = np.zeros(1) if self._thing.is_round else np.arange(0.0, np.pi, TURN)
        if self._way is not None:  # those that are square to the way are among them
            turns = turns + self._way
        tried = np.array([(*(middle + d), a) for *d, a in product(steps, steps, turns)])
        cost = self._by_contacts(tried)
        likely = tried[cost < cost.min() + EVIDENCE]
        cost = self._by_contacts(likely) - self._by_picture(likely, edges, sharp=False)
        order = np.argsort(cost)[: 20 * STARTS]
        likely = likely[order]
        cost = cost[order] + self._by_body(likely)
        found, least = likely[0], np.inf
        for start in likely[np.argsort(cost)[:STARTS]]:
            for sharp in (False, True):
                result = minimize(
                    lambda x, sharp=sharp: float(self._cost(x[None], edges, sharp=sharp)[0]),
                    start,
                    method="Nelder-Mead",
                    options={"initial_simplex": start + np.vstack((np.zeros(3), np.diag(
                        (0.5 * STEP, 0.5 * STEP, 0.5 * TURN)))), "maxiter": 150,
                        "xatol": 1e-3, "fatol": 1e-3},
                )  # fmt: skip
                start = result.x
            if result.fun < least:
                found, least = result.x, float(result.fun)
        return found[:2], float(found[2])

    def _cost(self, tried: np.ndarray, edges: Edges | None, *, sharp: bool) -> np.ndarray:
        """(N,) of tried places (N, 3): x, y, heading."""
        return np.asarray(
            self._by_contacts(tried)
            + self._by_body(tried)
            - self._by_picture(tried, edges, sharp=sharp)
        )

    def _by_contacts(self, tried: np.ndarray) -> np.ndarray:
        local = _turned_back(self._spots - tried[:, None, :2], tried[:, 2])  # (N, S, 2)
        beyond = np.maximum(np.abs(local) - self._half[:2], 0.0)
        cost = 0.5 * (beyond / OVERHANG) ** 2
        off = local.mean(1) / self._half[:2] / CENTRED
        found = cost.sum(-1).max(-1) + 0.5 * (off**2).sum(-1)
        if self._way is not None and not self._thing.is_round:
            askew = (tried[:, 2] - self._way + np.pi / 4) % (np.pi / 2) - np.pi / 4
            found = found + 0.5 * (askew / SQUARE) ** 2
        return np.asarray(found)

    def _by_body(self, tried: np.ndarray) -> np.ndarray:
        """The deepest point of the body in it counts."""
        found = np.zeros(len(tried))
        up = self._half[2] + self._radius - np.abs(self._points[:, 2] - self._thing.places[0, 2])
        for i, (x, y, heading) in enumerate(tried):
            local = _turned_back((self._points[:, :2] - (x, y))[None], np.array([heading]))[0]
            side = (self._half[:2] + self._radius[:, None] - np.abs(local)).min(-1)
            depth = np.minimum(up, side).max(initial=0.0)
            found[i] = 0.5 * (max(0.0, depth - ROOM) / CLEAR) ** 2
        return found

    def _by_picture(self, tried: np.ndarray, edges: Edges | None, *, sharp: bool) -> np.ndarray:
        if edges is None:
            return np.zeros(len(tried))
        height = np.full((len(tried), 1), self._thing.places[0, 2])
        places = np.concatenate((tried[:, :2], height), axis=1)
        return EVIDENCE * edges.outline(self._half, places, tried[:, 2], sharp=sharp)


def _turned_back(flat: np.ndarray, headings: np.ndarray) -> np.ndarray:
    """Flat vectors (N, S, 2) in the frames of headings (N,)."""
    cos, sin = np.cos(headings)[:, None], np.sin(headings)[:, None]
    x, y = flat[..., 0], flat[..., 1]
    return np.stack((cos * x + sin * y, cos * y - sin * x), axis=-1)


def _in_frame(points: np.ndarray, thing: SceneObject) -> np.ndarray:
    """Points (N, 3) in the frame of an upright object that stands still."""
    yaw = 2.0 * np.arctan2(thing.turns[0, 3], thing.turns[0, 0])
    local = points - thing.places[0]
    local[:, :2] = _turned_back(local[None, :, :2], np.array([yaw]))[0]
    return local


def _way(joints: np.ndarray, touching: np.ndarray, fps: float) -> float | None:
    """Radians, the direction in which the hips go while it is touched, where they go anywhere."""
    frames = np.flatnonzero(touching.any(1))
    if not len(frames):
        return None
    first = max(0, frames[0] - round(WAY * fps))
    last = min(len(joints) - 1, frames[-1] + round(WAY * fps))
    way = joints[last, 0, :2] - joints[first, 0, :2]
    return float(np.arctan2(way[1], way[0])) if np.linalg.norm(way) >= WAY else None


def _sole_heights(motion: ReferenceMotion) -> np.ndarray:
    """(T, 2) metres, of each sole's lowest corner."""
    pose = skeleton.forward_kinematics(motion.root_pos, motion.root_quat, motion.joint_quat)
    return np.asarray(skeleton.sole_corners(*pose)[..., 2].min(-1))


def _scaled(camera: MotionCamera, scale: float) -> MotionCamera:
    """The camera of a world whose lengths are ``scale`` times as large: the same picture."""
    return MotionCamera(
        camera.rotation, scale * camera.position, camera.focal_px, camera.centre_px
    )
