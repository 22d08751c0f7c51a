"""The objects of a clip in its reconstruction: what they carry, and where they come to stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sfv_gym.array_types import Bool, Float
from sfv_gym.errors import MotionError
from sfv_gym.motion import DOUBTFUL, NOTE, Finding, ReferenceMotion, check_objects
from sfv_gym.motion.object_hints import ObjectHint
from sfv_gym.reconstruction.object_place import Placed, place_object

OFF_TOP = 0.03
"""Metres between what touches and the top, from which on it is doubtful; likewise beyond its
edge."""
OUTLINE = 0.35
"""Share of the outline below which the picture hardly tells where an object is."""


@dataclass(frozen=True)
class TouchedObject:
    """An object of a clip of T frames.

    Attributes:
        hint: what is known of it.
        touching: (T, 4), when it bears what of ``skeleton.END_EFFECTORS``.
    """

    hint: ObjectHint
    touching: Bool[np.ndarray, "T 4"]


def tops_of(objects: Sequence[TouchedObject]) -> Float[np.ndarray, "T 4"]:
    """The height in metres of the top that each of ``skeleton.END_EFFECTORS`` is on; NaN where it
    is on none, and of the highest where it is said to be on several."""
    tops = [np.where(one.touching, one.hint.top, np.nan) for one in objects]
    return np.asarray(np.fmax.reduce(tops))


def add_objects(
    motion: ReferenceMotion,
    objects: Sequence[TouchedObject],
    scale: float,
    picture: Float[np.ndarray, "H W C"] | None,
) -> tuple[Finding, ...]:
    """Put the objects into a motion, and say in its provenance how well they are known.

    Args:
        motion: the character's, with its camera, and yet without objects.
        scale: its lengths over real ones.
        picture: see ``place_object``.

    Returns:
        what is to be known of them beside other signs.

    Raises:
        MotionError: there is no room for one: wherever it may be, it is in the person.
    """
    still = motion.camera is not None and motion.camera.turns is None
    placed = [
        place_object(one.hint, one.touching, motion, scale, picture if still else None)
        for one in objects
    ]
    motion.objects = tuple(one.thing for one in placed)
    try:
        check_objects(motion.objects, motion.joint_positions())
    except ValueError as error:  # a SettingError, which is one
        motion.objects = ()
        raise MotionError(
            f"no room was found for the objects: {error}; are their sizes and touches right?"
        ) from None
    motion.provenance["quality"]["objects"] = [_quality(one) for one in placed]
    found = zip(placed, objects, strict=True)
    return tuple(finding for one, told in found for finding in _findings(one, told.hint))


def _quality(one: Placed) -> dict[str, float | str | None]:
    return {
        "type": one.thing.name,
        "touch_off_top_mm": round(1e3 * one.off_top, 1),
        "touch_beyond_edge_mm": round(1e3 * one.overhang, 1),
        "outline_seen": None if one.outline is None else round(one.outline, 3),
    }


def _findings(one: Placed, hint: ObjectHint) -> Iterator[Finding]:
    name = one.thing.name
    if one.off_top >= OFF_TOP:
        yield Finding(
            DOUBTFUL,
            f"what touches the {name} is {100 * one.off_top:.0f} cm off its top on average: its "
            "height, or the time of a touch, is wrong",
        )
    if one.overhang >= OFF_TOP:
        yield Finding(
            DOUBTFUL,
            f"what touches the {name} reaches {100 * one.overhang:.0f} cm beyond its edge: its "
            "size, or the time of a touch, is wrong",
        )
    if not hint.placed and (one.outline is None or one.outline < OUTLINE):
        seen = "was not looked for" if one.outline is None else "is hardly seen"
        yield Finding(
            NOTE,
            f"the {name}'s outline {seen} in the picture: it is under what touches it, as far as "
            "its length and width leave room",
        )
