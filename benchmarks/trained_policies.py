"""Policies that are compared across environments: by id, or from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypedDict, TypeVar, cast

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape

from sfv_gym.benchmarks.book import Part, Text
from sfv_gym.benchmarks.fingerprint import environment_hash
from sfv_gym.errors import BenchmarkError, PolicyError
from sfv_gym.files import write_json
from sfv_gym.jobs.folder import read_json, scratch_folder
from sfv_gym.jobs.job import Executor, Job
from sfv_gym.jobs.local import InlineExecutor
from sfv_gym.jobs.machine import describe_machine, git_revision, versions
from sfv_gym.jobs.supervise import Outcome, supervise
from sfv_gym.play.policy import Policy, load_policy, policies_folder
from sfv_gym.registry import find_motion

KEPT = "finished results are kept"
Policies = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        help="An id whose policy ships, or a .safetensors file; can be given several times. "
        "Every shipped policy by default.",
    ),
]
OutFolder = Annotated[Path, typer.Option(help="Folder of the figures.")]
Docs = Annotated[Path | None, typer.Option(help="Folder of the page; that of the figures.")]


class PolicyFacts(TypedDict):
    """What tells whether a row of figures is still a policy's."""

    policy: str
    env_id: str
    samples: int | None
    policy_hash: str
    motion_hash: str
    environment_hash: str


class MeasuredPolicy(PolicyFacts):
    """A policy's row; the figures of the study are beside these facts."""

    revision: str | None


Row = TypeVar("Row", bound=MeasuredPolicy)


class Measured(TypedDict, Generic[Row]):
    """What ``measure_policies`` writes; the study's settings are beside these."""

    policies: list[Row]
    machine: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy with the id that it was trained on.

    Attributes:
        name: what it was asked for by, for tables.
    """

    name: str
    env_id: str
    policy: Policy

    def predict(self, observations: np.ndarray) -> np.ndarray:
        """Actions (N, A), for flat ground's observations and for terrain's.

        The heights of the ground come last in an observation. A policy of flat ground does not
        see them; to one of terrain, flat ground is all zeros.
        """
        size = len(self.policy.mean)
        missing = size - observations.shape[1]
        if missing > 0:
            observations = np.pad(observations, ((0, 0), (0, missing)))
        return self.policy.predict(observations[:, :size])

    def describe(self) -> PolicyFacts:
        """What tells whether a row of figures is still this policy's."""
        return {
            "policy": self.name,
            "env_id": self.env_id,
            "samples": self.policy.card.get("samples"),
            "policy_hash": self.policy.content_hash(),
            "motion_hash": find_motion(self.env_id).content_hash(),
            "environment_hash": environment_hash(self.env_id),
        }


def find_policy(text: str) -> TrainedPolicy:
    """The policy that ships for an id, or that in a file, whose card names its id.

    Raises:
        UnknownIdError, PolicyError: there is none, or its card does not say what it is for.
    """
    if not text.endswith(".safetensors"):
        return TrainedPolicy(text, text, load_policy(text))
    env_id = Policy.load(text).card.get("env_id")
    if not env_id:
        raise PolicyError(f"{text}: its card does not say which environment it was trained on")
    return TrainedPolicy(Path(text).name, env_id, load_policy(env_id, text))


def find_policies(texts: list[str] | None) -> list[TrainedPolicy]:
    """Those asked for, or every shipped one."""
    shipped = sorted(path.stem for path in policies_folder().glob("*.safetensors"))
    return [find_policy(text) for text in texts or shipped]


def to_be_measured(found: Measured[Row]) -> list[str]:
    """Names of the shipped policies that ``measure_policies``'s result ``found`` has no row of, or
    one of other weights, another motion or another environment."""
    rows = {row["policy"]: row for row in found["policies"]}
    return [
        trained.name
        for trained in find_policies(None)
        if trained.name not in rows or not _is_of(rows[trained.name], trained.describe())
    ]


def _is_of(row: MeasuredPolicy, facts: PolicyFacts) -> bool:
    return facts.items() <= row.items()


