"""The skeleton as the optimiser sees it: a vector of angles per frame, and a body of any size.

The canonical kinematics in ``sfv_gym.skeleton`` are written for clarity; this is the same chain
with rotation matrices, because a fit runs it a thousand times. For the same reason a body's points
are matrices, linear in its proportions, that turn frames of links into places.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
import torch

from sfv_gym import skeleton
from sfv_gym.fitting.articulation import ContactSurface, Pose, point_matrix
from sfv_gym.fitting.kinematics import Tree, rotation_matrix, swept
from sfv_gym.fitting.tensors import DTYPE, tensor

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

_SELECT = torch.zeros(3, 14, len(DOFS), dtype=DTYPE)
for _i, (_link, _axis) in enumerate(DOFS):
    _SELECT[_axis, _link - 1, _i] = 1.0
_SELECT = _SELECT.flatten(0, 1)
_TREE = Tree(skeleton.PARENTS)

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


_OFFSETS = tensor(skeleton.OFFSETS).flatten()
_OFFSET_GROUPS = torch.eye(len(PROPORTIONS), dtype=DTYPE)[:, _proportion_of().flatten()]


class LinkPoints:
    """Points on the links of a body of any proportions.

    Args:
        links: (P,) of each point. offsets: (P, 3) metres there, on the canonical skeleton.
        groups: (P,) the index into PROPORTIONS of the length that each offset grows with, or -1 of
            one that stays.
    """

    def __init__(self, links: Sequence[int], offsets: np.ndarray, groups: Sequence[int]) -> None:
        column, group = torch.as_tensor(links), torch.as_tensor(groups)
        still = tensor(offsets) * (group < 0)[:, None]
        self._fixed = point_matrix(column, still, len(skeleton.LINKS))
        self._growing = point_matrix(column, tensor(offsets), len(skeleton.LINKS)) - self._fixed
        self._groups = torch.eye(len(PROPORTIONS), dtype=DTYPE)[group]

    def at(self, scale: torch.Tensor) -> torch.Tensor:
        """(P, 60) for ``Pose.points``, of a body with these factors (9,) on its lengths."""
        return torch.addcmul(self._fixed, self._growing, (self._groups @ scale)[:, None])


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
ROUND_RADII: torch.Tensor = torch.as_tensor([r for _, _, r in _ROUND], dtype=DTYPE)

SOLES, ROUNDS = slice(0, 8), slice(8, 8 + len(_ROUND))
PALMS = slice(ROUNDS.stop, ROUNDS.stop + len(HANDS))
"""The columns of ``ContactSurface.points`` and of ``Contacts.active``: the corners of right and
left sole, the round shapes, and the hands."""
_CONTACT_SURFACE = LinkPoints(
    [i for foot in _FEET for i in [foot] * len(SOLE)] + _ROUND_LINKS + HANDS,
    np.concatenate((SOLE, SOLE, [centre for _, centre, _ in _ROUND], np.zeros((len(HANDS), 3)))),
    [PROPORTIONS.index("foot")] * (2 * len(SOLE)) + [-1] * (len(_ROUND) + len(HANDS)),
)
_CENTRES = LinkPoints(range(len(skeleton.LINKS)), skeleton.LINK_CENTRES, _proportion_of_centres())
# a knee or a back is soft, and its shape is not the person's; and it may move along
_HEIGHT_WEIGHTS = torch.ones(2 * len(SOLE) + len(_ROUND) + len(HANDS), dtype=DTYPE)
_SLIDE_WEIGHTS = _HEIGHT_WEIGHTS.clone()
_HEIGHT_WEIGHTS[ROUNDS], _SLIDE_WEIGHTS[ROUNDS] = 0.25, 0.0

_MASSES = tensor(skeleton.LINK_MASSES)
_OWN_INERTIA = np.array(
    [0.02, 0.07, 0.009, 0.045, 0.03, 0.003, 0.006, 0.003, 0.0, 0.045, 0.03, 0.003, 0.006, 0.003, 0]
)
"""(15,) kg m2, across each link's length."""
_AXES_INERTIA = 0.5 * np.tile(_OWN_INERTIA, 3)
"""(45,) what each of the links' first, second and third axes counts in their momentum."""


