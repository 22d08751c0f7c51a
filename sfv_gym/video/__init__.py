"""Frames in, videos and animated pictures out."""

from sfv_gym.video.cuts import check_one_shot, cut_error
from sfv_gym.video.reader import VideoReader, open_video
from sfv_gym.video.writer import write_animation, write_picture, write_video

__all__ = [
    "VideoReader",
    "check_one_shot",
    "cut_error",
    "open_video",
    "write_animation",
    "write_picture",
    "write_video",
]
