"""The results page: every shipped policy by the evaluation protocol, beside the paper's figures.

``sfv bench policies --docs docs`` evaluates, and writes ``results.json``, ``results.md``, the
learning curves, a contact sheet and an animated picture of each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml
from PIL import Image
from rich.console import Console
from rich.progress import track

from sfv_gym.benchmarks.films import film
from sfv_gym.benchmarks.pages import table_lines
from sfv_gym.errors import SFVError
from sfv_gym.files import atomic_path
from sfv_gym.library import library_clips
from sfv_gym.policy import Policy, load_policy, policies_folder
from sfv_gym.registry import get_entry, list_envs, load_motion, make_id
from sfv_gym.train.runs import POLICY

EPISODES, SEED = 32, 1
GROUPS = {
    "Humanoid on flat ground": ("humanoid", "flat"),
    "Atlas on flat ground": ("atlas", "flat"),
    "Humanoid on slopes": ("humanoid", "slopes"),
    "Humanoid over gaps": ("humanoid", "gaps"),
    "Atlas on slopes": ("atlas", "slopes"),
}
CARD_FACTS = ("samples", "seconds", "samples_total", "seconds_total", "seed", "machine", "init",
              "samples_before", "seconds_before", "motion_hash", "mujoco_version",
              "outcome")  # fmt: skip
SIZE = 160
"""Of each half of an animated picture, pixels."""
SECONDS, HZ = 4.0, 15
"""Of an animated picture: its length and how many pictures a second."""
SHEET_COLUMNS = 6

Records = dict[str, dict[str, Any]]


def measure(env_ids: Sequence[str], folder: Path, *, episodes: int, progress: bool) -> Records:
    """The protocol's figures and the card's facts of the policies of ``env_ids`` in ``folder``."""
    from sfv_gym.evaluation import evaluate_both

    records: Records = {}
    for env_id in track(
        env_ids, "evaluating", console=Console(stderr=True), transient=True, disable=not progress
    ):
        file = folder / f"{env_id}.safetensors"
        policy = load_policy(env_id, file)
        fixed, rsi = evaluate_both(policy.predict, env_id, episodes=episodes, seed=SEED)
        card_file = file.with_suffix(".json")
        card = json.loads(card_file.read_text()) if card_file.is_file() else policy.card
        records[env_id] = {
            "first_frame": asdict(fixed),
            "rsi": asdict(rsi),
            "training": {name: card[name] for name in CARD_FACTS if name in card},
            "curve": card.get("curve", []),
        }
    return records


def measure_again(runs: Sequence[Path], records: Records, *, episodes: int) -> None:
    """Add to ``records`` what the policies of ``runs``, of other seeds, come to.

    Raises:
        SFVError: a run's id is not among the records, its seed is the record's own, or its
            policy is of another motion.
    """
    from sfv_gym.evaluation import evaluate_both

    for run in runs:
        policy = Policy.load(run / POLICY)
        card = policy.card
        env_id, seed = card["env_id"], card["seed"]
        record = records.get(env_id)
        if record is None:
            raise SFVError(f"{run}: {env_id} has no shipped policy to compare with")
        if seed == record["training"].get("seed"):
            raise SFVError(f"{run}: the shipped policy of {env_id} has seed {seed}, too")
        if card["motion_hash"] != record["training"].get("motion_hash"):
            raise SFVError(f"{run}: it was trained on another motion than the shipped policy")
        fixed, rsi = evaluate_both(policy.predict, env_id, episodes=episodes, seed=SEED)
        row = {
            "first_frame": asdict(fixed),
            "rsi": asdict(rsi),
            "training": {name: card[name] for name in CARD_FACTS if name in card},
        }
        others = [old for old in record.get("again", []) if old["training"]["seed"] != seed]
        record["again"] = sorted([*others, row], key=lambda one: one["training"]["seed"])


def shipped(folder: Path) -> list[str]:
    """The ids that have a policy in ``folder``, in the order of the registry."""
    return [e.env_id for e in list_envs() if (folder / f"{e.env_id}.safetensors").is_file()]


# --- the page ---------------------------------------------------------------------------------

HEAD = """<!-- written by `sfv bench policies` from results.json -->
# Results: one policy for every skill

{summary}

Each policy plays {episodes} episodes from the clip's first frame and {episodes} from drawn ones
(RSI), with the environment's start noise, deterministic, seed {seed}: 20 s of a cyclic skill, the
whole clip of another one. **Success**: no early termination, every link within 0.5 m of the
reference's all along, upright at the end where the reference is. **NR**: the return over the most
that an episode can give, under the paper's reward (`sfv`, which all but the walks on slopes and
over gaps were trained with) and under `pose`. **Joint error**: mean distance of the 15 links from
the reference's, in the world and from the root. Samples and minutes are those up to the checkpoint
that ships, in parentheses the whole run's; before a plus stands what had gone into the policy that
the run began from, where that was noted. Every run had one core of a machine of two, beside another
run.

