"""A motion somewhere else on the ground, heading elsewhere: nothing about it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sfv_gym.array_types import Float
from sfv_gym.motion.reference_motion import ReferenceMotion
from sfv_gym.rotations import heading, quat_conjugate, quat_multiply, quat_rotate


def from_origin(
    motion: ReferenceMotion,
) -> tuple[ReferenceMotion, Float[np.ndarray, "4"], Float[np.ndarray, "3"]]:
    """The motion as it begins over the origin and heads along x, without its camera.

    Returns:
        It, and the turn (4,) wxyz about z and the place (3,) in metres that take it back.
    """
    turn, place = heading(motion.root_quat[0]), motion.root_pos[0] * [1.0, 1.0, 0.0]
    back = quat_conjugate(turn)
    root_quat = quat_multiply(back, motion.root_quat)
    root_quat *= 1.0 if root_quat[0, 0] >= 0 else -1.0
    yaw, offset = motion.loop_offset[3], np.array(motion.loop_offset, float)
    if motion.loop == "wrap":  # the map of one cycle, seen from there
        cycle = np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
        offset[:3] = quat_rotate(back, quat_rotate(cycle, place) + offset[:3] - place)
    moved = replace(
        motion,
        root_pos=quat_rotate(back, motion.root_pos - place),
        root_quat=root_quat,
        person_root_pos=quat_rotate(back, motion.person_root_pos - place),
        person_root_quat=quat_multiply(back, motion.person_root_quat),
        loop_offset=offset,
        objects=tuple(thing.placed(back, quat_rotate(back, -place)) for thing in motion.objects),
        camera=None,
    )
    return moved, turn, place
