"""The page of stills, from their figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypedDict

import numpy as np

from sfv_gym.benchmarks.book import Column, Fold, Page, Part, Picture, Table, Text, texts
from sfv_gym.benchmarks.studies.stills.calibration import QUANTILES, Calibration
from sfv_gym.benchmarks.studies.stills.frames import MIDDLE
from sfv_gym.benchmarks.studies.stills.kin import KIN, kin
from sfv_gym.benchmarks.studies.stills.measure import Figures, PictureFigures
from sfv_gym.benchmarks.studies.stills.real import SHEET, RealPicture
from sfv_gym.completion.nearest import CLOSE, CONTACT, DEPTH, FAR
from sfv_gym.completion.playing import UP
from sfv_gym.play.evaluation import share_interval

FILE, TITLE = "stills.md", "Pictures completed"
COMMAND = "sfv bench stills"
FIRST = 3
"""Matches among which the right skill should be."""
_PACKAGE, _PROSE, _SEEN = "sfv_gym.benchmarks.studies.stills", "prose.yml", "seen.yml"


class AllFigures(TypedDict, total=False):
    """What ``stills.json`` holds: what was measured last on pictures with truth, and what came
    of real ones."""

    truth: Figures
    calibration: Calibration
    real: list[RealPicture]


def page(figures: AllFigures) -> Page:
    """Shares, mistakes and every picture, of those with truth; the sheet of real ones."""
    parts = [*of_truth(figures["truth"])] if "truth" in figures else []
    parts += of_calibration(figures["calibration"]) if "calibration" in figures else []
    parts += of_real(figures["real"]) if figures.get("real") else []
    return Page(FILE, TITLE, texts(_PACKAGE, _PROSE)["what"], tuple(parts), COMMAND)


def of_truth(figures: Figures) -> list[Part]:
    """Shares, the mistakes, and every picture."""
    said = texts(_PACKAGE, _PROSE)
    pictures = figures["pictures"]
    note = said["note"].format(
        pictures=len(pictures),
        clips=len({one["frame"].rpartition("_")[0] for one in pictures}),
        seed=figures["seed"],
        low=MIDDLE[0],
        high=MIDDLE[1],
        skills=figures["skills"],
    )
    groups = "; ".join(" = ".join(group) for group in KIN)
    right, other = _distances(pictures)
    limits = figures["limits"]
    distances = said["distances"].format(
        right=_cm(np.median(right)),
        other=_cm(np.median(other)),
        close=100 * limits["close"],
        far=100 * limits["far"],
    )
    return [
        Text(note, said["truth"]),
        shares(figures),
        Text(said["rules"].format(kin=groups, up=UP)),
        Text(distances),
        mistakes(pictures) or Text(said["none"], said["mistakes"]),
        Fold(said["all"], (every(pictures),)),
    ]


def shares(figures: Figures) -> Table:
    """Of the pictures: where the right skill stands, and what stays up."""
    pictures, total = figures["pictures"], len(figures["pictures"])
    films = [one["played"] for one in pictures]
    exact = [_rank(one, (one["skill"],)) for one in pictures]
    loose = [_rank(one, kin(one["skill"])) for one in pictures]
    rows = [
        ("right skill first", _share(sum(r == 1 for r in exact), total),
         _share(sum(r == 1 for r in loose), total)),
        (f"right skill among the first {FIRST}", _share(sum(r <= FIRST for r in exact), total),
         _share(sum(r <= FIRST for r in loose), total)),
        (f"film stays up for {UP:g} s, or to its motion's end",
         _share(sum(bool(f and f["stays_up"]) for f in films), total), ""),
        ("… for the whole second",
         _share(sum(bool(f and f["stays_up"] and not f["ended"]) for f in films), total), ""),
        ("… and is of the very first match",
         _share(sum(bool(f and f["stays_up"] and f["skill"] == one["nearest"][0]["skill"])
                    for f, one in zip(films, pictures, strict=True)), total), ""),
        *(
            (f"started with {share:.0%} of the picture's pose",
             str(sum(bool(f and f["share"] == share) for f in films)), "")
            for share in sorted({f["share"] for f in films if f}, reverse=True)
        ),
        ("far from all skills, or no pose", str(sum(f is None for f in films)), ""),
    ]  # fmt: skip
    return Table.of(("", "by name", "kin counted as one"), rows)


def mistakes(pictures: Sequence[PictureFigures]) -> Table | None:
    """The pictures whose right skill is not first, with what is."""
    rows = [
        (
            f"`{one['frame']}`",
            "" if one["rank"] is None else str(one["rank"]),
            one["error"] or _names(one, FIRST),
        )
        for one in pictures
        if one["rank"] != 1
    ]
    head = ("picture", "rank of the right skill", Column("nearest, cm", left=True))
    return Table.of(head, rows, texts(_PACKAGE, _PROSE)["mistakes"]) if rows else None


def every(pictures: Sequence[PictureFigures]) -> Table:
    """A row of each."""
    rows = []
    for one in pictures:
        film = one["played"]
        rows.append(
            (
                f"`{one['frame']}`",
                "" if one["rank"] is None else str(one["rank"]),
                one["error"] or _names(one, FIRST),
                "" if film is None else film["policy"],
                "" if film is None else f"{film['share']:.0%}",
                "" if film is None else f"{film['seconds']:.2f}" + (" (end)" * film["ended"]),
            )
        )
    head = ("picture", "rank", Column("nearest, cm", left=True), Column("film", left=True),
            "picture's pose in it", "s up")  # fmt: skip
    return Table.of(head, rows)


def of_calibration(figures: Calibration) -> list[Part]:
    """What the limits and the ranking were chosen by."""
    said = texts(_PACKAGE, _PROSE)
    limits = Table.of(
        ("distance, cm", *("largest" if q == 1 else f"{q:.0%} are nearer" for q in QUANTILES)),
        [
            ("right skill", *map(_cm, figures["right"])),
            ("nearest other, without kin", *map(_cm, figures["foreign"])),
        ],
    )
    head = (
        "a contact counts, cm", Column("depth counts", ".1f"), "first", "among the first three",
        Column("mean of 1/rank, with kin", ".3f"),
    )  # fmt: skip
    rows = [
        (f"{100 * one['contact']:g}", one["depth"], str(one["first"]), str(one["three"]),
         one["reciprocal"])
        for one in figures["rankings"]
    ]  # fmt: skip
    note = said["calibration_note"].format(
        pictures=figures["pictures"], clips=figures["clips"], contact=100 * CONTACT, depth=DEPTH,
        close=100 * CLOSE, far=100 * FAR,
    )  # fmt: skip
    return [
        Text(note, said["calibration"]),
        limits,
        Fold(said["rankings"], (Table.of(head, rows),)),
    ]


def of_real(pictures: Sequence[RealPicture]) -> list[Part]:
    """The sheet of real people, and what is seen on it."""
    said, seen = texts(_PACKAGE, _PROSE), texts(_PACKAGE, _SEEN)
    words = Counter("without a pose" if one["error"] else one["words"] for one in pictures)
    up = [one["stays_up"] for one in pictures if one["stays_up"] is not None]
    note = said["real_note"].format(
        pictures=len(pictures),
        counts=", ".join(f"{n} {word}" for word, n in words.most_common()),
        up=sum(up),
        films=len(up),
    )
    rows = [
        (
            f"`{one['frame']}`",
            one["error"] or one["skill"] + (", mirrored" if one["mirrored"] else ""),
            "" if one["distance"] is None else f"{_cm(one['distance'])} ({one['words']})",
            {None: "", True: "yes", False: "no"}[one["stays_up"]],
            seen.get(one["frame"].rpartition("_")[0], ""),
        )
        for one in pictures
    ]
    head = (
        "picture", Column("film", left=True), "distance, cm", "up",
        Column("seen by eye", left=True),
    )  # fmt: skip
    return [Text(note, said["real"]), Picture(SHEET, said["alt"]), Table.of(head, rows)]


def _rank(one: PictureFigures, right: Iterable[str]) -> int:
    """From 1 on, of the first of ``right``; beyond all where it is not among what was kept."""
    names = [found["skill"] for found in one["nearest"]]
    return min((names.index(name) for name in right if name in names), default=10**6) + 1


def _share(count: int, total: int) -> str:
    low, high = share_interval(count, total)
    return f"{count} of {total}: {count / total:.0%} [{low:.0%}, {high:.0%}]"


def _distances(pictures: Sequence[PictureFigures]) -> tuple[list[float], list[float]]:
    """Metres of the right skill's and of the nearest foreign state, where they were kept."""
    right: list[float] = []
    other: list[float] = []
    for one in pictures:
        own = kin(one["skill"])
        right += [f["distance"] for f in one["nearest"] if f["skill"] == one["skill"]][:1]
        other += [f["distance"] for f in one["nearest"] if f["skill"] not in own][:1]
    return right, other


def _cm(metres: float | np.floating) -> str:
    return f"{100 * metres:.1f}"


def _names(one: PictureFigures, count: int) -> str:
    return ", ".join(f"{f['skill']} {_cm(f['distance'])}" for f in one["nearest"][:count])
