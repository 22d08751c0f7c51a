"""The estimator's interface; mediapipe itself is imported when it is first asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from sfv_gym.errors import MissingExtraError
from sfv_gym.pose.mediapipe.markers import LANDMARKS
from sfv_gym.pose.mediapipe.model import ensure_pose_model, variant_of

if TYPE_CHECKING:
    from sfv_gym.pose.person import Person
    from sfv_gym.pose.view import View
    from sfv_gym.video import VideoReader


class MediaPipe:
    """PoseLandmarker with its heavy model, which is fetched on first use."""

    name = "mediapipe"
    landmarks = LANDMARKS

    def facts(self) -> dict[str, str | int | float | bool]:
        """The model and mediapipe's version.

        Raises:
            PoseModelError: the model cannot be fetched.
            MissingExtraError: mediapipe is not installed.
        """
        try:
            import mediapipe
        except ImportError as error:
            raise MissingExtraError(
                f"poses are found by mediapipe, which cannot be imported ({error}): "
                "pip install 'sfv-gym[video]', or choose another estimator"
            ) from None

        model = ensure_pose_model()
        return {
            "pose_model": variant_of(model),
            "pose_model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
            "mediapipe_version": mediapipe.__version__,
        }

    def people_in(
        self, video: VideoReader, *, mirror: bool, strict: bool
    ) -> Iterator[list[Person]]:
        """See `PoseEstimator`; people are also followed from frame to frame by MediaPipe itself."""
        from sfv_gym.pose.mediapipe.detector import people_in

        return people_in(video, ensure_pose_model(), mirror=mirror, strict=strict)

    def look(
        self, video: VideoReader, plan: Mapping[int, Sequence[View]]
    ) -> Iterator[tuple[int, list[tuple[View, Person]]]]:
        """See `PoseEstimator`."""
        from sfv_gym.pose.mediapipe.detector import look

        return look(video, ensure_pose_model(), plan)
