"""Motions as files for other programs: BVH, CSV and binary glTF."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sfv_gym.errors import OutputError
from sfv_gym.export.bvh import bvh_bytes
from sfv_gym.export.glb import glb_bytes
from sfv_gym.export.pose import Poses, poses_of
from sfv_gym.export.table import csv_bytes
from sfv_gym.files import atomic_path
from sfv_gym.motion import ReferenceMotion
from sfv_gym.registry import find_motion

__all__ = ["FORMATS", "export_motion"]

FORMATS: dict[str, Callable[[Poses], bytes]] = {
    ".bvh": bvh_bytes,
    ".csv": csv_bytes,
    ".glb": glb_bytes,
}
"""By a file's suffix."""


def export_motion(
    motion: ReferenceMotion | str, out: str | os.PathLike[str], *, person: bool = False
) -> Path:
    """Write a motion for another program.

    Args:
        motion: also a motion file or a skill's name.
        out: ``.bvh`` (centimetres, y up), ``.csv`` (metres, z up) or ``.glb`` (binary glTF, metres,
            y up, with a figure of capsules).
        person: in the person's own proportions and path, instead of the character's.

    Raises:
        OutputError: the suffix is another, or the file cannot be written.
        MotionError, UnknownIdError: of the motion.
    """
    out = Path(out)
    if out.suffix.lower() not in FORMATS:
        raise OutputError(
            f"cannot write {out}: motions are exported as {', '.join(FORMATS)}, by the suffix"
        )
    found = find_motion(motion) if isinstance(motion, str) else motion
    content = FORMATS[out.suffix.lower()](poses_of(found, person=person))
    try:
        with atomic_path(out) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from None
    return out