class Body:
    """A person's or the character's proportions.

    Args:
        scale: (9,) factors on the canonical lengths, in the order of PROPORTIONS; ones give the
            character itself.
        hand_radius: metres, of the wrist over the ground that the hand touches.

    Attributes:
        mass: kg, the character's.
        offsets: (15, 3) metres, each link's place in its parent's frame.
    """

    mass = float(skeleton.LINK_MASSES.sum())

    def __init__(self, scale: torch.Tensor | None = None, hand_radius: float = HAND_RADIUS) -> None:
        if scale is None:
            scale = torch.ones(len(PROPORTIONS), dtype=DTYPE)
        self.scale = scale
        self.offsets = (_OFFSETS * (scale @ _OFFSET_GROUPS)).view(-1, 3)
        self._radii = _radii(hand_radius)

    @cached_property
    def _centres(self) -> torch.Tensor:
        """(15, 60), by which a pose becomes the links' centres of mass."""
        return _CENTRES.at(self.scale)

    @cached_property
    def _centre(self) -> torch.Tensor:
        """(1, 60), by which it becomes that of all of them."""
        return (_MASSES / self.mass)[None] @ self._centres

    def pose(self, root_pos: torch.Tensor, root_rot: torch.Tensor, angles: torch.Tensor) -> Pose:
        """Forward kinematics.

        Args:
            root_pos: (T, 3) metres.
            root_rot: (T, 3, 3) root to world.
            angles: (T, 28) radians, see DOFS.
        """
        local = rotation_matrix((_SELECT @ angles.T).unflatten(0, (3, -1)).movedim(0, -1))
        return Pose(_TREE.frames(root_pos, root_rot, local, self.offsets[1:]))

    def links(self, pose: Pose) -> Pose:
        """The pose itself, which is one of the canonical links."""
        return pose

    def contact_surface(self, pose: Pose) -> ContactSurface:
        """Sole corners, round shapes and hands against the ground."""
        points = pose.points(_CONTACT_SURFACE.at(self.scale))
        height = points[..., 2] - self._radii
        return ContactSurface(
            points, height, points, _HEIGHT_WEIGHTS, _SLIDE_WEIGHTS, height[:, : PALMS.start]
        )

    def soles(self, pose: Pose) -> torch.Tensor:
        """Sole corners (T, 2 feet, 4, 3), right foot first, heels first."""
        return self.contact_surface(pose).points[:, SOLES].unflatten(1, (2, 4))

    def centre_of_mass(self, pose: Pose) -> torch.Tensor:
        """(T, 3) metres."""
        return pose.points(self._centre)[:, 0]

    def angular_momentum(self, pose: Pose, fps: float) -> torch.Tensor:
        """About the centre of mass, between consecutive frames (T - 1, 3), kg m2/s.

        Link masses are the character's; a link's own inertia is taken as that of a ball or rod.
        """
        # an arm's area swept per time is its momentum's moment, and a link turns as its axes do
        arms = swept(pose.combined(self._centres - self._centre), fps * skeleton.LINK_MASSES)
        return (arms + swept(pose.frames[:3].flatten(0, 1), fps * _AXES_INERTIA)).T

    def round_bottoms(self, pose: Pose) -> torch.Tensor:
        """Height (T, R) in metres of the lowest point of every round shape."""
        return self.contact_surface(pose).height[:, ROUNDS]

    def round_centres(self, pose: Pose) -> torch.Tensor:
        """(T, R, 3) metres."""
        return self.contact_surface(pose).points[:, ROUNDS]


@lru_cache(maxsize=4)
def _radii(hand: float) -> torch.Tensor:
    """(P,) metres, of what may touch the ground."""
    soles, hands = torch.zeros(2 * len(SOLE)), torch.full((len(HANDS),), hand, dtype=DTYPE)
    return torch.cat((soles, ROUND_RADII, hands))
