"""MediaPipe's PoseLandmarker: the estimator that sfv_gym comes with."""

from sfv_gym.pose.mediapipe.estimator import MediaPipe
from sfv_gym.pose.mediapipe.markers import LANDMARKS

__all__ = ["LANDMARKS", "MediaPipe"]
