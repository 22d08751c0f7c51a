"""What earlier versions were asked to reach, held against the figures of fresh episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from sfv_gym.benchmarks.pages import table_lines
from sfv_gym.registry import get_entry

Records = Mapping[str, Mapping[str, Any]]
"""Environment id -> record of ``results.json``."""

WORDS = {"success_rate": "success", "normalized_return_sfv": "NR `sfv`"}
INTERVAL = {
    "success_rate": "success_interval",
    "normalized_return_sfv": "normalized_return_sfv_interval",
}


@dataclass(frozen=True)
class Outcome:
    """A target beside what was measured.

    Attributes:
        what: of which policy or policies, and which figure.
        target: in words, such as ``at least 0.90``.
        figure: with its 95 % interval, as it is shown; empty where there is no policy.
        met: whether the figure reaches the target; None where there is no policy.
    """

    what: str
    target: str
    figure: str
    met: bool | None


def outcomes(
    records: Records, paper: Mapping[str, Mapping[str, float]]
) -> dict[str, list[Outcome]]:
    """Title -> outcomes of the targets in ``targets.yml``.

    Args:
        paper: environment id -> the paper's figures, of which ``return`` is used.
    """
    text = resources.files("sfv_gym.benchmarks").joinpath("targets.yml").read_text()
    judged: dict[str, list[Outcome]] = {}
    for group in yaml.safe_load(text):
        judged[group["title"]] = [
            _count(target, records) if "count" in target else _one(target, records, paper)
            for target in group["targets"]
        ]
    return judged


def _one(
    target: Mapping[str, Any], records: Records, paper: Mapping[str, Mapping[str, float]]
) -> Outcome:
    env_id, key = target["one"], target["figure"]
    above = target.get("above") == "paper"
    least = paper[env_id]["return"] if above else target["least"]
    words = f"above the paper's {least:.3f}" if above else f"at least {least:.2f}"
    what = f"`{env_id}`: {WORDS[key]}"
    if env_id not in records:
        return Outcome(what, words, "", None)
    figures = records[env_id]["first_frame"]
    value, digits = figures[key], 2 if key == "success_rate" else 3
    return Outcome(
        what,
        words,
        with_interval(value, figures.get(INTERVAL[key]), digits),
        value > least if above else value >= least,
    )


def _count(target: Mapping[str, Any], records: Records) -> Outcome:
    key, least, number = target["count"], target["least"], target["number"]
    chosen = [
        record["first_frame"]
        for env_id, record in records.items()
        if [get_entry(env_id).character, get_entry(env_id).terrain] == target["of"]
        and env_id != target.get("without")
    ]
    reached = sum(figures[key] >= least for figures in chosen)
    intervals = [figures.get(INTERVAL[key]) for figures in chosen]
    text = f"{reached} of {len(chosen)}"
    if chosen and all(intervals):
        # how many would count by the lower and by the upper ends: more than a 95 % interval
        low, high = (sum(bounds[end] >= least for bounds in intervals) for end in (0, 1))
        text += f" [{low}, {high}]"
    others = f", without `{target['without']}`" if "without" in target else ""
    return Outcome(
        f"skills with a {WORDS[key]} of at least {least:.2f}{others}",
        f"{number}",
        text,
        reached >= number,
    )


def lines(records: Records, paper: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The section of the results page, from its heading on."""
    judged = outcomes(records, paper)
    every = [one for group in judged.values() for one in group]
    rows = [
        (
            f"{title}: {one.what}",
            one.target,
            one.figure,
            {True: "met", False: "**not met**", None: "**no policy**"}[one.met],
        )
        for title, group in judged.items()
        for one in group
    ]
    old = sum("made_of" not in record for record in records.values())
    caution = f" **Of {old} policies the figures are not of fresh episodes yet.**" if old else ""
    return [
        "## What earlier targets say of fresh episodes",
        "",
        "Earlier versions of these policies reached targets in episodes that had also chosen them, "
        "which flatters. Here the same targets are held against the figures above, from the first "
        f"frame, with 95 % intervals; behind a number of skills, how many would count by the lower "
        f"and by the upper ends of theirs. {sum(bool(one.met) for one in every)} of {len(every)} "
        f"are met.{caution}",
        "",
        *table_lines(("what", "target", "fresh episodes", ""), rows),
        "",
    ]


def with_interval(value: float, bounds: Any, digits: int) -> str:
    """``0.97 [0.92, 0.99]``; the value alone where there is no interval."""
    if bounds is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"
