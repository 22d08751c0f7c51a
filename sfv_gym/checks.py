"""Settings that come from a user: the type and the range, or a ``SettingError`` that says which."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any, TypeVar

from sfv_gym.errors import SettingError, UnknownIdError

T = TypeVar("T")
E = TypeVar("E")


def whole(name: str, value: Any, least: int, most: int) -> int:
    """``value`` as an ``int`` from ``least`` to ``most``; NumPy's integers are welcome.

    Raises:
        SettingError: it is no whole number (True is none, either), or out of range.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise SettingError(f"{name} must be a whole number, not {value!r}") from None
    if not least <= number <= most:
        raise SettingError(f"{name} must lie between {least:,} and {most:,}, it is {number:,}")
    return number


def real(name: str, value: Any, least: float, most: float, *, below: bool = False) -> float:
    """``value`` as a finite ``float`` from ``least`` to ``most``, or below ``most``.

    Raises:
        SettingError: it is no number, NaN, or out of range.
    """
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise SettingError(f"{name} must be a number, not {value!r}") from None
    inside = least <= number <= most and math.isfinite(number) and not (below and number == most)
    if not inside:
        limit = f"{most:g}" if not below else f"{most:g}, below it"
        raise SettingError(f"{name} must lie between {least:g} and {limit}; it is {number:g}")
    return number


def named(name: str, value: Any, kind: type[T], known: Mapping[str, E]) -> T | E:
    """``value`` if it is a ``kind``, or what is ``known`` by that name.

    Raises:
        UnknownIdError: nothing is known by that name.
        SettingError: it is neither a name nor a ``kind``.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise SettingError(f"{name} must be a name or {article} {kind.__name__}, not {value!r}")
    if value not in known:
        raise UnknownIdError(f"unknown {name} {value!r}; known: {', '.join(known)}")
    return known[value]
