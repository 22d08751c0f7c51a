"""Motions: sampling at any time, and the file of one on the canonical skeleton."""

from sfv_gym.motion.camera import MotionCamera
from sfv_gym.motion.clip_objects import check_objects
from sfv_gym.motion.older_files import MIN_FLIGHT_SECONDS
from sfv_gym.motion.reference_motion import LOOPS, ReferenceMotion
from sfv_gym.motion.trajectory import MotionState, Trajectory, loop_offset_between
from sfv_gym.motion.verdict import BAD, DOUBTFUL, GOOD, NOTE, Finding, Verdict

__all__ = [
    "BAD",
    "DOUBTFUL",
    "GOOD",
    "LOOPS",
    "MIN_FLIGHT_SECONDS",
    "NOTE",
    "Finding",
    "MotionCamera",
    "MotionState",
    "ReferenceMotion",
    "Trajectory",
    "Verdict",
    "check_objects",
    "loop_offset_between",
]
