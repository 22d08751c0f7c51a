"""What an object is: one rigid body of one shape, which stands fast or may be moved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from sfv_gym.checks import real
from sfv_gym.errors import SettingError
from sfv_gym.rotations import quat_conjugate, quat_multiply, quat_rotate

if TYPE_CHECKING:
    import mujoco

Numbers = float | Sequence[float] | Sequence[Sequence[float]] | np.ndarray
LEAST_SIZE, MOST_SIZE = 0.01, 100.0
"""Metres, of each of an object's lengths."""
COLOUR = (0.72, 0.56, 0.38, 1.0)
_REFLECTED, _REFLECTED_QUAT = np.array([1.0, -1.0, 1.0]), np.array([1.0, -1.0, 1.0, -1.0])


@dataclass(frozen=True, eq=False)
class SceneObject(ABC):
    """Base of all types of object: what stands or lies in a motion's scene.

    Places are in the motion's own world: z up, the ground at z = 0, in metres. For a character
    that a motion is scaled for, all of it is scaled alike.

    Attributes:
        size: (3,) metres, its whole lengths along its own axes; one number: all three.
        position: (3,) metres, where its centre is; or (T, 3), its path: one a frame of the motion.
        rotation: (4,) wxyz, from its own axes to the world's; or (T, 4).
        mass: kg, of an object that may be moved; None: it stands fast.
        friction: between it and whatever touches it.
        size_range: largest relative change of each length, drawn for each episode; one number or
            (3,). What it stands on with its lowest point stays where it is.
        place_range: metres, its largest shift along x and along y; its path goes with it.
        mass_range: largest relative change of its mass.
        half: (3,) metres, half of ``size``.
        places, turns: (F, 3) and (F, 4): ``position`` and ``rotation``, F is 1 or T.

    Raises:
        SettingError: a value is of the wrong type or out of range, or an object that stands fast
            has a path.
    """

    size: Numbers
    position: Numbers
    rotation: Numbers = (1.0, 0.0, 0.0, 0.0)
    mass: float | None = None
    friction: float = 0.8
    size_range: Numbers = 0.0
    place_range: float = 0.0
    mass_range: float = 0.0
    half: np.ndarray = field(init=False, repr=False)
    places: np.ndarray = field(init=False, repr=False)
    turns: np.ndarray = field(init=False, repr=False)

    name: ClassVar[str]
    """What a motion's file calls it."""
    geom: ClassVar[str]
    """MuJoCo's name of its shape, such as ``box``."""
    is_round: ClassVar[bool] = False
    """Whether it is the same however it is turned: its lengths are one, and it has no turn to be
    told."""

    def __post_init__(self) -> None:
        size = _array(f"the size of {self.name}", self.size, 3)[0]
        for length in size:
            real(f"the size of {self.name}", length, LEAST_SIZE, MOST_SIZE)
        places = _array(f"the position of {self.name}", self.position, 3)
        turns = _array(f"the rotation of {self.name}", self.rotation, 4)
        norm = np.linalg.norm(turns, axis=-1, keepdims=True)
        if abs(norm - 1.0).max() > 1e-3:
            raise SettingError(f"the rotation of {self.name} must be of unit quaternions, wxyz")
        frames = max(len(places), len(turns))
        if {len(places), len(turns)} - {1, frames}:
            raise SettingError(
                f"the path of {self.name} has {len(places)} positions and {len(turns)} rotations"
            )
        if self.mass is not None:
            real(f"the mass of {self.name}", self.mass, 1e-3, 1e5)
        elif np.ptp(places, axis=0).any() or np.ptp(turns, axis=0).any():
            raise SettingError(f"{self.name} stands fast and has a path: give it a mass")
        real(f"the friction of {self.name}", self.friction, 0.0, 10.0)
        ranges = _array(f"the size_range of {self.name}", self.size_range, 3)[0]
        for share in ranges:
            real(f"the size_range of {self.name}", share, 0.0, 0.9)
        real(f"the place_range of {self.name}", self.place_range, 0.0, 10.0)
        real(f"the mass_range of {self.name}", self.mass_range, 0.0, 0.9)
        if self.is_round and (np.ptp(size) or np.ptp(ranges)):
            raise SettingError(f"{self.name} has one size, not {size.tolist()}")
        object.__setattr__(self, "size_range", ranges)
        object.__setattr__(self, "half", 0.5 * size)
        object.__setattr__(self, "places", np.broadcast_to(places, (frames, 3)))
        object.__setattr__(self, "turns", np.broadcast_to(turns / norm, (frames, 4)))

    @abstractmethod
    def reach(self, half: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """How far (...) in metres it reaches from its centre along unit vectors (..., 3), and
        against them, in its own frame.

        Args:
            half: (..., 3) metres, half of its lengths.
        """

    def geom_size(self, half: np.ndarray) -> np.ndarray:
        """MuJoCo's numbers (..., 3) of the shape with half lengths (..., 3) in metres."""
        return half

    @property
    def moves(self) -> bool:
        """Whether its path leads anywhere."""
        return bool(np.ptp(self.places, axis=0).any() or np.ptp(self.turns, axis=0).any())

    @property
    def largest(self) -> np.ndarray:
        """(3,) metres, half of the largest lengths that are drawn."""
        grown: np.ndarray = self.half * (1.0 + np.asarray(self.size_range))
        return grown

    def drop(self, half: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """Metres (...) from its centre down to its lowest point, when turned by (..., 4)."""
        return self.reach(half, quat_rotate(quat_conjugate(turn), np.array([0.0, 0.0, 1.0])))

    def add_to(self, spec: mujoco.MjSpec, name: str) -> None:
        """Add it to the world of a scene, after the character and the ground.

        It is compiled as large as it may be drawn: what MuJoCo keeps of bounding boxes then holds
        for every size, and a simulation's own is nothing but ``geom_size``.

        Args:
            name: of its body, joint and geom: there may be two of a type.
        """
        import mujoco  # not by whoever reads a motion

        shape: dict[str, Any] = {  # as MuJoCo's keywords
            "type": getattr(mujoco.mjtGeom, f"mjGEOM_{self.geom.upper()}"),
            "size": self.geom_size(self.largest),
        }
        body = spec.worldbody.add_body(name=name, pos=self.places[0], quat=self.turns[0])
        if self.mass is not None:
            body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_FREE, armature=0.0, damping=0.0)
            alone = mujoco.MjSpec()  # a character's model may say that geoms have no inertia
            alone.worldbody.add_body().add_geom(**shape, mass=self.mass)
            body.mass, body.inertia = self.mass, alone.compile().body_inertia[1]
            body.ipos, body.explicitinertial = np.zeros(3), True
        body.add_geom(
            name=name,
            **shape,
            mass=0.0,
            friction=[self.friction, 0.005, 0.0001],
            priority=1,  # else the larger friction of the two that touch would count
            condim=3,
            solref=[0.015, 1.0],
            contype=1,
            conaffinity=1,
            rgba=COLOUR,
        )

    # --- the same elsewhere -----------------------------------------------------------------

    def placed(self, turn: np.ndarray, shift: np.ndarray) -> Self:
        """Turned by a quaternion (4,) about the world's origin, then moved by (3,) metres."""
        return replace(
            self,
            position=quat_rotate(turn, self.places) + shift,
            rotation=quat_multiply(turn, self.turns),
        )

    def reflected(self) -> Self:
        """Its mirror image in the plane y = 0."""
        return replace(
            self, position=self.places * _REFLECTED, rotation=self.turns * _REFLECTED_QUAT
        )

    def scaled(self, factor: float) -> Self:
        """All lengths times ``factor``, of the same density."""
        return replace(
            self,
            size=2.0 * factor * self.half,
            position=factor * self.places,
            mass=None if self.mass is None else self.mass * factor**3,
            place_range=factor * self.place_range,
        )


def _array(what: str, values: Numbers, width: int) -> np.ndarray:
    """Numbers as (F, width)."""
    try:
        array = np.asarray(values, float)
        if array.ndim == 0:
            array = np.full(width, float(array)) if width == 3 else array
        if array.ndim == 1:
            array = array[None]
    except (TypeError, ValueError):
        raise SettingError(f"{what} must be numbers, not {values!r}") from None
    if array.ndim != 2 or array.shape[1] != width or not len(array):
        raise SettingError(f"{what} must be {width} numbers, it has shape {np.shape(values)}")
    if not np.isfinite(array).all():
        raise SettingError(f"{what} has NaN or infinite values")
    return array
