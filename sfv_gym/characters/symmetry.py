"""Left and right of a character exchanged: of its state, its actions, and how exact that is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import mujoco
import numpy as np

from sfv_gym.array_types import Bool, Float, Int
from sfv_gym.characters.character import Character
from sfv_gym.characters.shapes import colliding_geoms
from sfv_gym.errors import CharacterError

POLAR = np.array([1.0, -1.0, 1.0])
"""What a reflection in y = 0 makes of places and velocities."""
AXIAL = -POLAR
"""What it makes of turns: rotation vectors and angular velocities."""
REFLECTED_QUAT = np.array([1.0, -1.0, 1.0, -1.0])
SAME_PLACE, SAME_AXIS = 0.03, 1e-3
"""Metres and cosine within which joints must be each other's mirror images. Atlas's left forearm,
as published, is 18 mm beside the right one's image."""


@dataclass(frozen=True)
class Reorder:
    """Numbers in another order and with other signs: its own inverse, as every mirror is.

    Attributes:
        order: (D,) where each is taken from. sign: (D,) 1 or -1, by which it is multiplied.
        offset: (D,) what is added then: angles that are counted from another side.
    """

    order: Int[np.ndarray, " D"]
    sign: Float[np.ndarray, " D"]
    offset: Float[np.ndarray, " D"]

    def __call__(self, values: Float[np.ndarray, "*B D"]) -> Float[np.ndarray, "*B D"]:
        """The mirror image of values (..., D), of their own type."""
        kind = values.dtype
        return np.asarray(
            values[..., self.order] * self.sign.astype(kind) + self.offset.astype(kind)
        )

    @classmethod
    def joined(cls, parts: Sequence[Reorder]) -> Reorder:
        """That of numbers that follow each other, each of one of ``parts``."""
        ends = np.cumsum([len(part.order) for part in parts])
        starts = [0, *ends[:-1]]
        return cls(
            np.concatenate([part.order + at for part, at in zip(parts, starts, strict=True)]),
            np.concatenate([part.sign for part in parts]),
            np.concatenate([part.offset for part in parts]),
        )

    @classmethod
    def signs(cls, sign: Float[np.ndarray, " D"]) -> Reorder:
        """In the same order."""
        return cls(np.arange(len(sign)), np.asarray(sign, float), np.zeros(len(sign)))


