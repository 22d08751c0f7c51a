"""Which of a file's frames make a video of constant rate, from the times that they carry.

One mechanism for three things: phones record at a varying rate, slow-motion cameras at more frames
than a motion needs, and some containers do not know their rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_FPS = 60.0
"""Frames per second of real time that are kept: reconstruction's time grows with the frames, and
at 60 per second the fastest limb moves a hand's breadth between two."""
RATE_SLACK = 0.05
"""Share by which a rate may lie above `MAX_FPS` before every other frame is left out."""
MAX_DRIFT = 0.5  # frames between a frame's time and its place at a constant rate
SIMILAR = 0.25  # steps within this share of the median step are one frame long
MIN_OWN = 0.4  # share of the times at a varying file's rate that must have a frame of their own
MAX_REPAIRED = 0.1  # share of the times that may be unusable


@dataclass(frozen=True)
class Timing:
    """Frames picked at a constant rate.

    Attributes:
        rate: frames picked per second of the file's time. file_rate: of the file's own.
        indices: (K,) of the frame in the file that is nearest to each time ``k / rate``.
        repeated: (K,) bool, where no frame belongs to this time and a neighbour's is shown again.
        varying: whether the file's own rate varies.
    """

    rate: float
    file_rate: float
    indices: np.ndarray
    repeated: np.ndarray
    varying: bool


def plan(times: np.ndarray, container_fps: float, speed: float = 1.0) -> Timing | None:
    """Pick frames at a constant rate of at most `MAX_FPS` per second of real time.

    Args:
        times: (N,) seconds, as the container gives them, good or bad.
        container_fps: the rate that the container claims.
        speed: seconds of real time per second of the file's.

    Returns:
        None where neither the times nor the container tell the rate.
    """
    count = len(times)
    claimed = container_fps if np.isfinite(container_fps) and container_fps > 0 else None
    clean = repaired(times)
    rate, varying = claimed, False
    if clean is not None:
        rates = [] if claimed is None else [claimed]
        rate = next((r for r in [*rates, _mean_rate(clean)] if _steady(clean, r)), None)
        if rate is None:
            rate, varying = _common_rate(clean), True
    if rate is None:
        return None
    stride = max(1, int(np.ceil(rate / speed / MAX_FPS - RATE_SLACK)))
    if varying and clean is not None:
        indices, repeated = resample(clean, rate / stride)
    else:
        indices = np.arange(0, count, stride)
        repeated = np.zeros(len(indices), bool)
    return Timing(rate / stride, rate, indices, repeated, varying)


def repaired(times: np.ndarray) -> np.ndarray | None:
    """Times from 0 on that grow, single bad ones made good; None if too many are bad.

    A frame without a time of its own is reported at 0 or below: an AVI's last ones, all of a raw
    stream.
    """
    times = np.asarray(times, float)
    if len(times) < 2 or not np.isfinite(times).all():
        return None
    good = np.r_[True, times[1:] > np.maximum.accumulate(times)[:-1] + 1e-6]
    if (~good).sum() > MAX_REPAIRED * len(times) or good.sum() < 2:
        return None
    at, known = np.flatnonzero(good), times[good]
    every = np.arange(len(times))
    out = np.interp(every, at, known)
    behind = every > at[-1]
    out[behind] += (every[behind] - at[-1]) * float(np.median(np.diff(known)))
    return out - out[0]


def resample(times: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The frame nearest to each of the times ``k / rate`` from the first to the last frame.

    Args:
        times: (N,) seconds from 0 on, growing. rate: per second.

    Returns:
        Indices (K,), which never fall, and a mask (K,) of those that show a frame again: of the
        times that share a frame, it belongs to the nearest.
    """
    wanted = np.arange(int(np.floor(times[-1] * rate + 0.5)) + 1) / rate
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    indices = np.where(wanted - times[after - 1] <= times[after] - wanted, after - 1, after)
    order = np.lexsort((np.abs(times[indices] - wanted), indices))
    own = np.zeros(len(wanted), bool)
    own[order[np.unique(indices[order], return_index=True)[1]]] = True
    return indices, ~own


def _steady(times: np.ndarray, rate: float) -> bool:
    return bool(np.abs(times * rate - np.arange(len(times))).max() < MAX_DRIFT)


def _mean_rate(times: np.ndarray) -> float:
    return float((len(times) - 1) / times[-1])


def _common_rate(times: np.ndarray) -> float:
    """The fastest rate at which many frames follow each other, as far as `MIN_OWN` allows.

    A rate too fast costs time, one too slow loses what happens between the frames. The mean of the
    steps near the typical one, because some containers round times to a millisecond.
    """
    steps = np.diff(times)
    typical = float(np.quantile(steps, 0.25, method="nearest"))
    rate = float(1.0 / steps[np.abs(steps - typical) <= SIMILAR * typical].mean())
    return min(rate, float(len(times) / (MIN_OWN * times[-1])))
