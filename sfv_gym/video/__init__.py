"""Frames in, videos and animated pictures out."""

from sfv_gym.video.reader import VideoReader, open_video
from sfv_gym.video.writer import write_animation, write_video

__all__ = ["VideoReader", "open_video", "write_animation", "write_video"]
