"""The results page and the README's table, from the records in ``results.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypedDict

import yaml

from sfv_gym.benchmarks.book import Column, Page, Part, Picture, Table, Text, texts, with_interval
from sfv_gym.benchmarks.studies.policies import targets
from sfv_gym.benchmarks.studies.policies.pictures import draw_curves
from sfv_gym.benchmarks.studies.policies.records import (
    Again,
    Figures,
    Paper,
    Record,
    Records,
    TrainingFacts,
    kind_of,
    short_name,
)
from sfv_gym.library import library_clips
from sfv_gym.play.evaluation import KEY_LINK_DISTANCE
from sfv_gym.registry import find_motion, make_id
from sfv_gym.skeleton import LINKS
from sfv_gym.terrains import get_terrain

COMMAND = "sfv bench policies"
PACKAGE = "sfv_gym.benchmarks.studies.policies"
GROUPS = {
    "Humanoid on flat ground": ("humanoid", "flat"),
    "Atlas on flat ground": ("atlas", "flat"),
    "Humanoid on slopes": ("humanoid", "slopes"),
    "Humanoid over gaps": ("humanoid", "gaps"),
    "Atlas on slopes": ("atlas", "slopes"),
}
GOOD, FAIR = 0.9, 0.5
"""Shares of success by which the summary counts."""
README = ("<!-- results:begin -->", "<!-- results:end -->")
COLUMNS = ("skill", "success, first frame / RSI", "NR `sfv`", "NR `pose`",
           Column("paper's NR", ".3f"), "joint error, world / root, mm",
           Column("velocity error, m/s", ".2f"), Column("acceleration error, m/s²", ".0f"),
           "M samples", Column("paper's", ".0f"), "minutes")  # fmt: skip
SHEET_PICTURE, CURVES_PICTURE = "images/results_sheet.webp", "images/results_curves.webp"


class Remark(TypedDict, total=False):
    """``text`` with fields of ``_fields``; ``of``: the policy that was looked at."""

    text: str
    of: str


@dataclass(frozen=True)
class Notes:
    """What ``page.yml`` holds, see there; each by environment id."""

    paper: Mapping[str, Paper]
    readme: Mapping[str, str]
    remarks: Mapping[str, Remark]
    unlearned: Mapping[str, str]

    @classmethod
    def read(cls) -> Notes:
        """Those that ship."""
        return cls(**yaml.safe_load(resources.files(PACKAGE).joinpath("page.yml").read_text()))


def page(records: Records) -> Page:
    """The whole of docs/results.md."""
    known, said = Notes.read(), texts(PACKAGE, "prose.yml")
    parts: list[Part] = [Picture(SHEET_PICTURE, "Contact sheet"), Text(said["sheet"])]
    for title, kind in GROUPS.items():
        ids = [i for i in records if kind_of(i) == kind]
        if not ids:
            continue
        group = said["group" if kind[1] == "flat" else "group_terrain"].format(
            policies=_counted(len(ids), "policy", "policies"),
            difficulty=get_terrain(kind[1]).difficulty,
        )
        rows = [_cells(i, records[i], known.paper.get(i, {})) for i in ids]
        parts += [Text(group, title), Table.of(COLUMNS, rows)]
        remarks = {i: remark(i, records[i], known.remarks.get(i, {})) for i in ids}
        listed = [f"* **{short_name(i)}**: {text}" for i, text in remarks.items() if text]
        if listed:
            parts += [Text("Beside the figures:"), Text("\n".join(listed))]
    parts += _unlearned(records, known.unlearned)
    parts += targets.parts(records, known.paper, said)
    parts += _again(records)
    parts += [
        Text(said["curves"], "Learning curves"),
        Picture(CURVES_PICTURE, "Learning curves", draw=_curves(records)),
        Text(said["each"], "Each policy"),
        _every(records),
    ]
    note = said["note"].format(
        summary=summary(records),
        episodes=_episodes(records),
        fresh=_fresh(records),
        trained=_trained(records),
        distance=KEY_LINK_DISTANCE,
        links=len(LINKS),
    )
    return Page("results.md", "Results: one policy for every skill", note, tuple(parts), COMMAND)


def readme(records: Records) -> Page | None:
    """The README's table and the sentences below it; None where a record of it is missing."""
    known, said = Notes.read(), texts(PACKAGE, "prose.yml")
    if not all(env_id in records for env_id in known.readme):
        return None
    head = ("id", Column("video", left=True), "success", "normalized return, `sfv` / `pose`",
            Column("the paper's", ".3f"), "joint error, world / root",
            Column("trained on", left=True))  # fmt: skip
    rows = []
    for env_id, video in known.readme.items():
        record = records[env_id]
        first = record["first_frame"]
        rows.append(
            (
                f"`{env_id}`",
                video.format(**_fields(env_id, record)),
                _success(first),
                f"{first['normalized_return_sfv']:.2f} / {first['normalized_return']:.2f}",
                known.paper.get(env_id, {}).get("return"),
                f"{first['mpjpe_mm']:.0f} / {first['mpjpe_root_mm']:.0f} mm",
                _cost(record["training"]),
            )
        )
    shown = {env_id: records[env_id] for env_id in known.readme}
    compared = {i: p["samples"] for i in shown if "samples" in (p := known.paper.get(i, {}))}
    text = said["readme"].format(
        episodes=_episodes(shown),
        fresh=said["readme_old" if _unfresh(shown) else "readme_fresh"],
        distance=KEY_LINK_DISTANCE,
        origins=_origins(shown),
        which=" and ".join(short_name(i).lower() for i in compared),
        took=" and ".join(f"{samples:.0f}" for samples in compared.values()),
    )
    return Page("README.md", "", "", (Table.of(head, rows), Text(text)), COMMAND, README)


