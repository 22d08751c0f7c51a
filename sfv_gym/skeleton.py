"""The canonical skeleton: the 15 links of the SFV/DeepMimic humanoid, and its kinematics.

Frame: x forward, y left, z up; metres. A link's frame sits at its joint to its parent.
Figures: the published character (xbpeng/DeepMimic, MIT), turned from y-up to z-up.
"""

from __future__ import annotations

import numpy as np

from sfv_gym.rotations import Array, namespace, quat_multiply, quat_rotate

LINKS: tuple[str, ...] = (
    "root", "chest", "neck",
    "right_hip", "right_knee", "right_ankle", "right_shoulder", "right_elbow", "right_wrist",
    "left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
"""Link names, parents before children; a link is named after the joint that it hangs on."""

PARENTS: tuple[int, ...] = (-1, 0, 1, 0, 3, 4, 1, 6, 7, 0, 9, 10, 1, 12, 13)

OFFSETS: np.ndarray = np.array(
    [
        [0, 0, 0], [0, 0, 0.236151], [0, 0, 0.223894],
        [0, -0.084887, 0], [0, 0, -0.421546], [0, 0, -0.40987],
        [-0.02405, -0.18311, 0.2435], [0, 0, -0.274788], [0, 0, -0.258947],
        [0, 0.084887, 0], [0, 0, -0.421546], [0, 0, -0.40987],
        [-0.02405, 0.18311, 0.2435], [0, 0, -0.274788], [0, 0, -0.258947],
    ]
)  # fmt: skip
"""(15, 3) metres: a link's origin in its parent's frame."""

HINGE_LINKS: tuple[str, ...] = ("right_knee", "right_elbow", "left_knee", "left_elbow")
"""Links that turn about their own y axis alone: knees bend to +y, elbows to -y."""
END_EFFECTORS: tuple[str, ...] = ("right_wrist", "left_wrist", "right_ankle", "left_ankle")
"""The columns of ``ReferenceMotion.contacts``: right and left hand, right and left foot."""

ROTATION_LIMITS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "chest": ((-1.2, 1.2), (-1.2, 1.2), (-1.2, 1.2)),
    "neck": ((-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0)),
    "right_hip": ((-1.2, 1.2), (-2.57, 1.57), (-1.0, 1.0)),
    "right_knee": ((0, 0), (0, 3.14), (0, 0)),
    "right_ankle": ((-1.0, 1.0), (-1.57, 1.57), (-1.0, 1.0)),
    "right_shoulder": ((-3.14, 0.5), (-3.14, 0.7), (-1.5, 1.5)),
    "right_elbow": ((0, 0), (-3.14, 0), (0, 0)),
    "left_hip": ((-1.2, 1.2), (-2.57, 1.57), (-1.0, 1.0)),
    "left_knee": ((0, 0), (0, 3.14), (0, 0)),
    "left_ankle": ((-1.0, 1.0), (-1.57, 1.57), (-1.0, 1.0)),
    "left_shoulder": ((-0.5, 3.14), (-3.14, 0.7), (-1.5, 1.5)),
    "left_elbow": ((0, 0), (-3.14, 0), (0, 0)),
}
"""Published limits of each link's rotation vector about x, y, z in its parent's frame, radians."""

TORQUE_LIMITS: dict[str, float] = {
    "chest": 200.0,
    "neck": 50.0,
    "right_hip": 200.0, "right_knee": 150.0, "right_ankle": 90.0,
    "right_shoulder": 100.0, "right_elbow": 60.0,
    "left_hip": 200.0, "left_knee": 150.0, "left_ankle": 90.0,
    "left_shoulder": 100.0, "left_elbow": 60.0,
}  # fmt: skip
"""Published limit of the length of each joint's torque vector, N m."""

LINK_MASSES: np.ndarray = np.array(
    [6.0, 14.0, 2.0, 4.5, 3.0, 1.0, 1.5, 1.0, 0.5, 4.5, 3.0, 1.0, 1.5, 1.0, 0.5]
)
"""(15,) kg, 45 in all."""

LINK_CENTRES: np.ndarray = np.array(
    [
        [0, 0, 0.07], [0, 0, 0.12], [0, 0, 0.175],
        [0, 0, -0.21], [0, 0, -0.2], [0.045, 0, -0.0225],
        [0, 0, -0.14], [0, 0, -0.12], [0, 0, 0],
        [0, 0, -0.21], [0, 0, -0.2], [0.045, 0, -0.0225],
        [0, 0, -0.14], [0, 0, -0.12], [0, 0, 0],
    ]
)  # fmt: skip
"""(15, 3) metres: the centre of each link's shape, and of its mass, in the link's frame."""

FOOT_BOX: tuple[float, float, float] = (0.177, 0.09, 0.055)
"""Extents of the foot's box about its LINK_CENTRES entry, metres (x, y, z)."""


def link_index(name: str) -> int:
    """Index of a link in LINKS."""
    return LINKS.index(name)


def forward_kinematics(
    root_pos: Array, root_quat: Array, joint_quat: Array, offsets: Array | None = None
) -> tuple[Array, Array]:
    """World positions and rotations of every link.

    Args:
        root_pos: (..., 3) metres, of the root link's origin.
        root_quat: (..., 4) wxyz.
        joint_quat: (..., 15, 4) local rotations; entry 0 (the root's) is ignored.
        offsets: (15, 3) metres in place of OFFSETS, for another person's proportions.

    Returns:
        positions (..., 15, 3) and rotations (..., 15, 4) in the world frame.
    """
    xp = namespace(root_pos)
    if offsets is None:
        offsets = OFFSETS if xp is np else xp.asarray(OFFSETS, dtype=root_pos.dtype)
    pos, rot = [root_pos], [root_quat]
    for i, parent in enumerate(PARENTS[1:], start=1):
        pos.append(pos[parent] + quat_rotate(rot[parent], offsets[i]))
        rot.append(quat_multiply(rot[parent], joint_quat[..., i, :]))
    return xp.stack(pos, axis=-2), xp.stack(rot, axis=-2)


def centre_of_mass(link_pos: Array, link_quat: Array) -> Array:
    """The character's centre of mass (..., 3) from its links' frames (see forward_kinematics)."""
    xp = namespace(link_pos)
    centres, weights = LINK_CENTRES, LINK_MASSES / LINK_MASSES.sum()
    if xp is not np:
        centres, weights = (xp.asarray(a, dtype=link_pos.dtype) for a in (centres, weights))
    return ((link_pos + quat_rotate(link_quat, centres)) * weights[:, None]).sum(-2)


def sole_corners(link_pos: Array, link_quat: Array) -> Array:
    """World positions (..., 2, 4, 3) of the corners under the right and the left foot's box."""
    xp = namespace(link_pos)
    hx, hy, hz = (0.5 * e for e in FOOT_BOX)
    signs = np.array([[1, 1, -1], [1, -1, -1], [-1, 1, -1], [-1, -1, -1]], float)
    corners = LINK_CENTRES[link_index("right_ankle")] + signs * (hx, hy, hz)
    if xp is not np:
        corners = xp.asarray(corners, dtype=link_pos.dtype)
    feet = [link_index("right_ankle"), link_index("left_ankle")]
    pos, quat = link_pos[..., feet, None, :], link_quat[..., feet, None, :]
    return pos + quat_rotate(quat, corners)