@dataclass(frozen=True)
class Symmetry:
    """How the mirror image of a character, in the plane y = 0 of its root, moves its joints.

    Attributes:
        bodies: (nbody,) the body that each becomes.
        dofs: of the nu degrees of freedom below the root, in their order: of velocities, changes of
            angle, actions. angles: the same of joint vectors: rotation vectors and hinge angles.
        links: (15,) the canonical link that each becomes.
        misplaced: (nbody,) metres by which each is beside its image when standing.
    """

    character: Character
    bodies: Int[np.ndarray, " B"]
    dofs: Reorder
    angles: Reorder
    links: Int[np.ndarray, "15"]
    misplaced: Float[np.ndarray, " B"]

    @classmethod
    def of(cls, character: Character) -> Symmetry:
        """That of a character whose joints are as the mirror has them: where and about which axes.

        Masses, shapes and motors may differ: see ``asymmetries``.

        Raises:
            CharacterError: they are not; names the body.
        """
        return _of(character)

    def coordinates(
        self, qpos: Float[np.ndarray, "N Q"], qvel: Float[np.ndarray, "N V"]
    ) -> tuple[Float[np.ndarray, "N Q"], Float[np.ndarray, "N V"]]:
        """Mirror image of states qpos (N, nq) and qvel (N, nv)."""
        joints = self.character.joints
        there, back = np.array(qpos), np.array(qvel)
        there[:, :3] = qpos[:, :3] * POLAR
        there[:, 3:7] = qpos[:, 3:7] * REFLECTED_QUAT
        back[:, :3], back[:, 3:6] = qvel[:, :3] * POLAR, qvel[:, 3:6] * AXIAL
        back[:, 6:] = self.dofs(qvel[:, 6:])
        place = dict(zip(joints.hinge_dof - 6, joints.hinge_qpos, strict=True))
        for dof, at in place.items():
            there[:, at] = self.dofs.sign[dof] * qpos[:, place[self.dofs.order[dof]]]
            there[:, at] += self.angles.offset[dof]
        first = {dof[0] - 6: at for dof, at in zip(joints.ball_dof, joints.ball_qpos, strict=True)}
        for dof, at in first.items():
            source, span = first[self.dofs.order[dof]], slice(dof, dof + 3)
            there[:, at[0]] = qpos[:, source[0]]
            there[:, at[1:]] = self.dofs.sign[span] * qpos[:, source[1:]]
        return there, back

    def asymmetries(self) -> dict[str, float]:
        """How far the model is from its own mirror image: the largest difference of each kind.

        Returns:
            ``places`` of links in metres, ``mass`` in kg, ``centre`` of a link's mass in metres,
            ``inertia`` as a share of the link's largest moment, ``limits`` of the joints in rad,
            ``motors`` (gains, torque limits, armature) as a share, ``geoms`` (places and sizes of
            what collides) in metres.
        """
        model, data = self.character.model, _standing_straight(self.character)
        other, found = self.bodies, {"places": self.misplaced.max()}
        found["mass"] = np.abs(model.body_mass - model.body_mass[other]).max()
        found["centre"] = np.abs(data.xipos * POLAR - data.xipos[other])[1:].max()
        turn = data.ximat.reshape(-1, 3, 3)
        inertia = np.einsum("bik,bk,bjk->bij", turn, model.body_inertia, turn)
        reflected = inertia * np.outer(POLAR, POLAR)
        size = np.abs(inertia).max((1, 2), keepdims=True) + 1e-12
        found["inertia"] = (np.abs(reflected - inertia[other]) / size)[1:].max()

        order, sign, offset = (getattr(self.angles, n) for n in ("order", "sign", "offset"))
        joint = model.dof_jntid[6:]
        limits = np.where(model.jnt_limited[joint, None], model.jnt_range[joint], 0.0)
        turned = np.where(sign[:, None] > 0, limits[order], -limits[order][:, ::-1])
        turned = turned + offset[:, None]
        found["limits"] = np.abs(turned - limits)[_hinged(model)].max(initial=0.0)
        motors = np.column_stack(
            (
                model.actuator_gainprm[:, 0], model.actuator_biasprm[:, 1:3],
                model.actuator_forcerange, model.dof_armature[6:], model.dof_damping[6:],
            )
        )  # fmt: skip
        found["motors"] = np.max(np.abs(motors - motors[order]) / (np.abs(motors) + 1e-12))
        found["geoms"] = max(self._geom_differences(data), default=0.0)
        return {name: float(value) for name, value in found.items()}

    def _geom_differences(self, data: mujoco.MjData) -> Iterator[float]:
        """Of each colliding geom from the nearest of its mirror image's body, in metres."""
        model, ids = self.character.model, colliding_geoms(self.character.model)
        for geom in ids:
            twins = ids[model.geom_bodyid[ids] == self.bodies[model.geom_bodyid[geom]]]
            if not len(twins):
                yield float("inf")
                continue
            place = np.linalg.norm(data.geom_xpos[twins] - data.geom_xpos[geom] * POLAR, axis=1)
            size = np.abs(model.geom_size[twins] - model.geom_size[geom]).max(1)
            yield float(np.maximum(place, size).min())


