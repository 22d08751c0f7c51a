"""Which of a file's pictures make a video of constant rate, from their timestamps.

One mechanism for four things: phones record at a varying rate, slow-motion cameras at more pictures
than a motion needs, some containers do not know their rate, and some videos repeat pictures.
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
STRAYS = (
    0.05  # share of the frames that may drift further, by less than one more: a trim's last one
)
SIMILAR = 0.25  # steps within this share of the median step are one frame long
MIN_OWN = 0.4  # share of the times at a varying file's rate that must have a frame of their own
MAX_REPAIRED = 0.1  # share of the times that may be unusable
MAX_GAP = 2.0
"""Seconds between two frames beyond which the clock has jumped, unless frames are ten times closer
than that: nobody keeps still for a recorder that leaves out frames."""
RAMP_STEPS = 8  # steps in a row that make a part of another rate
RAMP_FPS = 90.0  # a slow-motion camera's


@dataclass(frozen=True)
class Timing:
    """Frames picked at a constant rate.

    Attributes:
        rate: frames picked per second of the file's time. file_rate: of the file's own.
        indices: (K,) of the frame in the file that is nearest to each time ``k / rate``.
        repeated: (K,) bool, where no frame belongs to this time and a neighbour's is shown again.
        varying: whether the file's own rate varies.
        ramp: the lowest and the highest rate, where a part is a slow-motion camera's.
        jumps: how often the file's clock jumps.
    """

    rate: float
    file_rate: float
    indices: np.ndarray
    repeated: np.ndarray
    varying: bool
    ramp: tuple[float, float] | None = None
    jumps: int = 0


def plan(
    times: np.ndarray,
    container_fps: float,
    speed: float = 1.0,
    again: np.ndarray | None = None,
) -> Timing | None:
    """Pick frames at a constant rate of at most `MAX_FPS` per second of real time.

    Args:
        times: (N,) seconds, as the container gives them, good, bad or NaN.
        container_fps: the rate that the container claims.
        speed: seconds of real time per second of the file's.
        again: (N,) bool, frames that repeat the one before and are left out.

    Returns:
        None where neither the times nor the container tell the rate.
    """
    claimed = container_fps if np.isfinite(container_fps) and container_fps > 0 else None
    clean, jumps = repaired(times)
    if clean is None:
        if claimed is None:
            return None
        clean = np.arange(len(times)) / claimed
    kept = np.arange(len(times)) if again is None else np.flatnonzero(~again)
    clean = clean[kept]
    rates = [] if claimed is None else [claimed]
    if len(clean) > 1:
        rates.append(_mean_rate(clean))
    steady = next((r for r in rates if _steady(clean, r)), None)
    limit = MAX_FPS * speed
    if steady is None:
        rate = _common_rate(_thinned(clean, limit))
        indices, repeated = resample(clean, rate)
        timing = Timing(rate, rate, kept[indices], repeated, True, _ramp(clean), jumps)
    else:
        stride = max(1, int(np.ceil(steady / limit - RATE_SLACK)))
        indices = kept[::stride]
        none = np.zeros(len(indices), bool)
        timing = Timing(steady / stride, steady, indices, none, False, None, jumps)
    return timing


def orderly(shown: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """Times (N,) at which pictures are shown, or else decoded, where those are more in order.

    An AVI has no times of showing, and what stands in for them may go to and fro.
    """

    def bad(times: np.ndarray) -> int:
        return int((~(np.diff(times) > 0)).sum())

    return decoded if bad(decoded) < bad(shown) else shown


def repaired(times: np.ndarray) -> tuple[np.ndarray | None, int]:
    """Times from 0 on that grow, bad ones corrected; None if too many are bad.

    A frame without a time of its own has none, or 0 or less: an AVI's last ones, all of a raw
    stream. Where the clock jumps, ahead or back, it goes on as if it had not.

    Returns:
        And how often the clock jumps.
    """
    times = np.asarray(times, float)
    known = np.flatnonzero(np.isfinite(times))
    if len(known) < max(2.0, (1.0 - MAX_REPAIRED) * len(times)):
        return None, 0
    filled, jumps = _without_jumps_back(_filled(times, known))
    good = np.r_[True, filled[1:] > np.maximum.accumulate(filled)[:-1] + 1e-6]
    if (~good).sum() <= MAX_REPAIRED * len(filled) and good.sum() >= 2:
        filled = _filled(filled, np.flatnonzero(good))
    steps = np.diff(filled)
    forward = steps[steps > 0]
    if not len(forward):
        return None, 0
    typical = float(np.median(forward))
    wrong = (steps <= 0) | (steps > max(MAX_GAP, 10 * typical))
    if wrong.sum() > MAX_REPAIRED * len(filled):
        return None, 0
    steps[wrong] = typical
    return np.r_[0.0, np.cumsum(steps)], jumps + int(wrong.sum())


def _without_jumps_back(times: np.ndarray) -> tuple[np.ndarray, int]:
    """Where the times fall and then go on in steps as usual, unlike after a single bad one."""
    steps = np.diff(times)
    if not (steps > 0).any():
        return times, 0
    typical = float(np.median(steps[steps > 0]))
    back = np.flatnonzero((steps[:-1] <= 0) & (np.abs(steps[1:] - typical) <= SIMILAR * typical))
    steps[back] = typical
    return np.r_[0.0, np.cumsum(steps)] + times[0], len(back)


def _filled(times: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The times (N,) with those that are not known put between the neighbours, or after the last.

    Args:
        known: indices (K,) of the others, K > 1.
    """
    every = np.arange(len(times))
    out = np.interp(every, known, times[known])
    step = float(np.median(np.diff(times[known]) / np.diff(known)))
    for outside, at in ((every > known[-1], known[-1]), (every < known[0], known[0])):
        out[outside] += (every[outside] - at) * step
    return out


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
    drift = times * rate - np.arange(len(times))
    drift = np.abs(drift - np.median(drift))  # the first one may be as far off as any
    return bool((drift >= MAX_DRIFT).mean() <= STRAYS and drift.max() < MAX_DRIFT + 1.0)


def _mean_rate(times: np.ndarray) -> float:
    """By all of the times, since the first and the last one may be rounded."""
    return float(1.0 / np.polyfit(np.arange(len(times)), times, 1)[0])


def _thinned(times: np.ndarray, limit: float) -> np.ndarray:
    """Without frames that come faster than ``limit`` per second: they have no say in the rate."""
    kept = [float(times[0])]
    for t in times[1:].tolist():
        if t - kept[-1] >= (1.0 - RATE_SLACK) / limit:
            kept.append(t)
    return np.array(kept)


def _common_rate(times: np.ndarray) -> float:
    """The fastest rate at which many frames follow each other, as far as `MIN_OWN` allows.

    A rate too fast costs time, one too slow loses what happens between the frames. The mean of the
    steps near the typical one, because some containers round times to a millisecond.
    """
    if len(times) < 2:
        return MAX_FPS
    steps = np.diff(times)
    typical = float(np.quantile(steps, 0.25, method="nearest"))
    rate = float(1.0 / steps[np.abs(steps - typical) <= SIMILAR * typical].mean())
    return min(rate, float(len(times) / (MIN_OWN * times[-1])))


def _ramp(times: np.ndarray) -> tuple[float, float] | None:
    if len(times) <= 2 * RAMP_STEPS:
        return None
    means = (times[RAMP_STEPS:] - times[:-RAMP_STEPS]) / RAMP_STEPS
    slow, fast = float(1.0 / means.max()), float(1.0 / means.min())
    return (slow, fast) if fast > max(RAMP_FPS, 2.0 * slow) else None
