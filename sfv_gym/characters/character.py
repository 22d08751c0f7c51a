"""What the environment needs to know of a character beyond its MJCF."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import mujoco


@dataclass(frozen=True)
class Character:
    """A simulated body.

    Attributes:
        name: also the name of its MJCF, ``assets/characters/<name>.xml``.
        fall_links: links whose touching the ground counts as a fall (SFV, early termination).
    """

    name: str
    fall_links: tuple[str, ...]

    def spec(self) -> mujoco.MjSpec:
        """A fresh editable model of the character alone, without ground."""
        xml = resources.files("sfv_gym.assets").joinpath("characters", f"{self.name}.xml")
        return mujoco.MjSpec.from_string(xml.read_text(encoding="utf-8"))
