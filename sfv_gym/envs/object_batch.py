"""The objects of N scenes: what each episode draws of them, where they are and are to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sfv_gym.array_types import Float, Int
from sfv_gym.envs.observations import OBJECT_SIZE
from sfv_gym.envs.reference import ObjectTable
from sfv_gym.objects import SceneObject
from sfv_gym.physics import Physics
from sfv_gym.rotations import quat_angle, quat_rotate

DRAWS = 6
"""Uniform numbers that an object takes for each episode, whatever it needs: three of its size, two
of its place, one of its mass."""


class ObjectBatch:
    """K objects in each of N simulations.

    Args:
        objects: those of the scene, called ``object_<k>`` in its model.
        paths: where they are to be.

    Attributes:
        num_uniform: random numbers that ``draw`` takes for each scene.
        fields: live (N, ...) fields of the simulations' models that a draw writes.
        drawn: what else it does: ``object_half`` (N, K, 3) metres, half of their lengths, and
            ``object_shift`` (N, K, 2) metres, how far off their paths are along x and y.
    """

    def __init__(
        self, objects: Sequence[SceneObject], paths: ObjectTable, physics: Physics
    ) -> None:
        self._objects, self._paths, self._physics = tuple(objects), paths, physics
        self.num_uniform = DRAWS * len(objects)
        self.fields: dict[str, np.ndarray] = {}
        self.drawn: dict[str, np.ndarray] = {}
        self.tracked = np.array([k for k, o in enumerate(objects) if o.mass is not None], int)
        self._resized = any(np.any(o.size_range) for o in objects)
        self._reweighed = any(
            o.mass is not None and (np.any(o.size_range) or o.mass_range) for o in objects
        )
        if not objects:
            return
        n, model = physics.num_envs, physics.model
        names = [f"object_{k}" for k in range(len(objects))]
        self._bodies = np.array([model.body(name).id for name in names])
        self._geoms = np.array([model.geom(name).id for name in names])
        joints = [model.joint(names[k]).id for k in self.tracked]
        self._qpos = model.jnt_qposadr[joints][:, None] + np.arange(7)  # (Kt, 7)
        self._qvel = model.jnt_dofadr[joints][:, None] + np.arange(6)
        self._still = np.setdiff1d(np.arange(len(objects)), self.tracked)
        self._turning = np.array([not objects[k].is_round for k in self.tracked], float)
        self._state = physics.data("qpos"), physics.data("qvel")
        self._xpos, self._xquat = physics.data("xpos"), physics.data("xquat")
        fields = ["body_pos", "body_quat"] if len(self._still) else []
        fields += ["geom_size"] if self._resized else []
        fields += ["body_mass", "body_inertia"] if self._reweighed else []
        self.fields = {name: physics.expand(name) for name in fields}
        self._inertia = model.body_inertia[self._bodies].copy()
        self._half = np.tile([thing.half for thing in objects], (n, 1, 1))
        self._shift = np.zeros((n, len(objects), 2))
        self.drawn = {"object_half": self._half, "object_shift": self._shift}
        self.draw(np.arange(n), np.full((n, self.num_uniform), 0.5))

    def __len__(self) -> int:
        return len(self._objects)

    def draw(self, ids: Int[np.ndarray, " n"], uniform: Float[np.ndarray, "n u"]) -> None:
        """Other sizes, places and masses in the simulations ``ids`` (n,), from uniform
        (n, num_uniform)."""
        for k, thing in enumerate(self._objects):
            sign = 2.0 * uniform[:, DRAWS * k : DRAWS * (k + 1)] - 1.0
            stretch = sign[:, :1] if thing.is_round else sign[:, :3]
            half = thing.half * (1.0 + np.asarray(thing.size_range) * stretch)
            self._half[ids, k] = half
            self._shift[ids, k] = thing.place_range * sign[:, 3:5]
            if self._resized:
                self.fields["geom_size"][ids, self._geoms[k]] = thing.geom_size(half)
            if self._reweighed and thing.mass is not None:
                factor = 1.0 + thing.mass_range * sign[:, 5]
                self.fields["body_mass"][ids, self._bodies[k]] = factor * thing.mass
                # what each axis adds to the inertia about the others goes with its square
                about = self._inertia[k]
                along = (0.5 * about.sum() - about) * np.square(half / thing.largest)
                self.fields["body_inertia"][ids, self._bodies[k]] = factor[:, None] * (
                    along.sum(-1, keepdims=True) - along
                )
        if self._reweighed:
            self._physics.set_const(ids)

    def settle(self) -> None:
        """Bring up to date what MuJoCo derives from the fields, after they were written whole."""
        if self._reweighed:
            self._physics.set_const()

    def put(self, ids: Int[np.ndarray, " n"], row: Int[np.ndarray, " n"]) -> None:
        """Objects of the simulations ``ids`` (n,) where rows (n,) of their paths have them, and as
        fast."""
        if not self._objects:
            return
        qpos, qvel = self._state
        pos, quat = self.targets(ids, row)
        rows = ids[:, None]
        free, still = self.tracked, self._still
        qpos[rows[..., None], self._qpos] = np.concatenate((pos[:, free], quat[:, free]), axis=-1)
        moving = self._paths.vel[row][:, free], self._paths.spin[row][:, free]
        qvel[rows[..., None], self._qvel] = np.concatenate(moving, axis=-1)
        if len(still):
            self.fields["body_pos"][rows, self._bodies[still]] = pos[:, still]
            self.fields["body_quat"][rows, self._bodies[still]] = quat[:, still]

    def targets(
        self, ids: Int[np.ndarray, " n"], row: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n K 3"], Float[np.ndarray, "n K 4"]]:
        """Where and how (n, K, ...) the objects are to be: on their paths, shifted as was drawn,
        and as high that their lowest points are where those of the nominal sizes would be."""
        pos, quat = self._paths.pos[row], self._paths.quat[row]
        pos[..., :2] += self._shift[ids]
        if self._resized:
            for k, thing in enumerate(self._objects):
                turn = quat[:, k]
                pos[:, k, 2] += thing.drop(self._half[ids, k], turn) - thing.drop(thing.half, turn)
        return pos, quat

    def target_qpos(
        self, ids: Int[np.ndarray, " n"], row: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n q"]:
        """The same of those that may be moved, as they follow the character in qpos (n, 7 Kt)."""
        pos, quat = self.targets(ids, row)
        both = np.concatenate((pos[:, self.tracked], quat[:, self.tracked]), axis=-1)
        return both.reshape(len(ids), -1)

    def errors(
        self, ids: Int[np.ndarray, " n"], row: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n K"], Float[np.ndarray, "n K"]]:
        """How far, in metres and rad, those that may be moved are off their paths."""
        pos, quat = self.targets(ids, row)
        bodies = self._bodies[self.tracked]
        way = self._xpos[ids[:, None], bodies] - pos[:, self.tracked]
        turn = quat_angle(self._xquat[ids[:, None], bodies], quat[:, self.tracked])
        return np.sqrt((way * way).sum(-1)), turn * self._turning

    def observe(
        self,
        ids: Int[np.ndarray, " n"],
        following: Int[np.ndarray, " n"],
        root: Float[np.ndarray, "n 3"],
        heading: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    ) -> Float[np.ndarray, "n D"]:
        """What is seen of them, see ``OBJECT_PARTS``.

        Args:
            following: (n,) the rows of the next control step.
            root: (n, 3) metres. heading: its cosine and sine, (n,) each.
        """
        pos = self._xpos[ids[:, None], self._bodies]
        quat = self._xquat[ids[:, None], self._bodies]
        velocity, spin = np.zeros(pos.shape), np.zeros(pos.shape)
        moving = self._state[1][ids[:, None, None], self._qvel]
        velocity[:, self.tracked] = moving[..., :3]
        spin[:, self.tracked] = quat_rotate(quat[:, self.tracked], moving[..., 3:])
        axes = (quat_rotate(quat, np.array(axis)) for axis in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
        wanted, _ = self.targets(ids, following)
        position, x_axis, z_axis, velocity, spin, reference = (
            _seen(vector, *heading)
            for vector in (pos - root[:, None], *axes, velocity, spin, wanted - pos)
        )
        parts = (position, x_axis, z_axis, velocity, spin, 2.0 * self._half[ids], reference)
        return np.concatenate(parts, axis=-1).reshape(len(ids), OBJECT_SIZE * len(self))


def _seen(vector: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """World vectors (n, K, 3) in heading frames of these cosines and sines (n,)."""
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    cos, sin = cos[:, None], sin[:, None]
    return np.stack((cos * x + sin * y, cos * y - sin * x, z), axis=-1)
