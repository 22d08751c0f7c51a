"""A file of poses in an estimator's place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfv_gym.errors import PoseFileError
from sfv_gym.pose.estimator import PoseEstimator
from sfv_gym.pose.files.sightings import Seen, Sightings
from sfv_gym.pose.landmarks import LandmarkSet
from sfv_gym.pose.person import SAME_PERSON, Person, overlap

if TYPE_CHECKING:
    from sfv_gym.pose.view import View
    from sfv_gym.video import VideoReader

MORE_FRAMES = 3
"""By which a file may have more frames than the video: counts of containers differ by as much."""


@dataclass(frozen=True)
class PoseFile:
    """The people that a file saw in a video, as a `PoseEstimator`.

    Attributes:
        path: of the file. sightings: what it holds.
        depth: who is asked for metres where the file has pixels alone.
    """

    path: Path
    sightings: Sightings
    depth: PoseEstimator | None = None

    name = "file"

    @property
    def landmarks(self) -> LandmarkSet:
        """Those of the file."""
        return self.sightings.landmarks

    def facts(self) -> dict[str, str | int | float | bool]:
        """The file's name, kind and hash; and the facts of whoever is asked for depth."""
        digest = hashlib.sha256()
        files = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
        for path in files:
            digest.update(path.read_bytes())
        facts = {f"depth_{k}": v for k, v in self.depth.facts().items()} if self.depth else {}
        return {
            "pose_file": self.path.name,
            "pose_kind": self.sightings.kind,
            "pose_sha256": digest.hexdigest(),
            **facts,
        }

    def focal_in(self, video: VideoReader) -> float | None:
        """The camera's focal length in pixels of the video's frames, where the file has it."""
        focal, centre = self.sightings.focal, self.sightings.centre
        if focal is None or centre is None:
            return focal
        return focal * float(np.mean(np.array([video.width, video.height]) / (2 * centre)))

    def people_in(
        self, video: VideoReader, *, mirror: bool, strict: bool
    ) -> Iterator[list[Person]]:
        """See `PoseEstimator`. Frame i of the file is frame i of the video's file.

        Raises:
            PoseFileError: they do not have the same number of frames.
        """
        self._check_length(video)
        guides = None
        if self.depth is not None:
            guides = self.depth.people_in(video, mirror=mirror, strict=strict)
        for frame in video.frames:
            found = [seen for seen in self._seen(frame) if seen.finite]
            people = [self._person(seen, video) for seen in found]
            if guides is not None:
                people = self._deepened(people, next(guides))
            yield people

    def look(
        self, video: VideoReader, plan: Mapping[int, Sequence[View]]
    ) -> Iterator[tuple[int, list[tuple[View, Person]]]]:
        """Nothing: a file has no second look."""
        yield from ()

    def _seen(self, frame: int) -> list[Seen]:
        frames = self.sightings.frames
        return frames[frame] if frame < len(frames) else []

    def _check_length(self, video: VideoReader) -> None:
        count, needed = len(self.sightings.frames), video.frames[-1] + 1
        more = MORE_FRAMES + max(np.diff(video.frames), default=1)
        if count < needed - MORE_FRAMES or (not video.ended and count > needed + more):
            reach = "reaches" if video.ended else "ends at"
            raise PoseFileError(
                f"{self.path}: poses of {count} frames, but {video.path.name} {reach} frame "
                f"{needed}: they must be of this video, frame by frame"
            )

    def _person(self, seen: Seen, video: VideoReader) -> Person:
        """With pixels of the video's size, and metres from the middle of the hips."""
        metres = np.zeros((len(self.landmarks), 3)) if seen.metres is None else seen.metres
        pixels = self._projected(seen, video) if seen.pixels is None else seen.pixels
        hips = metres[self.landmarks.indices("left_hip", "right_hip")].mean(0)
        return Person(self.landmarks, pixels, seen.scores, metres - hips)

    def _projected(self, seen: Seen, video: VideoReader) -> np.ndarray:
        assert seen.metres is not None and seen.place is not None
        centre = np.array([video.width, video.height]) / 2
        # WHAM keeps no camera: it takes this one for every video (its lib/utils/imutils.py)
        focal = self.focal_in(video) or float(np.hypot(video.width, video.height))
        points = seen.metres + seen.place
        depth = np.maximum(points[:, 2:], 0.1)
        return np.asarray(centre + focal * points[:, :2] / depth)

    def _deepened(self, people: list[Person], guides: list[Person]) -> list[Person]:
        """Those of ``people`` whom the other estimator sees too, with its metres."""
        found = []
        for person in people:
            guide = max(guides, key=lambda other: overlap(person, other), default=None)
            if guide is None or overlap(person, guide) < SAME_PERSON:
                continue
            theirs = guide.landmarks
            middle = guide.landmarks_3d[theirs.indices("left_hip", "right_hip")].mean(0)
            metres = np.tile(middle, (len(self.landmarks), 1))
            for column, name in enumerate(self.landmarks.names):
                if name in theirs.names:
                    metres[column] = guide.landmarks_3d[theirs.index(name)]
            found.append(Person(person.landmarks, person.landmarks_2d, person.visibility, metres))
        return found
