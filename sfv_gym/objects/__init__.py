"""Objects: what stands or lies in a scene beside the character and the ground.

A type of object is a frozen dataclass that says how far its shape reaches. Those that are
registered here may stand in motions' files.
"""

from __future__ import annotations

from sfv_gym.errors import SettingError, UnknownIdError
from sfv_gym.objects.scene_object import Numbers, SceneObject
from sfv_gym.objects.shapes import Ball, Box

OBJECTS: dict[str, type[SceneObject]] = {kind.name: kind for kind in (Box, Ball)}


def register_object(kind: type[SceneObject]) -> None:
    """Register a type of object of one's own, by its ``name``: motions' files that hold one can be
    read from now on.

    Raises:
        SettingError: the name is another type's.
    """
    known = OBJECTS.setdefault(kind.name, kind)
    if (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
        raise SettingError(
            f"the name {kind.name} is that of another type of object: choose another"
        )
    OBJECTS[kind.name] = kind


def object_type(name: str) -> type[SceneObject]:
    """The type of that name.

    Raises:
        UnknownIdError: there is none.
    """
    if name not in OBJECTS:
        raise UnknownIdError(f"unknown type of object {name!r}; known: {', '.join(OBJECTS)}")
    return OBJECTS[name]


__all__ = ["OBJECTS", "Ball", "Box", "Numbers", "SceneObject", "object_type", "register_object"]
