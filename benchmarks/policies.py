"""Every shipped policy by the evaluation protocol, beside the paper's figures: page and cards.

``sfv bench policies --docs docs --cards`` evaluates, and writes ``results.json``, ``results.md``,
the README's table, the learning curves, a contact sheet, an animated picture of each, and the
evaluation into each policy's card. What was measured of the same policy in the same environment
is kept, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape

from sfv_gym.benchmarks.fingerprint import environment_hash, stream_name
from sfv_gym.benchmarks.pages import fill
from sfv_gym.benchmarks.results_page import (
    README_BEGIN,
    README_END,
    Records,
    page,
    readme_table,
    summary,
)
from sfv_gym.benchmarks.results_pictures import draw, draw_curves, draw_sheet
from sfv_gym.errors import BenchmarkError, SFVError
from sfv_gym.files import write_json, write_text
from sfv_gym.jobs.folder import scratch_folder
from sfv_gym.jobs.job import Executor, Job, Reporter
from sfv_gym.jobs.local import InlineExecutor
from sfv_gym.jobs.options import Address, ExecutorName, Workers, interruptible, make_executor
from sfv_gym.jobs.supervise import Outcome, supervise
from sfv_gym.play.evaluation import PUBLISHED_EPISODES, evaluate, publish
from sfv_gym.play.policy import Policy, load_policy, policies_folder
from sfv_gym.registry import list_envs
from sfv_gym.seeds import Purpose, stream
from sfv_gym.train.install import card_text
from sfv_gym.train.runs import POLICY

CARD_FACTS = ("samples", "seconds", "samples_total", "seconds_total", "seed", "machine", "threads",
              "init", "samples_before", "seconds_before", "motion_hash", "mujoco_version",
              "outcome")  # fmt: skip
SELECTION_EPISODES = 20
"""A card whose policy was chosen by more than these was chosen in the run-off: ``train.ppo``."""


def measure(policy: Policy, env_id: str, episodes: int) -> dict[str, Any]:
    """The part of a record that takes time.

    ``selection`` is what the policy does in the episodes by which a run of its seed chooses, played
    now: a figure from there that was written down by an earlier protocol, or before the motion was
    mended, would not stand beside the others.
    """
    fixed, rsi = publish(policy.predict, env_id, episodes=episodes)
    chosen_by = policy.card.get("selection", {}).get("episodes", SELECTION_EPISODES)
    purpose = Purpose.SELECTION if chosen_by <= SELECTION_EPISODES else Purpose.RUN_OFF
    selection = evaluate(
        policy.predict,
        env_id,
        episodes=chosen_by,
        seed=stream(purpose, policy.card.get("seed", 0)),
    )
    return {
        "made_of": made_of(policy, env_id, episodes),
        "first_frame": fixed.as_dict(),
        "rsi": rsi.as_dict(),
        "selection": selection.as_dict(),
    }


def made_of(policy: Policy, env_id: str, episodes: int = PUBLISHED_EPISODES) -> dict[str, Any]:
    """What a record's figures depend on: where one of these is another, they are old."""
    return {
        "policy_hash": policy.content_hash(),
        "environment_hash": environment_hash(env_id),
        "stream": stream_name(Purpose.PUBLICATION),
        "episodes": episodes,
    }


def training_facts(card: dict[str, Any]) -> dict[str, Any]:
    """What a record says of the training."""
    facts = {name: card[name] for name in CARD_FACTS if name in card}
    if "reward" in card.get("settings", {}):
        facts["reward"] = card["settings"]["reward"]
    return facts


@dataclass(frozen=True)
class PolicyRow:
    """What a policy's figures are made of."""

    env_id: str
    file: Path
    episodes: int


def measure_row(row: PolicyRow, reporter: Reporter) -> dict[str, Any]:
    """``measure`` as a job's function."""
    return measure(load_policy(row.env_id, row.file), row.env_id, row.episodes)


