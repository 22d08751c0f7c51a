"""The observation: one documented layout, in the root's heading frame."""

from __future__ import annotations

from dataclasses import dataclass

from sfv_gym import skeleton
from sfv_gym.characters import get_character
from sfv_gym.terrains import HEIGHT_MAP_SIZE, get_terrain


@dataclass(frozen=True)
class ObservationPart:
    """``size`` neighbouring numbers of the observation, and what they mean."""

    name: str
    size: int
    unit: str
    frame: str
    range: str
    meaning: str


def observation_parts(num_joints: int, height_map: bool) -> tuple[ObservationPart, ...]:
    """The parts of the observation of a character with ``num_joints`` actuated dofs, in order."""
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
        ("phase", 2, "", "", "-1..1", "sine, cosine: a full turn a cycle, half a turn a clip"),
    ]
    if height_map:
        parts.append(
            ("height_map", HEIGHT_MAP_SIZE, "m", "heading", "-1..1", "ground around the root")
        )
    return tuple(ObservationPart(*part) for part in parts)


def slices(parts: tuple[ObservationPart, ...]) -> dict[str, slice]:
    """Where each part lies."""
    out, at = {}, 0
    for part in parts:
        out[part.name] = slice(at, at + part.size)
        at += part.size
    return out


def observation_structure(character: str = "humanoid", terrain: str = "flat") -> dict[str, slice]:
    """Where each named part lies in the observation of a character on a terrain.

    Raises:
        UnknownIdError: there is no such character or terrain.
    """
    num_joints = get_character(character).model.nu
    return slices(observation_parts(num_joints, height_map=not get_terrain(terrain).is_flat))