def summary(records: Records) -> str:
    """How many skills of each group are done how well."""
    said, parts = texts(PACKAGE, "prose.yml")["summary"], []
    for title, kind in GROUPS.items():
        rates = [r["first_frame"]["success_rate"] for i, r in records.items() if kind_of(i) == kind]
        if rates:
            good, fair = (sum(rate >= least for rate in rates) for least in (GOOD, FAIR))
            skills = _counted(len(rates), "skill", "skills")
            parts.append(
                said.format(title=title, skills=skills, high=GOOD, low=FAIR, good=good, fair=fair)
            )
    return " ".join(parts)


def remark(env_id: str, record: Record, note: Remark) -> str:
    """What is to be said of a policy beside its figures; empty where there is nothing."""
    parts, training = [], record["training"]
    origin = _origin(training)
    if origin and training.get("samples") == 0:
        said = texts(PACKAGE, "prose.yml")["untouched"]
        parts.append(said.format(origin=origin, further=training.get("samples_total", 0)))
    of = note.get("of")
    made_of = record.get("made_of")
    if note and (of is None or (made_of is not None and of == made_of["policy_hash"])):
        parts.append(note["text"].format(**_fields(env_id, record)))
    return " ".join(part[0].upper() + part[1:] if i else part for i, part in enumerate(parts))


def _fields(env_id: str, record: Record) -> dict[str, Any]:
    """What templates may name: the figures from the first frame, those of the training, and
    ``clip_seconds``."""
    motion = find_motion(env_id)
    return {**record["training"], **record["first_frame"], "clip_seconds": motion.duration}


def _unfresh(records: Records) -> list[str]:
    """The ids whose figures are of the protocol before the streams of ``sfv_gym.seeds``."""
    return [env_id for env_id, record in records.items() if "made_of" not in record]


def _fresh(records: Records) -> str:
    said, old = texts(PACKAGE, "prose.yml"), _unfresh(records)
    if not old:
        return said["fresh"]
    names = "all of them" if len(old) == len(records) else ", ".join(map(short_name, old))
    return said["old"].format(names=names)


def _trained(records: Records) -> str:
    """Reward and machine of the runs, as their cards have them."""
    rewards = Counter(r["training"].get("reward") for r in records.values())
    parts = []
    if None not in rewards and rewards:
        usual = rewards.most_common(1)[0][0]
        others = [
            f"{short_name(i)} with `{r['training']['reward']}`"
            for i, r in records.items()
            if r["training"]["reward"] != usual
        ]
        parts.append(f"All were trained with `{usual}`")
        parts[0] += f" but {', '.join(others)}." if others else "."
    machines = sorted({r["training"]["machine"] for r in records.values() if r["training"]})
    threads = sorted(
        {r["training"]["threads"] for r in records.values() if "threads" in r["training"]}
    )
    if machines:
        own = f", {' or '.join(map(str, threads))} of them for a run" if threads else ""
        parts.append(f"The runs' machine: {'; '.join(machines)}{own}.")
    return " ".join(parts)


def _origins(records: Records) -> str:
    """Which of the policies were trained from scratch."""
    begun = [short_name(i) for i, r in records.items() if _origin(r["training"])]
    if not begun:
        return "One run each, from scratch."
    return f"One run each, from scratch but for {', '.join(begun)}, begun from a policy."


