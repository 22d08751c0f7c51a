"""The skeleton as the optimiser sees it: a vector of angles per frame, and a body of any size.

The canonical kinematics in ``sfv_gym.skeleton`` are written for clarity; this is the same chain
with rotation matrices and one batched product per depth, because a fit runs it a thousand times.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from sfv_gym import skeleton
from sfv_gym.fitting.articulation import ContactPatch, Pose, Underside
from sfv_gym.fitting.tensors import DTYPE, rotation_matrix, turns_between

# --- angles: which component of which link's rotation vector each degree of freedom turns -----
_BALLS = ("chest", "neck", "right_hip", "right_ankle", "right_shoulder",
          "left_hip", "left_ankle", "left_shoulder")  # fmt: skip


def _degrees_of_freedom() -> list[tuple[int, int]]:
    dofs = []
    for i, name in enumerate(skeleton.LINKS):
        if name in _BALLS:
            dofs += [(i, axis) for axis in range(3)]
        elif name in skeleton.HINGE_LINKS:
            dofs.append((i, 1))
    return dofs


DOFS: tuple[tuple[int, int], ...] = tuple(_degrees_of_freedom())
"""(link, axis) of each of the 28 angles."""
DOF_LIMITS: np.ndarray = np.array(
    [skeleton.ROTATION_LIMITS[skeleton.LINKS[link]][axis] for link, axis in DOFS]
)
"""(28, 2) radians."""

_SELECT = torch.zeros(len(DOFS), 45, dtype=DTYPE)
for _i, (_link, _axis) in enumerate(DOFS):
    _SELECT[_i, 3 * _link + _axis] = 1.0

_LEVELS: tuple[tuple[int, ...], ...] = ((1, 3, 9), (2, 4, 10, 6, 12), (5, 11, 7, 13), (8, 14))
_ORDER = [0, *(i for level in _LEVELS for i in level)]
_BACK = [_ORDER.index(i) for i in range(15)]

# --- proportions -----------------------------------------------------------------------------
PROPORTIONS: tuple[str, ...] = (
    "trunk", "shoulder_width", "hip_width", "thigh", "shin", "upper_arm", "forearm", "head", "foot",
)  # fmt: skip
"""The lengths that differ between people, each the same on the left and on the right."""

ADULT_SIZE = 1.06
"""An average person's size as a multiple of the character's."""
ADULT_LENGTHS: torch.Tensor = torch.as_tensor(
    np.log([1.0, 1.0, 1.25, 0.97, 1.02, 0.96, 0.96, 1.0, 1.0])
)
"""(9,) logarithms of adults' lengths beside the size, in the order of PROPORTIONS: the canonical
figure has narrow hips."""


def _proportion_of() -> np.ndarray:
    """(15, 3) index into PROPORTIONS for every component of OFFSETS."""
    group = np.zeros((15, 3), int)
    for i, name in enumerate(skeleton.LINKS):
        part = name.split("_")[-1]
        group[i] = PROPORTIONS.index(
            {"knee": "thigh", "ankle": "shin", "elbow": "upper_arm", "wrist": "forearm",
             "hip": "hip_width"}.get(part, "trunk")
        )  # fmt: skip
        if part == "shoulder":
            group[i] = [0, PROPORTIONS.index("shoulder_width"), 0]
    return group


def _proportion_of_centres() -> list[int]:
    """(15,) index into PROPORTIONS: each centre of mass moves along with the bone it lies in."""
    bones = {"root": "trunk", "chest": "trunk", "neck": "head", "hip": "thigh", "knee": "shin",
             "ankle": "foot", "shoulder": "upper_arm", "elbow": "forearm",
             "wrist": "forearm"}  # fmt: skip
    return [PROPORTIONS.index(bones[name.split("_")[-1]]) for name in skeleton.LINKS]


_CENTRE_GROUP = _proportion_of_centres()
_OFFSET_GROUP = torch.as_tensor(_proportion_of())

# --- what may touch the ground ---------------------------------------------------------------
_FOOT = skeleton.LINK_CENTRES[skeleton.link_index("right_ankle")]
_HALF = 0.5 * np.array(skeleton.FOOT_BOX)
SOLE: np.ndarray = np.array(
    [_FOOT + _HALF * s for s in ((-1, -1, -1), (-1, 1, -1), (1, -1, -1), (1, 1, -1))]
)
"""(4, 3) the sole's corners in the ankle's frame: two of the heel, then two of the toes."""
_FEET = [skeleton.link_index("right_ankle"), skeleton.link_index("left_ankle")]
HANDS = [skeleton.link_index("right_wrist"), skeleton.link_index("left_wrist")]
HAND_RADIUS = skeleton.BODY["right_wrist"].size[0]
"""Metres, of the character's hands."""


def _round_shapes() -> list[tuple[str, tuple[float, ...], float]]:
    """The spheres and the capsules' upper ends of the character's shapes: link, centre, radius."""
    found: list[tuple[str, tuple[float, ...], float]] = []
    for name in (
        "root", "chest", "neck", "right_wrist", "left_wrist", "right_knee", "left_knee",
        "right_hip", "left_hip", "right_elbow", "left_elbow", "right_shoulder", "left_shoulder",
    ):  # fmt: skip
        link = skeleton.BODY[name]
        x, y, z = link.centre
        z += link.size[1] if link.shape == "capsule" else 0.0
        found.append((name, (x, y, round(z, 6)), link.size[0]))
    return found


_ROUND = _round_shapes()
_ROUND_LINKS = [skeleton.link_index(name) for name, _, _ in _ROUND]
ROUND_HANDS: list[int] = [i for i, link in enumerate(_ROUND_LINKS) if link in HANDS]
"""The columns of ``Body.round_bottoms`` that are hands."""
_ROUND_CENTRES = torch.as_tensor(np.array([c for _, c, _ in _ROUND]), dtype=DTYPE)
ROUND_RADII: torch.Tensor = torch.as_tensor([r for _, _, r in _ROUND], dtype=DTYPE)