The paper's figures (Peng et al. 2018) are on its own clips, under its own reward, of which `sfv` is
our reading: they say what is usual, not who wins.

![Contact sheet](images/results_sheet.webp)

*Every shipped policy, six instants of an episode; a red border means that the episode has failed.*
"""
COLUMNS = ("skill", "success, first frame / RSI", "NR `sfv`", "NR `pose`", "paper's NR",
           "joint error, world / root, mm", "velocity error, m/s", "acceleration error, m/s²",
           "M samples", "paper's", "minutes")  # fmt: skip


def page(records: Records) -> str:
    """The whole of docs/results.md."""
    text = resources.files("sfv_gym.benchmarks").joinpath("results_page.yml").read_text()
    notes = yaml.safe_load(text)
    lines = [HEAD.format(summary=_summary(records), episodes=_episodes(records), seed=SEED)]
    for title, (character, terrain) in GROUPS.items():
        ids = [i for i in records if _kind(i) == (character, terrain)]
        if not ids:
            continue
        level = "" if terrain == "flat" else " At difficulty 0.5."
        shipped = _counted(len(ids), "policy", "policies")
        rows = [_cells(i, records[i], notes["paper"].get(i, {})) for i in ids]
        lines += [f"## {title}", "", f"{shipped}.{level}", "", *table_lines(COLUMNS, rows), ""]
        remarks = [f"* **{_name(i)}**: {notes['remarks'][i]}" for i in ids if i in notes["remarks"]]
        if remarks:
            lines += ["Seen in the renderings:", "", *remarks, ""]
    lines += _unlearned_lines(records, notes["unlearned"])
    lines += _again_lines(records)
    lines += ["## Learning curves", "", "Success (orange) and normalized return (blue, `sfv`) over "
              "millions of samples; 20 episodes an evaluation.", "",
              "![Learning curves](images/results_curves.webp)", "", "## Each policy", "",
              "Left the reference, right the simulated character.", ""]  # fmt: skip
    cells = [f"![{_name(i)}](results/{i}.webp) {_name(i)}" for i in records]
    cells += [""] * (-len(cells) % 4)
    lines += table_lines([""] * 4, [cells[k : k + 4] for k in range(0, len(cells), 4)])
    return "\n".join(lines) + "\n"


def _unlearned_lines(records: Records, reasons: dict[str, str]) -> list[str]:
    """The section of the library's skills that the humanoid has no policy for on flat ground."""
    ids = [make_id(clip.skill) for clip in library_clips()]
    missing = sorted(i for i in ids if i not in records)
    if not missing:
        return []
    rows = [f"* **{_name(i)}**: {reasons.get(i, 'not tried.')}" for i in missing]
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
            "Trained anew by the recipe as it is now, all that is drawn from another seed, and "
            "evaluated in the same episodes.", "",
            *table_lines(("skill", *columns), rows), ""]  # fmt: skip


def _brief(record: dict[str, Any]) -> tuple[str, ...]:
    first = record["first_frame"]
    return (
        f"{first['success_rate']:.2f}",
        f"{first['normalized_return_sfv']:.3f}",
        f"{first['normalized_return']:.3f}",
        _spent(record["training"], "samples", 1e6, 1),
    )


def _summary(records: Records) -> str:
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


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _episodes(records: Records) -> int:
    return max((record["first_frame"]["episodes"] for record in records.values()), default=0)