@lru_cache(maxsize=8)
def _of(character: Character) -> Symmetry:
    model, data = character.model, _standing_straight(character)
    bodies = np.zeros(model.nbody, int)
    bodies[1] = 1
    # parents stand before children
    for body in range(2, model.nbody):
        bodies[body] = _twin(model, data, body, int(bodies[model.body_parentid[body]]))
    order, sign = np.zeros(model.nu, int), np.zeros(model.nu)
    for body in range(2, model.nbody):
        for joint, twin in zip(*(_joints(model, b) for b in (body, bodies[body])), strict=True):
            _pair(model, data, joint, twin, order, sign)
    angles = character.joints.joint_vector(_standing_straight(character).qpos[None])[0]
    dofs = Reorder(order, sign, np.zeros(model.nu))
    turned = Reorder(order, sign, np.where(_hinged(model), angles - sign * angles[order], 0.0))
    link_of = {int(body): link for link, body in enumerate(character.link_ids)}
    try:
        links = np.array([link_of[int(bodies[body])] for body in character.link_ids])
    except KeyError:
        raise CharacterError(f"{character.name}: its links are not each other's images") from None
    misplaced = np.linalg.norm(data.xpos * POLAR - data.xpos[bodies], axis=1)
    return Symmetry(character, bodies, dofs, turned, links, misplaced)


def _standing_straight(character: Character) -> mujoco.MjData:
    """In its standing pose, with balls at zero and the root over the origin, heading along x.

    With hinges at zero it need not be its own mirror image: Atlas's forearms are not.
    """
    data = mujoco.MjData(character.model)
    data.qpos[:] = character.standing
    data.qpos[:3] = 0.0
    data.qpos[character.joints.quat_qpos] = (1.0, 0.0, 0.0, 0.0)
    mujoco.mj_kinematics(character.model, data)
    return data


def _hinged(model: mujoco.MjModel) -> Bool[np.ndarray, " D"]:
    """(nu,) whether a degree of freedom is a hinge's."""
    return np.asarray(model.jnt_type[model.dof_jntid[6:]] == mujoco.mjtJoint.mjJNT_HINGE)


def _joints(model: mujoco.MjModel, body: int) -> list[int]:
    first = int(model.body_jntadr[body])
    return list(range(first, first + int(model.body_jntnum[body])))


def _twin(model: mujoco.MjModel, data: mujoco.MjData, body: int, parent: int) -> int:
    """The child of ``parent`` that is the body's image; CharacterError where there is none."""
    kinds = [int(model.jnt_type[j]) for j in _joints(model, body)]
    twins = [
        int(other)
        for other in np.flatnonzero(model.body_parentid == parent)
        if [int(model.jnt_type[j]) for j in _joints(model, int(other))] == kinds
    ]
    if twins:
        distance = np.linalg.norm(data.xpos[twins] - data.xpos[body] * POLAR, axis=1)
        if distance.min() < SAME_PLACE:
            return twins[int(distance.argmin())]
    raise CharacterError(
        f"body {model.body(body).name} has no mirror image: nothing hangs like it on the other side"
    )


def _pair(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    joint: int,
    twin: int,
    order: Int[np.ndarray, " D"],
    sign: Float[np.ndarray, " D"],
) -> None:
    """Write where the twin's degrees of freedom are taken from, and with which signs."""
    here, there = int(model.jnt_dofadr[joint]) - 6, int(model.jnt_dofadr[twin]) - 6
    if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE:
        axes = data.xaxis[joint][None] * AXIAL, data.xaxis[twin][None]
    else:  # a ball's are those of its link
        turns = (data.xmat[model.jnt_bodyid[j]].reshape(3, 3).T for j in (joint, twin))
        first, second = turns
        axes = first * AXIAL, second
    cosine = axes[1] @ axes[0].T
    if np.abs(np.abs(np.diag(cosine)) - 1.0).max() > SAME_AXIS:
        raise CharacterError(
            f"joint {model.joint(twin).name} turns about other axes than the mirror image of "
            f"{model.joint(joint).name}"
        )
    for k, value in enumerate(np.diag(cosine)):
        order[there + k], sign[there + k] = here + k, np.sign(value)
