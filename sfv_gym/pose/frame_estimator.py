"""Estimators that see one picture at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sfv_gym.pose.landmarks import LandmarkSet
from sfv_gym.pose.person import Person, joined, without_doubles

if TYPE_CHECKING:
    from sfv_gym.pose.view import View
    from sfv_gym.video import VideoReader


class FrameEstimator(ABC):
    """A `PoseEstimator` by one method: `detect`. Mirror images and closer views come by themselves.

    Attributes:
        name: what it is chosen by.
        landmarks: those of everyone whom it finds.
    """

    name: ClassVar[str]
    landmarks: ClassVar[LandmarkSet]

    @abstractmethod
    def detect(self, picture: np.ndarray) -> list[Person]:
        """Everyone in a picture (H, W, 3) RGB uint8: a frame, its mirror image, or a view of it."""

    def facts(self) -> dict[str, str | int | float | bool]:
        """None: what it finds is not kept. See `PoseEstimator`."""
        return {}

    def people_in(
        self, video: VideoReader, *, mirror: bool, strict: bool
    ) -> Iterator[list[Person]]:
        """See `PoseEstimator`."""
        for frame in video:
            people = self.detect(frame)
            if mirror:
                mirrored = self.detect(np.ascontiguousarray(frame[:, ::-1]))
                yield joined(people, mirrored, video.width, strict=strict)
            else:
                yield without_doubles(people)

    def look(
        self, video: VideoReader, plan: Mapping[int, Sequence[View]]
    ) -> Iterator[tuple[int, list[tuple[View, Person]]]]:
        """See `PoseEstimator`."""
        for t, frame in enumerate(video):
            if views := plan.get(t):
                yield t, [(v, v.in_frame(p)) for v in views for p in self.detect(v.picture(frame))]
