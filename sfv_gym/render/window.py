"""A window on a simulation: MuJoCo's own viewer."""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Iterable

import mujoco
import numpy as np

from sfv_gym.errors import RenderError
from sfv_gym.render.viewpoint import DISTANCE, ELEVATION, SIDE_VIEW


class Window:
    """MuJoCo's own viewer on a scene, at the speed of life.

    Args:
        control_dt: seconds from one ``show`` to the next.

    Raises:
        RenderError: there is no screen.
    """

    def __init__(self, model: mujoco.MjModel, control_dt: float) -> None:
        if sys.platform.startswith("linux") and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        ):
            raise RenderError(
                "render_mode='human' opens a window and there is no screen here; "
                "render_mode='rgb_array' makes pictures without one"
            )
        import mujoco.viewer

        self.model = copy.copy(model)
        self._data = mujoco.MjData(self.model)
        self._control_dt, self._next = control_dt, 0.0
        self._viewer = mujoco.viewer.launch_passive(
            self.model, self._data, show_left_ui=False, show_right_ui=False
        )
        with self._viewer.lock():
            camera = self._viewer.cam
            camera.type = mujoco.mjtCamera.mjCAMERA_TRACKING
            camera.trackbodyid, camera.distance = 1, DISTANCE
            camera.azimuth, camera.elevation = SIDE_VIEW, ELEVATION

    def show(
        self, qpos: np.ndarray, drawn: mujoco.MjModel | None = None, fields: Iterable[str] = ()
    ) -> None:
        """Show a state (nq,); a window that was closed stays closed.

        Args:
            drawn: the model of a simulation that has drawn ``fields`` of it by itself.
        """
        if not self._viewer.is_running():
            return
        with self._viewer.lock():
            if drawn is not None:
                for name in fields:
                    getattr(self.model, name)[:] = getattr(drawn, name)
            self._data.qpos[:] = qpos
            mujoco.mj_forward(self.model, self._data)
        self._viewer.sync()
        now = time.monotonic()
        self._next = max(self._next + self._control_dt, now)
        time.sleep(min(self._next - now, self._control_dt))

    def close(self) -> None:
        """End the viewer's thread, and its window with it."""
        self._viewer.close()
