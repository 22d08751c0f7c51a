"""The canonical skeleton: the 15 links of the SFV/DeepMimic humanoid, and its kinematics.

Frame: x forward, y left, z up; metres. A link's frame sits at its joint to its parent.
Figures: the published character (xbpeng/DeepMimic, MIT), turned from y-up to z-up, as they stand in
``assets/characters/humanoid.xml``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from xml.etree import ElementTree

import numpy as np

from sfv_gym.rotations import Array, namespace, quat_multiply, quat_rotate


@dataclass(frozen=True)
class Link:
    """A link of the humanoid as its MJCF has it: the one place where its figures are typed.

    Attributes:
        parent: name of the link that it hangs on; empty for the root.
        offset: metres, its origin in its parent's frame.
        mass: kg.
        shape: ``sphere``, ``capsule`` along z, or ``box``, of ``size`` as MJCF has it: a radius; a
            radius and half a length; half the extents.
        centre: metres, the shape's and the mass's, in its frame.
        hinge_limits: rad, of a link that turns about its own y axis alone, else None.
    """

    parent: str
    offset: tuple[float, ...]
    mass: float
    shape: str
    size: tuple[float, ...]
    centre: tuple[float, ...]
    hinge_limits: tuple[float, ...] | None


def _read() -> dict[str, Link]:
    """The links of ``assets/characters/humanoid.xml``, without MuJoCo, which takes long to load."""
    path = resources.files("sfv_gym.assets").joinpath("characters", "humanoid.xml")
    world = ElementTree.fromstring(path.read_text(encoding="utf-8")).find("worldbody")
    links: dict[str, Link] = {}

    def numbers(element: ElementTree.Element, name: str) -> tuple[float, ...]:
        return tuple(float(word) for word in element.get(name, "").split())

    def visit(parent: str, element: ElementTree.Element) -> None:
        for body in element.findall("body"):
            name = body.get("name", "")
            [shape] = [geom for geom in body.findall("geom") if geom.get("name") == name]
            joint = body.find("joint")
            links[name] = Link(
                parent,
                numbers(body, "pos") if parent else (0.0, 0.0, 0.0),
                float(shape.get("mass", "nan")),
                shape.get("type", ""),
                numbers(shape, "size"),
                numbers(shape, "pos"),
                None if joint is None else numbers(joint, "range") or None,
            )
            visit(name, body)

    assert world is not None
    visit("", world)
    return links


BODY: dict[str, Link] = _read()
"""The humanoid's links by name."""
LINKS: tuple[str, ...] = (
    "root", "chest", "neck",
    "right_hip", "right_knee", "right_ankle", "right_shoulder", "right_elbow", "right_wrist",
    "left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
"""Link names, parents before children; a link is named after the joint that it hangs on."""

PARENTS: tuple[int, ...] = tuple(
    LINKS.index(BODY[name].parent) if BODY[name].parent else -1 for name in LINKS
)

OFFSETS: np.ndarray = np.array([BODY[name].offset for name in LINKS])
"""(15, 3) metres: a link's origin in its parent's frame."""

HINGE_LINKS: tuple[str, ...] = tuple(name for name in LINKS if BODY[name].hinge_limits)
"""Links that turn about their own y axis alone: knees bend to +y, elbows to -y."""
END_EFFECTORS: tuple[str, ...] = ("right_wrist", "left_wrist", "right_ankle", "left_ankle")
"""The columns of ``ReferenceMotion.contacts``: right and left hand, right and left foot."""

_BALL_LIMITS: dict[str, tuple[tuple[float, float], ...]] = {
    "chest": ((-1.2, 1.2), (-1.2, 1.2), (-1.2, 1.2)),
    "neck": ((-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0)),
    "right_hip": ((-1.2, 1.2), (-2.57, 1.57), (-1.0, 1.0)),
    "right_ankle": ((-1.0, 1.0), (-1.57, 1.57), (-1.0, 1.0)),
    "right_shoulder": ((-3.14, 0.5), (-3.14, 0.7), (-1.5, 1.5)),
    "left_hip": ((-1.2, 1.2), (-2.57, 1.57), (-1.0, 1.0)),
    "left_ankle": ((-1.0, 1.0), (-1.57, 1.57), (-1.0, 1.0)),
    "left_shoulder": ((-0.5, 3.14), (-3.14, 0.7), (-1.5, 1.5)),
}
ROTATION_LIMITS: dict[str, tuple[tuple[float, ...], ...]] = {
    name: _BALL_LIMITS.get(name) or ((0.0, 0.0), BODY[name].hinge_limits or (), (0.0, 0.0))
    for name in LINKS
    if name in _BALL_LIMITS or name in HINGE_LINKS
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

LINK_MASSES: np.ndarray = np.array([BODY[name].mass for name in LINKS])
"""(15,) kg, 45 in all."""

LINK_CENTRES: np.ndarray = np.array([BODY[name].centre for name in LINKS])
"""(15, 3) metres: the centre of each link's shape, and of its mass, in the link's frame."""

FOOT_BOX: tuple[float, ...] = tuple(2.0 * half for half in BODY["right_ankle"].size)
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