def missing_parts(names: Sequence[str]) -> list[Part]:
    """What a page says of the policies that it lacks."""
    if not names:
        return []
    return [Text(f"To be measured, since they are new or have changed: {', '.join(names)}.")]


@dataclass(frozen=True)
class PolicyFile:
    """A trained policy as it goes to another process."""

    name: str
    env_id: str
    policy: Path

    def load(self) -> TrainedPolicy:
        """The policy, from its file."""
        return TrainedPolicy(self.name, self.env_id, Policy.load(self.policy))


def measure_policies(
    policies: Sequence[TrainedPolicy],
    function: str,
    arguments: Callable[[PolicyFile], Any],
    settings: Mapping[str, Any],
    *,
    file: Path | None = None,
    executor: Executor | None = None,
    console: Console | None = None,
) -> Measured[MeasuredPolicy]:
    """Measure policies, each by a job of its own, as it is written to a JSON file.

    Rows that ``file`` holds of the same weights, motion and environment are kept, if it was written
    with the same settings and versions; so a measurement that was stopped goes on, and a new
    policy costs its own row alone. In the end the file holds the policies asked for.

    Args:
        function: a ``jobs.job.JobFunction``, which returns the figures of one policy. They must
            depend on its arguments alone, or the order of the jobs would matter.
        arguments: of the function for a policy.
        settings: what the figures depend on beside the policies.
        file: JSON to go on from, and to write after each policy.
        executor: who measures; this process by default.
        console: for progress.

    Raises:
        BenchmarkError: the file is damaged, or a policy could not be measured.
        OutputError: it cannot be written.
    """
    settings, installed = json.loads(json.dumps(settings)), versions()
    known: list[MeasuredPolicy] = []
    if file is not None:
        earlier = read_json(file, BenchmarkError)
        if earlier.get("versions") == installed and settings.items() <= earlier.items():
            known = earlier["policies"]
    found = {**settings, "policies": [], "machine": describe_machine(), "versions": installed}
    facts = [trained.describe() for trained in policies]
    rows = [next((row for row in known if _is_of(row, one)), None) for one in facts]
    failed: list[str] = []

    def keep(*, all_done: bool) -> None:
        done = [row for row in rows if row is not None]
        # what is not measured yet is not lost if this is stopped
        names = {row["policy"] for row in done}
        later = [] if all_done else [row for row in known if row["policy"] not in names]
        found["policies"] = [*done, *later]
        if file is not None:
            write_json(file, found)

    with scratch_folder(file and file.parent, Path(file or "policies").stem) as scratch:
        jobs: dict[Job, list[int]] = {}
        for i, trained in enumerate(policies):
            if rows[i] is not None:
                continue
            folder = scratch / f"{trained.name}-{facts[i]['policy_hash']}"
            same = next((job for job in jobs if job.folder == folder), None)
            if same is not None:
                jobs[same].append(i)
                continue
            policy = folder.absolute() / "policy.safetensors"
            trained.policy.save(policy)
            given = arguments(PolicyFile(trained.name, trained.env_id, policy))
            jobs[Job(function, given, folder, trained.name, temporary=True)] = [i]

        def ended(outcome: Outcome) -> str:
            name = outcome.job.label
            if outcome.result is None:
                failed.append(f"{name}: {outcome.error}")
                return f"{name}: [red]failed[/red]: {escape(outcome.error)}"
            for i in jobs[outcome.job]:
                rows[i] = cast(
                    "MeasuredPolicy", {**facts[i], "revision": git_revision(), **outcome.result}
                )
            keep(all_done=False)
            return f"{name}: measured"

        supervise(
            list(jobs),
            executor or InlineExecutor(),
            ended,
            title="policies",
            console=console or Console(quiet=True),
            done=len(policies) - len(jobs),
        )
    keep(all_done=not failed)
    if failed:
        raise BenchmarkError(
            f"{len(failed)} of {len(policies)} policies could not be measured: {failed[0]}"
        )
    return cast("Measured[MeasuredPolicy]", found)
