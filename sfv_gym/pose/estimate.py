"""MediaPipe's PoseLandmarker over a whole clip, one person out."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from rich.console import Console
from rich.progress import track

from sfv_gym.errors import PoseError
from sfv_gym.pose.landmarks import LANDMARKS
from sfv_gym.pose.model import ensure_pose_model, variant_of
from sfv_gym.pose.person import Person, merge, without_doubles
from sfv_gym.pose.sequence import PoseSequence
from sfv_gym.pose.tracking import largest_track
from sfv_gym.video import VideoReader

log = logging.getLogger(__name__)

MAX_PEOPLE = 2
FRAMES_AHEAD = 2  # keep both views' threads busy
MIN_DETECTED_FRAMES = 5
MIN_DETECTED_SHARE = 0.3


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
    model = ensure_pose_model(variant)
    with _quiet_stderr(), contextlib.ExitStack() as stack:
        views = 2 if mirror else 1
        landmarkers = [stack.enter_context(_landmarker(model)) for _ in range(views)]
        people = track(
            _people(video, landmarkers),
            description="pose",
            total=len(video),
            console=Console(file=sys.stderr),
            disable=not progress,
        )
        person, notes = largest_track(list(people), video.fps)
    _check_detected(video, person)
    for note in notes:
        log.warning("%s: %s", video.path.name, note)
    settings = {
        "pose_model": variant_of(model),
        "pose_model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "mirror": mirror,
        "mediapipe_version": mediapipe.__version__,
        "notes": notes,
    }
    return _as_sequence(video, person, settings)


def _landmarker(model: Path) -> Any:
    # VIDEO mode: someone whom the detector misses is looked for where they were in the frame
    # before. With MAX_PEOPLE > 1 the detector also runs on every frame while one person is in
    # view, and landmarks are not smoothed over time; with 1 it trusts the frame before, smooths,
    # and falls behind fast motion (measured: PA error 100 mm instead of 85).
    options = vision.PoseLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.VIDEO,
        num_poses=MAX_PEOPLE,
    )
    return vision.PoseLandmarker.create_from_options(options)


def _people(video: VideoReader, landmarkers: list[Any]) -> Iterator[list[Person]]:
    """Everyone in each frame, in order.

    The first landmarker sees the frames as they are, the second one mirrored, each in a thread.
    """
    pools = [ThreadPoolExecutor(1) for _ in landmarkers]  # one thread each keeps time's order
    try:
        ahead: deque[list[Future[list[Person]]]] = deque()
        for t, frame in enumerate(video):
            stamp = int(1000 * t / video.fps) + t  # ms, growing at any frame rate
            views = [frame, np.ascontiguousarray(frame[:, ::-1])]
            jobs = zip(pools, landmarkers, views, strict=False)
            ahead.append([pool.submit(_detect, lm, view, stamp) for pool, lm, view in jobs])
            if len(ahead) > FRAMES_AHEAD:
                yield _joined(ahead.popleft(), video.width)
        while ahead:
            yield _joined(ahead.popleft(), video.width)
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def _joined(views: list[Future[list[Person]]], width: int) -> list[Person]:
    people, *mirrored = (without_doubles(view.result()) for view in views)
    if not mirrored:
        return people
    return merge(people, [person.mirrored(width) for person in mirrored[0]])


def _detect(landmarker: Any, frame: np.ndarray, stamp: int) -> list[Person]:
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame)
    result = landmarker.detect_for_video(image, stamp)
    height, width = frame.shape[:2]
    return [
        Person(
            landmarks_2d=np.array([(m.x * width, m.y * height) for m in marks]),
            visibility=np.clip([m.visibility for m in marks], 0.0, 1.0),
            landmarks_3d=np.array([(m.x, m.y, m.z) for m in world]),
        )
        for marks, world in zip(result.pose_landmarks, result.pose_world_landmarks, strict=True)
    ]


def _check_detected(video: VideoReader, person: list[Person | None]) -> None:
    found, frames = sum(p is not None for p in person), len(person)
    if found == 0:
        raise PoseError(
            f"{video.path}: no person was found in {frames} frames; the whole body should be in "
            "the picture and at least 100 pixels tall"
        )
    if found < MIN_DETECTED_FRAMES or found < MIN_DETECTED_SHARE * frames:
        raise PoseError(
            f"{video.path}: a person was found in only {found} of {frames} frames; choose the "
            "part that shows one with --start and --end"
        )


def _as_sequence(
    video: VideoReader, person: list[Person | None], settings: dict[str, Any]
) -> PoseSequence:
    frames, marks = len(person), len(LANDMARKS)
    poses = PoseSequence(
        landmarks_2d=np.full((frames, marks, 2), np.nan),
        visibility=np.zeros((frames, marks)),
        landmarks_3d=np.full((frames, marks, 3), np.nan),
        detected=np.array([p is not None for p in person]),
        fps=video.fps,
        width=video.width,
        height=video.height,
        source={
            "file": video.path.name,
            "sha256": video.sha256,
            "first_frame": video.first_frame,
            "num_frames": video.num_frames,
            "fps": video.fps,
            **settings,
        },
    )
    for t, seen in enumerate(person):
        if seen is not None:
            poses.landmarks_2d[t] = seen.landmarks_2d
            poses.visibility[t] = seen.visibility
            poses.landmarks_3d[t] = seen.landmarks_3d
    return poses


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Silence what MediaPipe's C++ code writes to file descriptor 2, past any setting of ours.

    Python's own stderr stays visible.
    """
    stream = sys.stderr
    try:
        stream.flush()
        saved = os.dup(2)
    except (OSError, AttributeError):  # a process without stderr
        yield
        return
    with open(os.devnull, "w") as sink, os.fdopen(saved, "w", buffering=1) as visible:
        os.dup2(sink.fileno(), 2)
        try:
            if _descriptor(stream) == 2:
                sys.stderr = visible
            yield
        finally:
            sys.stderr = stream
            os.dup2(saved, 2)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):  # replaced by something that is no file
        return None
