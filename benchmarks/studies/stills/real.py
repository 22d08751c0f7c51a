"""A contact sheet of clips of real people: one frame of each beside its film's first second."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from sfv_gym.benchmarks.studies.stills.frames import Frame
from sfv_gym.benchmarks.studies.stills.measure import still_of
from sfv_gym.completion.output import film_row
from sfv_gym.completion.picture import pose_of, read_picture
from sfv_gym.completion.pipeline import go_on
from sfv_gym.completion.playing import UP
from sfv_gym.errors import SFVError
from sfv_gym.files import atomic_path
from sfv_gym.play.panels import clip_panels
from sfv_gym.pose import PoseSequence

SHEET = "images/stills_real.webp"
WIDTH = 1100
"""Pixels of the sheet; ``QUALITY`` of its WebP."""
QUALITY = 60
_PAPER, _LINE = 236, (30, 60, 120)


class RealPicture(TypedDict):
    """What came of a real clip's frame; ``error`` where no pose was found in it.

    ``skill``: the first that is played, or the nearest where all are far.
    """

    frame: str
    skill: str
    mirrored: bool
    distance: float | None
    words: str
    stays_up: bool | None
    shown: bool
    error: str


def measure_real(
    frames: Sequence[Frame], out: Path, docs: Path, shown: Collection[str], console: Console
) -> list[RealPicture]:
    """What came of each frame; the sheet goes into ``docs``.

    Args:
        out: where pictures and poses are kept.
        shown: names of the clips whose pixels the sheet may show. Of the others it has the
            person's landmarks alone, drawn on paper.
    """
    found, rows = [], []
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("", total=len(frames))
        for frame in frames:
            bar.update(task, description=frame.name)
            one, row = _picture(frame, out, frame.clip.stem in shown)
            found.append(one)
            rows += [] if row is None else [row]
            bar.advance(task)
    if rows:
        with atomic_path(docs / SHEET) as part:
            part.write_bytes(_webp(rows))
    return found


def drawing(poses: PoseSequence) -> np.ndarray:
    """The person's landmarks (H, W, 3) uint8 of the first frame, joined by lines, on paper."""
    picture = np.full((poses.height, poses.width, 3), _PAPER, np.uint8)
    thick = max(2, round(max(poses.width, poses.height) / 120))
    places = poses.landmarks_2d[0]
    for bone in poses.landmarks.bones:
        a, b = places[poses.landmarks.indices(*bone)]
        if np.isfinite([a, b]).all():
            ends = [(round(float(p[0])), round(float(p[1]))) for p in (a, b)]
            cv2.line(picture, ends[0], ends[1], _LINE, thick, cv2.LINE_AA)
    return picture


def _picture(frame: Frame, out: Path, shown: bool) -> tuple[RealPicture, np.ndarray | None]:
    found: RealPicture = {
        "frame": frame.name, "skill": "", "mirrored": False, "distance": None, "words": "",
        "stays_up": None, "shown": shown, "error": "",
    }  # fmt: skip
    path = frame.save(out)
    try:
        picture = read_picture(path)
        poses = pose_of(picture)
        still = still_of(path)
    except SFVError as error:
        found["error"] = str(error).replace(str(path), path.name)
        return found, None
    panel = clip_panels(picture if shown else [drawing(poses)], poses)[0]
    for one, rolled in go_on(still, seconds=UP):
        if rolled is None and one.is_near:
            continue
        found |= {
            "skill": one.skill, "mirrored": one.mirrored, "distance": round(one.distance, 4),
            "words": one.words, "stays_up": one.stays_up,
        }  # fmt: skip
        return found, None if rolled is None else film_row(panel, one, rolled, poses)
    return found, None


def _webp(rows: Sequence[np.ndarray]) -> bytes:
    """Rows one below the other, as a small picture."""
    sheet = Image.fromarray(np.vstack(rows))
    sheet.thumbnail((WIDTH, 10 * WIDTH))
    kept = io.BytesIO()
    sheet.save(kept, "webp", quality=QUALITY, method=6)
    return kept.getvalue()
