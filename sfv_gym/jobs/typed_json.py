"""Dataclasses as JSON and back: what passes from one process to another keeps its types."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints


def to_json(value: Any) -> Any:
    """Dataclasses and dicts become objects, tuples and lists arrays, paths texts.

    Raises:
        TypeError: there is something else in it than these, numbers, texts, bools and None.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} does not go from one process to another as JSON")


def from_json(kind: Any, value: Any) -> Any:
    """The inverse of ``to_json`` for a value of the type ``kind``.

    Raises:
        TypeError: the value is not of that type.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        [kind] = [one for one in inner if one is not type(None)]
        return from_json(kind, value)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: from_json(hints[name], one) for name, one in value.items()})
    if origin is tuple and inner[-1] is Ellipsis:
        return tuple(from_json(inner[0], one) for one in value)
    if origin is list:
        return [from_json(inner[0], one) for one in value]
    if origin is tuple:
        return tuple(from_json(k, one) for k, one in zip(inner, value, strict=True))
    if origin is dict:
        return {key: from_json(inner[1], one) for key, one in value.items()}
    if kind is Path:
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in (int, float, str, bool) and type(value) is kind:
        return value
    raise TypeError(f"{value!r} is no {kind}")
