"""The figures of shipped policies, as ``results.json`` holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.markup import escape

from sfv_gym.benchmarks.fingerprint import environment_hash, stream_name
from sfv_gym.benchmarks.studies.policies.cards import known_origin, read_card, training_facts
from sfv_gym.benchmarks.studies.policies.records import (
    Again,
    Figures,
    MadeOf,
    Measured,
    Record,
    Records,
)
from sfv_gym.errors import BenchmarkError, SFVError
from sfv_gym.files import JSON, write_json
from sfv_gym.jobs.folder import scratch_folder
from sfv_gym.jobs.job import Executor, Job, Reporter
from sfv_gym.jobs.local import InlineExecutor
from sfv_gym.jobs.supervise import Outcome, supervise
from sfv_gym.play.evaluation import PUBLISHED_EPISODES, Evaluation, evaluate, publish
from sfv_gym.play.policy import Policy, load_policy
from sfv_gym.registry import list_envs
from sfv_gym.seeds import Purpose, stream
from sfv_gym.train.runs import POLICY

SELECTION_EPISODES = 20
"""A card whose policy was chosen by more than these was chosen in the run-off: ``train.ppo``."""


def measure(policy: Policy, env_id: str, episodes: int) -> Measured:
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
        "first_frame": _figures(fixed),
        "rsi": _figures(rsi),
        "selection": _figures(selection),
    }


def _figures(evaluation: Evaluation) -> Figures:
    return cast("Figures", evaluation.as_dict())


def made_of(policy: Policy, env_id: str, episodes: int = PUBLISHED_EPISODES) -> MadeOf:
    """What a record's figures depend on: where one of these is another, they are old."""
    return {
        "policy_hash": policy.content_hash(),
        "environment_hash": environment_hash(env_id),
        "stream": stream_name(Purpose.PUBLICATION),
        "episodes": episodes,
    }


@dataclass(frozen=True)
class PolicyRow:
    """What a policy's figures are made of."""

    env_id: str
    file: Path
    episodes: int


def measure_row(row: PolicyRow, reporter: Reporter) -> JSON:
    """``measure`` as a job's function."""
    return {**measure(load_policy(row.env_id, row.file), row.env_id, row.episodes)}


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
    policies = {i: Policy.load(folder / f"{i}.safetensors") for i in env_ids}
    measured: dict[str, Measured] = {}
    for env_id, policy in policies.items():
        before = old.get(env_id)
        wanted = made_of(policy, env_id, episodes)
        if before is not None and not force and before.get("made_of") == wanted:
            measured[env_id] = {
                "made_of": wanted,
                "first_frame": before["first_frame"],
                "rsi": before["rsi"],
                "selection": before["selection"],
            }
    todo = [env_id for env_id in env_ids if env_id not in measured]

    def records() -> Records:
        return {
            env_id: _record(folder, env_id, policy, measured[env_id], old.get(env_id))
            for env_id, policy in policies.items()
            if env_id in measured
        }

    failed: list[str] = []

    def ended(outcome: Outcome) -> str:
        env_id = outcome.job.label
        if outcome.result is None:
            failed.append(f"{env_id}: {outcome.error}")
            return f"{env_id}: [red]failed[/red]: {escape(outcome.error)}"
        measured[env_id] = cast("Measured", outcome.result)
        if keep is not None:
            write_json(keep, {**old, **records()})
        return f"{env_id}: measured"

    with scratch_folder(keep and keep.parent, "policies") as scratch:
        jobs = []
        for env_id in todo:
            row = PolicyRow(env_id, (folder / f"{env_id}.safetensors").absolute(), episodes)
            function = f"{__name__}:{measure_row.__name__}"
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
    return records()


def _record(
    folder: Path, env_id: str, policy: Policy, measured: Measured, before: Record | None
) -> Record:
    """The whole of what is known of a policy, from its card and what was ``before``, too."""
    card = {**read_card(folder, env_id, policy), **known_origin(env_id, policy)}
    facts = training_facts(card)
    record = cast("Record", {**measured, "training": facts, "curve": card.get("curve", [])})
    if before is not None and "again" in before:
        # what other seeds came to stands beside this policy alone
        known = before["training"]
        if all(known.get(key) == facts.get(key) for key in ("seed", "samples", "motion_hash")):
            record["again"] = before["again"]
    return record


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
        row: Again = {**measure(policy, env_id, episodes), "training": training_facts(card)}
        others = [old for old in record.get("again", []) if old["training"]["seed"] != seed]
        record["again"] = sorted([*others, row], key=lambda one: one["training"]["seed"])


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
