"""Free flight: the centre of mass on a straight parabola under g."""

from __future__ import annotations

import numpy as np

GRAVITY = 9.81
"""m/s2"""


def parabola(com: np.ndarray, first: int, last: int, fps: float) -> np.ndarray:
    """The least-squares path (last - first + 1, 3) under g through the centre of mass (T, 3).

    c(t) = c0 + v0 t - g t^2 / 2 with c0 and v0 free: straight in the plane, metres.
    """
    t = np.arange(last - first + 1) / fps
    fall = np.zeros((len(t), 3))
    fall[:, 2] = -0.5 * GRAVITY * t**2
    basis = np.stack((np.ones_like(t), t), axis=1)
    solution = np.linalg.lstsq(basis, com[first : last + 1] - fall, rcond=None)[0]
    return np.asarray(basis @ solution + fall)


def enforce_ballistic_flight(
    root_pos: np.ndarray, com: np.ndarray, flights: tuple[tuple[int, int], ...], fps: float
) -> np.ndarray:
    """Root positions (T, 3) moved so that each flight's centre of mass is exactly ballistic."""
    moved = root_pos.copy()
    for first, last in flights:
        moved[first : last + 1] += parabola(com, first, last, fps) - com[first : last + 1]
    return moved


def flight_residual(
    com: np.ndarray, flights: tuple[tuple[int, int], ...], fps: float
) -> tuple[float, float]:
    """Root mean square distance to the parabola (m), and largest error of acceleration (m/s2)."""
    gaps, pulls = [], []
    for first, last in flights:
        gaps.append(com[first : last + 1] - parabola(com, first, last, fps))
        pull = np.diff(com[first : last + 1], n=2, axis=0) * fps**2
        pulls.append(np.linalg.norm(pull - np.array([0, 0, -GRAVITY]), axis=1))
    if not gaps:
        return 0.0, 0.0
    gap, worst = np.concatenate(gaps), np.concatenate(pulls)
    return float(np.sqrt((gap**2).sum(1).mean())), float(worst.max(initial=0.0))
