"""A picture of a person, and the pose in it: a video's stages, on one that stands still."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sfv_gym.errors import PoseError, VideoError
from sfv_gym.motion import ReferenceMotion
from sfv_gym.pose import PoseSequence, estimate_pose
from sfv_gym.reconstruction import reconstruct
from sfv_gym.video import VideoReader
from sfv_gym.video.geometry import Shown
from sfv_gym.video.reader import MAX_SIDE, MIN_FRAMES

MAX_PIXELS = 100_000_000
"""Of a picture; a photograph has less, and more takes gigabytes to decode."""
ITERATIONS = 12
"""Of the solver, in each of its passes: nothing moves, so that few are enough."""
_FPS = 30.0
_VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg"}
_LEGS = ("right_knee", "left_knee"), ("right_ankle", "left_ankle")


@dataclass(frozen=True)
class Still(VideoReader):
    """A picture as a video of one frame, for the pose stage."""

    picture: np.ndarray = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8))

    def __iter__(self) -> Iterator[np.ndarray]:
        for _ in self.frames:
            yield self.picture.copy()


def read_picture(path: str | os.PathLike[str]) -> Still:
    """A picture file upright, RGB, at most ``MAX_SIDE`` pixels on the longer side.

    Raises:
        VideoError: no such file, no picture, a video, damaged, or too large.
    """
    path = Path(path)
    if not path.is_file():
        what = "this is a folder" if path.is_dir() else "there is no such file"
        raise VideoError(f"{path}: {what}; name a picture, such as .jpg or .png")
    if path.suffix.lower() in _VIDEOS:
        raise VideoError(f"{path}: this is a video; `sfv extract` takes the motion out of it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are looked at here
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise VideoError(
                        f"{path}: {image.width} x {image.height} pixels are too many; scale it down"
                    )
                picture = _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise VideoError(f"{path}: this is no picture that can be read") from None
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise VideoError(f"{path}: the picture is damaged or cut off: {error}") from None
    height, width = picture.shape[:2]
    return Still(
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        fps=_FPS,
        shown=Shown(width, height, False, False, False),
        frames=(0,),
        repeated=(False,),
        picture=picture,
    )


def _rgb(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8; what is transparent on white, 16 bits by their upper half."""
    if image.mode.startswith("I"):
        values = np.asarray(image, np.float64)
        image = Image.fromarray((values / (257.0 if values.max() > 255 else 1.0)).astype(np.uint8))
    if image.has_transparency_data:
        above = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    image = image.convert("RGB")
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    return np.array(image)


def pose_of(still: Still, subject: str | int = "largest") -> PoseSequence:
    """The person's landmarks, of one frame.

    Raises:
        PoseError: nobody is found, ``subject`` is none, or the legs are not in the picture.
    """
    poses = estimate_pose(still, subject=subject, progress=False)
    names = [name for pair in _LEGS for name in pair]
    places = poses.landmarks_2d[0, poses.landmarks.indices(*names)] / still.picture.shape[1::-1]
    inside = np.all((places >= 0.0) & (places <= 1.0), axis=-1)
    if not inside[:2].any():
        raise PoseError(f"{still.path}: the legs are not in the picture; show the whole body")
    if not inside[2:].any():
        poses.source["notes"].append("the feet are not in the picture: legs are guessed")
    return poses


def posed(poses: PoseSequence) -> ReferenceMotion:
    """The pose as a motion that stands still: ground, balance and character as of a video.

    Raises:
        PoseError: too little of the person is seen.
    """
    still = replace(
        poses,
        landmarks_2d=poses.landmarks_2d.repeat(MIN_FRAMES, axis=0),
        landmarks_3d=poses.landmarks_3d.repeat(MIN_FRAMES, axis=0),
        visibility=poses.visibility.repeat(MIN_FRAMES, axis=0),
        detected=poses.detected.repeat(MIN_FRAMES, axis=0),
    )
    return reconstruct(still, skill="picture", loop="none", progress=False, iterations=ITERATIONS)
