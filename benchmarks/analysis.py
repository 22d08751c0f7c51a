"""From result files to figures: aggregates, curves, profiles and comparisons with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sfv_gym.benchmarks import statistics
from sfv_gym.benchmarks.results import FINISHED, BudgetFacts, Nested, Result, nested
from sfv_gym.benchmarks.statistics import Interval
from sfv_gym.benchmarks.suites import Suite, get_suite
from sfv_gym.errors import BenchmarkError

THRESHOLDS = np.linspace(0.0, 1.0, 101)
SEED = 0
"""Of the bootstrap: the same results give the same intervals."""


@dataclass(frozen=True)
class AlgorithmFigures:
    """What is known of one algorithm.

    Attributes:
        seeds: those with a result on every task, in the order of the rows of ``scores``.
        scores, success: (R, T) of the final policies; a run that the algorithm broke counts 0.
        aggregates: iqm, median, mean, optimality_gap, and success: the mean success rate.
        by_task: task -> mean score over seeds.
        samples, seconds: (K,) of the points of the curve; seconds are a mean over runs.
        curve: iqm at these points. profile: share of runs above ``THRESHOLDS``.
    """

    name: str
    seeds: tuple[int, ...]
    scores: np.ndarray
    success: np.ndarray
    aggregates: dict[str, Interval]
    by_task: dict[str, Interval]
    samples: np.ndarray
    seconds: np.ndarray
    curve: Interval
    profile: Interval


@dataclass(frozen=True)
class Analysis:
    """The figures of a folder of results, best algorithm first.

    Attributes:
        tasks: of the suite, that have results. steps: the budget.
        better: (row, column) -> probability that a run of row's algorithm beats one of column's.
        failures: results of runs that failed. incomplete: algorithms without any seed that has
            a result on every task, which are left out.
        results: everything, as read.
    """

    suite: Suite
    tasks: tuple[str, ...]
    steps: int
    algorithms: tuple[AlgorithmFigures, ...]
    better: dict[tuple[str, str], Interval]
    failures: tuple[Result, ...]
    incomplete: tuple[str, ...]
    results: tuple[Result, ...]


def analyse(results: Sequence[Result]) -> Analysis:
    """Figures of results that belong together.

    Raises:
        BenchmarkError: they are of a suite that has changed since, or none is complete.
    """
    suite = get_suite(results[0]["suite"])
    if results[0]["suite_hash"] != suite.content_hash():
        raise BenchmarkError(
            f"these results were made with other contents of {suite.name} "
            f"({results[0]['suite_hash']}) than it has here ({suite.content_hash()})"
        )
    table = nested(results)
    tasks = tuple(task.name for task in suite.tasks if task.name in table)
    names = sorted({result["algorithm"] for result in results})
    found, incomplete = [], []
    for name in names:
        seeds = _complete_seeds(table, tasks, name)
        if seeds:
            found.append(_figures(table, tasks, name, seeds, results[0]["budget"]))
        else:
            incomplete.append(name)
    found.sort(key=lambda one: -float(one.aggregates["iqm"].value))
    return Analysis(
        suite=suite,
        tasks=tasks,
        steps=int(results[0]["budget"]["steps"]),
        algorithms=tuple(found),
        better={
            (a.name, b.name): statistics.bootstrap_pair(
                a.scores, b.scores, statistics.probability_of_improvement, _rng()
            )
            for a in found
            for b in found
            if a is not b
        },
        failures=tuple(result for result in results if result["status"] != FINISHED),
        incomplete=tuple(incomplete),
        results=tuple(results),
    )


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


def counts(result: Result) -> bool:
    """Whether a result has a score: finished, or broken by the algorithm, which scores 0."""
    return bool(result["status"] == FINISHED or result["error"]["blame"] == "algorithm")


def _complete_seeds(table: Nested, tasks: Sequence[str], name: str) -> list[int]:
    sets = [
        {int(seed) for seed, result in table[task].get(name, {}).items() if counts(result)}
        for task in tasks
    ]
    return sorted(set.intersection(*sets)) if sets else []


def _figures(
    table: Nested,
    tasks: Sequence[str],
    name: str,
    seeds: list[int],
    budget: BudgetFacts,
) -> AlgorithmFigures:
    cells = [[table[task][name][str(seed)] for task in tasks] for seed in seeds]
    scores = np.array([[_score(cell) for cell in row] for row in cells])
    success = np.array(
        [
            [cell["evaluation"]["success_rate"] if "evaluation" in cell else 0.0 for cell in row]
            for row in cells
        ]
    )
    points = budget["evaluations"]
    samples = np.linspace(0, budget["steps"], points + 1)[1:]
    curves = np.array(
        [[_curve(cell, samples, "normalized_return") for cell in row] for row in cells]
    )
    times = np.array([[_curve(cell, samples, "seconds") for cell in row] for row in cells])
    aggregates = {
        key: statistics.bootstrap(scores, statistic, _rng())
        for key, statistic in (
            ("iqm", statistics.iqm),
            ("median", statistics.median),
            ("mean", statistics.mean),
            ("optimality_gap", statistics.optimality_gap),
        )
    }
    aggregates["success"] = statistics.bootstrap(success, statistics.mean, _rng())
    return AlgorithmFigures(
        name=name,
        seeds=tuple(seeds),
        scores=scores,
        success=success,
        aggregates=aggregates,
        by_task={
            task: statistics.bootstrap(scores[:, [i]], statistics.mean, _rng())
            for i, task in enumerate(tasks)
        },
        samples=samples,
        seconds=times.mean((0, 1)),
        curve=statistics.bootstrap(curves, statistics.iqm, _rng()),
        profile=statistics.bootstrap(
            scores, lambda x: statistics.performance_profile(x, THRESHOLDS), _rng()
        ),
    )


def _score(result: Result) -> float:
    return result.get("score", 0.0)


def _curve(
    result: Result, samples: np.ndarray, key: Literal["normalized_return", "seconds"]
) -> np.ndarray:
    """A figure of the run's curve at ``samples``, linear in between.

    One that learned nothing has no curve but a score; one that its algorithm broke has neither.
    """
    curve = result.get("curve") or []
    if not curve:
        return np.full(len(samples), _score(result) if key != "seconds" else 0.0)
    return np.interp(samples, [p["samples"] for p in curve], [p[key] for p in curve])
