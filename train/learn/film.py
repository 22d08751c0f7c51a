"""What is to be seen of a policy: video, reference and character side by side, and stills of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import CONTROL_HZ, Task
from sfv_gym.play.agents import policy_agent
from sfv_gym.play.episodes import Predict
from sfv_gym.play.evaluation import PUBLISHED_EPISODES
from sfv_gym.play.panels import CHARACTER_WIDTH, HEIGHT, clip_panels, side_by_side, view_azimuth
from sfv_gym.play.pictures import reference_pictures
from sfv_gym.play.rollout import Rollout, rollout
from sfv_gym.pose import PoseSequence
from sfv_gym.render.viewpoint import SIDE_VIEW
from sfv_gym.train.recorder import RUN_OFF_EPISODES
from sfv_gym.video import open_video, write_picture, write_video

LONGEST = 6.0
"""Seconds that are shown of a motion, one that goes on for ever."""
STILLS = 5
SHEET_WIDTH = 960
"""Pixels."""
PROBE_STEPS, PROBE_PICTURES = 10, 4
SLACK = 1.2
"""How much longer what comes after training may take than was measured in small."""


def shown_seconds(task: Task) -> float:
    """How long a film of the task's motion is."""
    motion = task.motion
    return LONGEST if motion.loop == "wrap" else min(LONGEST, motion.duration)


def play_one(predict: Predict, task: Task, name: str) -> Rollout:
    """The episode of the film: the same one each time."""
    return rollout(task, policy_agent(predict), seconds=shown_seconds(task), name=name)


def write_film(
    film: Path,
    sheet: Path,
    played: Rollout,
    *,
    cyclic: bool,
    overlay: Path | None = None,
    poses: PoseSequence | None = None,
) -> None:
    """Write the film (mp4), and stills of it one below the other (webp).

    Args:
        cyclic: whether the motion goes on for ever.
        overlay: the video with the person drawn in; None where there was no video.
        poses: what was seen in it.

    Raises:
        RenderError, OutputError: there is no OpenGL; a file cannot be written.
    """
    clip, fps, azimuth = None, played.hz, SIDE_VIEW
    if overlay is not None and poses is not None:
        video = open_video(overlay)
        clip, fps, azimuth = clip_panels(video, poses), video.fps, view_azimuth(poses)
    pictures = side_by_side(clip, fps, played, cyclic=cyclic, azimuth=azimuth)
    at = set(np.linspace(0, len(played.reward), STILLS).round().astype(int).tolist())
    stills: list[np.ndarray] = []
    write_video(film, _watched(pictures, at, stills), played.hz, crf=27)
    write_picture(sheet, np.vstack(stills), width=min(SHEET_WIDTH, stills[0].shape[1]))


def _watched(
    pictures: Iterable[np.ndarray], at: set[int], stills: list[np.ndarray]
) -> Iterator[np.ndarray]:
    """The pictures, of which those ``at`` their places are kept in ``stills``."""
    for place, picture in enumerate(pictures):
        if place in at:
            stills.append(picture)
        yield picture


def seconds_after_training(task: Task, num_threads: int) -> float:
    """How long the last evaluations and the film will take: a little of each is done to see.

    Raises:
        RenderError: there is no OpenGL, of which to learn before minutes are spent.
    """
    simulation = ImitationSimulation(
        Task.of(task, initialization="fixed"), PUBLISHED_EPISODES, num_threads
    )
    simulation.seed(0)
    simulation.reset(simulation.all_ids)
    nothing = np.zeros((PUBLISHED_EPISODES, task.action_size))
    simulation.step(nothing)
    began = time.monotonic()
    for _ in range(PROBE_STEPS):
        simulation.step(nothing)
    a_step = (time.monotonic() - began) / PROBE_STEPS
    steps = float(simulation.episode_limit().max())
    # from the first frame and from drawn ones, and two policies against each other
    batches = 2.0 + 2.0 * RUN_OFF_EPISODES / PUBLISHED_EPISODES
    times = np.linspace(0.0, task.motion.duration, PROBE_PICTURES + 1)
    drawn = reference_pictures(
        task.motion, times, character=task.character.name, width=CHARACTER_WIDTH, height=HEIGHT
    )
    next(drawn)
    began = time.monotonic()
    a_picture = sum(1 for _ in drawn) and (time.monotonic() - began) / PROBE_PICTURES
    pictures = 2.0 * CONTROL_HZ * shown_seconds(task)
    return SLACK * (batches * steps * a_step + pictures * a_picture)
