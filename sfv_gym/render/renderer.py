"""Pictures of a simulated character, without a screen."""

from __future__ import annotations

import copy
from types import TracebackType

import mujoco
import numpy as np

from sfv_gym.characters.shapes import character_geoms
from sfv_gym.render.gl import create_renderer
from sfv_gym.render.viewpoint import (
    DISTANCE,
    ELEVATION,
    LOOK_HEIGHT,
    SIDE_VIEW,
    camera_axes,
    keep_in_picture,
)

FOLLOW = 0.15
"""Share of the way to the character that the camera goes per picture."""
LIGHT_DIRECTION = (0.3, 0.35, -1.0)
"""Where the sunlight goes, along the picture's right, away from the camera, and up."""
EXTENT = 1.7
"""Metres: a character's size, which scales shadows and clipping planes, whatever the terrain's."""
SHADOW_CLIP = 2.5
"""Half the shadow map's width in extents: its edge, which flickers, is unseen."""


class Renderer:
    """Draws a model's states with a camera that follows its character.

    Args:
        model: with a character as body 1.
        width, height: pixels.
        azimuth: degrees, the horizontal direction in which the camera looks; 0 is along x.
        tint: colour (r, g, b) in 0..1 that the character is dyed with, to tell it from another.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        width: int = 640,
        height: int = 480,
        *,
        azimuth: float = SIDE_VIEW,
        tint: tuple[float, float, float] | None = None,
    ) -> None:
        self.model = copy.copy(model)  # the settings below are this picture's, not the caller's
        visual = self.model.vis
        visual.global_.offwidth = max(width, visual.global_.offwidth)
        visual.global_.offheight = max(height, visual.global_.offheight)
        # Without a GPU a larger shadow map costs time, and is no prettier.
        visual.quality.shadowsize = min(1024, visual.quality.shadowsize)
        self.model.stat.extent = EXTENT
        visual.map.shadowclip = SHADOW_CLIP
        self.model.mat_reflectance[:] = 0.0  # mirrored limbs read as a second pair
        if tint is not None:
            _dye(self.model, np.array(tint))
        self.width, self.height = width, height
        self._renderer = create_renderer(self.model, height, width)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        self._camera.azimuth, self._camera.elevation = azimuth, ELEVATION
        self._camera.distance = DISTANCE
        self._geoms = character_geoms(self.model)
        self._lookat: np.ndarray | None = None

    def render(
        self,
        data: mujoco.MjData,
        *,
        lookat: np.ndarray | None = None,
        ground: float = 0.0,
        drawn: mujoco.MjModel | None = None,
    ) -> np.ndarray:
        """The picture (height, width, 3) uint8 of a state whose positions are up to date.

        Args:
            lookat: (3,) metres, where the camera should look, such as a row of ``camera_path``;
                by default it trails the character. Either way it moves or backs off as far as
                it takes to have the whole character in the picture.
            ground: metres, the height of the ground there; for the camera that trails.
            drawn: the model of a simulation that has drawn its own ground, of the same scene.
        """
        if drawn is not None:
            # where the pieces are is in the data; how large they are is in the model
            self.model.geom_size[:], self.model.geom_rbound[:] = drawn.geom_size, drawn.geom_rbound
        target = self._trail(data, ground) if lookat is None else np.array(lookat, float)
        centres, radii = data.geom_xpos[self._geoms], self.model.geom_rbound[self._geoms]
        target, distance = keep_in_picture(
            centres, radii, target, self._camera.azimuth, self._tangents()
        )
        self._lookat = target
        self._camera.lookat[:] = target
        self._camera.distance = distance
        self._renderer.update_scene(data, self._camera)
        self._move_sun()
        return self._renderer.render()

    def close(self) -> None:
        """Free the OpenGL context; ``with`` does it by itself."""
        self._renderer.close()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _tangents(self) -> tuple[float, float]:
        """Tangents of half the horizontal and half the vertical field of view."""
        vertical = float(np.tan(np.radians(0.5 * self.model.vis.global_.fovy)))
        return vertical * self.width / self.height, vertical

    def _move_sun(self) -> None:
        """Keep the sun over the camera's shoulder, and the shadow map around the character."""
        right, _, _ = camera_axes(self._camera.azimuth)
        away = np.array([-right[1], right[0], 0.0])
        direction = np.stack((right, away, (0, 0, 1)), axis=-1) @ LIGHT_DIRECTION
        direction /= np.linalg.norm(direction)
        scene = self._renderer.scene
        for light in scene.lights[: scene.nlight]:
            if not light.headlight and light.type == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL:
                light.dir[:] = direction
                light.pos[:] = self._camera.lookat - 4.0 * direction

    def _trail(self, data: mujoco.MjData, ground: float) -> np.ndarray:
        target = data.xpos[1] * (1, 1, 0) + (0, 0, ground + LOOK_HEIGHT)
        last = self._lookat
        if last is None or np.linalg.norm(target[:2] - last[:2]) > 1.5:  # a new episode
            return target
        return last + FOLLOW * (target - last)


def _dye(model: mujoco.MjModel, tint: np.ndarray) -> None:
    """Blend the colours of all that moves with ``tint``."""
    for geom in character_geoms(model):
        material = model.geom_matid[geom]
        own = model.mat_rgba[material] if material >= 0 else model.geom_rgba[geom]
        model.geom_matid[geom] = -1
        # by its red alone: what is to the right is orange, and stays lighter than the left
        model.geom_rgba[geom, :3] = 0.65 * tint + 0.35 * own[0]
