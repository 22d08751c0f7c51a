"""MediaPipe's PoseLandmarker over a whole clip, one person out."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from rich.console import Console
from rich.progress import track

from sfv_gym.errors import PoseError
from sfv_gym.pose.landmarks import LANDMARKS, MIRROR
from sfv_gym.pose.model import ensure_pose_model
from sfv_gym.pose.sequence import PoseSequence
from sfv_gym.video import VideoReader

log = logging.getLogger(__name__)

MAX_PEOPLE = 2
MIN_DETECTED_FRAMES = 5
MIN_DETECTED_SHARE = 0.3
MIRROR_DISAGREEMENT = 0.15
"""Share of the body's height by which the mirrored copy may differ before it is left out."""


@dataclass
class _Candidate:
    """One person in one frame; shapes as in PoseSequence."""

    landmarks_2d: np.ndarray
    visibility: np.ndarray
    landmarks_3d: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        return self.landmarks_2d.mean(0)

    @property
    def size(self) -> float:
        """Pixels, of the diagonal of the box around all landmarks."""
        return float(np.linalg.norm(np.ptp(self.landmarks_2d, axis=0)))

    def mirrored(self, width: int) -> _Candidate:
        """The same person in the mirrored frame."""
        pixels, metres = self.landmarks_2d[MIRROR].copy(), self.landmarks_3d[MIRROR].copy()
        pixels[:, 0] = width - 1 - pixels[:, 0]
        metres[:, 0] *= -1
        return _Candidate(pixels, self.visibility[MIRROR], metres)


def estimate_pose(
    video: VideoReader, *, variant: str = "heavy", mirror: bool = True, progress: bool = True
) -> PoseSequence:
    """Find the person in every frame.

    With two people, the track that is largest and lasts longest is taken, and a note says so.

    Args:
        variant: MediaPipe's model: heavy, full or lite.
        mirror: average with the mirrored frame's pose: twice the time, better 3D.
        progress: show a progress bar on stderr.

    Raises:
        PoseError: nobody is found, or in too few frames.
        PoseModelError: the model cannot be fetched.
    """
    model = str(ensure_pose_model(variant))
    frames: list[list[_Candidate]] = []
    with _quiet_stderr() as visible_stderr:
        landmarker = _landmarker(model, MAX_PEOPLE)
        mirrored = _landmarker(model, MAX_PEOPLE) if mirror else None
        for t, frame in enumerate(
            track(
                video,
                description="pose",
                total=len(video),
                console=Console(file=visible_stderr),
                disable=not progress,
            )
        ):
            stamp = round(1000 * t / video.fps) + t  # strictly increasing at any frame rate
            people = _detect(landmarker, frame, stamp)
            if mirrored is not None:
                flipped = np.ascontiguousarray(frame[:, ::-1])
                twins = [c.mirrored(video.width) for c in _detect(mirrored, flipped, stamp)]
                people = _merge(people, twins)
            frames.append(people)
        landmarker.close()
        if mirrored is not None:
            mirrored.close()
    track_of, notes = _largest_track(frames)
    _check_detected(video, track_of)
    for note in notes:
        log.warning("%s: %s", video.path.name, note)
    return _as_sequence(video, track_of, notes, variant, mirror)


def _landmarker(model: str, people: int) -> Any:
    options = vision.PoseLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=model),
        running_mode=vision.RunningMode.VIDEO,
        num_poses=people,
    )
    return vision.PoseLandmarker.create_from_options(options)


def _detect(landmarker: Any, frame: np.ndarray, stamp: int) -> list[_Candidate]:
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame)
    result = landmarker.detect_for_video(image, stamp)
    height, width = frame.shape[:2]
    people = []
    for marks, world in zip(result.pose_landmarks, result.pose_world_landmarks, strict=True):
        pixels = np.array([(m.x * width, m.y * height) for m in marks])
        people.append(
            _Candidate(
                pixels,
                np.clip([m.visibility for m in marks], 0.0, 1.0),
                np.array([(m.x, m.y, m.z) for m in world]),
            )
        )
    return people


