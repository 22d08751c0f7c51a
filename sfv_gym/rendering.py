"""Pictures and videos of the simulated character and of the reference, without a screen."""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import mujoco
import numpy as np

from sfv_gym.characters import get_character
from sfv_gym.characters.shapes import character_geoms
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.errors import RenderError
from sfv_gym.gl import create_renderer
from sfv_gym.motion import ReferenceMotion
from sfv_gym.play.agents import choose_agent
from sfv_gym.play.rollout import Rollout, rollout
from sfv_gym.registry import get_entry
from sfv_gym.retargeting import retarget
from sfv_gym.terrains import Ground, get_terrain
from sfv_gym.viewpoint import (
    DISTANCE,
    ELEVATION,
    LOOK_HEIGHT,
    SIDE_VIEW,
    camera_axes,
    camera_path,
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

REFERENCE_TINT = (0.16, 0.47, 0.95)
FAILED_COLOUR = (214, 40, 40)
BORDER = 5  # pixels


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
        # Without a GPU the shadow map is a third of the time at 2048, and no prettier.
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
        self, data: mujoco.MjData, *, lookat: np.ndarray | None = None, ground: float = 0.0
    ) -> np.ndarray:
        """The picture (height, width, 3) uint8 of a state whose positions are up to date.

        Args:
            lookat: (3,) metres, where the camera should look, such as a row of ``camera_path``;
                by default it trails the character. Either way it moves or backs off as far as
                it takes to have the whole character in the picture.
            ground: metres, the height of the ground there; for the camera that trails.
        """
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

    def render_environment(self, simulation: ImitationSimulation, i: int) -> np.ndarray:
        """The picture of environment ``i`` as it is now, on the terrain drawn for it."""
        data, ground = simulation.physics.data_of(i), 0.0
        if not simulation.ground.is_flat:
            drawn = simulation.physics.model_of(i)
            # where the pieces are is in the data; how large they are is in the model
            self.model.geom_size[:], self.model.geom_rbound[:] = drawn.geom_size, drawn.geom_rbound
            ids = np.array([i])
            ground = float(simulation.ground.lift(ids, data.qpos[None, :2])[0])
        return self.render(data, ground=ground)

    def close(self) -> None:
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


def render_states(
    model: mujoco.MjModel,
    qpos: np.ndarray,
    hz: float,
    *,
    ground: np.ndarray | None = None,
    width: int = 640,
    height: int = 480,
    azimuth: float = SIDE_VIEW,
    tint: tuple[float, float, float] | None = None,
    stride: int = 1,
) -> Iterator[np.ndarray]:
    """Pictures (height, width, 3) uint8 of the states ``qpos`` (T, nq), ``hz`` a second.

    Args:
        ground: (T,) metres, the height of the ground under the root; 0 by default.
        stride: draw every ``stride``-th state.
    """
    data = mujoco.MjData(model)
    path = camera_path(qpos[:, :3], hz, ground)
    with Renderer(model, width, height, azimuth=azimuth, tint=tint) as renderer:
        for state, lookat in zip(qpos[::stride], path[::stride], strict=True):
            data.qpos[:] = state
            mujoco.mj_fwdPosition(model, data)
            yield renderer.render(data, lookat=lookat)


def reference_pictures(
    motion: ReferenceMotion,
    times: np.ndarray,
    *,
    character: str = "humanoid",
    width: int = 640,
    height: int = 480,
    azimuth: float = SIDE_VIEW,
) -> Iterator[np.ndarray]:
    """Pictures (height, width, 3) uint8 of a motion on flat ground at ``times`` (T,) s: the
    character moved, not simulated."""
    body = get_character(character)
    spec = body.spec()
    Ground(get_terrain("flat"), 1).add_to(spec)
    model = spec.compile()
    trajectory = retarget(motion, body)
    state = trajectory.sample(np.asarray(times, float))
    qpos, _ = body.joints.coordinates(state, trajectory.joint_names)
    hz = max(1.0, (len(qpos) - 1) / max(float(np.ptp(times)), 1e-3))
    yield from render_states(model, qpos, hz, width=width, height=height, azimuth=azimuth)


def render_rollout(
    played: Rollout,
    *,
    width: int = 640,
    height: int = 480,
    azimuth: float = SIDE_VIEW,
    stride: int = 1,
) -> Iterator[np.ndarray]:
    """Pictures of a rollout's states, with a red border from where the episode has failed."""
    frames = render_states(
        played.model,
        played.qpos,
        played.hz,
        ground=played.ground,
        width=width,
        height=height,
        azimuth=azimuth,
        stride=stride,
    )
    for picture, frame in enumerate(frames):
        yield with_border(frame) if played.has_failed(picture * stride) else frame


