"""Cuts from one shot to another, which a motion must not go across."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np

from sfv_gym.errors import VideoError
from sfv_gym.video.reader import MIN_FRAMES, VideoReader

THUMB = (32, 18)  # pixels, width and height: the scene's shapes, hardly the person's
NEIGHBOURS = 8  # frames to either side that tell how much is usual
USUAL = 0.8  # their quantile: other cuts nearby may not hide one, nor repeated frames a pan

# A frame opens a new shot where all three are reached. They lie between clips of one shot
# (acrobatics, pans, hand-held cameras, flickering light; also with frames left out) and clips that
# are spliced from two.
MIN_CHANGE = 0.03  # of the brightness, mean over the picture
MIN_UNLIKE = 0.3  # 1 - cosine of the brightness gradients: a light that flickers leaves them alike
MIN_UNUSUAL = 1.9  # times the neighbours' change: fast pans change as much, but in every frame
NOISE = 0.005  # of the brightness
FROZEN = 2.0  # grey levels that compression may change in a picture that stands still


def check_one_shot(video: VideoReader) -> tuple[str, ...]:
    """Look through the frames before anything expensive starts.

    Returns:
        Notes for the user.

    Raises:
        VideoError: there are cuts; it names a range without.
    """
    thumbs = thumbnails(video)
    if cuts := find_cuts(thumbs):
        raise cut_error(video, cuts, "the scene changes")
    if np.abs(thumbs.astype(np.int16) - thumbs[0]).max() <= FROZEN:
        return ("the picture stands still: the motion will hold one pose",)
    return ()


def thumbnails(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Small copies (T, 18, 32, 3) uint8 of RGB frames (H, W, 3)."""
    return np.array([cv2.resize(f, THUMB, interpolation=cv2.INTER_AREA) for f in frames])


def find_cuts(thumbs: np.ndarray) -> list[int]:
    """Indices of the frames that open a new shot, of thumbnails (T, h, w, 3) uint8."""
    score = cut_scores(thumbs)
    cuts: list[int] = []
    for t in np.flatnonzero(score >= 1.0).tolist():
        if cuts and t - cuts[-1] <= 2:  # the same cut: the comparison spans two frames either way
            if score[t] > score[cuts[-1]]:
                cuts[-1] = t
        else:
            cuts.append(t)
    return cuts


def cut_scores(thumbs: np.ndarray) -> np.ndarray:
    """How clearly each frame opens a new shot (T,); from 1 on it does.

    The two frames before are compared with the frame and its successor, and the pair that is most
    alike counts, so that one bad frame or a camera's flash is no cut.
    """
    light = thumbs.astype(np.float32) / 255.0
    gradients = _gradients(thumbs)
    change = _across(lambda k: np.abs(light[k:] - light[:-k]).mean((1, 2, 3)), len(light))
    unlike = _across(lambda k: _unlike(gradients[:-k], gradients[k:]), len(light))
    steps = np.abs(np.diff(light, axis=0)).mean((1, 2, 3))  # (T - 1,), of frame t + 1 from t
    unusual = np.zeros(len(light))
    for t in range(1, len(light)):
        first = max(t - 1 - NEIGHBOURS, 0)
        near = np.delete(steps[first : t + NEIGHBOURS], t - 1 - first)
        usual = float(np.quantile(near, USUAL)) if len(near) else 0.0
        unusual[t] = change[t] / (usual + NOISE)
    return np.minimum.reduce([change / MIN_CHANGE, unlike / MIN_UNLIKE, unusual / MIN_UNUSUAL])


def cut_error(video: VideoReader, cuts: list[int], what: str) -> VideoError:
    """What to say of cuts: when they are, and which range has none.

    Args:
        cuts: frames that open a new shot, at least one. what: happens there, such as "the scene
            changes".
    """
    at = [f"{video.seconds(t):.2f}" for t in cuts[:5]]
    times = f"{', '.join(at)} s" if len(cuts) <= 5 else f"{', '.join(at)} s and later"
    parts = [0, *cuts, len(video)]
    longest = int(np.argmax(np.diff(parts)))
    first, last = parts[longest], parts[longest + 1]
    advice = "take a video of one shot"
    if last - first >= MIN_FRAMES:
        options = video.range_options(first, last)
        advice = f"choose one shot, such as the longest one: {options}"
    return VideoError(f"{video.path}: cut at {times}, where {what}: {advice}")


def _across(distance: Callable[[int], np.ndarray], count: int) -> np.ndarray:
    """The least distance (T,) from one of the frames t - 2, t - 1 to one of t, t + 1.

    Args:
        distance: of every frame ``i`` to frame ``i + k``, (T - k,), for a given ``k``.
    """
    out = np.full(count, np.inf)
    for k, later in ((1, 0), (2, 0), (2, 1), (3, 1)):
        if count > k:
            first = k - later  # of the frames t that have both
            out[first : count - later] = np.minimum(out[first : count - later], distance(k))
    out[0] = 0.0
    return out


def _gradients(thumbs: np.ndarray) -> np.ndarray:
    """Differences of the logarithm of brightness to the next pixels, (T, G).

    Of the logarithm, because more light multiplies brightness and so leaves them as they are.
    """
    light = np.log(thumbs.astype(np.float32).mean(-1) + 16.0)  # 16: noise in the dark is nothing
    across = light[:, :-1, 1:] - light[:, :-1, :-1]
    down = light[:, 1:, :-1] - light[:, :-1, :-1]
    return np.stack([across, down], -1).reshape(len(thumbs), -1)


def _unlike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 - cosine (N,) of vectors (N, G); two empty pictures are alike."""
    empty = 0.3
    norm = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return np.asarray(1.0 - ((a * b).sum(-1) + empty) / (norm + empty))
