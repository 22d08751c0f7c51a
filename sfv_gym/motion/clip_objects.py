"""The objects of a clip: whether they can be where a motion has them, and how a file keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np

from sfv_gym import skeleton
from sfv_gym.array_types import Float
from sfv_gym.errors import SettingError
from sfv_gym.objects import SceneObject, object_type
from sfv_gym.rotations import quat_conjugate, quat_rotate

MOST_DEPTH = 0.05
"""Metres by which things may be in each other: reconstructed hands are not exactly on a box."""
MOST_BESIDE = 0.15
"""Metres by which a wrist or an ankle may be beside the top that a palm or sole is on."""
MOST_SUNK = 0.02
"""The same, in the ground."""
TRUNK_RADIUS = 0.1
"""Metres of body around the joints of the trunk; limbs count as lines."""
_TRUNK = np.isin(skeleton.LINKS, (skeleton.LINKS[0], "chest", "neck"))
_DIRECTIONS = np.array([d for d in product((-1.0, 0.0, 1.0), repeat=3) if any(d)])
_DIRECTIONS /= np.linalg.norm(_DIRECTIONS, axis=-1, keepdims=True)


def check_objects(objects: Sequence[SceneObject], joints: Float[np.ndarray, "T 15 3"]) -> None:
    """See that objects and a person can be in one scene. Coarse: of the person its joints and the
    middles of its bones, of shapes how far they reach in 26 directions.

    Args:
        joints: (T, 15, 3) metres, the person's joints at each frame of the motion.

    Raises:
        SettingError: one is in the ground, in the person or in another one, or its path has another
            number of frames than the motion.
    """
    if not objects:
        return
    names = [f"{thing.name} {i}" for i, thing in enumerate(objects)]
    points, radius, of_link = body_points(joints)
    for name, thing in zip(names, objects, strict=True):
        if len(thing.places) not in (1, len(joints)):
            raise SettingError(
                f"the path of {name} has {len(thing.places)} frames, the motion {len(joints)}"
            )
        low = thing.places[:, 2] - thing.drop(thing.half, thing.turns)
        if low.min() < -MOST_SUNK:
            raise SettingError(
                f"{name} is inside the ground: it reaches {-low.min():.2f} m below it"
            )
        inside = quat_rotate(
            quat_conjugate(thing.turns)[:, None], points - thing.places[:, None]
        )  # (T, P, 3)
        room = thing.reach(thing.half, _DIRECTIONS)
        depth = (room + radius[:, None] - inside @ _DIRECTIONS.T).min(-1)  # (T, P)
        if depth.max() > MOST_DEPTH:
            frame, point = np.unravel_index(depth.argmax(), depth.shape)
            where = "at the start" if depth[0].max() > MOST_DEPTH else f"at frame {frame}"
            link = skeleton.LINKS[of_link[point]]
            raise SettingError(
                f"{name} is inside the person {where}: {depth.max():.2f} m deep, at the {link}"
            )
    for (name, one), (other_name, other) in combinations(zip(names, objects, strict=True), 2):
        if one.mass is None and other.mass is None:
            continue  # those that stand fast may be parts of one thing
        depth = overlap(one, other)
        if depth.max() > MOST_DEPTH:
            raise SettingError(
                f"{name} and {other_name} are inside each other at frame {depth.argmax()}, by "
                f"{depth.max():.2f} m"
            )


def touched_tops(
    objects: Sequence[SceneObject],
    pose: tuple[np.ndarray, np.ndarray, np.ndarray],
    contacts: Float[np.ndarray, "T 4"],
) -> Float[np.ndarray, "T 4"]:
    """Metres above the ground of the top that each of ``skeleton.END_EFFECTORS`` touches; 0 where
    it touches the ground, or nothing.

    Args:
        pose: root_pos, root_quat and joint_quat of a motion. contacts: in 0..1.
    """
    pos, quat = skeleton.forward_kinematics(*pose)
    soles = skeleton.sole_corners(pos, quat)
    points = pos[:, [skeleton.link_index(name) for name in skeleton.END_EFFECTORS]]
    low = points[..., 2] - skeleton.BODY["right_wrist"].size[0]
    low[:, 2:] = soles[..., 2].min(2)
    found = np.zeros(low.shape)
    for thing in objects:
        places, turns = thing.places[:, None], thing.turns[:, None]
        top = places[..., 2] + thing.drop(thing.half, turns)
        local = quat_rotate(quat_conjugate(turns), points - places)
        over = (np.abs(local[..., :2]) < thing.half[:2] + MOST_BESIDE).all(-1)
        near = np.abs(low - top) < MOST_DEPTH
        found = np.where((contacts >= 0.5) & over & near, np.maximum(found, top), found)
    return found


def body_points(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (T, P, 3) of a person, with radii (P,), and the links (P,) that they are of."""
    links = np.arange(len(skeleton.LINKS))
    parents = np.asarray(skeleton.PARENTS)[1:]
    points = np.concatenate((joints, 0.5 * (joints[:, 1:] + joints[:, parents])), axis=1)
    radius = np.where(_TRUNK, TRUNK_RADIUS, 0.0)
    return (
        points,
        np.append(radius, np.minimum(radius[1:], radius[parents])),
        np.append(links, links[1:]),
    )


