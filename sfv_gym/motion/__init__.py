"""Motions: sampling at any time, and the file of one on the canonical skeleton."""

from sfv_gym.motion.camera import MotionCamera
from sfv_gym.motion.older_files import MIN_FLIGHT_SECONDS
from sfv_gym.motion.reference_motion import LOOPS, ReferenceMotion
from sfv_gym.motion.trajectory import MotionState, Trajectory, loop_offset_between

__all__ = [
    "LOOPS",
    "MIN_FLIGHT_SECONDS",
    "MotionCamera",
    "MotionState",
    "ReferenceMotion",
    "Trajectory",
    "loop_offset_between",
]