def measure_all(
    env_ids: Sequence[str],
    folder: Path,
    old: Records,
    *,
    episodes: int = PUBLISHED_EPISODES,
    executor: Executor | None = None,
    force: bool = False,
    keep: Path | None = None,
    console: Console | None = None,
) -> Records:
    """The records of the policies of ``env_ids`` in ``folder``, in that order.

    Args:
        old: records, of which the figures of the same policies in the same environments are taken.
        executor: who measures; this process by default.
        force: measure again what is in ``old``, too.
        keep: a JSON file to write after each policy, beside what ``old`` has of others.
        console: for progress.

    Raises:
        BenchmarkError: a policy could not be measured; the others are.
    """
    records: Records = {}
    todo: list[str] = []
    for env_id in env_ids:
        policy = Policy.load(folder / f"{env_id}.safetensors")
        card = {**_card(folder, env_id, policy), **known_origin(env_id, policy)}
        before = old.get(env_id, {})
        facts = training_facts(card)
        if not force and before.get("made_of") == made_of(policy, env_id, episodes):
            figures = {k: before[k] for k in ("made_of", "first_frame", "rsi", "selection")}
        else:
            figures = {}
            todo.append(env_id)
        records[env_id] = {**figures, "training": facts, "curve": card.get("curve", [])}
        # what other seeds came to stands beside this policy alone
        same = ("seed", "samples", "motion_hash")
        if "again" in before and all(before["training"].get(k) == facts.get(k) for k in same):
            records[env_id]["again"] = before["again"]

    failed: list[str] = []

    def ended(outcome: Outcome) -> str:
        env_id = outcome.job.label
        if outcome.result is None:
            failed.append(f"{env_id}: {outcome.error}")
            return f"{env_id}: [red]failed[/red]: {escape(outcome.error)}"
        records[env_id] = {**outcome.result, **records[env_id]}
        if keep is not None:
            done = {i: record for i, record in records.items() if "made_of" in record}
            write_json(keep, {**old, **done})
        return f"{env_id}: measured"

    with scratch_folder(keep and keep.parent, "policies") as scratch:
        jobs = []
        for env_id in todo:
            row = PolicyRow(env_id, (folder / f"{env_id}.safetensors").absolute(), episodes)
            function = "sfv_gym.benchmarks.policies:measure_row"
            jobs.append(Job(function, row, scratch / env_id, env_id, temporary=True))
        supervise(
            jobs,
            executor or InlineExecutor(),
            ended,
            title="evaluating",
            console=console or Console(quiet=True),
            done=len(env_ids) - len(jobs),
        )
    if failed:
        raise BenchmarkError(
            f"{len(failed)} of {len(env_ids)} policies could not be measured: {failed[0]}"
        )
    return records


def measure_again(runs: Sequence[Path], records: Records, *, episodes: int) -> None:
    """Add to ``records`` what the policies of ``runs``, of other seeds, come to.

    Raises:
        SFVError: a run's id is not among the records, its seed is the record's own, or its
            policy is of another motion.
    """
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
        row = {**measure(policy, env_id, episodes), "training": training_facts(card)}
        others = [old for old in record.get("again", []) if old["training"]["seed"] != seed]
        record["again"] = sorted([*others, row], key=lambda one: one["training"]["seed"])


def write_card(folder: Path, env_id: str, record: dict[str, Any]) -> bool:
    """Put the record's evaluation and selection into the policy's card, inside its file and beside
    it; whether anything was another.

    Nothing else in the card changes but what ``known_origin`` adds, and nothing that the policy
    does.
    """
    file = folder / f"{env_id}.safetensors"
    policy = Policy.load(file)
    curve = _card(folder, env_id, policy).get("curve", [])
    policy.card = {
        **policy.card,
        **known_origin(env_id, policy),
        "evaluation": {**record["first_frame"], "rsi": record["rsi"]},
        "selection": record["selection"],
    }
    beside = file.with_suffix(".json")
    text = card_text({**policy.card, "curve": curve})
    if Policy.load(file).card == policy.card and beside.is_file() and beside.read_text() == text:
        return False
    policy.save(file)
    write_text(beside, text)
    return True


def known_origin(env_id: str, policy: Policy) -> dict[str, Any]:
    """What had gone into the policy that a run began from, where its card could not say it:
    ``samples_before`` and ``seconds_before`` from ``origins.yml``; empty for every other policy."""
    text = resources.files("sfv_gym.benchmarks").joinpath("origins.yml").read_text()
    known = yaml.safe_load(text).get(env_id)
    if known is None or known["of"] != policy.content_hash():
        return {}
    return {name: known[name] for name in ("samples_before", "seconds_before")}


