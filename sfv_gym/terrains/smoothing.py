"""Heights along a track, smoothed."""

from __future__ import annotations

import numpy as np


def smooth(height: np.ndarray, half: int) -> np.ndarray:
    """Heights (n, G) of cells averaged over a triangle that reaches ``half`` cells to each side.

    Returns:
        Heights (n, G + 1) at the cells' borders.
    """
    # Two box averages after each other, half a triangle wide each: over cells, which are straight
    # inside, then over borders by the trapezoidal rule. Sums of slices, because running sums
    # would round the level start to something that is not level.
    average = _slide(height, np.full(half, 1.0 / half), half // 2)
    weights = np.full(half + 1, 1.0 / half)
    weights[[0, -1]] *= 0.5
    return _slide(average, weights, half // 2)


def _slide(values: np.ndarray, weights: np.ndarray, pad: int) -> np.ndarray:
    """Weighted sums (n, G + 2 pad - W + 1) of W neighbours, the values (n, G) going on beyond."""
    padded = np.pad(values, ((0, 0), (pad, pad)), mode="edge")
    width = padded.shape[1] - len(weights) + 1
    total = weights[0] * padded[:, :width]
    for k in range(1, len(weights)):
        total += weights[k] * padded[:, k : k + width]
    return total