def overlap(one: SceneObject, other: SceneObject) -> np.ndarray:
    """Metres (T,) by which two are in each other; negative where some direction parts them."""
    way = other.places - one.places
    depths = []
    for turns in (one.turns, other.turns):
        along = quat_rotate(turns[:, None], _DIRECTIONS)  # (T, 26, 3) world
        room = [
            thing.reach(thing.half, quat_rotate(quat_conjugate(thing.turns)[:, None], along))
            for thing in (one, other)
        ]
        depths.append(room[0] + room[1] - np.abs((along * way[:, None]).sum(-1)))
    return np.minimum(depths[0].min(-1), depths[1].min(-1))


def as_fields(objects: Sequence[SceneObject], frames: int) -> dict[str, np.ndarray]:
    """What a motion's file of so many frames holds of K objects: ``object_type`` (K,);
    ``object_size`` (K, 3), ``object_position`` (K, T, 3) and ``object_rotation`` (K, T, 4), wxyz;
    ``object_mass`` (K,) in kg, NaN for one that stands fast; ``object_friction`` (K,);
    ``object_ranges`` (K, 5): of size, place and mass."""
    if not objects:
        return {}
    ranges = [(*np.asarray(o.size_range), o.place_range, o.mass_range) for o in objects]
    return {
        "object_type": np.array([thing.name for thing in objects]),
        "object_size": np.array([2.0 * thing.half for thing in objects]),
        "object_position": np.array([np.broadcast_to(o.places, (frames, 3)) for o in objects]),
        "object_rotation": np.array([np.broadcast_to(o.turns, (frames, 4)) for o in objects]),
        "object_mass": np.array([np.nan if o.mass is None else o.mass for o in objects]),
        "object_friction": np.array([thing.friction for thing in objects]),
        "object_ranges": np.array(ranges),
    }


def from_fields(fields: Mapping[str, np.ndarray]) -> tuple[SceneObject, ...]:
    """The objects in a motion's file.

    Raises:
        ValueError: a field is missing or has another shape. UnknownIdError: of a type's name.
    """
    if "object_type" not in fields:
        return ()
    names = np.atleast_1d(fields["object_type"])
    wanted = {"size": 2, "position": 3, "rotation": 3, "mass": 1, "friction": 1, "ranges": 2}
    arrays = {}
    for name, dims in wanted.items():
        if f"object_{name}" not in fields:
            raise ValueError(f"objects without object_{name}")
        array = arrays[name] = np.asarray(fields[f"object_{name}"], np.float64)
        if array.ndim != dims or len(array) != len(names):
            raise ValueError(f"object_{name} has shape {array.shape} for {len(names)} objects")
    if arrays["ranges"].shape[1] != 5:
        raise ValueError(f"object_ranges must hold 5 numbers, not {arrays['ranges'].shape[1]}")
    return tuple(
        object_type(str(name))(
            size=arrays["size"][i],
            position=_at_rest(arrays["position"][i]),
            rotation=_at_rest(arrays["rotation"][i]),
            mass=None if np.isnan(arrays["mass"][i]) else float(arrays["mass"][i]),
            friction=float(arrays["friction"][i]),
            size_range=arrays["ranges"][i, :3],
            place_range=float(arrays["ranges"][i, 3]),
            mass_range=float(arrays["ranges"][i, 4]),
        )
        for i, name in enumerate(names)
    )


def _at_rest(path: np.ndarray) -> np.ndarray:
    """The first row of a path (T, W) all of whose rows are the same."""
    return path if len(path) and np.ptp(path, axis=0).any() else path[:1]