def _merge(people: list[_Candidate], twins: list[_Candidate]) -> list[_Candidate]:
    """Average each person with the mirrored frame's where both see the same pose."""
    out, left = [], list(twins)
    for person in people:
        limit = MIRROR_DISAGREEMENT * person.size
        best = min(left, key=lambda twin: _distance(person, twin), default=None)
        if best is None or _distance(person, best) > limit:
            out.append(person)
            continue
        left.remove(best)
        out.append(
            _Candidate(
                0.5 * (person.landmarks_2d + best.landmarks_2d),
                0.5 * (person.visibility + best.visibility),
                0.5 * (person.landmarks_3d + best.landmarks_3d),
            )
        )
    # someone whom only the mirrored frame shows
    return out + [t for t in left if all(_distance(t, p) > 0.5 * p.size for p in people)]


def _distance(a: _Candidate, b: _Candidate) -> float:
    return float(np.linalg.norm(a.landmarks_2d - b.landmarks_2d, axis=-1).mean())


def _largest_track(
    frames: list[list[_Candidate]],
) -> tuple[list[_Candidate | None], list[str]]:
    """Link people from frame to frame by distance; the track with the most area over time."""
    tracks: list[list[_Candidate | None]] = []
    for t, people in enumerate(frames):
        left = list(people)
        for candidates in tracks:
            last = next((c for c in reversed(candidates) if c is not None), None)
            near = min(left, key=lambda c: np.linalg.norm(c.centre - last.centre), default=None)
            if near is not None and np.linalg.norm(near.centre - last.centre) < 0.5 * last.size:
                candidates.append(near)
                left.remove(near)
            else:
                candidates.append(None)
        # MediaPipe sometimes reports one person twice
        for person in left:
            if all(_distance(person, p) > 0.3 * p.size for p in people if p is not person):
                tracks.append([None] * t + [person])
    if not tracks:
        return [None] * len(frames), []
    weights = [sum(c.size for c in candidates if c is not None) for candidates in tracks]
    best = int(np.argmax(weights))
    notes = []
    rivals = sum(w > 0.2 * weights[best] for w in weights) - 1
    if rivals:
        notes.append(f"{rivals + 1} people seen; the largest, longest track was taken")
    return tracks[best], notes


def _check_detected(video: VideoReader, track_of: list[_Candidate | None]) -> None:
    found = sum(c is not None for c in track_of)
    if found == 0:
        raise PoseError(
            f"{video.path}: no person was found in {len(track_of)} frames; the whole body should "
            "be in the picture and at least 100 pixels tall"
        )
    if found < MIN_DETECTED_FRAMES or found < MIN_DETECTED_SHARE * len(track_of):
        raise PoseError(
            f"{video.path}: a person was found in only {found} of {len(track_of)} frames; choose "
            "the part that shows one with --start and --end"
        )


def _as_sequence(
    video: VideoReader,
    track_of: list[_Candidate | None],
    notes: list[str],
    variant: str,
    mirror: bool,
) -> PoseSequence:
    frames, marks = len(track_of), len(LANDMARKS)
    out = PoseSequence(
        landmarks_2d=np.full((frames, marks, 2), np.nan),
        visibility=np.zeros((frames, marks)),
        landmarks_3d=np.full((frames, marks, 3), np.nan),
        detected=np.array([c is not None for c in track_of]),
        fps=video.fps,
        width=video.width,
        height=video.height,
        source={
            "file": video.path.name,
            "sha256": video.sha256,
            "first_frame": video.first_frame,
            "num_frames": video.num_frames,
            "fps": video.fps,
            "pose_model": variant,
            "mirror": mirror,
            "mediapipe_version": mediapipe.__version__,
            "notes": notes,
        },
    )
    for t, person in enumerate(track_of):
        if person is not None:
            out.landmarks_2d[t] = person.landmarks_2d
            out.visibility[t] = person.visibility
            out.landmarks_3d[t] = person.landmarks_3d
    return out


@contextmanager
def _quiet_stderr() -> Iterator[Any]:
    """Silence what MediaPipe's C++ code writes to file descriptor 2; yields the real stderr."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "w") as sink, os.fdopen(saved, "w", closefd=False) as visible:
        os.dup2(sink.fileno(), 2)
        try:
            yield visible
        finally:
            visible.flush()
            os.dup2(saved, 2)
            os.close(saved)
