"""A character: its MJCF, and what the environment needs to know of it beyond that."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mujoco
import numpy as np

from sfv_gym import skeleton
from sfv_gym.characters.joints import JointMap
from sfv_gym.characters.shapes import Shapes, colliding_geoms
from sfv_gym.errors import CharacterError

STANDING_KEY = "stand"
"""The key frame of a character's MJCF that shows it upright, with level feet, pelvis and chest."""
SAME_PLACE = 1e-6
"""Metres: a joint nearer than this to the canonical skeleton's is at its place."""


@dataclass(frozen=True, eq=False)
class Character:
    """A simulated body, checked when it is made.

    Attributes:
        name: as ``gym.make(character=...)`` has it.
        mjcf: text of its MJCF: the character alone, without ground. Its bodies hang on one free
            joint, the others are balls and hinges with one ``position`` actuator a degree of
            freedom, in order and each with a force range.
        links: the body that stands for each canonical link, ``skeleton.LINKS``. Errors and
            observations are about these bodies.
        fall_geoms: names of geoms whose touching the ground is a fall (SFV, early termination).
        title: as it stands in environment ids, such as ``Atlas``; the humanoid's ids have none.
        assets: contents of the files that the MJCF names, such as meshes, by name.

    Raises:
        CharacterError: the MJCF does not compile, or lacks what imitation needs.
    """

    name: str
    mjcf: str
    links: Mapping[str, str]
    fall_geoms: tuple[str, ...]
    title: str = ""
    assets: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "links", MappingProxyType(dict(self.links)))
        object.__setattr__(self, "fall_geoms", tuple(self.fall_geoms))
        try:
            model = self.model
        except ValueError as error:
            raise CharacterError(f"{self.name}: its MJCF does not compile: {error}") from None
        for fault in _faults(model, self.links, self.fall_geoms):
            raise CharacterError(f"{self.name}: {fault}")
        Shapes(model, colliding_geoms(model))  # names a geom whose shape it does not know

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        links: Mapping[str, str],
        fall_geoms: tuple[str, ...],
        *,
        name: str | None = None,
        title: str = "",
    ) -> Character:
        """A character of an MJCF file, with the meshes that it names.

        Args:
            name: by default that of the file.

        Raises:
            CharacterError: see the class; or a file is missing.
        """
        path = Path(path)
        try:
            spec = mujoco.MjSpec.from_file(str(path))
            folder = path.parent / (spec.meshdir or "")
            files = {mesh.file: (folder / mesh.file).read_bytes() for mesh in spec.meshes}
            mjcf = spec.to_xml()
        except (OSError, ValueError) as error:
            raise CharacterError(f"{path} cannot be read as MJCF: {error}") from None
        return cls(name or path.stem, mjcf, links, fall_geoms, title, files)

    @cached_property
    def model(self) -> mujoco.MjModel:
        """The compiled character alone, without ground; shared, so not to be changed."""
        return self.spec().compile()

    @cached_property
    def joints(self) -> JointMap:
        """Where its joints lie in qpos, qvel and ctrl, in its own model and in every scene."""
        return JointMap.of(self.model)

    @cached_property
    def link_ids(self) -> np.ndarray:
        """(15,) ids of the bodies that stand for the canonical links, in their order."""
        return np.array([self.model.body(self.links[link]).id for link in skeleton.LINKS])

    @cached_property
    def standing(self) -> np.ndarray:
        """(nq,) its standing pose: the key frame ``stand``, or else the MJCF's own pose."""
        key = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_KEY, STANDING_KEY)
        return np.array(self.model.key_qpos[key] if key >= 0 else self.model.qpos0)

    @cached_property
    def is_canonical(self) -> bool:
        """Whether it has the canonical skeleton, so that a motion's rotations fit as they are:
        the same joints by name, kind, axis and place. Masses and shapes may differ."""
        model = self.model
        if any(link != body for link, body in self.links.items()):
            return False
        if model.nbody != len(skeleton.LINKS) + 1:
            return False
        hinges = {self.joints.names[i] for i in self.joints.hinges}
        place = np.abs(model.body_pos[self.link_ids[1:]] - skeleton.OFFSETS[1:]).max()
        return (
            hinges == set(skeleton.HINGE_LINKS)
            and set(self.joints.names) == set(skeleton.ROTATION_LIMITS)
            and bool((self.joints.hinge_axis == (0.0, 1.0, 0.0)).all())
            and float(place) < SAME_PLACE
        )

    def spec(self) -> mujoco.MjSpec:
        """A fresh editable model of the character alone, without ground."""
        return mujoco.MjSpec.from_string(self.mjcf, assets=dict(self.assets))

    def fall_shapes(self, scene: mujoco.MjModel | None = None) -> Shapes:
        """How low its fall geoms reach, in a scene; by default in its own model."""
        scene = self.model if scene is None else scene
        return Shapes(scene, np.array([scene.geom(name).id for name in self.fall_geoms]))

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: self.__dict__[name] for name in self.__dataclass_fields__}
        return {**kept, "links": dict(self.links)}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        for name, value in {**kept, "links": MappingProxyType(kept["links"])}.items():
            object.__setattr__(self, name, value)


