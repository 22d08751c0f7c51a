"""What earlier versions were asked to reach, held against the figures of fresh episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TypedDict

import yaml

from sfv_gym.benchmarks.book import Part, Table, Text, with_interval
from sfv_gym.benchmarks.studies.policies.records import Figures, Paper, Records, kind_of

WORDS = {"success_rate": "success", "normalized_return_sfv": "NR `sfv`"}
DIGITS = {"success_rate": 2, "normalized_return_sfv": 3}


class Target(TypedDict, total=False):
    """One in ``targets.yml``, see there."""

    one: str
    figure: str
    above: str
    count: str
    of: list[str]
    least: float
    number: int
    without: str


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


def outcomes(records: Records, paper: Mapping[str, Paper]) -> dict[str, list[Outcome]]:
    """Title -> outcomes of the targets in ``targets.yml``.

    Args:
        paper: environment id -> the paper's figures, of which ``return`` is used.
    """
    package = resources.files("sfv_gym.benchmarks.studies.policies")
    judged: dict[str, list[Outcome]] = {}
    for group in yaml.safe_load(package.joinpath("targets.yml").read_text()):
        judged[group["title"]] = [
            _count(target, records) if "count" in target else _one(target, records, paper)
            for target in group["targets"]
        ]
    return judged


def _figure(figures: Figures, key: str) -> tuple[float, list[float] | None]:
    """One that targets are of, with its 95 % interval."""
    if key == "success_rate":
        return figures["success_rate"], figures.get("success_interval")
    return figures["normalized_return_sfv"], figures.get("normalized_return_sfv_interval")


def _one(target: Target, records: Records, paper: Mapping[str, Paper]) -> Outcome:
    env_id, key = target["one"], target["figure"]
    above = target.get("above") == "paper"
    least = paper[env_id]["return"] if above else target["least"]
    words = f"above the paper's {least:.3f}" if above else f"at least {least:.2f}"
    what = f"`{env_id}`: {WORDS[key]}"
    if env_id not in records:
        return Outcome(what, words, "", None)
    value, interval = _figure(records[env_id]["first_frame"], key)
    return Outcome(
        what,
        words,
        with_interval(value, interval, DIGITS[key]),
        value > least if above else value >= least,
    )


def _count(target: Target, records: Records) -> Outcome:
    key, least, number = target["count"], target["least"], target["number"]
    chosen = [
        _figure(record["first_frame"], key)
        for env_id, record in records.items()
        if list(kind_of(env_id)) == target["of"] and env_id != target.get("without")
    ]
    reached = sum(value >= least for value, _ in chosen)
    intervals = [interval for _, interval in chosen if interval]
    text = f"{reached} of {len(chosen)}"
    if chosen and len(intervals) == len(chosen):
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


def parts(records: Records, paper: Mapping[str, Paper], said: Mapping[str, str]) -> list[Part]:
    """The section of the results page.

    Args:
        said: the prose of the page.
    """
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
    note = said["targets"].format(met=sum(bool(one.met) for one in every), number=len(every))
    if old := sum("made_of" not in record for record in records.values()):
        note += " " + said["targets_old"].format(old=old)
    return [
        Text(note, "What earlier targets say of fresh episodes"),
        Table.of(("what", "target", "fresh episodes", ""), rows),
    ]
