"""The page of throughput, from its figures."""

from __future__ import annotations

import io
import itertools
from functools import partial

import numpy as np

from sfv_gym.benchmarks.book import Column, Page, Part, Picture, Table, Text, texts
from sfv_gym.benchmarks.studies.throughput.implementations import (
    ACTION_SPREAD,
    OURS,
    RAW,
    SB3,
    SINGLE,
    Implementation,
)
from sfv_gym.benchmarks.studies.throughput.measure import BASELINE, Figures
from sfv_gym.envs.task import CONTROL_HZ, SUBSTEPS


def page(figures: Figures) -> Page:
    """The whole of docs/performance.md."""
    said = texts("sfv_gym.benchmarks.studies.throughput", "prose.yml")
    measured = said["measured"].format(
        date=figures.date,
        env_id=figures.env_id,
        cores=figures.cores,
        machine=figures.machine,
        versions=", ".join(f"{name} {version}" for name, version in figures.versions.items()),
        rounds=figures.rounds,
        seconds=figures.seconds,
    )
    notes = said["ratios"].format(
        compared=figures.compared, raw=RAW, ours=OURS, sb3=SB3, spread=ACTION_SPREAD
    )
    parts: list[Part] = [
        Picture("images/throughput.png", "Control steps per second", draw=partial(plot, figures)),
        Text(measured),
        Table.of(("ratio, median over rounds", Column("", ".2f")), ratios(figures).items()),
        Text(notes),
        table(figures),
    ]
    if figures.missing:
        reasons = [f"* {name}: {reason}" for name, reason in figures.missing.items()]
        parts += [Text(said["missing"]), Text("\n".join(reasons))]
    parts.append(Text(said["again"]))
    note = said["note"].format(control_hz=CONTROL_HZ, substeps=SUBSTEPS)
    return Page("performance.md", "Performance", note, tuple(parts), "sfv bench throughput")


def table(figures: Figures) -> Table:
    """Every implementation, with its median rate and how far the rounds are apart."""
    head = ("", "environments", "threads or processes", Column("control steps/s", ",.0f"),
            "lowest - highest")  # fmt: skip
    rows = [
        (
            one.name,
            one.num_envs,
            one.threads,
            one.median,
            f"{min(one.rates):,.0f} - {max(one.rates):,.0f}",
        )
        for one in figures.results
        if one.name != BASELINE
    ]
    return Table.of(head, rows)


def ratios(figures: Figures) -> dict[str, float]:
    """Medians over rounds of ratios within a round, where they are compared and of all threads."""
    results = figures.results
    most = max((r.threads for r in results if r.name == OURS), default=1)

    def rates(name: str, threads: int) -> np.ndarray:
        for one in results:
            if (one.name, one.num_envs, one.threads) == (name, figures.compared, threads):
                return np.array(one.rates)
        return np.array([np.nan])

    out = {
        f"{OURS} / raw": float(np.median(rates(OURS, most) / rates(RAW, most))),
        f"{SB3} / raw": float(np.median(rates(SB3, most) / rates(RAW, most))),
    }
    if most > 1:
        for name in (RAW, OURS):
            gain = float(np.median(rates(name, most) / rates(name, 1)))
            out[f"{name}, {most} threads / 1 thread"] = gain
    best: tuple[float, float, str] | None = None
    for before, one in itertools.pairwise(results):
        if one.name in SINGLE and before.name == BASELINE:
            ratio = float(np.median(np.array(before.rates) / np.array(one.rates)))
            if best is None or one.median > best[0]:
                best = (one.median, ratio, f"{one.name} of {one.num_envs}")
    if best is not None:
        out[f"{OURS} / {best[2]}, the fastest of the usual ways"] = best[1]
    return out


def plot(figures: Figures) -> bytes:
    """Control steps per second against the number of environments, and the comparison: a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    results = [one for one in figures.results if one.name != BASELINE]
    scaled = [one for one in results if one.name in (RAW, OURS, SB3)]
    most = max(one.threads for one in scaled)
    picture, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for name, colour in zip((RAW, OURS, SB3), ("0.5", "C0", "C1"), strict=True):
        for threads in sorted({one.threads for one in scaled}):
            line = [o for o in scaled if (o.name, o.threads) == (name, threads)]
            style = "-" if threads == most else "--"
            label = f"{name}, {threads} thread{'s' if threads > 1 else ''}"
            left.plot(
                [o.num_envs for o in line],
                [o.median for o in line],
                style,
                marker="o",
                color=colour,
                label=label,
            )
    left.set(xscale="log", yscale="log", xlabel="environments", ylabel="control steps per second")
    left.legend(fontsize=8)
    left.grid(alpha=0.3, which="both")
    shown: dict[str, Implementation] = {}
    for one in results:
        ours_here = one.name in (RAW, OURS, SB3)
        if ours_here and (one.num_envs, one.threads) != (figures.compared, most):
            continue
        if one.name not in shown or one.median > shown[one.name].median:
            shown[one.name] = one
    names = [f"{one.name} ({one.num_envs})" for one in shown.values()]
    colours = ["C0" if one.name in (OURS, SB3) else "0.6" for one in shown.values()]
    right.barh(names, [one.median for one in shown.values()], color=colours)
    right.invert_yaxis()
    right.set(xlabel="control steps per second, all cores", title="best of each (environments)")
    right.grid(alpha=0.3, axis="x")
    contents = io.BytesIO()
    picture.savefig(contents, dpi=110, format="png")
    pyplot.close(picture)
    return contents.getvalue()
