"""An assessment to read and to look at: lines for a console, a picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from sfv_gym.assessment.figures import (
    FIGURES,
    RESIDUAL_LIMIT,
    SUSTAINED,
    TORQUE_LIMIT,
    TOUCH,
    ZMP_LIMIT,
    Imitability,
)
from sfv_gym.envs.task import CONTROL_HZ
from sfv_gym.errors import OutputError
from sfv_gym.files import atomic_path
from sfv_gym.render import charts

LISTED = 8
"""Stretches of trouble that a report names, the longest ones."""


def print_report(imitability: Imitability, name: str, console: Console) -> None:
    """Print every figure with its bound, where the trouble is, and what to do about it."""
    one, summary = imitability, imitability.summary()
    table = Table(title=f"{name}, {one.character}, {summary['seconds']:.2f} s", box=None)
    table.add_column("figure")
    for column in ("95 %", "largest", "fine up to"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    read = []
    for figure in FIGURES:
        values, fine = (
            [summary[f"{figure.key}_{name}"] for name in ("p95", "max")],
            one.fine(figure),
        )
        if values[0] is None:
            continue
        table.add_row(
            figure.title,
            *(f"[{'red' if value > fine else 'green'}]{value:.3g}[/]" for value in values),
            f"{fine:.3g}",
            figure.unit,
        )
        if values[1] > fine:
            where = summary.get(figure.key.split("_")[0] + "_worst")
            read.append(
                f"[bold]{figure.title}[/bold]{f' ({where})' if where else ''}: {figure.advice}"
            )
    console.print(table)
    console.print(
        f"[bold]{100 * one.feasible_fraction:.0f} % of the steps are feasible[/bold]: less than "
        f"{RESIDUAL_LIMIT:g} g unexplained, every joint below {TORQUE_LIMIT:g} of its limit. "
        "Recorded episodes of the shipped policies reach 98 %. A policy can learn a motion that "
        "has less, and then leaves it where physics does not follow.",
        highlight=False,
    )
    troubles = sorted(one.troubles(), key=lambda trouble: trouble.start - trouble.end)
    for trouble in sorted(troubles[:LISTED], key=lambda trouble: trouble.start):
        console.print(
            f"  {trouble.start:5.2f} to {trouble.end:5.2f} s  {trouble.cause}: "
            f"{trouble.residual:.2g} g, {trouble.torque_ratio:.2g} of a limit",
            highlight=False,
        )
    if len(troubles) > LISTED:
        console.print(f"  and {len(troubles) - LISTED} shorter ones; --plot shows all")
    if read:
        console.print("What is not fine, and what to do:")
    for line in read:
        console.print(f"- {line}", highlight=False)


_STYLE = """
svg { font: 11px system-ui, sans-serif; fill: #333; }
.page { fill: #fff; }
.grid { stroke: #ddd; }
polyline { fill: none; stroke-width: 1.5; }
polyline.s0 { stroke: #2f6fde; } text.s0 { fill: #2f6fde; }
polyline.s1 { stroke: #d9622b; } text.s1 { fill: #d9622b; }
.ground { fill: #8a8f98; } .air { fill: #bfe3ff; } .bad { fill: #d9322b; }
"""


def plot(imitability: Imitability, path: str | os.PathLike[str]) -> None:
    """Write the course of it as an SVG picture, which every browser shows.

    Over each curve lie two bars: what is on the ground (grey) or in the air (blue), and where it
    is not feasible (red). Curves are cut at the top of their axis.

    Raises:
        OutputError: ``path`` does not end in .svg or cannot be written, or there is but one step.
    """
    path = Path(path)
    if path.suffix.lower() != ".svg":
        raise OutputError(f"{path}: the plot is an .svg picture; name it so")
    if len(imitability.time) < 2:
        raise OutputError(f"{path}: a motion of a single step has no course to draw")
    one, t = imitability, imitability.time
    clearance, zmp = 1e3 * one.clearance, 1e3 * np.nan_to_num(one.zmp_beyond)
    low = -charts.round_up(max(100.0, -float(clearance.min())))
    charted: tuple[tuple[str, np.ndarray, str, np.ndarray | float, float, float], ...] = (
        ("unexplained, g", one.residual, f"over {SUSTAINED:g} s", one.sustained, 0.0, 2.0),
        ("worst torque / limit", one.torque_ratio.max(1), "fine", TORQUE_LIMIT, 0.0, 3.0),
        ("lowest point, mm", clearance, "touches", 1e3 * TOUCH, low, 300.0),
        ("balance, mm beyond", zmp, "fine", 1e3 * ZMP_LIMIT, 0.0, 300.0),
    )
    width, height = charts.WIDTH + 10, charts.HEIGHT + 24
    parts = []
    for i, (name, y, other, level, bottom, top) in enumerate(charted):
        against = np.zeros(t.shape) + level
        top = min(charts.round_up(max(float(y.max()), 1.5 * float(against.max()))), top)
        chart = charts.line_chart(
            (charts.Series(name, t, y), charts.Series(other, t, against)), y_range=(bottom, top)
        )
        x, y0 = 10 + i % 2 * width, 44 + i // 2 * height
        chart = chart.replace(
            "<svg ", f'<svg y="10" width="{charts.WIDTH}" height="{charts.HEIGHT}" '
        )
        parts.append(f'<g transform="translate({x} {y0})">{_bars(one)}{chart}</g>')
    title = (
        f"{one.character}: {100 * one.feasible_fraction:.0f} % feasible. "
        "Bars: ground grey, air blue; not feasible red"
    )
    wide, high = 2 * width + 10, 2 * height + 50
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{2 * wide}" '
        f'height="{2 * high}"><style>{_STYLE}</style><rect class="page" width="{wide}" '
        f'height="{high}"/><text x="10" y="24">{title}</text>{"".join(parts)}</svg>'
    )
    with atomic_path(path) as temporary:
        temporary.write_text(picture, encoding="utf-8")


def _bars(one: Imitability) -> str:
    """Two strips along a chart's x axis: ground or air, and feasible or not."""
    start, end = one.time[0], one.time[-1]
    start = 0.0 if start < 0.1 * end else start  # as the chart does
    scale = (charts.WIDTH - charts.LEFT - charts.RIGHT) / max(end - start, 1e-9)
    parts = []
    for y, kinds in (
        (0, np.where(one.in_flight, "air", "ground")),
        (7, np.where(one.feasible, "", "bad")),
    ):
        for t, kind in zip(one.time, kinds, strict=True):
            x = charts.LEFT + (max(t - 0.5 / CONTROL_HZ, start) - start) * scale
            if kind:
                parts.append(
                    f'<rect class="{kind}" x="{x:.1f}" y="{y}" '
                    f'width="{scale / CONTROL_HZ:.2f}" height="5"/>'
                )
    return "".join(parts)
