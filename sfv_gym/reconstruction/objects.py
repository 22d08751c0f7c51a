"""The objects of a clip in its reconstruction: what they carry, and where they come to stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sfv_gym.array_types import Float
from sfv_gym.errors import MotionError, SettingError
from sfv_gym.fitting.solver import Variables
from sfv_gym.motion import DOUBTFUL, NOTE, Finding, ReferenceMotion, check_objects
from sfv_gym.motion.object_hints import ObjectHint
from sfv_gym.reconstruction.camera import Camera
from sfv_gym.reconstruction.contacts import WRIST_HEIGHT
from sfv_gym.reconstruction.object_place import Placed, TouchedObject, place_object, seen_scale
from sfv_gym.reconstruction.person import PersonFit, PersonProblem
from sfv_gym.reconstruction.reprojection import motion_camera

OFF_TOP, BEYOND_EDGE = 0.03, 0.1
"""Metres between what touches and the top, and from a wrist or ankle to the top's edge, from which
on it is doubtful: a palm or a heel may still lie on it where the joint does not."""
OUTLINE = 0.35
"""Share of the outline below which the picture hardly tells where an object is."""
LEAST_CHANGE = 0.01
"""Of the person's size, changes that make no difference."""


@dataclass(frozen=True)
class Scenery:
    """The objects of a clip of T frames, and what is seen of them.

    Attributes:
        objects: that stand in it.
        picture: (H, W, C) in 0..1, see ``place_object``; None where there is none.
    """

    objects: Sequence[TouchedObject]
    picture: np.ndarray | None

    @property
    def tops(self) -> Float[np.ndarray, "T 4"]:
        """The height in metres of the top that each of ``skeleton.END_EFFECTORS`` is on: of the
        highest where it is said to be on several, NaN where it is on none."""
        tops = [np.where(one.touching, one.hint.top, np.nan) for one in self.objects]
        return np.asarray(np.fmax.reduce(tops))

    def resized(self, problem: PersonProblem, fit: PersonFit[Camera]) -> Variables | None:
        """What to go on from, where the objects say that the person is of another size; None where
        they do not. The problem's tops then are what hands seem to be on: their wrists are higher
        or lower over the tops than was thought."""
        camera = motion_camera(fit.camera, np.eye(3), np.zeros(3), None)
        scale = seen_scale(self.objects, fit.pose.pos.numpy(), camera, problem.fps, self.picture)
        if abs(scale - 1.0) < LEAST_CHANGE:
            return None
        problem.tops = scale * (self.tops + WRIST_HEIGHT) - WRIST_HEIGHT
        return {**fit.variables, "log_size": fit.variables["log_size"] + np.log(scale)}

    def add_to(self, motion: ReferenceMotion, scale: float) -> tuple[Finding, ...]:
        """Put the objects into a motion, and say in its provenance how well they are known.

        Args:
            motion: the character's, with its camera, and yet without objects.
            scale: its lengths over real ones.

        Returns:
            what is to be known of them beside other signs.

        Raises:
            MotionError: there is no room for one: wherever it may be, it is in the person.
        """
        placed = [place_object(one, motion, scale, self.picture) for one in self.objects]
        things = tuple(one.thing for one in placed)
        try:
            check_objects(things, motion.joint_positions())
        except SettingError as error:
            raise MotionError(
                f"no room was found for the objects: {error}; are their sizes and touches right?"
            ) from None
        motion.objects = things
        motion.provenance["quality"]["objects"] = [_quality(one) for one in placed]
        found = zip(placed, self.objects, strict=True)
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
    if one.overhang >= BEYOND_EDGE:
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
