"""What is known of a clip's objects before their place is: a YAML file's, checked at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sfv_gym import skeleton
from sfv_gym.checks import real
from sfv_gym.errors import SettingError, UnknownIdError
from sfv_gym.motion.clip_objects import MOST_DEPTH, MOST_SUNK, overlap
from sfv_gym.objects import Box, SceneObject, object_type

TOUCHING: dict[str, int] = {
    **{
        link.replace("wrist", "hand").replace("ankle", "foot"): i
        for i, link in enumerate(skeleton.END_EFFECTORS)
    },
    **{link: i for i, link in enumerate(skeleton.END_EFFECTORS)},
}
"""What may be said to touch an object: columns of ``skeleton.END_EFFECTORS``."""
LONGEST = 36_000.0
"""Seconds of a video in which something may be said to happen."""
MOST_BYTES = 2**20
"""Of a file of objects."""
_PLACE = ("position", "rotation")


@dataclass(frozen=True)
class Touch:
    """A time in which a hand or a foot bears on an object's top.

    Attributes:
        by: column of ``skeleton.END_EFFECTORS``.
        start, end: seconds of the video, as a player shows them.
    """

    by: int
    start: float
    end: float


@dataclass(frozen=True)
class ObjectHint:
    """An object of a clip: of known size, and touched on its top.

    Attributes:
        thing: its size, mass and so on. Where ``placed``, also its place, in metres: x ahead of the
            person in the first frame, y to their left, from the point under their hips; elsewhere
            it stands at the origin.
        placed: whether its place is known.
        touches: when it bears what.
    """

    thing: SceneObject
    placed: bool
    touches: tuple[Touch, ...]

    @property
    def top(self) -> float:
        """Metres, the height of its top."""
        thing = self.thing
        return float(thing.places[0, 2] + thing.drop(thing.half, thing.turns[0]))

    def touching(self, frames: int, start: float, fps: float) -> np.ndarray:
        """(T, 4) bool, when it bears what of ``skeleton.END_EFFECTORS``.

        Args:
            frames: T. start: the video's second of the first. fps: per second of the video.

        Raises:
            SettingError: a time lies outside of the frames, or between two of them.
        """
        found, last = np.zeros((frames, len(skeleton.END_EFFECTORS)), bool), start + frames / fps
        seconds = start + np.arange(frames) / fps
        for touch in self.touches:
            what = f"{self.thing.name} touched from {touch.start:g} to {touch.end:g} s"
            if touch.start < start - 0.5 / fps or touch.end > last:
                raise SettingError(f"{what}: the clip is from {start:.2f} to {last:.2f} s")
            within = (seconds > touch.start - 0.5 / fps) & (seconds < touch.end + 0.5 / fps)
            if not within.any():
                raise SettingError(f"{what}: no frame of the clip lies in that time")
            found[within, touch.by] = True
        return found


def read_object_hints(path: str | os.PathLike[str]) -> tuple[ObjectHint, ...]:
    """The objects of a YAML file: a mapping, or a list of several.

    Fields of each: ``type`` and ``size``; ``mass``, ``friction`` and the ranges as of
    ``SceneObject``; ``touched``, a list of mappings ``by``, ``from`` and ``to``, of a hand or foot
    and seconds of the video; ``position`` and ``rotation``, where its place is known.

    Raises:
        SettingError: there is no such file, it is no YAML, or a field is missing, unknown, of the
            wrong type or out of range; the file's name comes first.
        UnknownIdError: of a type or of what touches.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SettingError(f"{path}: too large to be a file of objects")
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where is not None else ""
        raise SettingError(f"{path}: no YAML{line}") from None
    try:
        return object_hints(table)
    except UnknownIdError as error:
        raise UnknownIdError(f"{path}: {error}") from None
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from None


def object_hints(table: Any) -> tuple[ObjectHint, ...]:
    """What a file of objects holds, see ``read_object_hints``, read already.

    Raises:
        SettingError, UnknownIdError: as there.
    """
    entries = table if isinstance(table, list) else [table]
    if not entries:
        raise SettingError("holds no object")
    hints = tuple(_hint(entry) for entry in entries)
    check_hints(hints)
    return hints


