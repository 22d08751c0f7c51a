"""One picture of everyone in a video with box and number, to choose the subject by."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sfv_gym.errors import OutputError, PoseError
from sfv_gym.files import atomic_path
from sfv_gym.pose.estimate import find_people
from sfv_gym.pose.overlay import draw_box
from sfv_gym.pose.registry import DEFAULT
from sfv_gym.pose.subject import Subject, activity
from sfv_gym.video import VideoReader, open_video

COLUMNS, MOMENTS = 3, 6  # frames in a row, and in all
WIDTH = 480  # pixels of each frame
COLOURS = (
    (255, 210, 40), (80, 200, 255), (255, 110, 170), (120, 230, 110), (200, 150, 255),
    (255, 150, 80),
)  # fmt: skip


def people_sheet(video: VideoReader, people: Sequence[Subject]) -> np.ndarray:
    """(H, W, 3) RGB: some of the frames, everyone in them boxed.

    Args:
        people: as ``find_people`` gives them for the video.
    """
    shown = set(moments(people, len(video)))
    frames = [_marked(f, t, video.fps, people) for t, f in enumerate(video) if t in shown]
    blank = np.zeros_like(frames[0])
    frames += [blank] * (-len(frames) % min(COLUMNS, len(frames)))
    columns = min(COLUMNS, len(frames))
    rows = [np.hstack(frames[i : i + columns]) for i in range(0, len(frames), columns)]
    return np.vstack(rows)


def moments(people: Sequence[Subject], frames: int) -> list[int]:
    """The frames to show, in order: each of the first people is in one, the rest evenly spread."""
    chosen: list[int] = []
    for someone in people[:MOMENTS]:
        seen = someone.track.frames
        if not set(chosen) & set(seen.tolist()):
            chosen.append(int(seen[len(seen) // 2]))
    for t in np.linspace(0, frames - 1, MOMENTS).round().astype(int).tolist():
        if len(chosen) < MOMENTS and t not in chosen:
            chosen.append(t)
    return sorted(chosen)


def _marked(frame: np.ndarray, t: int, fps: float, people: Sequence[Subject]) -> np.ndarray:
    scale = WIDTH / frame.shape[1]
    height = round(frame.shape[0] * scale)
    out = cv2.resize(frame, (WIDTH, height), interpolation=cv2.INTER_AREA)
    for someone in reversed(people):  # who counts most comes last, above the others
        person = someone.track.people.get(t)
        if person is not None:
            colour = COLOURS[(someone.number - 1) % len(COLOURS)]
            draw_box(out, person.landmarks_2d * scale, colour, str(someone.number))
    cv2.putText(
        out, f"{t / fps:.2f} s", (8, height - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1,
        cv2.LINE_AA,
    )  # fmt: skip
    return out


def write_people(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    start: float | None = None,
    end: float | None = None,
    estimator: str = DEFAULT,
) -> list[dict[str, Any]]:
    """Find everyone in a video, write the picture of them as .png, and tell of each.

    Raises:
        VideoError, PoseError, PoseModelError, UnknownIdError, SettingError: as by ``find_people``.
        OutputError: the picture cannot be written.
    """
    if Path(out).suffix.lower() != ".png":
        raise OutputError(f"cannot write {out}: the picture of the people ends in .png")
    video = open_video(path, start, end)
    people = find_people(video, estimator=estimator)
    if not people:
        raise PoseError(f"{path}: no person was found in {len(video)} frames")
    picture = cv2.cvtColor(people_sheet(video, people), cv2.COLOR_RGB2BGR)
    with atomic_path(out) as part:
        part.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return [
        {
            "subject": someone.number,
            "x": someone.place[0],
            "y": someone.place[1],
            "start": someone.span[0],
            "end": someone.span[1],
            "frames": len(someone.track.people),
            "speed": activity(someone.track, video.fps),
        }
        for someone in people
    ]