def _unlearned(records: Records, reasons: Mapping[str, str]) -> list[Part]:
    """The section of the library's skills that the humanoid has no policy for on flat ground."""
    ids = [make_id(clip.skill) for clip in library_clips()]
    missing = sorted(i for i in ids if i not in records)
    if not missing:
        return []
    rows = [f"* **{short_name(i)}**: {reasons.get(i, 'not tried.')}" for i in missing]
    said = texts(PACKAGE, "prose.yml")["unlearned"]
    return [Text(said, "Not learned"), Text("\n".join(rows))]


def _again(records: Records) -> list[Part]:
    """The section of what other seeds come to; nothing where none was tried."""
    rows = []
    for env_id, record in records.items():
        for one in record.get("again", []):
            seed = str(one["training"]["seed"])
            shipped, again = (r["first_frame"]["normalized_return_sfv"] for r in (record, one))
            rows.append((f"`{env_id}`", *_brief(record), *_brief(one), seed, again - shipped))
    if not rows:
        return []
    brief = (Column("NR `sfv`", ".3f"), Column("NR `pose`", ".3f"), "M samples")
    differs = Column("NR `sfv` differs by", "+.3f")
    head = ("skill", "shipped: success", *brief, "again: success", *brief, "seed", differs)
    said = texts(PACKAGE, "prose.yml")["again"]
    return [Text(said, "From another seed"), Table.of(head, rows)]


def _brief(record: Again) -> tuple[str, float, float, str]:
    first = record["first_frame"]
    return (
        _success(first),
        first["normalized_return_sfv"],
        first["normalized_return"],
        _samples(record["training"]),
    )


def _curves(records: Records) -> Callable[[], bytes] | None:
    """Draws the learning curves; None where no record has any."""
    curves = {short_name(i): r["curve"] for i, r in records.items() if r["curve"]}
    return (lambda: draw_curves(curves)) if curves else None


def _every(records: Records) -> Table:
    """The animated pictures, four in a row."""
    cells = [f"![{short_name(i)}](results/{i}.webp) {short_name(i)}" for i in records]
    cells += [""] * (-len(cells) % 4)
    return Table.of([""] * 4, [cells[k : k + 4] for k in range(0, len(cells), 4)])


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _episodes(records: Records) -> int:
    return max((record["first_frame"]["episodes"] for record in records.values()), default=0)


def _success(figures: Figures) -> str:
    return with_interval(figures["success_rate"], figures.get("success_interval"), 2)


def _origin(training: TrainingFacts) -> str:
    """The name of the policy that a run began from; empty if from none."""
    return short_name((training.get("init") or "").removesuffix(".safetensors"))


def _cells(env_id: str, record: Record, paper: Paper) -> tuple[str | float | None, ...]:
    first, rsi, training = record["first_frame"], record["rsi"], record["training"]
    origin = _origin(training)
    sfv, pose = (
        with_interval(value, bounds, 3)
        for value, bounds in (
            (first["normalized_return_sfv"], first.get("normalized_return_sfv_interval")),
            (first["normalized_return"], first.get("normalized_return_interval")),
        )
    )
    minutes = ""
    if "seconds" in training:
        whole = training.get("seconds_total", training["seconds"])
        before = training.get("seconds_before", 0)
        minutes = _spent(training["seconds"] / 60, whole / 60, before / 60, 0)
    return (
        f"`{env_id}`" + (f", begun from {origin}'s policy" if origin else ""),
        f"{_success(first)} / {_success(rsi)}",
        sfv,
        pose,
        paper.get("return"),
        f"{first['mpjpe_mm']:.0f} / {first['mpjpe_root_mm']:.0f}",
        first["velocity_error_mm_s"] / 1000,
        first["acceleration_error_m_s2"],
        _samples(training),
        paper.get("samples"),
        minutes,
    )


def _samples(training: TrainingFacts) -> str:
    if "samples" not in training:
        return ""
    whole = training.get("samples_total", training["samples"])
    before = training.get("samples_before", 0)
    return _spent(training["samples"] / 1e6, whole / 1e6, before / 1e6, 1)


def _spent(until: float, whole: float, before: float, digits: int) -> str:
    own = f"{until:.{digits}f} ({whole:.{digits}f})"
    return f"{before:.{digits}f} + {own}" if before else own


def _cost(training: TrainingFacts) -> str:
    """Samples and minutes up to what ships, what had gone in before included."""
    samples = training.get("samples", 0) + training.get("samples_before", 0)
    seconds = training.get("seconds", 0) + training.get("seconds_before", 0)
    return f"{samples / 1e6:.1f} M samples, {seconds / 60:.0f} min"
