"""The text of docs/results.md and of the README's table, from the records in ``results.json``."""

from __future__ import annotations

from collections import Counter
from importlib import resources
from typing import Any

import yaml

from sfv_gym.benchmarks import targets
from sfv_gym.benchmarks.pages import table_lines
from sfv_gym.benchmarks.targets import with_interval
from sfv_gym.library import library_clips
from sfv_gym.registry import find_motion, get_entry, make_id

Records = dict[str, dict[str, Any]]

GROUPS = {
    "Humanoid on flat ground": ("humanoid", "flat"),
    "Atlas on flat ground": ("atlas", "flat"),
    "Humanoid on slopes": ("humanoid", "slopes"),
    "Humanoid over gaps": ("humanoid", "gaps"),
    "Atlas on slopes": ("atlas", "slopes"),
}
README_BEGIN, README_END = "<!-- results:begin -->", "<!-- results:end -->"

HEAD = """<!-- written by `sfv bench policies` from results.json -->
# Results: one policy for every skill

{summary}

Each policy plays {episodes} episodes from the clip's first frame and {episodes} from drawn ones
(RSI), with the environment's start noise, deterministic: 20 s of a cyclic skill, the whole clip of
another one. **Success**: no early termination, every link within 0.5 m of the reference's all
along, upright at the end where the reference is. **NR**: the return over the most that an episode
can give, under the paper's reward (`sfv`) and under `pose`. **Joint error**: mean distance of the
15 links from the reference's, in the world and from the root. {trained}

{fresh}

In brackets are 95 % intervals, Wilson's of success and by the bootstrap of returns: what other
episodes of the same policy may come to, not what another run of its training may. The simulation
gives the same to the bit for the same actions. That ends at the policy, whose products in single
precision are left to the machine's BLAS: on another processor the last digit may differ, and now
and then what becomes of an episode.

Samples and minutes are those up to the checkpoint that ships, in parentheses the whole run's;
before a plus stands what had gone into the policy that the run began from, where that was noted.

The paper's figures (Peng et al. 2018) are on its own clips, under its own reward, of which `sfv` is
our reading: they say what is usual, not who wins.

![Contact sheet](images/results_sheet.webp)

*Every shipped policy, six instants of an episode; a red border means that the episode has failed.*
"""
FRESH = (
    "These episodes are fresh: neither has a policy learned from them nor was it chosen by them, "
    "in its run or for shipping. Every purpose draws from a stream of random numbers of its own, "
    "listed in `sfv_gym/seeds.py`."
)
OLD = (
    "**To be measured again**: the figures of {names} are of an earlier protocol, whose episodes "
    "had in part also chosen the policies."
)
COLUMNS = ("skill", "success, first frame / RSI", "NR `sfv`", "NR `pose`", "paper's NR",
           "joint error, world / root, mm", "velocity error, m/s", "acceleration error, m/s²",
           "M samples", "paper's", "minutes")  # fmt: skip


def notes() -> dict[str, dict[str, Any]]:
    """What ``results_page.yml`` holds: paper, readme, remarks, unlearned."""
    text = resources.files("sfv_gym.benchmarks").joinpath("results_page.yml").read_text()
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return found


def page(records: Records) -> str:
    """The whole of docs/results.md."""
    known = notes()
    head = HEAD.format(
        summary=summary(records),
        episodes=_episodes(records),
        fresh=_fresh(records),
        trained=_trained(records),
    )
    lines = [head]
    for title, (character, terrain) in GROUPS.items():
        ids = [i for i in records if _kind(i) == (character, terrain)]
        if not ids:
            continue
        level = "" if terrain == "flat" else " At difficulty 0.5."
        shipped = _counted(len(ids), "policy", "policies")
        rows = [_cells(i, records[i], known["paper"].get(i, {})) for i in ids]
        lines += [f"## {title}", "", f"{shipped}.{level}", "", *table_lines(COLUMNS, rows), ""]
        said = {i: remark(i, records[i], known["remarks"].get(i, {})) for i in ids}
        if any(said.values()):
            lines += ["Beside the figures:", ""]
            lines += [f"* **{short_name(i)}**: {text}" for i, text in said.items() if text]
            lines += [""]
    lines += _unlearned_lines(records, known["unlearned"])
    lines += targets.lines(records, known["paper"])
    lines += _again_lines(records)
    lines += ["## Learning curves", "", "Success (orange) and normalized return (blue, `sfv`) over "
              "millions of samples, in the few episodes by which each run chose its policy.", "",
              "![Learning curves](images/results_curves.webp)", "", "## Each policy", "",
              "Left the reference, right the simulated character.", ""]  # fmt: skip
    cells = [f"![{short_name(i)}](results/{i}.webp) {short_name(i)}" for i in records]
    cells += [""] * (-len(cells) % 4)
    lines += table_lines([""] * 4, [cells[k : k + 4] for k in range(0, len(cells), 4)])
    return "\n".join(lines) + "\n"