def _faults(
    model: mujoco.MjModel, links: Mapping[str, str], fall_geoms: tuple[str, ...]
) -> list[str]:
    """What keeps a model from being a character, the most basic first."""
    joint, obj = mujoco.mjtJoint, mujoco.mjtObj

    def missing(kind: Any, names: Any) -> list[str]:
        return [name for name in names if mujoco.mj_name2id(model, kind, name) < 0]

    if not model.njnt or model.jnt_type[0] != joint.mjJNT_FREE or model.jnt_bodyid[0] != 1:
        return ["its first body needs a free joint, the root's"]
    kinds = model.jnt_type[1:]
    if not np.isin(kinds, (joint.mjJNT_BALL, joint.mjJNT_HINGE)).all():
        return ["below the root its joints must be balls and hinges"]
    if len(kinds) == 0:
        return ["it has no joint below its root"]
    faults = []
    unknown = sorted(set(skeleton.LINKS) - set(links))
    if unknown:
        faults.append(f"links must name a body for {', '.join(unknown)}")
    if lost := missing(obj.mjOBJ_BODY, links.values()):
        faults.append(f"it has no body {', '.join(lost)}, which links names")
    if not fall_geoms:
        faults.append("fall_geoms must name at least one geom")
    if lost := missing(obj.mjOBJ_GEOM, fall_geoms):
        faults.append(f"it has no geom {', '.join(lost)}, which fall_geoms names")
    nameless = [str(j) for j in range(1, model.njnt) if not model.joint(j).name]
    if nameless:
        faults.append(f"joints need names; number {', '.join(nameless)} has none")
    if model.nu != model.nv - 6:
        faults.append(
            f"it has {model.nu} actuators for {model.nv - 6} degrees of freedom below its root: "
            "each needs one"
        )
        return faults
    for actuator in range(model.nu):
        name = model.actuator(actuator).name or f"number {actuator}"
        if _driven_dof(model, actuator) != 6 + actuator:
            faults.append(
                f"actuator {name} does not drive degree of freedom {actuator} below the root "
                f"(joint {_joint_of_dof(model, 6 + actuator)}): they must come in the order of "
                "the joints, a ball's about its x, y, z axes"
            )
        low, high = model.actuator_forcerange[actuator]
        if not (model.actuator_forcelimited[actuator] and low < 0.0 < high):
            faults.append(f"actuator {name} has no forcerange about 0: its torque limit")
        if model.actuator_biastype[actuator] != mujoco.mjtBias.mjBIAS_AFFINE:
            faults.append(f"actuator {name} is not of the kind `position`")
    return faults + _standing_faults(model, fall_geoms, faults)


def _standing_faults(
    model: mujoco.MjModel, fall_geoms: tuple[str, ...], faults: list[str]
) -> list[str]:
    """Whether it stands in its standing pose."""
    if faults:
        return []
    data = mujoco.MjData(model)
    key = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_KEY, STANDING_KEY)
    data.qpos[:] = model.key_qpos[key] if key >= 0 else model.qpos0
    mujoco.mj_kinematics(model, data)
    heights = {name: float(data.geom(name).xpos[2]) for name in fall_geoms}
    feet = float(data.geom_xpos[colliding_geoms(model), 2].min(initial=np.inf))
    if not np.isfinite(feet):
        return ["it has no geom that can touch the ground"]
    if min(heights.values()) <= feet:
        where = f"its key frame `{STANDING_KEY}`" if key >= 0 else "the MJCF's own pose"
        lowest = min(heights, key=lambda name: heights[name])
        return [f"it does not stand in {where}: nothing is lower than {lowest}"]
    return []


def _driven_dof(model: mujoco.MjModel, actuator: int) -> int:
    """The degree of freedom that an actuator drives, -1 if it is of another kind."""
    if model.actuator_trntype[actuator] != mujoco.mjtTrn.mjTRN_JOINT:
        return -1
    joint = model.actuator_trnid[actuator, 0]
    if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE:
        return int(model.jnt_dofadr[joint])
    axes = np.flatnonzero(model.actuator_gear[actuator, :3])
    return int(model.jnt_dofadr[joint] + axes[0]) if len(axes) == 1 else -1


def _joint_of_dof(model: mujoco.MjModel, dof: int) -> str:
    return str(model.joint(int(model.dof_jntid[dof])).name)


def _shipped(
    name: str, links: Mapping[str, str], fall_geoms: tuple[str, ...], title: str
) -> Character:
    path = resources.files("sfv_gym.assets").joinpath("characters", f"{name}.xml")
    return Character(name, path.read_text(encoding="utf-8"), links, fall_geoms, title)


HUMANOID = _shipped(
    "humanoid",
    {link: link for link in skeleton.LINKS},
    ("root", "chest", "neck"),
    "",
)

ATLAS = _shipped(
    "atlas",
    {
        "root": "pelvis", "chest": "utorso", "neck": "head",
        "right_hip": "r_uleg", "right_knee": "r_lleg", "right_ankle": "r_foot",
        "right_shoulder": "r_scap", "right_elbow": "r_larm", "right_wrist": "r_hand",
        "left_hip": "l_uleg", "left_knee": "l_lleg", "left_ankle": "l_foot",
        "left_shoulder": "l_scap", "left_elbow": "l_larm", "left_wrist": "l_hand",
    },
    ("pelvis", "utorso", "head"),
    "Atlas",
)  # fmt: skip
