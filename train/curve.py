"""A run's learning curve as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sfv_gym.files import atomic_path
from sfv_gym.render.charts import Series, line_chart
from sfv_gym.train.runs import CURVE, PICTURE, CurveRow

STYLE = """<style>
text { font: 11px sans-serif; fill: #333 }
.grid { stroke: #ddd } .mark { stroke: #999; stroke-dasharray: 3 3 }
polyline { fill: none; stroke-width: 1.6 }
polyline.s0 { stroke: #1f6fb4 } text.s0 { fill: #1f6fb4 }
polyline.s1 { stroke: #d9730d } text.s1 { fill: #d9730d }
</style><rect width="100%" height="100%" fill="#fff"/>"""


def write_curve(
    curve: Sequence[CurveRow], folder: Path, annealing_start: int | None = None
) -> None:
    """Write a run's evaluations into its folder, as rows and as a picture.

    Args:
        annealing_start: samples at which to draw a line.
    """
    with atomic_path(folder / CURVE) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in curve))
    draw_curve(curve, folder / PICTURE, annealing_start)


def draw_curve(curve: Sequence[CurveRow], path: Path, annealing_start: int | None = None) -> None:
    """Write normalized return and success over millions of samples as an ``.svg`` file.

    Args:
        curve: rows of ``curve.jsonl``.
        annealing_start: samples at which to draw a line.
    """
    if not curve:
        return
    millions = np.array([0.0, *(row["samples"] / 1e6 for row in curve)])
    returns = np.array([0.0, *(row["normalized_return"] for row in curve)])
    success = np.array([0.0, *(row["success_rate"] for row in curve)])
    series = [Series("normalized return", millions, returns), Series("success", millions, success)]
    marks = () if annealing_start is None else (annealing_start / 1e6,)
    svg = line_chart(series, y_range=(0.0, 1.0), marks=marks, x_unit="M samples")
    head, rest = svg.split(">", 1)
    head = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg" width="580"', 1)
    with atomic_path(path) as temporary:
        temporary.write_text(f"{head}>{STYLE}{rest}")
