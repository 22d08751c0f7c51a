"""What finds people in frames: the two questions that it is asked.

An estimator says where it sees whose landmarks. Which of several people counts and what to make of
sightings that contradict each other is decided by the rest of this folder, and the motion behind
them by reconstruction; both speak of landmarks by name. MediaPipe is one estimator of several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sfv_gym.pose.landmarks import LandmarkSet
from sfv_gym.pose.person import Person

if TYPE_CHECKING:  # both load OpenCV
    from sfv_gym.pose.view import View
    from sfv_gym.video import VideoReader


@runtime_checkable
class PoseEstimator(Protocol):
    """Finds people in the frames of a video. `FrameEstimator` is a base for most."""

    @property
    def name(self) -> str:
        """What it is chosen by."""

    @property
    def landmarks(self) -> LandmarkSet:
        """Those of everyone whom it finds."""

    def facts(self) -> dict[str, str | int | float | bool]:
        """What decides its answers beside the video, such as versions and hashes.

        They go into every motion's provenance, and poses are kept under them in the user's cache
        folder; those of an estimator without facts are found anew each time.
        """

    def people_in(
        self, video: VideoReader, *, mirror: bool, strict: bool
    ) -> Iterator[list[Person]]:
        """Everyone in each frame, in order.

        Args:
            mirror: look at the frame's mirror image too, and join what both show, see
                `person.merge`.
            strict: passed on to it.
        """

    def look(
        self, video: VideoReader, plan: Mapping[int, Sequence[View]]
    ) -> Iterator[tuple[int, list[tuple[View, Person]]]]:
        """Whom the views of each frame in ``plan`` show, in the frame's coordinates.

        These are second looks, closer and turned, at frames in doubt. An estimator that has nothing
        to add to its first look yields nothing.
        """
