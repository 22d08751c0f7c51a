"""MediaPipe's PoseLandmarker: everyone in whole frames, and one person in closer views."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

from sfv_gym.pose.mediapipe.markers import LANDMARKS
from sfv_gym.pose.person import Person, joined, without_doubles
from sfv_gym.pose.view import View
from sfv_gym.video import VideoReader

MAX_PEOPLE = 3
"""Whom nobody sees costs nothing; everyone who is seen costs as much as the first one."""
THREADS = 2
FRAMES_AHEAD = 2  # keep both views' threads busy
MIN_CONFIDENCE = 0.3
"""Of the detector in a closer view: somebody is there, and the ensemble judges what is found."""


def people_in(
    video: VideoReader, model: Path, *, mirror: bool, strict: bool
) -> Iterator[list[Person]]:
    """Everyone in each frame, in order; ``mirror`` joins the mirrored frame's people (`merge`)."""
    with contextlib.ExitStack() as stack:
        views = 2 if mirror else 1
        landmarkers = [stack.enter_context(_follower(model)) for _ in range(views)]
        # one thread each keeps time's order
        pools = [stack.enter_context(_pool()) for _ in landmarkers]
        ahead: deque[list[Future[list[Person]]]] = deque()
        for t, frame in enumerate(video):
            stamp = int(1000 * t / video.fps) + t  # ms, growing at any frame rate
            pictures = [frame, np.ascontiguousarray(frame[:, ::-1])]
            jobs = zip(pools, landmarkers, pictures, strict=False)
            ahead.append([pool.submit(_follow, lm, seen, stamp) for pool, lm, seen in jobs])
            if len(ahead) > FRAMES_AHEAD:
                yield _joined(ahead.popleft(), video.width, strict)
        while ahead:
            yield _joined(ahead.popleft(), video.width, strict)


def look(
    video: VideoReader, model: Path, plan: Mapping[int, Sequence[View]]
) -> Iterator[tuple[int, list[tuple[View, Person]]]]:
    """Whom the views of each frame in ``plan`` show, in the frame's coordinates."""
    with contextlib.ExitStack() as stack:
        landmarkers = [stack.enter_context(_looker(model)) for _ in range(THREADS)]
        # a thread each, in turn, whatever frame the views are of: none waits for another's frame
        turns = cycle([(stack.enter_context(_pool()), one) for one in landmarkers])
        ahead: deque[tuple[int, list[tuple[View, Future[list[Person]]]]]] = deque()
        for t, frame in enumerate(video):
            if not (views := plan.get(t)):
                continue
            jobs = zip(views, turns, strict=False)
            ahead.append((t, [(v, pool.submit(_look, one, frame, v)) for v, (pool, one) in jobs]))
            if len(ahead) > FRAMES_AHEAD:
                yield _seen(*ahead.popleft())
        while ahead:
            yield _seen(*ahead.popleft())


def single_frames(video: VideoReader, model: Path) -> Iterator[Person | None]:
    """The first person in each frame, seen upright and by itself: MediaPipe as it comes."""
    options = vision.PoseLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.IMAGE,
    )
    with vision.PoseLandmarker.create_from_options(options) as landmarker:
        for frame in video:
            yield next(iter(_people(landmarker.detect(_image(frame)), frame)), None)


def _follower(model: Path) -> Any:
    # VIDEO mode: someone whom the detector misses is looked for where they were in the frame
    # before. With MAX_PEOPLE > 1 the detector also runs on every frame while one person is in
    # view, and landmarks are not smoothed over time; with 1 it trusts the frame before, smooths,
    # and falls behind fast motion.
    options = vision.PoseLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.VIDEO,
        num_poses=MAX_PEOPLE,
    )
    return vision.PoseLandmarker.create_from_options(options)


def _looker(model: Path) -> Any:
    options = vision.PoseLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.IMAGE,
        num_poses=1,
        min_pose_detection_confidence=MIN_CONFIDENCE,
        min_pose_presence_confidence=MIN_CONFIDENCE,
    )
    return vision.PoseLandmarker.create_from_options(options)


@contextlib.contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _joined(views: list[Future[list[Person]]], width: int, strict: bool) -> list[Person]:
    people, *mirrored = (view.result() for view in views)
    return (
        joined(people, mirrored[0], width, strict=strict) if mirrored else without_doubles(people)
    )


def _seen(
    t: int, jobs: list[tuple[View, Future[list[Person]]]]
) -> tuple[int, list[tuple[View, Person]]]:
    return t, [(view, person) for view, job in jobs for person in job.result()]


def _follow(landmarker: Any, frame: np.ndarray, stamp: int) -> list[Person]:
    return _people(landmarker.detect_for_video(_image(frame), stamp), frame)


def _look(landmarker: Any, frame: np.ndarray, view: View) -> list[Person]:
    picture = view.picture(frame)
    found = _people(landmarker.detect(_image(picture)), picture)
    return [view.in_frame(person) for person in found]


def _image(picture: np.ndarray) -> Any:
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)


def _people(result: Any, picture: np.ndarray) -> list[Person]:
    height, width = picture.shape[:2]
    return [
        Person(
            landmarks=LANDMARKS,
            landmarks_2d=np.array([(m.x * width, m.y * height) for m in marks]),
            visibility=np.clip([m.visibility for m in marks], 0.0, 1.0),
            landmarks_3d=np.array([(m.x, m.y, m.z) for m in world]),
        )
        for marks, world in zip(result.pose_landmarks, result.pose_world_landmarks, strict=True)
    ]
