"""The observation: one documented layout, in the root's heading frame."""

from __future__ import annotations

import numpy as np

from sfv_gym.rotations import (
    heading,
    quat_conjugate,
    quat_multiply,
    quat_rotate,
    quat_to_6d,
    quat_to_rotvec,
)

OBSERVATION_PARTS: tuple[tuple[str, int, str, str], ...] = (
    ("root_height", 1, "m", "of the root above the ground"),
    ("root_rotation", 6, "", "root's x and z axes in the heading frame"),
    ("root_velocity", 3, "m/s", "linear, heading frame"),
    ("root_angular_velocity", 3, "rad/s", "root's own frame"),
    ("joint_rotation", 28, "rad", "rotation vector of each ball joint, angle of each hinge"),
    ("joint_velocity", 28, "rad/s", "each link's own frame"),
    ("link_position", 42, "m", "14 links, from the root, heading frame"),
    ("reference_position", 3, "m", "next reference root minus root, heading frame"),
    ("reference_rotation", 3, "rad", "rotation vector from the root to the next reference's"),
    ("reference_joints", 28, "rad", "next reference's joint rotations minus the joints'"),
    ("phase", 2, "", "sine and cosine of the phase (cyclic: a full turn, else half a turn)"),
)
"""(name, size, unit, meaning) of each part, in order."""

OBSERVATION_SIZE = sum(size for _, size, _, _ in OBSERVATION_PARTS)


def observation_structure() -> dict[str, slice]:
    """Where each named part lies in the observation."""
    out, at = {}, 0
    for name, size, _, _ in OBSERVATION_PARTS:
        out[name] = slice(at, at + size)
        at += size
    return out


def observe(
    out: np.ndarray,
    *,
    qpos: np.ndarray,
    qvel: np.ndarray,
    link_pos: np.ndarray,
    joint_vector: np.ndarray,
    ground_height: np.ndarray,
    next_qpos: np.ndarray,
    next_joint_vector: np.ndarray,
    phase: np.ndarray,
) -> None:
    """Fill ``out`` (N, OBSERVATION_SIZE) float32 from the state and the next reference.

    ``link_pos`` is (N, 15, 3) in the world, ``ground_height`` (N,) under the root.
    """
    n = len(qpos)
    root_pos, root_quat = qpos[:, :3], qpos[:, 3:7]
    to_heading = quat_conjugate(heading(root_quat))
    at = 0
    for part in (
        (root_pos[:, 2] - ground_height)[:, None],
        quat_to_6d(quat_multiply(to_heading, root_quat)),
        quat_rotate(to_heading, qvel[:, :3]),
        qvel[:, 3:6],
        joint_vector,
        qvel[:, 6:],
        quat_rotate(to_heading[:, None], link_pos[:, 1:] - root_pos[:, None]).reshape(n, -1),
        quat_rotate(to_heading, next_qpos[:, :3] - root_pos),
        quat_to_rotvec(quat_multiply(quat_conjugate(root_quat), next_qpos[:, 3:7])),
        next_joint_vector - joint_vector,
        phase,
    ):
        size = part.shape[1]
        out[:, at : at + size] = part
        at += size
