"""Small line charts as inline SVG, coloured by the page's style."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 290, 160
LEFT, RIGHT, TOP, BOTTOM = 38, 8, 20, 22  # pixels around the plot


@dataclass(frozen=True)
class Series:
    """One line: its name and its points, x (N,) and y (N,)."""

    name: str
    x: np.ndarray
    y: np.ndarray


def line_chart(
    series: Sequence[Series],
    *,
    y_range: tuple[float, float] | None = None,
    marks: Sequence[float] = (),
    x_unit: str = "s",
) -> str:
    """An ``<svg>`` of at most two lines over a common x axis.

    Args:
        y_range: of the y axis; by default from 0 to a round number above every point.
        marks: x at which to draw a vertical line.
    """
    finite = [np.asarray(s.y)[np.isfinite(s.y)] for s in series]
    low, high = y_range or (0.0, round_up(max(float(y.max(initial=0.0)) for y in finite)))
    x_end = max(float(s.x[-1]) for s in series) or 1.0
    x_start = min(float(s.x[0]) for s in series)
    x_start = 0.0 if x_start < 0.1 * x_end else x_start

    def px(x: float) -> float:
        return LEFT + (x - x_start) / (x_end - x_start) * (WIDTH - LEFT - RIGHT)

    def py(y: float) -> float:
        share = (min(max(y, low), high) - low) / (high - low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = []
    for y in (low, 0.5 * (low + high), high):
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py(y):.1f}" '
            f'y2="{py(y):.1f}"/><text x="{LEFT - 5}" y="{py(y) + 4:.1f}" '
            f'text-anchor="end">{y:g}</text>'
        )
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">{x_start:g}</text>')
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{x_end:.3g} {x_unit}</text>'
    )
    for x in marks:
        parts.append(
            f'<line class="mark" x1="{px(x):.1f}" x2="{px(x):.1f}" y1="{TOP}" '
            f'y2="{HEIGHT - BOTTOM}"/>'
        )
    for i, one in enumerate(series):
        points = " ".join(
            f"{px(float(x)):.1f},{py(float(y)):.1f}"
            for x, y in zip(one.x, one.y, strict=True)
            if np.isfinite(y)
        )
        parts.append(f'<polyline class="s{i}" points="{points}"/>')
        at = LEFT + i * (WIDTH - LEFT - RIGHT) // 2
        parts.append(f'<text class="s{i}" x="{at}" y="12">{html.escape(one.name)}</text>')
    names = html.escape(", ".join(s.name for s in series))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{names}">'
        f"{''.join(parts)}</svg>"
    )


def round_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten at or above ``value``; 1 for 0."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(
        next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value)
    )
