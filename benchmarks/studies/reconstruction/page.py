"""The tables and pictures of docs/reconstruction.md, from the figures."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np

from sfv_gym.benchmarks.book import Cell, Column, Page, Part, Picture, Table, Text, texts
from sfv_gym.benchmarks.studies.reconstruction.errors import (
    BONES,
    FULL,
    RAW,
    SEGMENT,
    TRUTH,
    VIEWED,
    Row,
    Views,
)
from sfv_gym.benchmarks.studies.reconstruction.measure import Figures
from sfv_gym.benchmarks.studies.reconstruction.real import KNOWN_FOCAL, RealFigures

FIGURES = {
    "pa_mm": "PA-MPJPE, mm",
    "root_mm": "root-relative, mm",
    "clip_mm": "whole clip, mm",
    "accel_ms2": "acceleration, m/s²",
    "skate_mm": "skate, mm/frame",
}
FIELD = {
    "pa_mm": "PA-MPJPE, mm",
    "wa_mm": f"WA-MPJPE{SEGMENT}, mm",
    "w_mm": f"W-MPJPE{SEGMENT}, mm",
    "mpjve_mms": "MPJVE, mm/s",
    "accel_ms2": "acceleration, m/s²",
    "jitter": "jitter, 10 m/s³",
    "mpjae_deg": "MPJAE, degrees",
}
"""What others report, by their names."""
REAL = {"pa_mm": "PA-MPJPE, mm", "root_mm": "root-relative, mm"} | {
    figure: name for figure, name in FIELD.items() if figure not in ("pa_mm", "mpjae_deg")
}
COMPARED = ("pa_mm", "root_mm", "accel_ms2")
"""The figures that raw landmarks, which have no path, have too."""

FILE, TITLE = "reconstruction.md", "Reconstruction: from a video to a reference motion"
COMMAND = "sfv bench reconstruction"
MARKS = ("<!-- figures -->", "<!-- end of figures -->")
REAL_MARKS = ("<!-- real people -->", "<!-- end of real people -->")
_PACKAGE, _PROSE = "sfv_gym.benchmarks.studies.reconstruction", "prose.yml"


def page(figures: Figures) -> Page:
    """Every clip, the means with the ablations', and the figures that others report."""
    head = _head(FIGURES)
    clips = {name: clip["rows"] for name, clip in figures["clips"].items()}
    average = means(clips)
    rows: list[tuple[Cell, ...]] = []
    for name, clip in clips.items():
        rows += [
            _cells(f"{name}, raw", clip[RAW], FIGURES),
            _cells(f"**{name}**", clip[FULL], FIGURES),
        ]
    rows += [_cells("mean, raw", average[RAW], FIGURES), _cells("**mean**", average[FULL], FIGURES)]
    shares = [f"{average[FULL][f] / average[RAW][f]:.2f}" if f in COMPARED else "" for f in FIGURES]
    parts: list[Part] = [Table.of(head, [*rows, ("**of raw**", *shares)])]
    said = texts(_PACKAGE, _PROSE)
    parts += [Text(said["field"]), _field_table(clips, average)]
    others = [row for row in average if row not in (RAW, TRUTH)]
    if len(others) > 2:
        ablated = Table.of(head, [_cells(row, average[row], FIGURES) for row in others])
        parts += [Text(said["parts"]), ablated]
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
    return Page(FILE, TITLE, "", tuple(parts), COMMAND, MARKS, pictures)


def real_page(figures: RealFigures) -> Page:
    """Every view of real people, and how well the truth is known that it is held against."""
    found = figures["views"].values()
    views = {name: view["rows"] for name, view in figures["views"].items()}
    average = means(views)
    said = texts(_PACKAGE, _PROSE)["real"].format(
        views=len(found),
        frames=figures["frames"],
        fps=figures["fps"],
        ray_mm=np.mean([view["ray_mm"] for view in found]),
        turned_deg=max(view["turned_deg"] for view in found),
        left_out_mm=np.mean([view["left_out_mm"] for view in found]),
        pa_mm=average[FULL]["pa_mm"],
        share=average[FULL]["pa_mm"] / average[RAW]["pa_mm"],
        known_pa_mm=average[KNOWN_FOCAL]["pa_mm"],
        w_mm=average[FULL]["w_mm"],
        known_w_mm=average[KNOWN_FOCAL]["w_mm"],
    )
    names = {RAW: ", raw", FULL: "", KNOWN_FOCAL: ", focal length known"}
    rows = [
        _cells(f"**{name}**" if row == FULL else name + suffix, view[row], REAL)
        for name, view in {**views, "mean": average}.items()
        for row, suffix in names.items()
    ]
    rows.append(_cells("mean, truth", average[TRUTH], REAL))
    parts = (Text(said), Table.of(_head(REAL), rows))
    return Page(FILE, TITLE, "", parts, COMMAND, REAL_MARKS)


def _field_table(clips: Mapping[str, Mapping[str, Row]], average: Mapping[str, Row]) -> Table:
    rows = [_cells(name, clip[FULL], FIELD) for name, clip in clips.items()]
    rows += [
        _cells("**mean**", average[FULL], FIELD),
        _cells("mean, raw", average[RAW], FIELD),
        _cells("mean, truth", average[TRUTH], FIELD),
    ]
    return Table.of(_head(FIELD), rows)


def _head(figures: Mapping[str, str]) -> list[str | Column]:
    return ["", *(Column(name, ".1f") for name in figures.values())]


def _cells(name: str, row: Row, figures: Iterable[str]) -> tuple[Cell, ...]:
    return name, *(row.get(figure) for figure in figures)


def means(clips: Mapping[str, Mapping[str, Row]]) -> dict[str, Row]:
    """Averages over clips of every row, of the figures that all of them have."""
    all_rows = list(clips.values())
    return {
        row: {
            figure: float(np.mean([rows[row][figure] for rows in all_rows]))
            for figure in first
            if all(figure in rows[row] for rows in all_rows)
        }
        for row, first in all_rows[0].items()
    }


def plot(figures: Figures) -> bytes:
    """Bars of every clip, raw and full, with the means."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [*figures["clips"], "mean"]
    clips = {name: clip["rows"] for name, clip in figures["clips"].items()}
    rows = [*clips.values(), means(clips)]
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
