"""A video, the reference and the simulated character side by side, in step with each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from sfv_gym.play.pictures import render_reference, render_rollout
from sfv_gym.play.rollout import Rollout
from sfv_gym.pose import PoseSequence
from sfv_gym.render.viewpoint import SIDE_VIEW

HEIGHT = 360
CLIP_WIDTH, CHARACTER_WIDTH = 480, 360
STRIP_HEIGHT = 30
GAP = 4
HOLD_SECONDS = 1.0
"""How long the last picture stays of a motion that does not go on for ever."""

_HIPS = ("right_hip", "left_hip")
_STRIP, _TEXT = (28, 32, 38), (235, 238, 242)  # RGB


def side_by_side(
    clip: Sequence[np.ndarray] | None,
    fps: float,
    played: Rollout,
    *,
    cyclic: bool,
    azimuth: float,
    shows: str = "video and pose",
) -> Iterator[np.ndarray]:
    """Labelled pictures (H, W, 3) uint8, one a control step: video | reference | character.

    Args:
        clip: the video's panels (see ``clip_panels``), ``fps`` a second, from the rollout's start;
            None where there is no video: then the other two stand alone.
        cyclic: the clip starts again when it is over; otherwise everything ends with a hold.
        azimuth: of the camera, so that the character is seen as the person is.
        shows: what the clip's panels are called.
    """
    reference = render_reference(played, width=CHARACTER_WIDTH, height=HEIGHT, azimuth=azimuth)
    character = render_rollout(played, width=CHARACTER_WIDTH, height=HEIGHT, azimuth=azimuth)
    for step, (ghost, simulated) in enumerate(zip(reference, character, strict=True)):
        failed = ", failed" if played.has_failed(step) else ""
        panels = [
            labelled(ghost, "reference motion"),
            labelled(simulated, "simulated character" + failed, f"{step / played.hz:.1f} s"),
        ]
        if clip is not None:
            index = round(step / played.hz * fps)
            repeats = cyclic and index >= len(clip)
            shown = clip[index % len(clip) if cyclic else min(index, len(clip) - 1)]
            panels.insert(0, labelled(shown, shows + (" (again)" if repeats else "")))
        gap = np.full((len(panels[0]), GAP, 3), _STRIP, np.uint8)
        picture = np.hstack([part for panel in panels for part in (gap, panel)][1:])
        yield picture
    if not cyclic:
        for _ in range(round(HOLD_SECONDS * played.hz)):
            yield picture


def clip_panels(frames: Iterable[np.ndarray], poses: PoseSequence) -> list[np.ndarray]:
    """Each frame as a panel (HEIGHT, CLIP_WIDTH, 3); wide ones are cropped around the person."""
    aspect = CLIP_WIDTH / HEIGHT
    if poses.width <= aspect * poses.height:
        return [_letterboxed(frame) for frame in frames]
    width = round(aspect * poses.height)
    middle = np.clip(_person_x(poses), width / 2, poses.width - width / 2)
    panels = []
    for frame, x in zip(frames, middle, strict=True):
        left = round(x - width / 2)
        crop = np.ascontiguousarray(frame[:, left : left + width])
        panels.append(cv2.resize(crop, (CLIP_WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
    return panels


def view_azimuth(poses: PoseSequence) -> float:
    """The camera's azimuth in degrees that shows the character as the video shows the person.

    A motion's heading is along x at its first frame. The depths of landmarks are
    too rough for more than quarter turns: from a side, from the front, from behind.
    """
    first = np.flatnonzero(poses.detected)[:10]
    if len(first) == 0:
        return SIDE_VIEW
    hips = poses.landmarks_3d[first][:, poses.landmarks.indices(*_HIPS)]
    to_left = (hips[:, 1] - hips[:, 0]).mean(0)  # x right, y down, z away from the camera
    # seen from above with x right and z ahead, forward is a quarter turn clockwise from left
    forward = np.degrees(np.arctan2(-to_left[0], to_left[2]))
    return float(90.0 * np.round((90.0 - forward) / 90.0))


def labelled(frame: np.ndarray, text: str, note: str = "") -> np.ndarray:
    """A picture with a strip on top: ``text`` at its left, ``note`` at its right."""
    strip = np.empty((STRIP_HEIGHT, frame.shape[1], 3), np.uint8)
    strip[:] = _STRIP
    font, scale, base = cv2.FONT_HERSHEY_SIMPLEX, 0.5, STRIP_HEIGHT - 10
    cv2.putText(strip, text, (10, base), font, scale, _TEXT, 1, cv2.LINE_AA)
    if note:
        (width, _), _ = cv2.getTextSize(note, font, scale, 1)
        at = (frame.shape[1] - width - 10, base)
        cv2.putText(strip, note, at, font, scale, _TEXT, 1, cv2.LINE_AA)
    return np.vstack((strip, frame))


def _letterboxed(frame: np.ndarray) -> np.ndarray:
    scale = min(CLIP_WIDTH / frame.shape[1], HEIGHT / frame.shape[0])
    size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    out = np.zeros((HEIGHT, CLIP_WIDTH, 3), np.uint8)
    top, left = (HEIGHT - size[1]) // 2, (CLIP_WIDTH - size[0]) // 2
    out[top : top + size[1], left : left + size[0]] = small
    return out


def _person_x(poses: PoseSequence) -> np.ndarray:
    """Smooth middle of the hips (T,) in pixels, also where the person was not found."""
    found = np.flatnonzero(poses.detected)
    x = poses.landmarks_2d[found][:, poses.landmarks.indices(*_HIPS), 0].mean(-1)
    filled = np.interp(np.arange(poses.num_frames), found, x)
    reach = max(1, round(0.25 * poses.fps))
    padded = np.pad(filled, reach, mode="edge")
    return np.convolve(padded, np.ones(2 * reach + 1) / (2 * reach + 1), mode="valid")
