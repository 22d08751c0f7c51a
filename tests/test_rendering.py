"""Pictures: lit, of the whole character, moving; rollouts: reproducible, failures noted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import Task
from sfv_gym.errors import PolicyError, UnknownIdError
from sfv_gym.motion import ReferenceMotion
from sfv_gym.play.agents import AGENTS, choose_agent
from sfv_gym.play.pictures import (
    BORDER,
    FAILED_COLOUR,
    render_reference,
    render_rollout,
    render_video,
)
from sfv_gym.play.rollout import rollout
from sfv_gym.registry import find_motion
from sfv_gym.render import charts
from sfv_gym.render.charts import Series, line_chart, round_up
from sfv_gym.render.renderer import Renderer
from sfv_gym.render.viewpoint import camera_axes, camera_path, keep_in_picture

ENV_ID = "SFV-Backflip-v0"
WIDTH, HEIGHT = 160, 120


@pytest.fixture(scope="module")
def motion() -> ReferenceMotion:
    return find_motion(ENV_ID)


@pytest.fixture(scope="module")
def model(motion: ReferenceMotion) -> mujoco.MjModel:
    task = Task.of(motion, initialization="fixed", termination=False)
    return ImitationSimulation(task).model


@pytest.fixture
def renderer(model: mujoco.MjModel) -> Iterator[Renderer]:
    with Renderer(model, WIDTH, HEIGHT) as renderer:
        yield renderer


def state(model: mujoco.MjModel, root: tuple[float, float, float]) -> mujoco.MjData:
    """The character in its default pose with its root there."""
    data = mujoco.MjData(model)
    data.qpos[:3] = root
    mujoco.mj_fwdPosition(model, data)
    return data


def picture_positions(renderer: Renderer, points: np.ndarray) -> np.ndarray:
    """Pixels (N, 2), x right and y down, at which the last picture shows points (N, 3)."""
    camera = renderer._camera
    right, up, ahead = camera_axes(camera.azimuth)
    relative = points - camera.lookat
    depth = camera.distance + relative @ ahead
    scale = 0.5 * renderer.height / renderer._tangents()[1] / depth
    x, y = relative @ right * scale, relative @ up * scale
    return np.stack((0.5 * renderer.width + x, 0.5 * renderer.height - y), axis=-1)


def bluish(frame: np.ndarray) -> int:
    """Pixels that are more blue than the sky or the ground are."""
    red, blue = frame[..., 0].astype(int), frame[..., 2].astype(int)
    return int((blue - red > 60).sum())


def test_picture_is_lit_and_shows_the_character(model: mujoco.MjModel, renderer: Renderer) -> None:
    frame = renderer.render(state(model, (0, 0, 0.9)))
    assert frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == np.uint8
    assert frame.mean() > 90 and frame.std() > 10
    orange = (frame[..., 0].astype(int) - frame[..., 2] > 60).sum()  # the right limbs
    assert orange > 50


def test_walking_along_x_goes_from_left_to_right(model: mujoco.MjModel, renderer: Renderer) -> None:
    data = state(model, (0, 0, 0.9))
    renderer.render(data)
    pixels = picture_positions(renderer, np.array([[0, 0, 0.9], [0.5, 0, 0.9], [0, 0, 1.5]]))
    assert pixels[1, 0] > pixels[0, 0] + 5
    assert pixels[2, 1] < pixels[0, 1] - 5


def test_camera_keeps_the_character_in_the_picture_while_it_jumps(
    motion: ReferenceMotion, model: mujoco.MjModel, renderer: Renderer
) -> None:
    simulation = ImitationSimulation(Task.of(motion, initialization="fixed", termination=False))
    data = mujoco.MjData(model)
    for qpos in simulation.references.qpos[::4]:
        data.qpos[:] = qpos
        for lift in (0.0, 1.5):  # also higher than a person jumps
            data.qpos[2] = qpos[2] + lift
            mujoco.mj_fwdPosition(model, data)
            renderer.render(data)
            pixels = picture_positions(renderer, data.xpos[1:])
            assert (pixels > 2).all() and (pixels < (WIDTH - 2, HEIGHT - 2)).all()


def test_camera_follows_smoothly_and_jumps_to_a_new_episode(
    model: mujoco.MjModel, renderer: Renderer
) -> None:
    renderer.render(state(model, (0, 0, 0.9)))
    start = picture_positions(renderer, np.zeros((1, 3)))
    renderer.render(state(model, (0.2, 0, 0.9)))
    moved = picture_positions(renderer, np.zeros((1, 3)))
    assert 0 < start[0, 0] - moved[0, 0] < 0.2 * WIDTH / 3
    renderer.render(state(model, (50.0, 0, 0.9)))
    there = picture_positions(renderer, np.array([[50.0, 0, 0.9]]))
    assert abs(there[0, 0] - WIDTH / 2) < 2


def test_camera_backs_off_when_the_character_is_larger_than_the_picture() -> None:
    centres, radii = np.array([[0, 0, 0.0], [0, 0, 4.0]]), np.array([0.1, 0.1])
    lookat, distance = keep_in_picture(centres, radii, np.zeros(3), 90.0, (0.5, 0.4))
    assert distance > 4.0
    assert 1.0 < lookat[2] < 3.0


def test_camera_path_does_not_lag_behind_a_steady_walk() -> None:
    path = np.stack((np.linspace(0, 5, 100), np.zeros(100), np.full(100, 0.9)), axis=-1)
    assert camera_path(path, 30.0)[:, :2] == pytest.approx(path[:, :2], abs=1e-6)


def test_renderer_leaves_the_caller_s_model_alone(model: mujoco.MjModel) -> None:
    before = model.geom_rgba.copy(), model.vis.quality.shadowsize
    Renderer(model, 64, 48, tint=(0.0, 0.0, 1.0)).close()
    assert (model.geom_rgba == before[0]).all()
    assert model.vis.quality.shadowsize == before[1]


def test_the_reference_moves_and_is_blue() -> None:
    played = rollout(ENV_ID, AGENTS["zero"], seconds=0.5)
    frames = list(render_reference(played, width=WIDTH, height=HEIGHT))[::4]
    assert len(frames) == 4
    assert all(bluish(frame) > 100 for frame in frames)
    for a, b in itertools.pairwise(frames):
        assert (np.abs(a.astype(int) - b).max(-1) > 30).mean() > 0.005


def test_rollout_is_reproducible_and_starts_at_the_reference() -> None:
    a, b = (rollout(ENV_ID, AGENTS["random"], seed=3, seconds=0.5) for _ in range(2))
    assert (a.qpos == b.qpos).all() and (a.reward == b.reward).all()
    assert len(a.qpos) == len(a.reference_qpos) == len(a.reward) + 1 == 16
    assert np.abs(a.qpos[0] - a.reference_qpos[0]).max() < 0.2
    other = rollout(ENV_ID, AGENTS["random"], seed=4, seconds=0.5)
    assert (a.qpos[-1] != other.qpos[-1]).any()


def test_a_failed_episode_is_played_on_and_framed_in_red() -> None:
    played = rollout(ENV_ID, AGENTS["random"], seed=0, seconds=1.2)
    assert played.failed_at is not None
    assert len(played.reward) > played.failed_at  # played on
    assert played.reward.min() >= 0 and played.reward.max() <= 1
    frames = list(render_rollout(played, width=WIDTH, height=HEIGHT))
    assert len(frames) == len(played.qpos)
    for step in (0, played.failed_at - 1, played.failed_at, len(frames) - 1):
        red = (frames[step][:BORDER] == FAILED_COLOUR).all()
        assert red == (step >= played.failed_at)


def test_gym_renders_through_the_same_pictures() -> None:
    env = gym.make(
        ENV_ID, render_mode="rgb_array", width=WIDTH, height=HEIGHT, disable_env_checker=True
    )
    env.reset(seed=0)
    first = np.array(env.render())
    for _ in range(10):
        env.step(env.action_space.sample())
    second = np.array(env.render())
    env.close()
    assert first.shape == (HEIGHT, WIDTH, 3)
    assert (np.abs(first.astype(int) - second).max(-1) > 30).mean() > 0.005


def test_gymnasiums_own_recorder_writes_an_episode(tmp_path: Path) -> None:
    """With the extra `record`: moviepy, of a version that it works with."""
    pytest.importorskip("moviepy")
    video = pytest.importorskip("sfv_gym.video")
    env = gym.wrappers.RecordVideo(
        gym.make(ENV_ID, render_mode="rgb_array", width=WIDTH, height=HEIGHT),
        str(tmp_path / "videos"),
        video_length=8,
        step_trigger=lambda step: step == 0,
    )
    env.reset(seed=0)
    for _ in range(12):
        env.step(env.action_space.sample())
    env.close()
    (file,) = (tmp_path / "videos").glob("*.mp4")
    recorded = video.open_video(file)
    assert (recorded.width, recorded.height) == (WIDTH, HEIGHT)
    assert len(list(recorded)) >= 8


def test_render_video_writes_both_characters_side_by_side(tmp_path: Path) -> None:
    video = pytest.importorskip("sfv_gym.video")
    out = tmp_path / "reference.mp4"
    summary = render_video(ENV_ID, out, agent="reference", seconds=0.5, width=WIDTH, height=HEIGHT)
    frames = list(video.open_video(out))
    assert len(frames) == 16
    assert frames[0].shape == (HEIGHT, 2 * WIDTH, 3)
    assert bluish(frames[8][:, :WIDTH]) > 1.5 * bluish(frames[8][:, WIDTH:])
    assert summary.seconds == pytest.approx(0.5)
    assert "early termination" in str(summary) or "would have ended" in str(summary)


def test_wrong_ids_agents_and_policies_are_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(UnknownIdError, match="SFV-Backflip-v0"):
        render_video("SFV-Backflop-v0", tmp_path / "a.mp4")
    with pytest.raises(UnknownIdError, match="unknown agent 'zeros'"):
        choose_agent("zeros", ENV_ID)
    with pytest.raises(PolicyError, match="no such policy"):
        choose_agent("policy", ENV_ID, tmp_path / "none.safetensors")
    assert not list(tmp_path.iterdir())


def test_chart_draws_every_point_inside_and_escapes_names() -> None:
    x = np.linspace(0, 2, 30)
    svg = line_chart([Series("a < b", x, x**2), Series("c", x, 3 - x)], marks=[1.0])
    assert "a &lt; b" in svg and "<polyline" in svg and 'class="mark"' in svg
    points = np.array(
        [
            [float(v) for v in pair.split(",")]
            for part in svg.split('points="')[1:]
            for pair in part.split('"')[0].split()
        ]
    )
    assert points.shape == (60, 2)
    assert (points > 0).all() and (points < (charts.WIDTH, charts.HEIGHT)).all()


@pytest.mark.parametrize(("value", "expected"), [(0, 1), (0.35, 0.4), (1, 1), (7, 8), (93, 100)])
def test_round_up(value: float, expected: float) -> None:
    assert round_up(value) == pytest.approx(expected)
