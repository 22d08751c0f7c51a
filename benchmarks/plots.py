"""The report's plots, as SVG that needs nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from sfv_gym.benchmarks.analysis import THRESHOLDS, Analysis

# Okabe and Ito's colours, which people who see colours differently can tell apart
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A8A3A")
WIDTH = 5.2
MEASURES = (
    ("iqm", "interquartile mean"),
    ("median", "median"),
    ("mean", "mean"),
    ("optimality_gap", "optimality gap (less is better)"),
)


def svg(draw: Callable[[], Figure], name: str) -> bytes:
    """The ``<svg>`` element of a figure; the same figure gives the same bytes."""
    figure, text = draw(), io.StringIO()
    # ids are hashes salted with the name, so that several figures can stand on one page
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    whole = text.getvalue()
    return whole[whole.index("<svg") :].encode()


def _axes(height: float = 3.2, columns: int = 1, **settings: Any) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH * columns, height), layout="constrained")
    axes = figure.subplots(1, columns, **settings)
    for one in np.atleast_1d(axes):
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.25)
    return figure, axes


def learning_curves(analysis: Analysis) -> Figure:
    """Interquartile mean over samples and over the time that learning took, with intervals."""
    figure, (left, right) = _axes(columns=2, sharey=True)
    for one, color in zip(analysis.algorithms, _colors(analysis), strict=True):
        for axes, x in ((left, one.samples), (right, one.seconds / 60)):
            axes.plot(x, one.curve.value, color=color, label=one.name, marker=".")
            axes.fill_between(x, one.curve.low, one.curve.high, color=color, alpha=0.18, lw=0)
    left.set(xlabel="control steps learned from", ylabel="interquartile mean of NR", ylim=(0, 1))
    left.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter())
    right.set(xlabel="minutes of learning, on one core")
    for axes in (left, right):
        axes.set_xlim(left=0)
    left.legend(frameon=False, loc="upper left")
    return figure


def task_curves(analysis: Analysis) -> Figure:
    """Each run's normalized return over samples, a panel for each task."""
    columns = min(3, len(analysis.tasks))
    rows = -(-len(analysis.tasks) // columns)
    figure = Figure(figsize=(WIDTH * 0.75 * columns, 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    colors = dict(zip((one.name for one in analysis.algorithms), _colors(analysis), strict=True))
    for axes, task in zip(grid, analysis.tasks, strict=False):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.set_title(task, fontsize=10)
        axes.set_ylim(0, 1)
        for result in analysis.results:
            if result["task"] != task or result["algorithm"] not in colors:
                continue
            curve = result.get("curve") or []
            x = [point["samples"] for point in curve]
            y = [point["normalized_return"] for point in curve]
            axes.plot(x, y, color=colors[result["algorithm"]], alpha=0.8, lw=1.2)
        axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter())
    for axes in grid[len(analysis.tasks) :]:
        axes.set_visible(False)
    return figure


def aggregates(analysis: Analysis) -> Figure:
    """The four aggregates of every algorithm, as points with intervals."""
    figure = Figure(
        figsize=(2 * WIDTH, 0.8 + 0.38 * len(analysis.algorithms)), layout="constrained"
    )
    axes = figure.subplots(1, len(MEASURES), sharey=True)
    names = [one.name for one in analysis.algorithms]
    for panel, (key, title) in zip(axes, MEASURES, strict=True):
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25, axis="x")
        panel.set_title(title, fontsize=10)
        for row, (one, color) in enumerate(
            zip(analysis.algorithms, _colors(analysis), strict=True)
        ):
            found = one.aggregates[key]
            panel.barh(row, found.high - found.low, 0.6, found.low, color=color, alpha=0.4)
            panel.plot([found.value] * 2, [row - 0.3, row + 0.3], color=color, lw=2.5)
        panel.set_yticks(range(len(names)), names)
        panel.set_xlim(0, 1)
    axes[0].invert_yaxis()
    return figure


def profiles(analysis: Analysis) -> Figure:
    """Share of runs that score above each threshold."""
    figure, axes = _axes()
    for one, color in zip(analysis.algorithms, _colors(analysis), strict=True):
        axes.step(THRESHOLDS, one.profile.value, color=color, label=one.name, where="post")
        axes.fill_between(
            THRESHOLDS,
            one.profile.low,
            one.profile.high,
            color=color,
            alpha=0.18,
            lw=0,
            step="post",
        )
    axes.set(
        xlabel="normalized return", ylabel="share of runs above it", xlim=(0, 1), ylim=(0, 1.02)
    )
    axes.legend(frameon=False, loc="lower left")
    return figure


def improvement(analysis: Analysis) -> Figure:
    """Probability that the first of two algorithms beats the second."""
    names = [one.name for one in analysis.algorithms]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    figure, axes = _axes(height=0.9 + 0.32 * len(pairs))
    for row, pair in enumerate(pairs):
        found = analysis.better[pair]
        axes.barh(row, found.high - found.low, 0.6, found.low, color=COLORS[0], alpha=0.4)
        axes.plot([found.value] * 2, [row - 0.3, row + 0.3], color=COLORS[0], lw=2.5)
    axes.axvline(0.5, color="#888888", lw=1, ls="--")
    axes.set_yticks(range(len(pairs)), [f"{a} beats {b}" for a, b in pairs])
    axes.set(xlim=(0, 1), xlabel="probability")
    axes.invert_yaxis()
    return figure


def heat_map(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str) -> Figure:
    """Numbers in 0..1 as colours, each written in its cell; NaN cells stay empty."""
    figure = Figure(
        figsize=(1.6 + 0.85 * len(columns), 0.9 + 0.36 * len(rows)), layout="constrained"
    )
    axes = figure.subplots()
    axes.imshow(np.ma.masked_invalid(values), vmin=0, vmax=1, cmap="cividis", aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(
                j,
                i,
                f"{value:.2f}",
                ha="center",
                va="center",
                fontsize=9,
                color="black" if value > 0.55 else "white",
            )
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.xaxis.tick_top()  # heads, as of a table: many rows would hide what stands below
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10)
    return figure


def _colors(analysis: Analysis) -> list[str]:
    """By name, so that an algorithm keeps its colour when the ranking changes."""
    names = sorted(one.name for one in analysis.algorithms)
    return [COLORS[names.index(one.name) % len(COLORS)] for one in analysis.algorithms]
