"""Canonical motion to a character's generalized coordinates.

The humanoid is the canonical skeleton, so its joints take the motion's rotations as they are. Any
other character's joint angles are found by inverse kinematics and then brought within its physics.
That takes some 15 s a motion: the library's trajectories ship, one's own are kept in the cache.
"""

from __future__ import annotations

import numpy as np

from sfv_gym.characters import Character
from sfv_gym.motion import ReferenceMotion, Trajectory
from sfv_gym.retargeting import store


def retarget(motion: ReferenceMotion, character: Character) -> Trajectory:
    """The motion as a trajectory of the character's own joints."""
    if character.is_canonical:
        return motion
    solved = store.retargeted(motion, character)
    joints = character.joints
    half = 0.5 * solved.qpos[:, joints.hinge_qpos, None]
    offset = motion.loop_offset * np.array([*[solved.scale] * 3, 1.0])
    return Trajectory(
        fps=motion.fps,
        root_pos=solved.qpos[:, :3],
        root_quat=solved.qpos[:, 3:7],
        joint_quat=np.concatenate((np.cos(half), np.sin(half) * joints.hinge_axis), axis=-1),
        loop=motion.loop,
        loop_range=motion.loop_range,
        loop_offset=offset,
        joint_names=tuple(joints.names[i] for i in joints.hinges),
    )


def scene_scale(motion: ReferenceMotion, character: Character) -> float:
    """By how much larger the character's scene is than the motion's: its path on the ground, and
    what stands there."""
    return 1.0 if character.is_canonical else store.retargeted(motion, character).scale