def check_hints(hints: Sequence[ObjectHint]) -> None:
    """See, before anything is fitted, what can be seen of objects that do not fit together.

    Raises:
        SettingError: a place is known, and is inside the ground, the person where they start, or
            another object.
    """
    for hint in hints:
        thing = hint.thing
        low = thing.places[0, 2] - thing.drop(thing.half, thing.turns[0])
        if low < -MOST_SUNK:
            raise SettingError(
                f"{thing.name} is inside the ground: it reaches {-low:.2f} m below it; position is "
                "that of its centre"
            )
        person = Box(size=0.2, position=(0.0, 0.0, 0.9))  # their trunk, roughly
        if hint.placed and (depth := overlap(thing, person).max()) > MOST_DEPTH:
            raise SettingError(
                f"{thing.name} is inside the person at the start, by {depth:.2f} m: position "
                "counts from where they start, x ahead, y to their left"
            )
    for one, other in combinations([hint.thing for hint in hints if hint.placed], 2):
        if one.mass is None and other.mass is None:
            continue  # as for check_objects
        if (depth := overlap(one, other).max()) > MOST_DEPTH:
            raise SettingError(
                f"{one.name} and {other.name} are inside each other, by {depth:.2f} m"
            )


def _hint(entry: Any) -> ObjectHint:
    if not isinstance(entry, Mapping):
        raise SettingError(
            f"an object is a mapping, as in {{type: box, size: [1.6, 0.4, 0.7]}}, not {entry!r:.60}"
        )
    values = dict(entry)
    if "type" not in values:
        raise SettingError("an object needs a type, such as type: box")
    name = values.pop("type")
    if not isinstance(name, str):
        raise SettingError(f"type must be a name, not {name!r:.60}")
    kind = object_type(name)
    touched = values.pop("touched", None)
    known = {field.name for field in fields(kind) if field.init}
    if unknown := sorted(str(name) for name in values if name not in known):
        raise SettingError(
            f"{kind.name} has no {', '.join(unknown)}; it has type, touched, "
            f"{', '.join(field.name for field in fields(kind) if field.name in known)}"
        )
    if "size" not in values:
        raise SettingError(f"{kind.name} needs a size: its lengths in metres, its height last")
    placed = "position" in values
    if "rotation" in values and not placed:
        raise SettingError(f"{kind.name} has a rotation and no position: give both or neither")
    if values.get("mass") is not None and not placed:
        raise SettingError(
            f"{kind.name} has a mass: an object that may be moved needs its path, which is not "
            "found from a video; leave the mass out if it stays where it is"
        )
    for part in _PLACE:
        if part in values and np.ndim(np.array(values[part], object)) != 1:
            raise SettingError(f"the {part} of {kind.name} must be that of one place, not a path")
    at_origin = kind(**{**values, "position": values.get("position", (0.0, 0.0, 0.0))})
    if not placed:
        height = at_origin.drop(at_origin.half, at_origin.turns[0])
        at_origin = kind(**{**values, "position": (0.0, 0.0, height)})
    touches = tuple(_touches(kind.name, touched))
    if not touches and not placed:
        raise SettingError(
            f"{kind.name} needs its place: say what touches its top and when, as in touched: "
            "[{by: left_hand, from: 1.1, to: 1.4}], or its position"
        )
    return ObjectHint(at_origin, placed, touches)


def _touches(name: str, touched: Any) -> list[Touch]:
    if touched is None:
        return []
    if not isinstance(touched, list):
        raise SettingError(f"touched of {name} must be a list, not {touched!r:.60}")
    found = []
    for one in touched:
        if not isinstance(one, Mapping) or set(one) != {"by", "from", "to"}:
            raise SettingError(
                f"touched of {name} must hold by, from and to, as in "
                f"{{by: left_hand, from: 1.1, to: 1.4}}, not {one!r:.60}"
            )
        if not isinstance(one["by"], str) or one["by"] not in TOUCHING:
            raise UnknownIdError(
                f"{name} is touched by an unknown {one['by']!r:.60}; known: {', '.join(TOUCHING)}"
            )
        start = real(f"from of {name}", one["from"], 0.0, LONGEST)
        end = real(f"to of {name}", one["to"], 0.0, LONGEST)
        if not start < end:
            raise SettingError(f"{name} is touched from {start:g} to {end:g} s: it must end later")
        found.append(Touch(TOUCHING[one["by"]], start, end))
    return found
