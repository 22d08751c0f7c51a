"""Pictures and videos of rollouts and of reference motions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import mujoco
import numpy as np

from sfv_gym.characters import get_character
from sfv_gym.envs.reference import ObjectTable
from sfv_gym.envs.task import TaskSettings
from sfv_gym.motion import ReferenceMotion
from sfv_gym.play.agents import choose_agent
from sfv_gym.play.rollout import Rollout, rollout
from sfv_gym.registry import get_entry
from sfv_gym.render.renderer import Renderer
from sfv_gym.render.viewpoint import SIDE_VIEW, camera_path
from sfv_gym.retargeting import retarget, scene_scale
from sfv_gym.terrains import Ground, get_terrain

REFERENCE_TINT = (0.16, 0.47, 0.95)
FAILED_COLOUR = (214, 40, 40)
BORDER = 5  # pixels


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
    character and its objects moved, not simulated."""
    body, times = get_character(character), np.asarray(times, float)
    spec = body.spec()
    Ground(get_terrain("flat"), 1).add_to(spec)
    objects = [replace(o.scaled(scene_scale(motion, body)), size_range=0.0) for o in motion.objects]
    for k, thing in enumerate(objects):
        thing.add_to(spec, f"object_{k}")
    model = spec.compile()
    trajectory = retarget(motion, body)
    qpos, _ = body.joints.coordinates(trajectory.sample(times), trajectory.joint_names)
    free = [thing for thing in objects if thing.mass is not None]
    paths = ObjectTable.build(free, trajectory, times)
    placed = np.concatenate((paths.pos, paths.quat), axis=-1).reshape(len(times), -1)
    qpos = np.append(qpos, placed, axis=1)
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
    observation: str | None = None,
) -> RenderSummary:
    """Play one episode from the clip's first frame and write it as mp4, the reference on the left.

    It is played on after an early termination, which the picture and the summary show.

    Args:
        agent: ``"policy"``, ``"zero"``, ``"random"`` or ``"reference"``.
        policy: a policy file in place of the shipped one; with ``agent="policy"``.
        seconds: the longest to play; a motion that does not wrap ends with its last frame.
        width, height: pixels of one picture.
        difficulty: of the terrain, 0..1.
        observation: the environment's, where it is not the id's own.

    Raises:
        UnknownIdError: an unknown id or agent.
        PolicyError, RenderError, OutputError: no such policy; no OpenGL; ``out`` is unwritable.
    """
    from sfv_gym.video import write_video

    get_entry(env_id)
    settings: TaskSettings = {"difficulty": difficulty}
    if observation is not None:
        settings["observation"] = observation
    played = rollout(
        env_id,
        choose_agent(agent, env_id, policy, observation=observation),
        seconds=seconds,
        seed=seed,
        **settings,
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
