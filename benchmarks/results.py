"""Result files: one JSON for each run, and what belongs together.

``DIR/benchmark.json`` says which suite and budget a folder is for; ``DIR/results/TASK/ALGORITHM/
SEED.json`` are the results; ``DIR/runs/TASK/ALGORITHM/SEED/`` is a run's own folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from sfv_gym.benchmarks.suites import Budget, Suite
from sfv_gym.errors import BenchmarkError
from sfv_gym.files import write_json
from sfv_gym.jobs.folder import read_json

FORMAT = 1
MANIFEST = "benchmark.json"
FINISHED, FAILED = "finished", "failed"


class Figures(TypedDict):
    """The numbers of an evaluation, and its intervals; see ``Evaluation``."""

    normalized_return: float
    normalized_return_sfv: float
    success_rate: float
    completion_rate: float
    mpjpe_mm: float
    mpjpe_root_mm: float
    velocity_error_mm_s: float
    acceleration_error_m_s2: float
    mean_seconds: float
    success_interval: NotRequired[list[float] | None]
    normalized_return_interval: NotRequired[list[float] | None]
    normalized_return_sfv_interval: NotRequired[list[float] | None]


class Machine(TypedDict):
    """See ``jobs.machine.describe_machine``."""

    cpu: str
    cores: int
    system: str


class RunError(TypedDict):
    """What went wrong in a run, and whether the algorithm or the machine is to blame."""

    blame: str
    type: str
    message: str
    traceback: str


class CurvePoint(Figures):
    """What an agent does after so many control steps and seconds of learning."""

    samples: int
    seconds: float


class BudgetFacts(TypedDict):
    """A ``Budget`` as JSON has it."""

    steps: int
    evaluations: int


class Heading(TypedDict):
    """What a run is, and what it depends on."""

    format: int
    suite: str
    suite_hash: str
    task: str
    env_id: str
    difficulty: float | None
    motion_hash: str
    environment_hash: str
    algorithm: str
    algorithm_spec: str
    seed: int
    budget: BudgetFacts
    date: str
    machine: Machine
    revision: str | None


class Learned(TypedDict):
    """What a run that finished came to."""

    score: float
    evaluation: Figures
    curve: list[CurvePoint]
    samples: int
    seconds: float
    num_envs: int
    settings: object
    resumed_at: list[int]


class Result(Heading, Learned):
    """A result file. One that failed has ``error`` in place of what is ``Learned``."""

    status: str
    error: RunError
    versions: dict[str, str]
    total_seconds: float


Nested = dict[str, dict[str, dict[str, Result]]]
"""``nested[task][algorithm][seed]``."""


class Manifest(TypedDict):
    """What ``benchmark.json`` holds."""

    format: int
    suite: str
    suite_hash: str
    budget: BudgetFacts


@dataclass(frozen=True)
class RunSpec:
    """One run, in words that another process or machine understands.

    Attributes:
        suite: with its version. task, algorithm: their names; ``spec`` finds the algorithm.
        steps, evaluations: the budget. folder: of the run's own. paths: to import from.
    """

    suite: str
    task: str
    algorithm: str
    spec: str
    seed: int
    steps: int
    evaluations: int
    folder: str
    paths: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What messages and the progress display call the run."""
        return f"{self.task} {self.algorithm} seed {self.seed}"


def result_path(folder: Path, spec: RunSpec) -> Path:
    """Where the run's result lies once it has finished or failed."""
    return folder / "results" / spec.task / spec.algorithm / f"{spec.seed}.json"


def run_folder(folder: Path, task: str, algorithm: str, seed: int) -> Path:
    """The run's own, for its checkpoints and its video."""
    return folder / "runs" / task / algorithm / str(seed)


def open_folder(folder: Path, suite: Suite, budget: Budget) -> None:
    """Make ``folder`` the folder of a suite and budget, or see that it is.

    Raises:
        OutputError: it cannot be written.
        BenchmarkError: it belongs to another suite, version or budget.
    """
    path = folder / MANIFEST
    wanted: Manifest = {
        "format": FORMAT,
        "suite": suite.name,
        "suite_hash": suite.content_hash(),
        "budget": {"steps": budget.steps, "evaluations": budget.evaluations},
    }
    if not path.is_file():
        write_json(path, wanted)
        return
    found = cast("Manifest", read_json(path, BenchmarkError))
    if found != wanted:
        raise BenchmarkError(
            f"{folder} holds results of {_describe(found)}, not of {_describe(wanted)}: scores of "
            "the two cannot be compared; choose another --out"
        )


def _describe(manifest: Manifest) -> str:
    steps = manifest["budget"]["steps"] if "budget" in manifest else 0
    return f"{manifest.get('suite')} ({manifest.get('suite_hash')}) with {steps:,} steps"


def result_files(folder: Path) -> list[Path]:
    """The result files of a folder, sorted by task, algorithm and seed."""
    return sorted(
        folder.glob("results/*/*/*.json"),
        key=lambda p: (p.parts[-3], p.parts[-2], int(p.stem) if p.stem.isdecimal() else 0),
    )


def read_results(folder: Path) -> list[Result]:
    """Every result in a folder.

    Raises:
        BenchmarkError: there is none, one is damaged, or they do not belong together.
    """
    files = result_files(folder)
    if not files:
        raise BenchmarkError(
            f"{folder} holds no results; `sfv bench run --out {folder}` makes some"
        )
    results = [cast("Result", read_json(path, BenchmarkError)) for path in files]
    for path, result in zip(files, results, strict=True):
        if result.get("format") != FORMAT:
            raise BenchmarkError(f"{path} is not a result of this version of sfv_gym")
    check_together(results, [str(path) for path in files])
    return results


def check_together(results: Sequence[Result], names: Sequence[str]) -> None:
    """See that results may be compared: one suite, version, budget, and motion and environment for
    each task.

    Raises:
        BenchmarkError: they may not; names two that differ.
    """
    first = cast("Mapping[str, object]", results[0])
    seen: dict[tuple[str, str], tuple[object, str]] = {}
    for result, name in zip(results, names, strict=True):
        facts = cast("Mapping[str, object]", result)
        for key, what in (
            ("suite", "suites"),
            ("suite_hash", "contents of the suite"),
            ("budget", "budgets"),
        ):
            if facts[key] != first[key]:
                raise BenchmarkError(
                    f"results of different {what} cannot be compared: {first[key]} in {names[0]}, "
                    f"{facts[key]} in {name}"
                )
        for key, what in (("motion_hash", "motion"), ("environment_hash", "environment")):
            value = facts.get(key)
            known, where = seen.setdefault((result["task"], key), (value, name))
            if value != known:
                raise BenchmarkError(
                    f"the {what} of {result['task']} is {known} in {where} and {value} in {name}: "
                    f"results on different {what}s cannot be compared"
                )


def nested(results: Iterable[Result]) -> Nested:
    """Results by task, algorithm and seed."""
    table: Nested = {}
    for result in results:
        by_seed = table.setdefault(result["task"], {}).setdefault(result["algorithm"], {})
        by_seed[str(result["seed"])] = result
    return table