def readme_table(records: Records) -> str | None:
    """The README's table and the sentences below it; None where a record of it is missing."""
    known = notes()
    if not all(env_id in records for env_id in known["readme"]):
        return None
    head = ("id", "video", "success", "normalized return, `sfv` / `pose`", "the paper's",
            "joint error, world / root", "trained on")  # fmt: skip
    rows = []
    for env_id, video in known["readme"].items():
        record = records[env_id]
        first, paper = record["first_frame"], known["paper"].get(env_id, {})
        rows.append(
            (
                f"`{env_id}`",
                video.format(**_fields(env_id, record)),
                _success(first),
                f"{first['normalized_return_sfv']:.2f} / {first['normalized_return']:.2f}",
                f"{paper['return']:.3f}" if "return" in paper else "",
                f"{first['mpjpe_mm']:.0f} / {first['mpjpe_root_mm']:.0f} mm",
                _cost(record["training"]),
            )
        )
    # the columns of text stand to the left
    table = table_lines(head, rows)
    table[1] = "|---|---|---:|---:|---:|---:|---|"
    shown = {env_id: records[env_id] for env_id in known["readme"]}
    fresh = (
        "fresh ones, by which no policy was chosen"
        if not _unfresh(shown)
        else "of an earlier protocol, to be measured again"
    )
    compared = [i for i in shown if "samples" in known["paper"].get(i, {})]
    took = " and ".join(f"{known['paper'][i]['samples']:.0f}" for i in compared)
    which = " and ".join(short_name(i).lower() for i in compared)
    text = (
        f"{_episodes(shown)} episodes, {fresh}, each from the clip's first frame with the default "
        "start noise; a cyclic skill goes on for 20 s. Success, with its 95 % interval: no early "
        "termination, every link within 0.5 m of the reference's all along, upright at the end. "
        f"`sfv bench policies` measures them again. {_origins(shown)} The paper's policies of "
        f"{which} took {took} M samples, on its own clips and under its own reward, of which `sfv` "
        "is our reading."
    )
    return "\n".join([*table, "", text])


def summary(records: Records) -> str:
    """How many skills of each group are done how well."""
    parts = []
    for title, kind in GROUPS.items():
        rates = [r["first_frame"]["success_rate"] for i, r in records.items() if _kind(i) == kind]
        if rates:
            good, fair = (sum(rate >= least for rate in rates) for least in (0.9, 0.5))
            parts.append(
                f"{title}: {_counted(len(rates), 'skill', 'skills')}, success of at least 0.9 on "
                f"{good}, of at least 0.5 on {fair}."
            )
    return " ".join(parts)


def remark(env_id: str, record: dict[str, Any], note: dict[str, str]) -> str:
    """What is to be said of a policy beside its figures; empty where there is nothing.

    Args:
        note: ``text`` with fields of ``_fields``, and ``of``: the policy that was looked at.
    """
    parts, training = [], record["training"]
    origin = _origin(training)
    if origin and training.get("samples") == 0:
        further = training.get("samples_total", 0)
        parts.append(f"{origin}'s policy as it is; {further:,} further samples made it no better.")
    of = note.get("of")
    if note and (of is None or of == record.get("made_of", {}).get("policy_hash")):
        parts.append(note["text"].format(**_fields(env_id, record)))
    return " ".join(part[0].upper() + part[1:] if i else part for i, part in enumerate(parts))


def short_name(env_id: str) -> str:
    """``Walk-Slopes`` for ``SFV-Walk-Slopes-v0``."""
    return env_id.removeprefix("SFV-").removesuffix("-v0")


def _fields(env_id: str, record: dict[str, Any]) -> dict[str, Any]:
    """What templates may name: the figures from the first frame, those of the training, and
    ``clip_seconds``."""
    motion = find_motion(env_id)
    return {**record["training"], **record["first_frame"], "clip_seconds": motion.duration}


def _unfresh(records: Records) -> list[str]:
    """The ids whose figures are of the protocol before the streams of ``sfv_gym.seeds``."""
    return [env_id for env_id, record in records.items() if "made_of" not in record]


