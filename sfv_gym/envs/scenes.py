"""The N scenes of a task: character, ground and objects, what is drawn for each, and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np

from sfv_gym.envs.perturbations import RandomizedPhysics
from sfv_gym.envs.task import Task
from sfv_gym.physics import Physics
from sfv_gym.terrains import Ground

if TYPE_CHECKING:
    from sfv_gym.render.renderer import Renderer
    from sfv_gym.render.window import Window

TRACK_MARGIN = 2.5
"""Metres of drawn terrain beyond where the reference's root gets to."""


class Scenes:
    """One model, N simulations of it, and the ground of each.

    Args:
        num_envs, num_threads: see ``Physics``.
        reach: metres that an episode's root gets ahead and behind, see ``References.reach``.

    Attributes:
        num_uniform: random numbers that ``draw`` takes for each scene.
        qpos, qvel: (N, ...) the whole scenes' state, live.
        rows: what a simulation is in MuJoCo, see ``Physics.kept``, live.
    """

    def __init__(
        self, task: Task, num_envs: int, num_threads: int, reach: tuple[float, float]
    ) -> None:
        ahead, behind = (way + TRACK_MARGIN for way in reach)
        self.ground = Ground(task.terrain, num_envs, ahead=ahead, behind=behind)
        self.model = _compiled(task, self.ground)
        self.physics = Physics(self.model, num_envs, num_threads)
        self.ground.attach(self.physics)
        self._random = (
            RandomizedPhysics(task.randomization, self.physics) if task.randomization else None
        )
        self.num_uniform = self.ground.num_uniform
        self.num_uniform += self._random.num_uniform if self._random else 0
        self._joints = task.character.joints
        self._nq, self._nv = task.character.model.nq, task.character.model.nv
        self.qpos, self.qvel = self.physics.data("qpos"), self.physics.data("qvel")
        self._warmstart = self.physics.data("qacc_warmstart")
        self.rows = self.physics.kept()
        self._objects_at = self.qpos[:, self._nq :].copy()

    def draw(
        self, ids: np.ndarray, uniform: np.ndarray, origin: np.ndarray, yaw: np.ndarray
    ) -> None:
        """New ground and physics for the environments ``ids`` (n,), sorted.

        Args:
            uniform: (n, num_uniform) in [0, 1).
            origin, yaw: where episodes start, and which way they go, see ``Ground.draw``.
        """
        split = self.ground.num_uniform
        self.ground.draw(ids, uniform[:, :split], origin, yaw)
        if self._random:
            self._random.draw(ids, uniform[:, split:])

    def put(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Characters (n, nq), (n, nv) there, and objects where they belong, at rest."""
        self.qpos[ids, : self._nq], self.qvel[ids, : self._nv] = qpos, qvel
        if self._objects_at.size:
            self.qpos[ids, self._nq :] = self._objects_at[ids]
            self.qvel[ids, self._nv :] = 0.0
        self._warmstart[ids] = 0.0  # else the last episode's contacts leak into this one
        if self._random:
            self._random.forget(ids, self._joints.joint_vector(qpos))
        # positions are all that an observation needs; the next step does the rest
        self.physics.forward(ids)

    def drawn_fields(self) -> dict[str, np.ndarray]:
        """Live (N, ...) fields of the models that episodes draw anew."""
        return {**self.ground.fields, **(self._random.fields if self._random else {})}

    def resume(self, rows: dict[str, np.ndarray], fields: dict[str, np.ndarray]) -> None:
        """Go on from copies of ``rows`` and of ``drawn_fields``. What follows from them is brought
        up to date by ``Physics.forward``."""
        for ours, theirs in ((self.rows, rows), (self.drawn_fields(), fields)):
            for name, array in theirs.items():
                ours[name][:] = array
        if self._random:
            self._random.settle()

    # --- pictures ---------------------------------------------------------------------------

    def draw_with(self, renderer: Renderer, i: int) -> np.ndarray:
        """A picture (height, width, 3) of environment ``i`` now, on the ground drawn for it."""
        data = self.physics.data_of(i)
        if self.ground.is_flat:
            return renderer.render(data)
        ground = float(self.ground.height_offset(np.array([i]), data.qpos[None, :2])[0])
        return renderer.render(data, ground=ground, drawn=self.physics.model_of(i))

    def show_in(self, window: Window, i: int) -> None:
        """Show environment ``i`` as it is now."""
        drawn = None if self.ground.is_flat else self.physics.model_of(i)
        window.show(self.qpos[i], drawn, self.ground.fields)


def _compiled(task: Task, ground: Ground) -> mujoco.MjModel:
    """The character first, so that its coordinates are those of its own model; then ground and
    objects."""
    spec = task.character.spec()
    ground.add_to(spec)
    for i, thing in enumerate(task.objects):
        thing.add_to(spec, f"object_{i}")
    if task.randomization is not None:
        task.randomization.prepare(spec)
    return spec.compile()
