"""Stage 1: 2D and 3D landmarks of a person in every frame."""

from sfv_gym.pose.estimate import estimate_pose
from sfv_gym.pose.model import ensure_pose_model
from sfv_gym.pose.overlay import draw_pose, overlay_frames
from sfv_gym.pose.sequence import PoseSequence
from sfv_gym.pose.stabilize import stabilize
from sfv_gym.pose.tracking import parse_subject

__all__ = [
    "PoseSequence",
    "draw_pose",
    "ensure_pose_model",
    "estimate_pose",
    "overlay_frames",
    "parse_subject",
    "stabilize",
]
