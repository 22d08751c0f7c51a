"""One person's landmarks over a whole clip: a plain look at every frame, closer ones in doubt."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from sfv_gym.errors import OutputError, PoseError
from sfv_gym.files import JSON, cache_folder
from sfv_gym.pose import ensemble as fusion
from sfv_gym.pose.appearance import with_colours
from sfv_gym.pose.estimator import PoseEstimator
from sfv_gym.pose.jumps import PERSON_JUMPS, find_far_jumps
from sfv_gym.pose.landmarks import LandmarkSet
from sfv_gym.pose.legs import untangle_legs
from sfv_gym.pose.person import Person
from sfv_gym.pose.quiet import quiet_stderr
from sfv_gym.pose.registry import DEFAULT, get_estimator
from sfv_gym.pose.sequence import PoseSequence
from sfv_gym.pose.subject import LARGEST, Subject, beside, choose, notes_on, parse_subject, subjects
from sfv_gym.pose.tracking import tracks
from sfv_gym.video import VideoReader, cut_error

log = logging.getLogger(__name__)

MIN_DETECTED_FRAMES = 5
MIN_DETECTED_SHARE = 0.3


def estimate_pose(
    video: VideoReader,
    *,
    estimator: str | PoseEstimator = DEFAULT,
    mirror: bool = True,
    ensemble: bool = True,
    subject: str | int = LARGEST,
    cache: bool = True,
    progress: bool = True,
) -> PoseSequence:
    """Find the person in every frame.

    Args:
        estimator: what looks at the frames, see `get_estimator`.
        mirror: average with the mirrored frame's pose: twice the time, better 3D.
        ensemble: look at doubtful frames again, closer and turned (`sfv_gym.pose.ensemble`), and
            put legs that change places right (`sfv_gym.pose.legs`).
        subject: which of several people: ``"largest"`` (who counts most by size, time in view and
            movement), their number in that order from 1 on, or ``"x,y"`` for the one on whom a
            point lies at some time, in shares of the picture's width and height. A note says so
            when there is a choice; `find_people` lists everyone.
        cache: keep the result in the user's cache folder, and take it from there.
        progress: show a progress bar on stderr.

    Raises:
        PoseError: nobody is found, or in too few frames, or ``subject`` is none, or the estimator
            finds people with other landmarks than its own.
        VideoError: there is a cut at which the person gets too far to be followed.
        PoseModelError: the model cannot be fetched.
        UnknownIdError, SettingError: there is no such estimator.
    """
    parse_subject(subject)  # wrong settings must not cost the minutes that this takes
    chosen = get_estimator(estimator)
    facts = chosen.facts()
    source = {
        **facts,
        "file": video.path.name,
        "sha256": video.sha256,
        "first_frame": video.first_frame,
        "num_frames": video.num_frames,
        "fps": video.fps,
        "estimator": chosen.name,
        "mirror": mirror,
        "ensemble": fusion.ENSEMBLE_VERSION if ensemble else 0,
        "subject": str(subject).strip(),
    }
    decides = {**source, "frames": video.frames, "size": [video.width, video.height]}
    if not ensemble:  # tracking has its part in the plain look's poses, too
        decides["version"] = fusion.ENSEMBLE_VERSION
    path, cache = _cache_path(decides), cache and bool(facts)
    poses = _read_cache(path, video, chosen.landmarks, source) if cache else None
    if poses is None:
        person, decided = _find(video, chosen, mirror, ensemble, subject, progress)
        _check_detected(video, person)
        poses = _as_sequence(video, chosen.landmarks, person, {**source, **decided})
        if cache:
            _write_cache(path, poses)
    if ensemble:
        poses, exchanged = untangle_legs(poses)
        poses.source["legs_exchanged"] = np.flatnonzero(exchanged).tolist()
    for note in poses.source["notes"]:
        log.warning("%s: %s", video.path.name, note)
    return poses


def find_people(
    video: VideoReader,
    *,
    estimator: str | PoseEstimator = DEFAULT,
    mirror: bool = True,
    progress: bool = True,
) -> list[Subject]:
    """Everyone in a video, in the order of the numbers that ``subject`` takes.

    Args:
        video, estimator, mirror, progress: as for `estimate_pose`, which numbers people alike.

    Raises:
        PoseError, PoseModelError, UnknownIdError, SettingError: as by `estimate_pose`.
    """
    with quiet_stderr(), _progress(progress) as bar:
        people = _plain_look(video, get_estimator(estimator), mirror, True, bar)
    return _subjects(video, people)


def _find(
    video: VideoReader,
    estimator: PoseEstimator,
    mirror: bool,
    ensemble: bool,
    subject: str | int,
    progress: bool,
) -> tuple[list[Person | None], JSON]:
    """The person in each frame; how many people there are, and notes on what was decided."""
    with quiet_stderr(), _progress(progress) as bar:
        people = _plain_look(video, estimator, mirror, ensemble, bar)
        everyone = _subjects(video, people)
        if not everyone:
            return [None] * len(people), {}
        best = choose(everyone, subject, video.width, video.height)
        decided = {
            "people": 1 + len(beside(best, everyone)),
            "notes": notes_on(best, everyone, subject),
        }
        person = [best.track.people.get(t) for t in range(len(people))]
        if cuts := find_far_jumps(video, [each.track for each in everyone], person):
            raise cut_error(video, cuts, PERSON_JUMPS)
        if not ensemble:
            return person, decided
        others = [other.track.people for other in everyone if other is not best]
        search = fusion.Search(people, person, video.fps, others)
        for attempt in range(fusion.ROUNDS):
            plan = search.plan(attempt)
            if not plan:
                break
            looks = estimator.look(video, plan)
            for t, seen in bar.track(looks, total=len(plan), description="hard frames"):
                for _, somebody in seen:
                    _check_person(somebody, estimator)
                search.add(t, seen)
            search.settle()
        return search.person, decided


def _plain_look(
    video: VideoReader, estimator: PoseEstimator, mirror: bool, strict: bool, bar: Progress
) -> list[list[Person]]:
    """(T,) everyone in each frame."""
    looks = estimator.people_in(video, mirror=mirror, strict=strict)
    people = list(bar.track(looks, total=len(video), description="pose"))
    if len(people) != len(video):
        raise PoseError(f"{estimator.name}: people of {len(people)} frames, not of {len(video)}")
    for somebody in (p for frame in people for p in frame):
        _check_person(somebody, estimator)
    return with_colours(video, people)


def _subjects(video: VideoReader, people: list[list[Person]]) -> list[Subject]:
    return subjects(tracks(people, video.fps), video.fps, video.width, video.height)


def _progress(shown: bool) -> Progress:
    return Progress(console=Console(file=sys.stderr), disable=not shown)


def _check_person(person: Person, estimator: PoseEstimator) -> None:
    """Raise PoseError where a sighting does not have the landmarks that its estimator promises."""
    marks = len(estimator.landmarks)
    if person.landmarks != estimator.landmarks:
        raise PoseError(f"{estimator.name}: {person.landmarks}, not {estimator.landmarks}")
    for name, shape in (
        ("landmarks_2d", (marks, 2)),
        ("visibility", (marks,)),
        ("landmarks_3d", (marks, 3)),
    ):
        found = getattr(person, name)
        if np.shape(found) != shape:
            raise PoseError(f"{estimator.name}: {name} has shape {np.shape(found)}, not {shape}")
        if not np.isfinite(found).all():
            raise PoseError(
                f"{estimator.name}: {name} is not finite: a landmark that is hidden is a guess "
                "of visibility 0"
            )


def _check_detected(video: VideoReader, person: list[Person | None]) -> None:
    seen = np.array([p is not None for p in person])
    found, frames = int(seen.sum()), len(seen)
    if found == 0:
        raise PoseError(
            f"{video.path}: no person was found in {frames} frames; the whole body should be in "
            "the picture and at least 100 pixels tall"
        )
    enough = min(MIN_DETECTED_FRAMES, frames)  # a picture is a video of one frame
    if found < enough or found < MIN_DETECTED_SHARE * frames:
        advice = video.range_advice(seen) if found >= MIN_DETECTED_FRAMES else None
        raise PoseError(
            f"{video.path}: a person was found in only {found} of {frames} frames; "
            + (advice or "choose the part that shows one with --start and --end")
        )


def _as_sequence(
    video: VideoReader,
    landmarks: LandmarkSet,
    person: list[Person | None],
    source: JSON,
) -> PoseSequence:
    frames, marks = len(person), len(landmarks)
    poses = PoseSequence(
        landmarks=landmarks,
        landmarks_2d=np.full((frames, marks, 2), np.nan),
        visibility=np.zeros((frames, marks)),
        landmarks_3d=np.full((frames, marks, 3), np.nan),
        detected=np.array([p is not None for p in person]),
        fps=video.fps,
        width=video.width,
        height=video.height,
        source=source,
    )
    for t, seen in enumerate(person):
        if seen is not None:
            poses.landmarks_2d[t] = seen.landmarks_2d
            poses.visibility[t] = seen.visibility
            poses.landmarks_3d[t] = seen.landmarks_3d
    return poses


# --- cache ------------------------------------------------------------------------------------


def _cache_path(source: JSON) -> Path:
    """A file for everything that decides the result; the clip's name does not."""
    decides = {name: value for name, value in source.items() if name != "file"}
    key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]
    return cache_folder() / "poses" / f"{key}.npz"


def _read_cache(
    path: Path, video: VideoReader, landmarks: LandmarkSet, source: JSON
) -> PoseSequence | None:
    try:
        poses = PoseSequence.load(path, landmarks)
    except PoseError:  # not there, or damaged: found anew
        return None
    whole = poses.num_frames == len(video) and isinstance(poses.source.get("notes"), list)
    return replace(poses, source={**poses.source, **source}) if whole else None


def _write_cache(path: Path, poses: PoseSequence) -> None:
    with contextlib.suppress(OSError, OutputError):  # costs time, never an error
        poses.save(path)
