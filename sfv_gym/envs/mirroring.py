"""Left and right exchanged in what a policy sees and does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sfv_gym.characters import Character
from sfv_gym.characters.symmetry import AXIAL, POLAR, Reorder, Symmetry
from sfv_gym.errors import SettingError


class NamedPart(Protocol):
    """A part of an observation: a task's or a policy's."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def size(self) -> int:
        """Numbers in it."""


@dataclass(frozen=True)
class Mirror:
    """What the mirror makes of observations (..., D) and of actions (..., A).

    In the mirror image of a state, a character sees ``observation(o)``, and what acts there as
    ``a`` does here is ``action(a)``. Each undoes itself.
    """

    observation: Reorder
    action: Reorder


def mirror_of(parts: Sequence[NamedPart], character: Character) -> Mirror:
    """That of an observation's layout, such as ``Task.observation_parts``.

    Raises:
        CharacterError: the character has no mirror image, see ``Symmetry.of``.
        SettingError: a part has none, as the height map, whose rows are staggered to one side.
    """
    symmetry = Symmetry.of(character)
    order = symmetry.links[1:] - 1
    columns = (3 * order[:, None] + np.arange(3)).ravel()
    links = Reorder(columns, np.tile(POLAR, len(order)), np.zeros(len(columns)))
    one, polar, axial = (Reorder.signs(s) for s in (np.ones(1), POLAR, AXIAL))
    axes = Reorder.joined((polar, polar))
    known = {
        "root_height": one,
        "root_rotation": axes,
        "root_velocity": polar,
        "root_angular_velocity": axial,
        "joint_rotation": symmetry.angles,
        "joint_velocity": symmetry.dofs,
        "link_position": links,
        "reference_position": polar,
        "reference_rotation": axial,
        "reference_joints": symmetry.dofs,
        "phase": Reorder.joined((one, one)),
        # so many steps ahead
        "reference_position_": polar,
        "reference_rotation_": axes,
        "reference_joints_": symmetry.dofs,
        # of each object; its own y axis is reflected, too, so that its shape stays what it is
        "object_position_": polar,
        "object_rotation_": axes,
        "object_velocity_": polar,
        "object_angular_velocity_": axial,
        "object_size_": Reorder.joined((one, one, one)),
        "object_reference_": polar,
    }
    found = []
    for part in parts:
        rule = known.get(re.sub(r"(?<=_)\d+$", "", part.name))
        if rule is None or len(rule.order) != part.size:
            raise SettingError(f"nobody knows the mirror image of {part.name} in an observation")
        found.append(rule)
    return Mirror(Reorder.joined(found), symmetry.dofs)
