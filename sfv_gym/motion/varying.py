"""Variants of a motion by name: ``mirrored``, ``warped-0.9``, ``reversed``, ``then-kick``."""

from __future__ import annotations

from collections.abc import Callable

from sfv_gym.errors import UnknownIdError
from sfv_gym.motion.blending import THEN, blended
from sfv_gym.motion.reference_motion import ReferenceMotion
from sfv_gym.motion.variants import MIRRORED, REVERSED, WARPED, mirrored, time_reversed, warped

KNOWN = (MIRRORED, REVERSED, f"{WARPED}-RATE, such as {WARPED}-0.9", f"{THEN}-SKILL")


def vary(
    motion: ReferenceMotion, variant: str, find: Callable[[str], ReferenceMotion]
) -> ReferenceMotion:
    """The variant of that name of a motion.

    Args:
        find: the motion of a name, for what another one is blended into.

    Raises:
        UnknownIdError: there is no such variant, or no such motion to go on with.
        SettingError: the rate is out of range.
        MotionError: the motion has no such variant.
    """
    kind, _, detail = variant.partition("-")
    if variant == MIRRORED:
        return mirrored(motion)
    if variant == REVERSED:
        return time_reversed(motion)
    if kind == WARPED and (rate := _number(detail)) is not None:
        return warped(motion, rate)
    if kind == THEN and detail:
        return blended(motion, find(detail))
    raise UnknownIdError(f"unknown variant {variant!r} of a motion; known: {', '.join(KNOWN)}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
