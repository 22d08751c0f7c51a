"""Landmarks of a person, by name: where each sits on a body, and what it says of it.

Everything that an estimator finds, and all that becomes of it, is in terms of such a set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sfv_gym import skeleton
from sfv_gym.errors import PoseError

JOINTS: tuple[str, ...] = tuple(
    f"{side}_{part}"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
"""The landmarks that every set has: poses are compared, and bodies measured, by them."""
HEAD: tuple[str, ...] = ("nose", "left_ear", "right_ear")
"""From these, where a set has them, the head's turn is guessed at first."""


def foot(side: str) -> tuple[str, str]:
    """Heel and tip of the toes of ``"left"`` or ``"right"``: the same for a foot."""
    return f"{side}_heel", f"{side}_foot_index"


@dataclass(frozen=True)
class Marker:
    """Where a landmark sits on the body: a point fixed in a link's frame.

    Landmarks are learned from pictures of skin, so they do not sit on the joints.

    Attributes:
        landmark: name.
        link: name of one of `skeleton.LINKS`.
        offset: metres in the link's frame (x ahead, y left, z up), on the canonical skeleton.
        weight: of its 2D residual, 1 for a landmark that is as good as a wrist.
    """

    landmark: str
    link: str
    offset: tuple[float, float, float]
    weight: float = 1.0


def marker_pair(
    landmark: str, link: str, x: float, y: float, z: float, weight: float = 1.0
) -> tuple[Marker, Marker]:
    """The markers of ``right_<landmark>`` and ``left_<landmark>``, mirror images of each other.

    Args:
        link: name without its side. y: metres outward from the body; x, z: as in `Marker`.
    """
    return (
        Marker(f"right_{landmark}", f"right_{link}", (x, -y, z), weight),
        Marker(f"left_{landmark}", f"left_{link}", (x, y, z), weight),
    )


@dataclass(frozen=True)
class LandmarkSet:
    """The landmarks of an estimator, and what each of them says of a body.

    Attributes:
        name: of the set; pose files keep it.
        names: of the K landmarks, in the order of every array's columns. Those of JOINTS are among
            them; "left" and "right" in a name tell the two sides of a pair.
        markers: the M landmarks that the fit of a person uses, those of JOINTS among them.
        directions: (from, to, weight) of pairs of markers whose direction in 3D is evidence.
        bones: pairs of landmarks between which a line is drawn.
        cropped: whether "away from the camera" means along the ray to the person, as for a network
            that sees a crop around them; otherwise along the camera's axis.

    Raises:
        PoseError: names are missing, or there twice, or no link is called so, or there are no
            directions.
    """

    name: str
    names: tuple[str, ...]
    markers: tuple[Marker, ...]
    directions: tuple[tuple[str, str, float], ...]
    bones: tuple[tuple[str, str], ...] = ()
    cropped: bool = True

    def __post_init__(self) -> None:
        marked = [marker.landmark for marker in self.markers]
        for names, what in ((list(self.names), "landmarks"), (marked, "markers")):
            if twice := {name for name in names if names.count(name) > 1}:
                raise PoseError(f"{self}: {what} twice: {_listed(twice)}")
        ends = {name for a, b, _ in self.directions for name in (a, b)}
        drawn = {name for bone in self.bones for name in bone}
        for wanted, known, what in (
            (JOINTS, marked, "no markers of"),
            ([*marked, *drawn, *map(_mirrored, self.names)], self.names, "no landmarks called"),
            (ends, marked, "directions between what has no marker:"),
            ([m.link for m in self.markers], skeleton.LINKS, "no links called"),
        ):
            if missing := set(wanted) - set(known):
                raise PoseError(f"{self}: {what} {_listed(missing)}")
        if not self.directions:
            raise PoseError(f"{self}: no directions: nothing would be known of depth")

    def __str__(self) -> str:
        return f"landmarks {self.name!r}"

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """The column of a landmark."""
        return self._index[name]

    def indices(self, *names: str) -> list[int]:
        """The columns of landmarks."""
        return [self._index[name] for name in names]

    def marker(self, name: str) -> int:
        """The column of the marker that shows a landmark, among the M markers."""
        return self._marker[name]

    def marks(self, *names: str) -> bool:
        """Whether each of these landmarks has a marker."""
        return self._marker.keys() >= set(names)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def _marker(self) -> dict[str, int]:
        return {marker.landmark: i for i, marker in enumerate(self.markers)}

    @cached_property
    def mirror(self) -> np.ndarray:
        """(K,) for each landmark, the one that takes its place in a mirror."""
        return np.array(self.indices(*map(_mirrored, self.names)))

    @cached_property
    def joints(self) -> np.ndarray:
        """(12,) the columns of JOINTS."""
        return np.array(self.indices(*JOINTS))

    @cached_property
    def legs(self) -> np.ndarray:
        """(2, 2 to 4) the columns of each leg's landmarks, left leg first: knee, ankle, and what
        there is of heel and toes."""
        parts = ("knee", "ankle", "heel", "foot_index")
        known = [part for part in parts if f"left_{part}" in self._index]
        return np.array([self.indices(*(f"{s}_{p}" for p in known)) for s in ("left", "right")])

    @cached_property
    def marked(self) -> np.ndarray:
        """(M,) the landmark's column of every marker."""
        return np.array(self.indices(*(marker.landmark for marker in self.markers)))

    @cached_property
    def links(self) -> np.ndarray:
        """(M,) the link's index of every marker."""
        return np.array([skeleton.link_index(marker.link) for marker in self.markers])

    @cached_property
    def offsets(self) -> np.ndarray:
        """(M, 3) metres in the link's frame."""
        return np.array([marker.offset for marker in self.markers])

    @cached_property
    def weights(self) -> np.ndarray:
        """(M,) of the markers."""
        return np.array([marker.weight for marker in self.markers])

    @cached_property
    def direction_pairs(self) -> np.ndarray:
        """(D, 2) columns of markers, from and to."""
        return np.array([(self._marker[a], self._marker[b]) for a, b, _ in self.directions])

    @cached_property
    def direction_weights(self) -> np.ndarray:
        """(D,)."""
        return np.array([weight for _, _, weight in self.directions])

    def at_joints(self) -> LandmarkSet:
        """The same, but that those of JOINTS are the joints' centres."""
        markers = (
            replace(marker, offset=(0.0, 0.0, 0.0)) if marker.landmark in JOINTS else marker
            for marker in self.markers
        )
        return replace(self, name=f"{self.name}_joints", markers=tuple(markers))

    def subset(self, name: str, names: Iterable[str]) -> LandmarkSet:
        """A set of some of these landmarks, with the markers, directions and bones among them.

        Args:
            name: of the new set. names: in the order of its own columns.
        """
        kept = tuple(names)
        return LandmarkSet(
            name,
            kept,
            tuple(marker for marker in self.markers if marker.landmark in kept),
            tuple(line for line in self.directions if line[0] in kept and line[1] in kept),
            tuple(bone for bone in self.bones if bone[0] in kept and bone[1] in kept),
            self.cropped,
        )


def _mirrored(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
