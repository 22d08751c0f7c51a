"""The observation: one documented layout, in the root's heading frame."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from sfv_gym import skeleton
from sfv_gym.characters import get_character
from sfv_gym.checks import named, whole
from sfv_gym.errors import SettingError
from sfv_gym.terrains import HEIGHT_MAP_SIZE, get_terrain

COMMON_PARTS = 10
"""Parts that every layout begins with."""
MAX_AHEAD = 300
"""Control steps ahead, 10 s, at which a reference may be seen."""


@dataclass(frozen=True)
class Observation:
    """What an observation holds of the reference, beside its next step.

    Attributes:
        phase: sine and cosine of the phase. They tell a policy of one motion where it is; those of
            different motions mean different things.
        window: control steps ahead, in rising order, at which the reference is seen as well. A
            motion that wraps goes on, any other holds its last pose.

    Raises:
        SettingError: one of the two is of the wrong type, out of range or out of order.
    """

    phase: bool = True
    window: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.phase, bool):
            raise SettingError(f"phase must be True or False, not {self.phase!r}")
        try:
            steps = tuple(self.window)
        except TypeError:
            raise SettingError(f"window must hold control steps, not {self.window!r}") from None
        steps = tuple(whole("window", step, 1, MAX_AHEAD) for step in steps)
        if any(later <= step for step, later in pairwise(steps)):
            raise SettingError(f"window must rise from step to step, it is {steps}")
        object.__setattr__(self, "window", steps)

    @property
    def lookahead(self) -> int:
        """Control steps ahead of the farthest that is seen."""
        return max(self.window, default=1)


OBSERVATIONS = {
    "phase": Observation(),
    "window": Observation(phase=False, window=(2, 4, 8, 16)),
}


def get_observation(observation: str | Observation) -> Observation:
    """The object itself, or the one of that name.

    Raises:
        UnknownIdError: there is none of that name.
        SettingError: it is neither a name nor an ``Observation``.
    """
    return named("observation", observation, Observation, OBSERVATIONS)


@dataclass(frozen=True)
class ObservationPart:
    """``size`` neighbouring numbers of the observation from ``start`` on, and what they mean."""

    name: str
    start: int
    size: int
    unit: str
    frame: str
    range: str
    meaning: str

    @property
    def columns(self) -> slice:
        """Where they lie."""
        return slice(self.start, self.start + self.size)


OBJECT_PARTS = (
    ("object_position", 3, "m", "heading", "any", "from the root to the object's centre"),
    ("object_rotation", 6, "", "heading", "-1..1", "the object's x axis, then its z axis"),
    ("object_velocity", 3, "m/s", "heading", "any", "of its centre"),
    ("object_angular_velocity", 3, "rad/s", "heading", "any", "of the object"),
    ("object_size", 3, "m", "object", "> 0", "its lengths along its own axes"),
    ("object_reference", 3, "m", "heading", "any", "from its centre to where it is to be next"),
)
"""What is seen of each object, ``object_position_0`` and so on for the first one."""
OBJECT_SIZE = sum(size for _, size, *_ in OBJECT_PARTS)


def observation_parts(
    num_joints: int, height_map: bool, observation: Observation, objects: int = 0
) -> tuple[ObservationPart, ...]:
    """The parts of the observation of a character with ``num_joints`` actuated dofs, in order.

    Args:
        objects: how many there are in the scene.
    """
    links = len(skeleton.LINKS) - 1
    n = num_joints
    parts = [
        ("root_height", 1, "m", "world", "any", "root above the ground the reference is on"),
        ("root_rotation", 6, "", "heading", "-1..1", "the root's x axis, then its z axis"),
        ("root_velocity", 3, "m/s", "heading", "any", "of the root's origin"),
        ("root_angular_velocity", 3, "rad/s", "root", "any", "of the root"),
        ("joint_rotation", n, "rad", "parent link", "-pi..pi", "rotation vectors, hinge angles"),
        ("joint_velocity", n, "rad/s", "own link", "any", "angular velocities"),
        ("link_position", 3 * links, "m", "heading", "any", f"{links} links, from the root"),
        ("reference_position", 3, "m", "heading", "any", "from root to next reference root"),
        ("reference_rotation", 3, "rad", "root", "-pi..pi", "from root to next reference root"),
        ("reference_joints", n, "rad", "parent link", "-2 pi..2 pi", "next reference minus now"),
    ]
    if observation.phase:
        meaning = "sine, cosine: a full turn a cycle, half a turn a clip"
        parts.append(("phase", 2, "", "", "-1..1", meaning))
    for k in observation.window:
        place, axes = f"from root to reference {k} steps on", "reference root's x and z axis then"
        change = "reference then minus now"
        parts += [
            (f"reference_position_{k}", 3, "m", "heading", "any", place),
            (f"reference_rotation_{k}", 6, "", "root", "-1..1", axes),
            (f"reference_joints_{k}", n, "rad", "parent link", "-2 pi..2 pi", change),
        ]
    for k in range(objects):
        parts += [(f"{part[0]}_{k}", *part[1:]) for part in OBJECT_PARTS]
    if height_map:
        parts.append(
            ("height_map", HEIGHT_MAP_SIZE, "m", "heading", "-1..1", "ground around the root")
        )
    laid, at = [], 0
    for name, size, *text in parts:
        laid.append(ObservationPart(name, at, size, *text))
        at += size
    return tuple(laid)


def slices(parts: tuple[ObservationPart, ...]) -> dict[str, slice]:
    """Where each part lies."""
    return {part.name: part.columns for part in parts}


def observation_structure(
    character: str = "humanoid",
    terrain: str = "flat",
    observation: str | Observation = "phase",
    objects: int = 0,
) -> dict[str, slice]:
    """Where each named part lies in the observation of a character on a terrain, among so many
    objects.

    Raises:
        UnknownIdError: there is no such character, terrain or observation.
    """
    num_joints, flat = get_character(character).model.nu, get_terrain(terrain).is_flat
    return slices(observation_parts(num_joints, not flat, get_observation(observation), objects))
