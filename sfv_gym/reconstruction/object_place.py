"""Where the objects of a clip stand: under the hands that bear on them, and where the picture shows
their edges.

Known are an object's size, that it stands on the ground, what touches its top and when, and the
camera. Looked for are its place and its heading. Hands and feet say where its top has to be, within
its own length and width; the body, where it is not; the picture says the rest. Without a
picture the heading is taken to be square to the way over it.

How large the person is no picture tells by itself, and how high a wrist is over what the hand bears
on is known to a decimetre only. An object of known size that is clearly seen tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sfv_gym import skeleton
from sfv_gym.array_types import Bool, Float
from sfv_gym.motion import MotionCamera, ReferenceMotion
from sfv_gym.motion.object_hints import ObjectHint
from sfv_gym.objects import SceneObject
from sfv_gym.reconstruction.edges import Edges
from sfv_gym.reconstruction.object_search import PlaceSearch, turned_back
from sfv_gym.rotations import rotvec_to_quat

WAY, WAY_SECONDS = 0.3, 0.3
"""Metres that the body has to go for it to have a way, and the seconds before and after."""
CLEARLY = 0.6
"""Share of an object's outline from which on its size is believed rather than the person's."""
_EFFECTORS = [skeleton.link_index(name) for name in skeleton.END_EFFECTORS]


@dataclass(frozen=True)
class TouchedObject:
    """An object of a clip of T frames.

    Attributes:
        hint: what is known of it.
        touching: (T, 4), when it bears what of ``skeleton.END_EFFECTORS``.
    """

    hint: ObjectHint
    touching: Bool[np.ndarray, "T 4"]


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


def seen_scale(
    objects: Sequence[TouchedObject],
    joints: Float[np.ndarray, "T 15 3"],
    camera: MotionCamera,
    fps: float,
    picture: Float[np.ndarray, "H W C"] | None,
) -> float:
    """By what a person and their paths are too small for an object to look as large as it is; 1
    where no object tells.

    Args:
        objects: with touches by hands alone: a foot's height over its top is known, and so is the
            scale.
        joints: metres, the person's, in the camera's world.
        picture: see ``place_object``.
    """
    if picture is None or any(one.touching[:, 2:].any() for one in objects):
        return 1.0
    best, found = CLEARLY, 1.0
    for one in objects:
        if one.hint.placed or one.hint.thing.geom != "box":
            continue
        edges = Edges(picture, camera)
        search = _search(one.hint.thing, one.touching, joints, fps, edges)
        place = search.best(scaled=True)
        half = one.hint.thing.half / place.scale
        seen = edges.outline(
            half[None], np.array([[*place.place, half[2]]]), np.array([place.heading]), sharp=True
        )[0]
        if seen > best:
            best, found = float(seen), place.scale
    return found


def place_object(
    one: TouchedObject,
    motion: ReferenceMotion,
    scale: float,
    picture: Float[np.ndarray, "H W C"] | None = None,
) -> Placed:
    """Find the place of one object in a motion.

    Args:
        one: the object, of its real size.
        motion: the character's, with its camera, and yet without objects.
        scale: the motion's lengths over real ones.
        picture: what the camera sees where nobody stands in front, in 0..1; None where that is
            not known, as of a camera that moves.
    """
    thing, touching = one.hint.thing.scaled(scale), one.touching
    joints = motion.joint_positions()
    edges = None
    if picture is not None and motion.camera is not None and thing.geom == "box":
        edges = Edges(picture, _scaled(motion.camera, scale))
    if not one.hint.placed:
        found = _search(thing, touching, joints, motion.fps, edges).best()
        turn = rotvec_to_quat(np.array([0.0, 0.0, found.heading]))
        thing = thing.placed(turn, np.append(found.place, 0.0))
    heading = np.array([2.0 * np.arctan2(thing.turns[0, 3], thing.turns[0, 0])])
    outline = None
    if edges is not None:
        outline = float(edges.outline(thing.half[None], thing.places[:1], heading, sharp=True)[0])
    spots = joints[:, _EFFECTORS][touching][:, :2] - thing.places[0, :2]
    beyond = np.maximum(np.abs(turned_back(spots[None], heading)[0]) - thing.half[:2], 0.0)
    top = thing.places[0, 2] + thing.drop(thing.half, thing.turns[0])
    off = np.abs(_bottoms(motion, joints)[touching] - top)
    return Placed(
        thing,
        outline,
        off_top=float(off.mean()) if len(off) else 0.0,
        overhang=float(np.linalg.norm(beyond, axis=-1).max(initial=0.0)),
    )


def _search(
    thing: SceneObject,
    touching: np.ndarray,
    joints: np.ndarray,
    fps: float,
    edges: Edges | None,
) -> PlaceSearch:
    spots = joints[:, _EFFECTORS][touching][:, :2]
    return PlaceSearch(thing, spots, joints, _way(joints, touching, fps), edges)


def _way(joints: np.ndarray, touching: np.ndarray, fps: float) -> float | None:
    """Radians, the direction in which the hips go while it is touched, where they go anywhere."""
    frames = np.flatnonzero(touching.any(1))
    first = max(0, frames[0] - round(WAY_SECONDS * fps))
    last = min(len(joints) - 1, frames[-1] + round(WAY_SECONDS * fps))
    way = joints[last, 0, :2] - joints[first, 0, :2]
    return float(np.arctan2(way[1], way[0])) if np.linalg.norm(way) >= WAY else None


def _bottoms(motion: ReferenceMotion, joints: np.ndarray) -> np.ndarray:
    """(T, 4) metres, the lowest point of each of the character's hands and feet."""
    pose = skeleton.forward_kinematics(motion.root_pos, motion.root_quat, motion.joint_quat)
    soles = skeleton.sole_corners(*pose)[..., 2].min(-1)
    hands = joints[:, _EFFECTORS[:2], 2] - skeleton.BODY["right_wrist"].size[0]
    return np.concatenate((hands, soles), axis=1)


def _scaled(camera: MotionCamera, scale: float) -> MotionCamera:
    """The camera of a world whose lengths are ``scale`` times as large: the same picture."""
    return MotionCamera(camera.rotation, scale * camera.position, camera.focal_px, camera.centre_px)
