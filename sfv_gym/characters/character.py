"""What the environment needs to know of a character beyond its MJCF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import mujoco

from sfv_gym import skeleton


@dataclass(frozen=True)
class Character:
    """A simulated body.

    Attributes:
        name: also the name of its MJCF, ``assets/characters/<name>.xml``.
        title: as it stands in environment ids, such as ``Atlas``; the humanoid's ids have none.
        links: the body that stands for each canonical link, in the order of ``skeleton.LINKS``.
            Errors and observations are about these bodies.
        fall_links: geoms whose touching the ground counts as a fall (SFV, early termination).
    """

    name: str
    title: str
    links: Mapping[str, str]
    fall_links: tuple[str, ...]

    @property
    def is_canonical(self) -> bool:
        """Whether its joints are those of the canonical skeleton, so that a motion fits as is."""
        return all(link == body for link, body in self.links.items())

    def spec(self) -> mujoco.MjSpec:
        """A fresh editable model of the character alone, without ground."""
        return mujoco.MjSpec.from_string(_xml(self.name))

    def model(self) -> mujoco.MjModel:
        """The compiled character alone, without ground; shared, so not to be changed."""
        return _model(self.name)


HUMANOID = Character(
    name="humanoid",
    title="",
    links={link: link for link in skeleton.LINKS},
    fall_links=("root", "chest", "neck"),
)

ATLAS = Character(
    name="atlas",
    title="Atlas",
    links={
        "root": "pelvis", "chest": "utorso", "neck": "head",
        "right_hip": "r_uleg", "right_knee": "r_lleg", "right_ankle": "r_foot",
        "right_shoulder": "r_scap", "right_elbow": "r_larm", "right_wrist": "r_hand",
        "left_hip": "l_uleg", "left_knee": "l_lleg", "left_ankle": "l_foot",
        "left_shoulder": "l_scap", "left_elbow": "l_larm", "left_wrist": "l_hand",
    },
    fall_links=("pelvis", "utorso", "head"),
)  # fmt: skip


@lru_cache
def _xml(name: str) -> str:
    path = resources.files("sfv_gym.assets").joinpath("characters", f"{name}.xml")
    return path.read_text(encoding="utf-8")


@lru_cache
def _model(name: str) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(_xml(name))
