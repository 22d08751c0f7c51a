"""Result files: one JSON for each run, and what belongs together.

``DIR/benchmark.json`` says which suite and budget a folder is for; ``DIR/results/TASK/ALGORITHM/
SEED.json`` are the results; ``DIR/runs/TASK/ALGORITHM/SEED/`` is a run's own folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sfv_gym.benchmarks.suites import Budget, Suite
from sfv_gym.errors import BenchmarkError
from sfv_gym.files import write_json
from sfv_gym.jobs.folder import read_json

FORMAT = 1
MANIFEST = "benchmark.json"
FINISHED, FAILED = "finished", "failed"


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
    """The run's own, for its checkpoints and its film."""
    return folder / "runs" / task / algorithm / str(seed)


def open_folder(folder: Path, suite: Suite, budget: Budget) -> None:
    """Make ``folder`` the folder of a suite and budget, or see that it is.

    Raises:
        OutputError: it cannot be written.
        BenchmarkError: it belongs to another suite, version or budget.
    """
    path = folder / MANIFEST
    wanted = {
        "format": FORMAT,
        "suite": suite.name,
        "suite_hash": suite.content_hash(),
        "budget": asdict(budget),
    }
    if not path.is_file():
        write_json(path, wanted)
        return
    found = read_json(path, BenchmarkError)
    if found != wanted:
        raise BenchmarkError(
            f"{folder} holds results of {_describe(found)}, not of {_describe(wanted)}: scores of "
            "the two cannot be compared; choose another --out"
        )


def _describe(manifest: dict[str, Any]) -> str:
    steps = manifest.get("budget", {}).get("steps", 0)
    return f"{manifest.get('suite')} ({manifest.get('suite_hash')}) with {steps:,} steps"


def result_files(folder: Path) -> list[Path]:
    """The result files of a folder, sorted by task, algorithm and seed."""
    return sorted(
        folder.glob("results/*/*/*.json"),
        key=lambda p: (p.parts[-3], p.parts[-2], int(p.stem) if p.stem.isdecimal() else 0),
    )


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Every result in a folder.

    Raises:
        BenchmarkError: there is none, one is damaged, or they do not belong together.
    """
    files = result_files(folder)
    if not files:
        raise BenchmarkError(
            f"{folder} holds no results; `sfv bench run --out {folder}` makes some"
        )
    results = [read_json(path, BenchmarkError) for path in files]
    for path, result in zip(files, results, strict=True):
        if result.get("format") != FORMAT:
            raise BenchmarkError(f"{path} is not a result of this version of sfv_gym")
    check_together(results, [str(path) for path in files])
    return results


def check_together(results: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """See that results may be compared: one suite, version, budget, and motion and environment for
    each task.

    Raises:
        BenchmarkError: they may not; names two that differ.
    """
    first = results[0]
    seen: dict[tuple[str, str], tuple[Any, str]] = {}
    for result, name in zip(results, names, strict=True):
        for key, what in (
            ("suite", "suites"),
            ("suite_hash", "contents of the suite"),
            ("budget", "budgets"),
        ):
            if result[key] != first[key]:
                raise BenchmarkError(
                    f"results of different {what} cannot be compared: {first[key]} in {names[0]}, "
                    f"{result[key]} in {name}"
                )
        for key, what in (("motion_hash", "motion"), ("environment_hash", "environment")):
            value = result.get(key)
            known, where = seen.setdefault((result["task"], key), (value, name))
            if value != known:
                raise BenchmarkError(
                    f"the {what} of {result['task']} is {known} in {where} and {value} in {name}: "
                    f"results on different {what}s cannot be compared"
                )


def nested(results: Iterable[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """``results[task][algorithm][seed]``."""
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for result in results:
        by_seed = table.setdefault(result["task"], {}).setdefault(result["algorithm"], {})
        by_seed[str(result["seed"])] = result
    return table
