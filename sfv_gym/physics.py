"""N copies of one MuJoCo model, stepped side by side: the one place that knows MuJoCo's batch.

Whoever would simulate otherwise, on a GPU for instance, has this class to write again.
"""

from __future__ import annotations

import ctypes
import os
import weakref

import mujoco
import numpy as np
from mujoco.batch import Batch

_POSITIONS = mujoco.mjtStage.mjSTAGE_POS.value
_VELOCITIES = mujoco.mjtStage.mjSTAGE_VEL.value
KEPT = ("time", "qpos", "qvel", "act", "history", "qacc_warmstart", "ctrl", "xfrc_applied")
"""What a simulation is in MuJoCo, as far as it can change here."""


class Physics:
    """N simulations of one model, on ``num_threads`` threads (0: every core).

    Arrays that ``data`` and ``expand`` return are live: they follow the simulations, and what is
    written into them counts from the next ``step`` or ``forward`` on.
    """

    def __init__(self, model: mujoco.MjModel, num_envs: int, num_threads: int) -> None:
        self.model, self.num_envs, self._num_threads = model, num_envs, num_threads
        # persistent, because only then are the derived fields current after a step
        self._batch = Batch(model, num_envs, num_threads, persistent=True)
        self._process = os.getpid()
        _ALIVE.add(self)

    @property
    def is_stale(self) -> bool:
        """Whether this is a child that was forked later: the threads do not exist here."""
        return os.getpid() != self._process

    @property
    def num_threads(self) -> int:
        """Threads that step."""
        return int(self._batch.nthread)

    @property
    def state(self) -> np.ndarray:
        """(N, ...) live: all of MuJoCo's integration state, to be kept and put back whole."""
        state: np.ndarray = self._batch.state
        return state

    @property
    def warnings(self) -> int:
        """How often MuJoCo has warned, as of a simulation that diverged."""
        return int(self._batch.warning.sum())

    def data(self, name: str) -> np.ndarray:
        """A field (N, ...) of the simulations' MjData, live."""
        field: np.ndarray = self._batch.bind(name)
        return field

    def kept(self) -> dict[str, np.ndarray]:
        """Those of ``KEPT`` that this model has."""
        return {name: rows for name in KEPT if (rows := self.data(name)).size}

    def expand(self, name: str) -> np.ndarray:
        """A field (N, ...) of the MjModel, live, which from now on is each simulation's own."""
        field: np.ndarray = self._batch.expand(name)
        return field

    def step(self, substeps: int) -> None:
        """Advance all, then bring positions and velocities up to date."""
        self._batch.step(nstep=substeps, stage=_VELOCITIES)

    def forward(self, ids: np.ndarray | None = None) -> None:
        """Bring up to date what follows from the positions, in some (n,) or in all."""
        self._batch.forward(ids, stage=_POSITIONS)

    def forward_all(self) -> None:
        """Bring everything up to date, in all."""
        self._batch.forward()

    def set_const(self, ids: np.ndarray | None = None) -> None:
        """Bring up to date what MuJoCo derives from a model's masses, in some (n,) or in all."""
        self._batch.set_const() if ids is None else self._batch.set_const(ids)

    def model_of(self, i: int) -> mujoco.MjModel:
        """A copy of simulation ``i``'s model, with what was drawn for it."""
        return self._batch.get_model(i)

    def data_of(self, i: int) -> mujoco.MjData:
        """A copy of simulation ``i``'s data."""
        return self._batch.get_data(i)

    def record(
        self, start: np.ndarray, control: np.ndarray, fields: tuple[str, ...]
    ) -> dict[str, np.ndarray]:
        """Play targets again and keep ``fields`` at every physics step.

        Args:
            start: a copy of ``state``. control: (N, K, nu), one a physics step.

        Returns:
            (N, K, ...) of each field.
        """
        self.state[:] = start
        self.forward_all()
        found: dict[str, np.ndarray] = self._batch.rollout(
            control.shape[1], control=control, record=fields
        )
        return found

    def rays(self, start: np.ndarray, direction: list[float], exclude: int) -> np.ndarray:
        """Distance (N, R) from points (N, R, 3) to the first geom along ``direction`` (3,), but for
        those of body ``exclude``; -1 where there is none."""
        distance: np.ndarray = self._batch.ray(start, direction, bodyexclude=exclude)[0]
        return distance


_ALIVE: weakref.WeakSet[Physics] = weakref.WeakSet()


def _after_fork() -> None:
    """A batch waits for its threads when it is freed, and in a child there are none: none of
    those that were made before is ever freed there."""
    for physics in list(_ALIVE):
        for kept in (physics._batch, physics._batch._b):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
