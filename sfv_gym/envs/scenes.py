"""The N scenes of a task: character, ground and objects, what is drawn for each, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from sfv_gym.envs.object_batch import ObjectBatch
from sfv_gym.envs.perturbations import RandomizedPhysics
from sfv_gym.envs.reference import ObjectTable
from sfv_gym.envs.task import Task
from sfv_gym.objects import SceneObject
from sfv_gym.physics import Physics
from sfv_gym.terrains import Ground

if TYPE_CHECKING:
    from sfv_gym.render.renderer import Renderer
    from sfv_gym.render.window import Window

TRACK_MARGIN = 2.5
"""Metres of drawn terrain beyond where the reference's root gets to."""


class Scenes:
    """One model, N simulations of it, and the ground and the objects of each.

    Args:
        num_envs, num_threads: see ``Physics``.
        reach: metres that an episode's root gets ahead and behind, see ``References.reach``.
        objects: the task's, as large as its character needs them, and ``paths``, where they are
            to be.

    Attributes:
        num_uniform: random numbers that ``draw`` takes for each scene.
        qpos, qvel: (N, ...) the whole scenes' state, live.
        rows: what a simulation is in MuJoCo, see ``Physics.kept``, live.
    """

    def __init__(
        self,
        task: Task,
        num_envs: int,
        num_threads: int,
        reach: tuple[float, float],
        objects: Sequence[SceneObject],
        paths: ObjectTable,
    ) -> None:
        ahead, behind = (way + TRACK_MARGIN for way in reach)
        self.ground = Ground(task.terrain, num_envs, ahead=ahead, behind=behind)
        self.model = _compiled(task, self.ground, objects)
        self.physics = Physics(self.model, num_envs, num_threads)
        self.ground.attach(self.physics)
        self._random = (
            RandomizedPhysics(task.randomization, self.physics) if task.randomization else None
        )
        self.objects = ObjectBatch(objects, paths, self.physics)
        self._splits = np.cumsum(
            (self.ground.num_uniform, self._random.num_uniform if self._random else 0)
        )
        self.num_uniform = int(self._splits[-1]) + self.objects.num_uniform
        self._joints = task.character.joints
        self._nq, self._nv = task.character.model.nq, task.character.model.nv
        self.qpos, self.qvel = self.physics.data("qpos"), self.physics.data("qvel")
        self._warmstart = self.physics.data("qacc_warmstart")
        self.rows = self.physics.kept()

    def draw(
        self, ids: np.ndarray, uniform: np.ndarray, origin: np.ndarray, yaw: np.ndarray
    ) -> None:
        """New ground, physics and objects for the environments ``ids`` (n,), sorted.

        Args:
            uniform: (n, num_uniform) in [0, 1).
            origin, yaw: where episodes start, and which way they go, see ``Ground.draw``.
        """
        of_ground, of_physics, of_objects = np.split(uniform, self._splits, axis=1)
        self.ground.draw(ids, of_ground, origin, yaw)
        if self._random:
            self._random.draw(ids, of_physics)
        self.objects.draw(ids, of_objects)

    def put(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray, row: np.ndarray) -> None:
        """Characters (n, nq), (n, nv) there, and objects where rows (n,) of their paths have
        them."""
        self.qpos[ids, : self._nq], self.qvel[ids, : self._nv] = qpos, qvel
        self.objects.put(ids, row)
        self._warmstart[ids] = 0.0  # else the last episode's contacts leak into this one
        if self._random:
            self._random.forget(ids, self._joints.joint_vector(qpos))
        # positions are all that an observation needs; the next step does the rest
        self.physics.forward(ids)

    def drawn_fields(self) -> dict[str, np.ndarray]:
        """Live (N, ...) fields of the models that episodes draw anew."""
        drawn = self._random.fields if self._random else {}
        return {**self.ground.fields, **drawn, **self.objects.fields, **self.objects.drawn}

    def resume(self, rows: dict[str, np.ndarray], fields: dict[str, np.ndarray]) -> None:
        """Go on from copies of ``rows`` and of ``drawn_fields``. What follows from them is brought
        up to date by ``Physics.forward``."""
        for ours, theirs in ((self.rows, rows), (self.drawn_fields(), fields)):
            for name, array in theirs.items():
                ours[name][:] = array
        if self._random:
            self._random.settle()
        self.objects.settle()

    # --- pictures ---------------------------------------------------------------------------

    def draw_with(self, renderer: Renderer, i: int) -> np.ndarray:
        """A picture (height, width, 3) of environment ``i`` now, on the ground drawn for it."""
        data = self.physics.data_of(i)
        if self.ground.is_flat and not self.objects.fields:
            return renderer.render(data)
        ground = float(self.ground.height_offset(np.array([i]), data.qpos[None, :2])[0])
        return renderer.render(data, ground=ground, drawn=self.physics.model_of(i))

    def show_in(self, window: Window, i: int) -> None:
        """Show environment ``i`` as it is now."""
        fields = {**self.ground.fields, **self.objects.fields}
        window.show(self.qpos[i], self.physics.model_of(i) if fields else None, fields)


def _compiled(task: Task, ground: Ground, objects: Sequence[SceneObject]) -> mujoco.MjModel:
    """The character first, so that its coordinates are those of its own model; then ground and
    objects."""
    spec = task.character.spec()
    ground.add_to(spec)
    for i, thing in enumerate(objects):
        thing.add_to(spec, f"object_{i}")
    if task.randomization is not None:
        task.randomization.prepare(spec)
    return spec.compile()