def _cells(env_id: str, record: dict[str, Any], paper: dict[str, float]) -> tuple[str, ...]:
    first, rsi, training = record["first_frame"], record["rsi"], record["training"]
    origin = (training.get("init") or "").removesuffix(".safetensors")
    return (
        f"`{env_id}`" + (f", begun from {_name(origin)}'s policy" if origin else ""),
        f"{first['success_rate']:.2f} / {rsi['success_rate']:.2f}",
        f"{first['normalized_return_sfv']:.3f}",
        f"{first['normalized_return']:.3f}",
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


def _kind(env_id: str) -> tuple[str, str]:
    entry = get_entry(env_id)
    return entry.character, entry.terrain


def _name(env_id: str) -> str:
    return env_id.removeprefix("SFV-").removesuffix("-v0")


# --- pictures ---------------------------------------------------------------------------------


def draw(env_ids: Sequence[str], folder: Path, docs: Path, *, progress: bool = True) -> None:
    """An animated picture of each policy: reference | simulated character."""
    for env_id in track(
        env_ids, "drawing", console=Console(stderr=True), transient=True, disable=not progress
    ):
        policy = Policy.load(folder / f"{env_id}.safetensors")
        film(
            env_id,
            policy.predict,
            docs / "results" / f"{env_id}.webp",
            seconds=SECONDS,
            hz=HZ,
            size=SIZE,
            seed=SEED,
        )


def draw_sheet(env_ids: Sequence[str], docs: Path) -> None:
    """Six instants of each animated picture, of the character alone, in one picture."""
    from sfv_gym.panels import labelled

    rows = []
    for env_id in env_ids:
        with Image.open(docs / "results" / f"{env_id}.webp") as picture:
            last = getattr(picture, "n_frames", 1) - 1
            motion = load_motion(get_entry(env_id).motion)
            if motion.loop == "wrap":  # one cycle: evenly spread over several, all would look alike
                last = min(last, round(motion.period * HZ))
            tiles = []
            for i in np.linspace(0, last, SHEET_COLUMNS).round().astype(int):
                picture.seek(int(i))
                tiles.append(np.asarray(picture.convert("RGB"))[:, SIZE:])
        rows.append(labelled(np.hstack(tiles), _name(env_id)))
    rows += [np.zeros_like(rows[0])] * (-len(rows) % 2)
    sheet = np.vstack([np.hstack(rows[k : k + 2]) for k in range(0, len(rows), 2)])
    image = Image.fromarray(sheet)
    image = image.resize((image.width * 2 // 3, image.height * 2 // 3))
    _save_image(image, docs / "images" / "results_sheet.webp")


def _save_image(image: Image.Image, path: Path) -> None:
    with atomic_path(path) as temporary:
        image.save(temporary, "WEBP", quality=75, method=6)


def draw_curves(records: Records, path: Path) -> None:
    """Small multiples: success and normalized return over samples, one plot a policy."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    curves = {i: np.array(r["curve"], float) for i, r in records.items() if r["curve"]}
    if not curves:
        return
    columns = 7
    rows = -(-len(curves) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(1.9 * columns, 1.5 * rows), layout="constrained",
        sharey=True, squeeze=False,
    )  # fmt: skip
    for axis in axes.flat:
        axis.axis("off")
    for axis, (env_id, curve) in zip(axes.flat, curves.items(), strict=False):
        axis.axis("on")
        axis.plot(curve[:, 0] / 1e6, curve[:, 3], color="#1f6fb4", lw=1.4)
        axis.plot(curve[:, 0] / 1e6, curve[:, 4], color="#d9730d", lw=1.4)
        axis.set_title(_name(env_id), fontsize=8)
        axis.set_ylim(-0.02, 1.02)
        axis.set_xlim(left=0)
        axis.tick_params(labelsize=7)
        axis.grid(color="#e5e5e5", lw=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    pyplot.close(figure)
    _save_image(Image.fromarray(picture), path)


def write_docs(records: Records, docs: Path) -> None:
    """``results.json``, ``results.md`` and the learning curves."""
    with atomic_path(docs / "results.json") as temporary:
        temporary.write_text(json.dumps(records, indent=1), encoding="utf-8")
    with atomic_path(docs / "results.md") as temporary:
        temporary.write_text(page(records), encoding="utf-8")
    draw_curves(records, docs / "images" / "results_curves.webp")


def policies(
    env_ids: Annotated[
        list[str] | None, typer.Argument(help="Environment ids; every shipped policy by default.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the policies; the shipped ones by default.")
    ] = None,
    docs: Annotated[Path, typer.Option(help="Folder for page, figures and pictures.")] = Path(
        "out/results"
    ),
    episodes: Annotated[int, typer.Option(help="Of each kind of start.", min=1)] = EPISODES,
    again: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of a run of another seed, to compare; can be given several times."
        ),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Also draw every policy.")] = True,
    from_json: Annotated[
        bool, typer.Option("--from-json", help="Take the figures in results.json as they are.")
    ] = False,
) -> None:
    """Evaluate every shipped policy and write the results page."""
    folder = folder or policies_folder()
    known = shipped(folder)
    asked = env_ids or known
    if missing := [i for i in asked if i not in known]:
        raise SFVError(f"no policy in {folder} for {', '.join(missing)}")
    figures = docs / "results.json"
    if from_json and not figures.is_file():
        raise SFVError(f"{figures} is not there: run it without --from-json")
    old: Records = json.loads(figures.read_text(encoding="utf-8")) if figures.is_file() else {}
    records = dict(old) if env_ids or from_json else {}
    if not from_json:
        records |= measure(asked, folder, episodes=episodes, progress=True)
        for env_id, record in records.items():
            before = old.get(env_id, {})
            # what other seeds came to is not measured anew, and stands beside this policy alone
            if "again" in before and before["training"] == record["training"]:
                record["again"] = before["again"]
    measure_again(again or [], records, episodes=episodes)
    # the registry's order, and nothing of policies that are gone
    records = {env_id: records[env_id] for env_id in known if env_id in records}
    if pictures:
        draw(asked, folder, docs)
        draw_sheet(list(records), docs)
    write_docs(records, docs)
    Console().print(f"{docs / 'results.md'}: {_summary(records)}")


def stale(records: Records) -> list[str]:
    """The ids whose figures were measured on another motion than the present one."""
    return [
        env_id
        for env_id, record in records.items()
        if record["training"].get("motion_hash")
        != load_motion(get_entry(env_id).motion).content_hash()
    ]