def _card(folder: Path, env_id: str, policy: Policy) -> dict[str, Any]:
    """The card beside a policy, which has the learning curve; else that inside it."""
    file = folder / f"{env_id}.json"
    card: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else policy.card
    return card


def shipped(folder: Path) -> list[str]:
    """The ids that have a policy in ``folder``, in the order of the registry."""
    return [e.env_id for e in list_envs() if (folder / f"{e.env_id}.safetensors").is_file()]


def stale(records: Records, folder: Path) -> list[str]:
    """The ids whose figures are not those of the policy that is in ``folder``, in the environment
    as it is, over as many episodes as are published."""
    return [
        env_id
        for env_id, record in records.items()
        if record.get("made_of") != made_of(Policy.load(folder / f"{env_id}.safetensors"), env_id)
    ]


def write_docs(records: Records, docs: Path, readme: Path | None = None) -> None:
    """``results.json``, ``results.md``, the learning curves, and the table in the README.

    Raises:
        SFVError: the README has no place for the table.
        OutputError: something cannot be written.
    """
    write_json(docs / "results.json", records)
    write_text(docs / "results.md", page(records))
    draw_curves(records, docs / "images" / "results_curves.webp")
    table = readme_table(records)
    if readme is not None and table is not None:
        fill(readme, README_BEGIN, README_END, table)


def policies(
    env_ids: Annotated[
        list[str] | None, typer.Argument(help="Environment ids; every shipped policy by default.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the policies; the shipped ones by default.")
    ] = None,
    docs: Annotated[
        Path,
        typer.Option(help="Folder for page, figures and pictures; a README.md beside it with the "
                          "marks of the table is filled in, too."),
    ] = Path("out/results"),
    episodes: Annotated[
        int, typer.Option(help="Of each kind of start; fewer for a quick look.", min=1)
    ] = PUBLISHED_EPISODES,
    cards: Annotated[
        bool, typer.Option("--cards", help="Also write the evaluation into the policies' cards.")
    ] = False,
    executor: ExecutorName = "local",
    address: Address = None,
    workers: Workers = None,
    force: Annotated[
        bool, typer.Option("--force", help="Measure again what has not changed, too.")
    ] = False,
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
) -> None:  # fmt: skip
    """Evaluate every shipped policy and write the results page.

    Figures of policies that have not changed are kept: the same command goes on where it was
    stopped.
    """
    folder = folder or policies_folder()
    known = shipped(folder)
    asked = env_ids or known
    if missing := [i for i in asked if i not in known]:
        raise SFVError(f"no policy in {folder} for {', '.join(missing)}")
    figures = docs / "results.json"
    if cards and episodes < PUBLISHED_EPISODES:
        raise SFVError(f"cards hold figures of {PUBLISHED_EPISODES} episodes: leave out --episodes")
    if from_json and not figures.is_file():
        raise SFVError(f"{figures} is not there: run it without --from-json")
    old: Records = json.loads(figures.read_text(encoding="utf-8")) if figures.is_file() else {}
    records = dict(old) if env_ids or from_json else {}
    if not from_json:
        console, kept = Console(stderr=True), "finished figures are kept"
        with interruptible(console, kept), make_executor(executor, workers, address) as chosen:
            records |= measure_all(
                asked,
                folder,
                old,
                episodes=episodes,
                executor=chosen,
                force=force,
                keep=figures,
                console=console,
            )
    measure_again(again or [], records, episodes=episodes)
    # the registry's order, and nothing of policies that are gone
    records = {env_id: records[env_id] for env_id in known if env_id in records}
    if cards:
        for env_id in asked:
            if "made_of" in records[env_id]:
                write_card(folder, env_id, records[env_id])
    if pictures:
        draw(asked, folder, docs)
        draw_sheet(list(records), docs)
    readme = docs.resolve().parent / "README.md"
    has_place = readme.is_file() and README_BEGIN in readme.read_text(encoding="utf-8")
    write_docs(records, docs, readme if has_place else None)
    Console().print(f"{docs / 'results.md'}: {summary(records)}")