def _fresh(records: Records) -> str:
    old = _unfresh(records)
    if not old:
        return FRESH
    names = "all of them" if len(old) == len(records) else ", ".join(map(short_name, old))
    return OLD.format(names=names)


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
    threads = sorted({r["training"].get("threads") for r in records.values()} - {None})
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


def _unlearned_lines(records: Records, reasons: dict[str, str]) -> list[str]:
    """The section of the library's skills that the humanoid has no policy for on flat ground."""
    ids = [make_id(clip.skill) for clip in library_clips()]
    missing = sorted(i for i in ids if i not in records)
    if not missing:
        return []
    rows = [f"* **{short_name(i)}**: {reasons.get(i, 'not tried.')}" for i in missing]
    return ["## Not learned", "", "The humanoid's skills on flat ground without a policy.", "",
            *rows, ""]  # fmt: skip


def _again_lines(records: Records) -> list[str]:
    """The section of what other seeds come to; nothing where none was tried."""
    rows = []
    for env_id, record in records.items():
        for one in record.get("again", []):
            cells = [cell for which in (record, one) for cell in _brief(which)]
            shipped, again = (r["first_frame"]["normalized_return_sfv"] for r in (record, one))
            seed = str(one["training"]["seed"])
            rows.append((f"`{env_id}`", *cells, seed, f"{again - shipped:+.3f}"))
    if not rows:
        return []
    brief = ("NR `sfv`", "NR `pose`", "M samples")
    columns = ("shipped: success", *brief, "again: success", *brief, "seed", "NR `sfv` differs by")
    return ["## From another seed", "",
            "Trained anew, all that is drawn from another seed, and evaluated in the same "
            "episodes.", "",
            *table_lines(("skill", *columns), rows), ""]  # fmt: skip


def _brief(record: dict[str, Any]) -> tuple[str, ...]:
    first = record["first_frame"]
    return (
        _success(first),
        f"{first['normalized_return_sfv']:.3f}",
        f"{first['normalized_return']:.3f}",
        _spent(record["training"], "samples", 1e6, 1),
    )


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _episodes(records: Records) -> int:
    return max((record["first_frame"]["episodes"] for record in records.values()), default=0)


def _success(figures: dict[str, Any]) -> str:
    return with_interval(figures["success_rate"], figures.get("success_interval"), 2)


def _return(figures: dict[str, Any], key: str) -> str:
    return with_interval(figures[key], figures.get(f"{key}_interval"), 3)


def _origin(training: dict[str, Any]) -> str:
    """The name of the policy that a run began from; empty if from none."""
    return short_name((training.get("init") or "").removesuffix(".safetensors"))


def _cells(env_id: str, record: dict[str, Any], paper: dict[str, float]) -> tuple[str, ...]:
    first, rsi, training = record["first_frame"], record["rsi"], record["training"]
    origin = _origin(training)
    return (
        f"`{env_id}`" + (f", begun from {origin}'s policy" if origin else ""),
        f"{_success(first)} / {_success(rsi)}",
        _return(first, "normalized_return_sfv"),
        _return(first, "normalized_return"),
        f"{paper['return']:.3f}" if "return" in paper else "",
        f"{first['mpjpe_mm']:.0f} / {first['mpjpe_root_mm']:.0f}",
        f"{first['velocity_error_mm_s'] / 1000:.2f}",
        f"{first['acceleration_error_m_s2']:.0f}",
        _spent(training, "samples", 1e6, 1),
        f"{paper['samples']:.0f}" if "samples" in paper else "",
        _spent(training, "seconds", 60.0, 0),
    )


def _spent(training: dict[str, Any], name: str, unit: float, digits: int) -> str:
    if name not in training:
        return ""
    until, whole = training[name] / unit, training.get(f"{name}_total", training[name]) / unit
    own = f"{until:.{digits}f} ({whole:.{digits}f})"
    before = training.get(f"{name}_before", 0) / unit
    return f"{before:.{digits}f} + {own}" if before else own


def _cost(training: dict[str, Any]) -> str:
    """Samples and minutes up to what ships, what had gone in before included."""
    spent = [
        training.get(name, 0) + training.get(f"{name}_before", 0) for name in ("samples", "seconds")
    ]
    return f"{spent[0] / 1e6:.1f} M samples, {spent[1] / 60:.0f} min"


def _kind(env_id: str) -> tuple[str, str]:
    entry = get_entry(env_id)
    return entry.character, entry.terrain