_OWN_INERTIA = np.array(
    [0.02, 0.07, 0.009, 0.045, 0.03, 0.003, 0.006, 0.003, 0.0, 0.045, 0.03, 0.003, 0.006, 0.003, 0]
)
"""(15,) kg m2, across each link's length."""


class Body:
    """A person's or the character's proportions.

    Args:
        scale: (9,) factors on the canonical lengths, in the order of PROPORTIONS; ones give the
            character itself.
        hand_radius: metres, of the wrist over the ground that the hand touches.

    Attributes:
        mass: kg, the character's.
    """

    mass = float(skeleton.LINK_MASSES.sum())

    def __init__(self, scale: torch.Tensor | None = None, hand_radius: float = HAND_RADIUS) -> None:
        if scale is None:
            scale = torch.ones(len(PROPORTIONS), dtype=DTYPE)
        self.scale, self._hand_radius = scale, hand_radius
        self.offsets = torch.as_tensor(skeleton.OFFSETS, dtype=DTYPE) * scale[_OFFSET_GROUP]

    @cached_property
    def _sole(self) -> torch.Tensor:
        """(4, 3) metres, SOLE in this body's size."""
        return torch.as_tensor(SOLE, dtype=DTYPE) * self.scale[PROPORTIONS.index("foot")]

    @cached_property
    def _centres(self) -> torch.Tensor:
        """(15, 3) metres, the links' centres of mass in their frames."""
        factors = self.scale[_CENTRE_GROUP][:, None]
        return torch.as_tensor(skeleton.LINK_CENTRES, dtype=DTYPE) * factors

    def pose(self, root_pos: torch.Tensor, root_rot: torch.Tensor, angles: torch.Tensor) -> Pose:
        """Forward kinematics.

        Args:
            root_pos: (T, 3) metres.
            root_rot: (T, 3, 3) root to world.
            angles: (T, 28) radians, see DOFS.
        """
        local = rotation_matrix((angles @ _SELECT).unflatten(-1, (15, 3)))
        rot, pos = root_rot[:, None], root_pos[:, None]
        order = [0]
        for level in _LEVELS:
            parents = [order.index(skeleton.PARENTS[i]) for i in level]
            carrier = rot[:, parents]
            ids = list(level)
            pos = torch.cat(
                (pos, pos[:, parents] + (carrier @ self.offsets[ids][..., None])[..., 0]), 1
            )
            rot = torch.cat((rot, carrier @ local[:, ids]), 1)
            order += ids
        return Pose(pos[:, _BACK], rot[:, _BACK])

    def links(self, pose: Pose) -> Pose:
        """The pose itself, which is one of the canonical links."""
        return pose

    def underside(self, pose: Pose) -> Underside:
        """Sole corners (T, 8), hands (T, 2) and round shapes (T, R) against the ground."""
        soles, hands = self.soles(pose).flatten(1, 2), pose.pos[:, HANDS]
        rounds = self.round_centres(pose)
        sole_height, bottoms = soles[..., 2], rounds[..., 2] - ROUND_RADII
        return Underside(
            (
                ContactPatch(soles, sole_height, soles),
                ContactPatch(hands, hands[..., 2] - self._hand_radius, hands),
                # a knee or a back is soft, and its shape is not the person's
                ContactPatch(rounds, bottoms, rounds, firmness=0.25, slides=True),
            ),
            (sole_height, bottoms),
        )

    def soles(self, pose: Pose) -> torch.Tensor:
        """Sole corners (T, 2 feet, 4, 3), right foot first, heels first."""
        pos, rot = pose.pos[:, _FEET, None], pose.rot[:, _FEET, None]
        return pos + (rot @ self._sole[..., None])[..., 0]

    def centre_of_mass(self, pose: Pose) -> torch.Tensor:
        """(T, 3) metres."""
        weights = torch.as_tensor(skeleton.LINK_MASSES / skeleton.LINK_MASSES.sum(), dtype=DTYPE)
        centres = pose.pos + (pose.rot @ self._centres[..., None])[..., 0]
        return (centres * weights[:, None]).sum(1)

    def mass_points(self, pose: Pose) -> torch.Tensor:
        """Every link's centre of mass (T, 15, 3), metres."""
        return pose.pos + (pose.rot @ self._centres[..., None])[..., 0]

    def angular_momentum(self, pose: Pose, fps: float) -> torch.Tensor:
        """About the centre of mass, between consecutive frames (T - 1, 3), kg m2/s.

        Link masses are the character's; a link's own inertia is taken as that of a ball or rod.
        """
        mass = torch.as_tensor(skeleton.LINK_MASSES, dtype=DTYPE)
        centres = self.mass_points(pose)
        arms = centres - ((mass[:, None] * centres).sum(1) / mass.sum())[:, None]
        middle, velocity = 0.5 * (arms[1:] + arms[:-1]), (arms[1:] - arms[:-1]) * fps
        orbit = (mass[:, None] * torch.linalg.cross(middle, velocity)).sum(1)
        turn = turns_between(pose.rot)
        return orbit + (torch.as_tensor(_OWN_INERTIA)[:, None] * turn * fps).sum(1)

    def round_bottoms(self, pose: Pose) -> torch.Tensor:
        """Height (T, R) in metres of the lowest point of every round shape."""
        return self.round_centres(pose)[..., 2] - ROUND_RADII

    def round_centres(self, pose: Pose) -> torch.Tensor:
        """(T, R, 3) metres."""
        return pose.points(_ROUND_LINKS, _ROUND_CENTRES)
