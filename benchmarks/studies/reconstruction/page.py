"""The tables and pictures of docs/reconstruction.md, from the figures."""

from __future__ import annotations

import io
from functools import partial

import numpy as np

from sfv_gym.benchmarks.book import Cell, Column, Page, Part, Picture, Table, Text, texts
from sfv_gym.benchmarks.studies.reconstruction.errors import (
    BONES,
    FULL,
    RAW,
    TRUTH,
    VIEWED,
    Row,
    Views,
)
from sfv_gym.benchmarks.studies.reconstruction.measure import Figures

FIGURES = {
    "pa_mm": "PA-MPJPE, mm",
    "root_mm": "root-relative, mm",
    "clip_mm": "whole clip, mm",
    "accel_ms2": "acceleration, m/s²",
    "skate_mm": "skate, mm/frame",
}
COMPARED = ("pa_mm", "root_mm", "accel_ms2")
"""The figures that raw landmarks, which have no path, have too."""

MARKS = ("<!-- figures -->", "<!-- end of figures -->")


def page(figures: Figures) -> Page:
    """Every clip, and the means with the ablations'."""
    head: list[str | Column] = ["", *(Column(name, ".1f") for name in FIGURES.values())]
    average = means(figures)
    rows: list[tuple[Cell, ...]] = []
    for name, clip in figures["clips"].items():
        rows += [
            _cells(f"{name}, raw", clip["rows"][RAW]),
            _cells(f"**{name}**", clip["rows"][FULL]),
        ]
    rows += [_cells("mean, raw", average[RAW]), _cells("**mean**", average[FULL])]
    shares = [f"{average[FULL][f] / average[RAW][f]:.2f}" if f in COMPARED else "" for f in FIGURES]
    parts: list[Part] = [Table.of(head, [*rows, ("**of raw**", *shares)])]
    others = [row for row in average if row != RAW]
    if len(others) > 2:
        said = texts("sfv_gym.benchmarks.studies.reconstruction", "prose.yml")["parts"]
        parts += [Text(said), Table.of(head, [_cells(row, average[row]) for row in others])]
    shown = next(iter(figures["clips"].values()))["views"]
    pictures = (
        Picture(
            "images/reconstruction.png", "Errors beside raw MediaPipe", draw=partial(plot, figures)
        ),
        Picture(
            "images/reconstruction_views.png",
            "The same poses from the camera and from the side",
            draw=partial(plot_views, shown),
        ),
    )
    return Page(
        "reconstruction.md",
        "Reconstruction: from a video to a reference motion",
        "",
        tuple(parts),
        "sfv bench reconstruction",
        MARKS,
        pictures,
    )


def _cells(name: str, row: Row) -> tuple[Cell, ...]:
    return name, *(row[figure] for figure in FIGURES)


def means(figures: Figures) -> dict[str, Row]:
    """Averages over the clips of every row."""
    clips = list(figures["clips"].values())
    return {
        row: {f: float(np.mean([c["rows"][row][f] for c in clips])) for f in FIGURES}
        for row in clips[0]["rows"]
    }


def plot(figures: Figures) -> bytes:
    """Bars of every clip, raw and full, with the means."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [*figures["clips"], "mean"]
    rows = [clip["rows"] for clip in figures["clips"].values()] + [means(figures)]
    figure, axes = pyplot.subplots(1, len(COMPARED), figsize=(11, 3.2), layout="constrained")
    at = np.arange(len(names))
    for axis, figure_name in zip(axes, COMPARED, strict=True):
        for offset, row, colour in ((-0.2, RAW, "#9aa5b1"), (0.2, FULL, "#1f6feb")):
            values = [r[row][figure_name] for r in rows]
            axis.barh(at + offset, values, 0.38, color=colour, label=row)
        axis.set_yticks(at, names if axis is axes[0] else [""] * len(names))
        axis.invert_yaxis()
        axis.set_title(FIGURES[figure_name], fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].legend(fontsize=8, frameon=False, loc="lower right")
    contents = io.BytesIO()
    figure.savefig(contents, format="png", dpi=110)
    pyplot.close(figure)
    return contents.getvalue()


def plot_views(found: Views) -> bytes:
    """Some instants (see ``views``) from the camera, above, and from the side, below."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, VIEWED, figsize=(11, 4.6), layout="constrained")
    for row, (across, title) in enumerate(((0, "from the camera"), (2, "from the side"))):
        for instant, axis in enumerate(axes[row]):
            for name, colour, width in ((TRUTH, "#9aa5b1", 5), (RAW, "#e8702a", 1.5),
                                        (FULL, "#1f6feb", 1.5)):  # fmt: skip
                joints = np.array(found[name][instant])
                for bone in BONES:
                    axis.plot(
                        joints[bone, across], -joints[bone, 1], color=colour, lw=width,
                        solid_capstyle="round",
                    )  # fmt: skip
            axis.set(xlim=(-1.0, 1.0), ylim=(-1.05, 1.05), aspect="equal")
            axis.axis("off")
        axes[row][0].set_title(title, fontsize=10, loc="left")
    contents = io.BytesIO()
    figure.savefig(contents, format="png", dpi=100)
    pyplot.close(figure)
    return contents.getvalue()