def render_reference(
    played: Rollout,
    *,
    width: int = 640,
    height: int = 480,
    azimuth: float = SIDE_VIEW,
    stride: int = 1,
) -> Iterator[np.ndarray]:
    """Pictures of the reference's states that a rollout was to follow, step by step."""
    yield from render_states(
        played.model,
        played.reference_qpos,
        played.hz,
        ground=played.ground,
        width=width,
        height=height,
        azimuth=azimuth,
        tint=REFERENCE_TINT,
        stride=stride,
    )


@dataclass(frozen=True)
class RenderSummary:
    """What a rendered video shows."""

    out: Path
    seconds: float
    mean_reward: float
    failed_after: float | None  # seconds; None: the episode went through

    def __str__(self) -> str:
        text = f"{self.seconds:.1f} s, mean reward {self.mean_reward:.2f}"
        if self.failed_after is None:
            return f"{text}, no early termination"
        return f"{text}, the episode would have ended after {self.failed_after:.1f} s (red border)"


def render_video(
    env_id: str,
    out: str | os.PathLike[str],
    *,
    agent: str = "policy",
    policy: str | os.PathLike[str] | None = None,
    seconds: float = 10.0,
    width: int = 480,
    height: int = 480,
    seed: int = 0,
    difficulty: float | None = None,
) -> RenderSummary:
    """Play one episode from the clip's first frame and write it as mp4, the reference on the left.

    It is played on after an early termination, which the picture and the summary show.

    Args:
        agent: ``"policy"``, ``"zero"``, ``"random"`` or ``"reference"``.
        policy: a policy file in place of the shipped one; with ``agent="policy"``.
        seconds: the longest to play; a motion that does not wrap ends with its last frame.
        width, height: pixels of one picture.
        difficulty: of the terrain, 0..1.

    Raises:
        UnknownIdError: an unknown id or agent.
        PolicyError, RenderError, OutputError: no such policy; no OpenGL; ``out`` is unwritable.
    """
    from sfv_gym.video import write_video

    get_entry(env_id)
    played = rollout(
        env_id,
        choose_agent(agent, env_id, policy),
        seconds=seconds,
        seed=seed,
        difficulty=difficulty,
    )
    reference = render_reference(played, width=width, height=height)
    simulated = render_rollout(played, width=width, height=height)
    frames = map(np.hstack, zip(reference, simulated, strict=True))
    write_video(out, frames, played.hz)
    return RenderSummary(
        out=Path(out),
        seconds=played.seconds,
        mean_reward=float(played.reward.mean()),
        failed_after=None if played.failed_at is None else played.failed_at / played.hz,
    )


def with_border(frame: np.ndarray, colour: tuple[int, int, int] = FAILED_COLOUR) -> np.ndarray:
    """A copy of a picture (H, W, 3) with its edge painted over."""
    out = np.empty_like(frame)
    out[:] = colour
    inside = slice(BORDER, -BORDER)
    out[inside, inside] = frame[inside, inside]
    return out


class Window:
    """MuJoCo's own viewer on environment 0 of a simulation, at the speed of life.

    Args:
        control_dt: seconds of a control step.

    Raises:
        RenderError: there is no screen.
    """

    def __init__(self, simulation: ImitationSimulation, control_dt: float) -> None:
        if sys.platform.startswith("linux") and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        ):
            raise RenderError(
                "render_mode='human' opens a window and there is no screen here; "
                "render_mode='rgb_array' makes pictures without one"
            )
        import mujoco.viewer

        self.model = copy.copy(simulation.model)
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

    def render_environment(self, simulation: ImitationSimulation, i: int) -> None:
        """Show environment ``i`` as it is now; a window that was closed stays closed."""
        if not self._viewer.is_running():
            return
        with self._viewer.lock():
            if not simulation.ground.is_flat:
                drawn = simulation.physics.model_of(i)
                for name in simulation.ground.fields:
                    getattr(self.model, name)[:] = getattr(drawn, name)
            self._data.qpos[: simulation.qpos.shape[1]] = simulation.qpos[i]
            mujoco.mj_forward(self.model, self._data)
        self._viewer.sync()
        now = time.monotonic()
        self._next = max(self._next + self._control_dt, now)
        time.sleep(min(self._next - now, self._control_dt))

    def close(self) -> None:
        self._viewer.close()


def _dye(model: mujoco.MjModel, tint: np.ndarray) -> None:
    """Blend the colours of all that moves with ``tint``."""
    for geom in character_geoms(model):
        material = model.geom_matid[geom]
        own = model.mat_rgba[material] if material >= 0 else model.geom_rgba[geom]
        model.geom_matid[geom] = -1
        # by its red alone: what is to the right is orange, and stays lighter than the left
        model.geom_rgba[geom, :3] = 0.65 * tint + 0.35 * own[0]
