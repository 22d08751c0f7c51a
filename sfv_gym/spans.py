"""Stretches of frames, and smoothing along them."""

from __future__ import annotations

import numpy as np


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """(first, last) of each run of True in (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(int)))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


def blur(values: np.ndarray, passes: int = 1) -> np.ndarray:
    """Values (T, ...) smoothed along time, each pass with weights 1/4, 1/2, 1/4."""
    for _ in range(passes):
        padded = np.concatenate((values[:1], values, values[-1:]))
        values = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return values
