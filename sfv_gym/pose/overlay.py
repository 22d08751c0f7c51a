"""The detected skeleton drawn into the frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from sfv_gym.pose.landmarks import LandmarkSet
from sfv_gym.pose.sequence import PoseSequence

LEFT, RIGHT, MIDDLE = (64, 140, 255), (255, 128, 64), (235, 235, 235)  # RGB
MIN_VISIBILITY = 0.3
TAKEN = (255, 210, 40)  # RGB, of the box around the one of several people who was taken


def draw_pose(
    frame: np.ndarray, landmarks: LandmarkSet, landmarks_2d: np.ndarray, visibility: np.ndarray
) -> np.ndarray:
    """A copy of the frame with the skeleton drawn in: the person's left blue, right orange.

    Args:
        frame: (H, W, 3) RGB uint8.
        landmarks: whose bones are drawn.
        landmarks_2d: (K, 2) pixels.
        visibility: (K,); bones with a hidden end, which are guesses, are drawn as thin lines,
            those with an end of visibility 0 not at all.
    """
    out = np.ascontiguousarray(frame).copy()
    thickness = max(2, round(frame.shape[0] / 200))
    for names in landmarks.bones:
        a, b = landmarks.indices(*names)
        seen = min(visibility[a], visibility[b])
        if seen == 0:
            continue
        sides = {name.split("_")[0] for name in names}
        colour = LEFT if sides == {"left"} else RIGHT if sides == {"right"} else MIDDLE
        ends = [tuple(round(float(c)) for c in landmarks_2d[i]) for i in (a, b)]
        if seen < MIN_VISIBILITY:
            cv2.line(out, ends[0], ends[1], colour, max(1, thickness // 3), cv2.LINE_AA)
            continue
        cv2.line(out, ends[0], ends[1], (20, 20, 20), thickness + 2, cv2.LINE_AA)
        cv2.line(out, ends[0], ends[1], colour, thickness, cv2.LINE_AA)
    return out


def draw_box(
    picture: np.ndarray, landmarks_2d: np.ndarray, colour: tuple[int, int, int], label: str
) -> None:
    """Draw a box around landmarks (K, 2), with a label at its upper left, into an RGB picture."""
    thickness = max(2, round(picture.shape[0] / 240))
    margin = 0.06 * float(np.linalg.norm(np.ptp(landmarks_2d, axis=0)))
    x, y = (round(float(c)) for c in landmarks_2d.min(0) - margin)
    right, bottom = (round(float(c)) for c in landmarks_2d.max(0) + margin)
    x, y = max(x, 0), max(y, 0)
    cv2.rectangle(picture, (x, y), (right, bottom), colour, thickness, cv2.LINE_AA)
    size, font = max(0.5, picture.shape[0] / 600), cv2.FONT_HERSHEY_SIMPLEX
    (width, height), _ = cv2.getTextSize(label, font, size, thickness)
    cv2.rectangle(picture, (x, y), (x + width + 8, y + height + 8), colour, cv2.FILLED)
    cv2.putText(
        picture, label, (x + 4, y + height + 4), font, size, (20, 20, 20), thickness, cv2.LINE_AA
    )


def overlay_frames(frames: Iterable[np.ndarray], poses: PoseSequence) -> Iterator[np.ndarray]:
    """Each frame with its pose; frames without one pass as they are.

    Where there are several people, a box marks the one who was taken.
    """
    several = int(poses.source.get("people", 1)) > 1
    for t, frame in enumerate(frames):
        if poses.detected[t]:
            seen = poses.visibility[t] > 0
            drawn = draw_pose(frame, poses.landmarks, poses.landmarks_2d[t], poses.visibility[t])
            if several and seen.any():
                draw_box(drawn, poses.landmarks_2d[t, seen], TAKEN, "taken")
            yield drawn
        else:
            yield frame
