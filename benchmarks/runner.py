"""Does every run of a suite that has no result yet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from sfv_gym.benchmarks.algorithms import Algorithm, find_algorithm
from sfv_gym.benchmarks.fingerprint import environment_hash
from sfv_gym.benchmarks.results import (
    FINISHED,
    RunSpec,
    open_folder,
    result_path,
    run_folder,
)
from sfv_gym.benchmarks.suites import Suite, get_suite
from sfv_gym.errors import BenchmarkError
from sfv_gym.files import write_json
from sfv_gym.jobs.folder import locked_folder, read_json
from sfv_gym.jobs.job import Executor, Job
from sfv_gym.jobs.supervise import Outcome, supervise


@dataclass(frozen=True)
class Summary:
    """What became of the runs: how many were there already, are new, failed."""

    kept: int
    finished: int
    failed: tuple[str, ...]


def run_benchmark(
    suite: str,
    algorithms: Sequence[str],
    *,
    seeds: int | Sequence[int] = 1,
    budget: str = "small",
    out: str | os.PathLike[str],
    executor: Executor,
    tasks: Sequence[str] | None = None,
    remake: bool = False,
    console: Console | None = None,
) -> Summary:
    """Run algorithms on the tasks of a suite; finished results are kept and not made again.

    Args:
        suite: its name, with or without version.
        algorithms: as ``find_algorithm`` takes them.
        seeds: how many (0, 1, …), or which.
        budget: one of the suite's, or a number of control steps.
        out: folder of results; see ``results``.
        tasks: names of some of the suite's tasks; all by default.
        remake: do again what was made in another environment than the task is now.
        console: for progress.

    Raises:
        UnknownIdError, AlgorithmError, MissingExtraError: something that was asked for is not
            there; nothing has been started then.
        BenchmarkError: the folder holds results of something else.
        OutputError: results cannot be written, or another runner is at work there.
    """
    chosen = get_suite(suite)
    spent = chosen.budget(budget)
    folder = Path(out).resolve()
    found = [find_algorithm(spec) for spec in algorithms]
    names = [algorithm.name for algorithm in found]
    if len(set(names)) < len(names):
        raise BenchmarkError(f"two algorithms have one name: {', '.join(sorted(names))}")
    wanted = [chosen.task(name) for name in tasks] if tasks else list(chosen.tasks)
    numbers = range(seeds) if isinstance(seeds, int) else seeds
    with locked_folder(folder, f"another `sfv bench run` is at work in {folder}"):
        open_folder(folder, chosen, spent)
        runs = [
            _spec(folder, chosen, task.name, algorithm, seed, asdict(spent))
            for seed in numbers  # first one seed of everything: a look at all of it comes early
            for task in wanted
            for algorithm in found
        ]
        worlds = {task.name: environment_hash(task.env_id, task.difficulty) for task in wanted}
        todo = [run for run in runs if not _is_finished(folder, run, worlds[run.task], remake)]
        kept = len(runs) - len(todo)
        failed = _do(todo, kept, folder, executor, console or Console(stderr=True))
    return Summary(kept, len(todo) - len(failed), tuple(failed))


def _do(
    todo: list[RunSpec], kept: int, folder: Path, executor: Executor, console: Console
) -> list[str]:
    """Do the runs; the labels of those that failed."""
    failed: list[str] = []

    def ended(outcome: Outcome) -> str:
        spec: RunSpec = outcome.job.arguments
        result = outcome.result
        if result is None:
            failed.append(spec.label)
            return f"{spec.label}: [red]failed[/red]: {escape(outcome.error)}"
        write_json(result_path(folder, spec), {**result, "attempts": outcome.attempts})
        if result["status"] == FINISHED:
            _clear_checkpoints(spec)
            return f"{spec.label}: {result['score']:.3f}"
        failed.append(spec.label)
        return f"{spec.label}: [red]failed[/red]: {escape(result['error']['message'])}"

    jobs = [Job("sfv_gym.benchmarks.run:run", spec, Path(spec.folder), spec.label) for spec in todo]
    supervise(jobs, executor, ended, title="all runs", console=console, done=kept)
    return failed


def _spec(
    folder: Path, suite: Suite, task: str, algorithm: Algorithm, seed: int, budget: dict[str, int]
) -> RunSpec:
    spec = algorithm.spec
    place, colon, attribute = spec.rpartition(":")
    if colon and place.endswith(".py"):
        spec = f"{Path(place).resolve()}:{attribute}"
    return RunSpec(
        suite=suite.name,
        task=task,
        algorithm=algorithm.name,
        spec=spec,
        seed=seed,
        folder=str(run_folder(folder, task, algorithm.name, seed)),
        paths=(str(Path.cwd()),) if colon else (),
        **budget,
    )


def _is_finished(folder: Path, run: RunSpec, world: str, remake: bool) -> bool:
    """Whether there is a result; a run that failed is done again.

    Args:
        world: the hash of the task's environment. remake: do again what is of another one.

    Raises:
        BenchmarkError: there is a result of another environment, and it is not to be made again.
    """
    path = result_path(folder, run)
    if not path.is_file():
        return False
    result = read_json(path, BenchmarkError)
    if result.get("status") != FINISHED:
        return False
    if result.get("environment_hash") == world:
        return True
    if remake:
        return False
    raise BenchmarkError(
        f"{path} was made with another motion, character or MuJoCo than {run.task} has now: scores "
        "of the two cannot be compared; --remake makes it again, or choose another --out"
    )


def _clear_checkpoints(run: RunSpec) -> None:
    """Make room: a replay buffer can be large."""
    import shutil

    for checkpoint in Path(run.folder).glob("checkpoint-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)
