"""Find one whole cycle in a motion, such as a stride of a walk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.rotations import heading, quat_conjugate, quat_rotate

MIN_CYCLE_SECONDS = 0.45
MAX_GAP = 0.09
"""Metres: the mean distance of the joints at which two frames may count as the same pose."""
MAX_DISAGREEMENT = 0.1
"""The same, velocity included, over all pairs of frames that lie one period apart."""
MIN_POSE_CHANGE = 0.05
"""How different frames of one cycle must at least become, by the same measure."""


@dataclass(frozen=True)
class Cycle:
    """A cycle from frame ``first`` to ``last``; ``gap`` is their mean joint distance, metres."""

    first: int
    last: int
    gap: float


def find_cycle(
    positions: np.ndarray, root_quat: np.ndarray, fps: float, *, max_gap: float = MAX_GAP
) -> Cycle | None:
    """The best cycle of a motion, or None where it does not repeat.

    Args:
        positions: (T, 15, 3) metres, of the links.
        root_quat: (T, 4).
        max_gap: metres, how different the two ends may be; infinite to take whatever is best.

    Poses are compared as seen by a walker: about the root, turned by its heading, height kept.
    A left step differs from a right one, so that a cycle is a whole stride.
    """
    frames = len(positions)
    back = quat_conjugate(heading(root_quat))
    about = positions - positions[:, :1] * [1.0, 1.0, 0.0]
    pose = quat_rotate(back[:, None], about)
    velocity = np.gradient(pose, axis=0) * fps
    # 0.1 s of velocity weighs as much as a pose: the ends must also move alike
    feature = np.concatenate((pose, 0.1 * velocity), axis=1)
    gap = np.linalg.norm(feature[:, None] - feature[None], axis=-1).mean(-1)  # (T, T)

    shortest = max(int(np.ceil(MIN_CYCLE_SECONDS * fps)), 4)
    longest = int(frames / 1.2)
    if longest <= shortest:
        return None
    # The period is where frames agree with those one period on, over the whole clip.
    lags = np.arange(shortest, longest + 1)
    agreement = np.array([np.mean(np.diagonal(gap, lag)) for lag in lags])
    inner = np.arange(1, len(lags) - 1)
    here, before, after = agreement[inner], agreement[inner - 1], agreement[inner + 1]
    dips = inner[(here <= before) & (here <= after)]
    if len(dips) == 0:
        return None
    best = agreement[dips].min()
    # The shortest of the good periods: two strides repeat as well as one.
    period = next(int(lags[d]) for d in dips if agreement[d] <= 1.25 * best + 0.005)
    if np.isfinite(max_gap):
        # A pose that hardly moves repeats too, and crouching twice is no cycle.
        change = max(np.mean(np.diagonal(gap, lag)) for lag in range(1, period))
        repeats = agreement[lags == period][0] <= min(MAX_DISAGREEMENT, 0.5 * change)
        if change < MIN_POSE_CHANGE or not repeats:
            return None
    slack = max(1, round(0.05 * period))
    pairs = [
        (float(gap[i, i + p]), i, i + p)
        for p in range(max(period - slack, 2), period + slack + 1)
        for i in range(1, frames - p - 1)
    ]
    if not pairs:
        return None
    smallest, first, last = min(pairs)
    return Cycle(first, last, smallest) if smallest <= max_gap else None
