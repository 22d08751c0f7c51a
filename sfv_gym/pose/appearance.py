"""The colours of people's clothes: by them, tracks of people who cross are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sfv_gym.pose.person import Person

if TYPE_CHECKING:
    from sfv_gym.video import VideoReader

ALONG, ACROSS = np.linspace(0.15, 0.85, 8), np.linspace(0.2, 0.8, 4)
"""Of a part's length and the trunk's width, the points whose colours are averaged."""


def with_colours(video: VideoReader, people: Sequence[Sequence[Person]]) -> list[list[Person]]:
    """The people (T,) of each frame with their colours, where any frame shows several of them."""
    if all(len(frame) < 2 for frame in people):
        return [list(frame) for frame in people]
    return [
        [_with_colour(person, picture) for person in frame] if frame else []
        for frame, picture in zip(people, video, strict=True)
    ]


def _with_colour(person: Person, picture: np.ndarray) -> Person:
    other = person.alternative
    return replace(
        person,
        colour=colours(person, picture),
        alternative=None if other is None else replace(other, colour=colours(other, picture)),
    )


def colours(person: Person, picture: np.ndarray) -> np.ndarray:
    """(2, 3) mean CIELAB colours of trunk and legs in a picture (H, W, 3) RGB uint8."""
    flat, known = person.landmarks_2d, person.landmarks

    def line(a: str, b: str) -> np.ndarray:
        start, end = flat[known.indices(a, b)]
        return np.asarray(start + ALONG[:, None] * (end - start))

    left, right = (line(f"{side}_shoulder", f"{side}_hip") for side in ("left", "right"))
    trunk = left + ACROSS[:, None, None] * (right - left)
    legs = [
        line(f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    return np.array([_mean_colour(points, picture) for points in (trunk, np.concatenate(legs))])


def _mean_colour(points: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """(3,) CIELAB, of the pixels at points (..., 2); beyond the edge, those at the edge."""
    height, width = picture.shape[:2]
    x, y = np.floor(points.reshape(-1, 2)).astype(int).T
    pixels = picture[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    lab = cv2.cvtColor(pixels[None].astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    return np.asarray(lab[0].mean(0), float)
