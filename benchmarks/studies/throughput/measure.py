"""Implementations that are compared take turns within every round, so that a machine that slows
down slows all of them down."""

from __future__ import annotations

import datetime
import gc
import importlib
import os
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress

from sfv_gym.benchmarks.studies.throughput.implementations import (
    ENV_ID,
    OURS,
    SINGLE,
    Implementation,
    Run,
    envpool_humanoid,
    ours,
    vectorised,
)
from sfv_gym.jobs.machine import cpu

SIZES = (1, 4, 16, 64, 256, 1024, 4096)
WORKERS = (2, 4, 8, 16)
COMPARED = 256
"""The number of environments at which ratios are taken."""
BASELINE = f"{OURS} (baseline)"
"""Ours beside another way, in the same rounds."""


@dataclass(frozen=True)
class Figures:
    """What ``throughput.json`` holds.

    Attributes:
        seconds: about how long a turn took. rounds: turns of each implementation.
        compared: the number of environments at which ratios are taken.
        missing: implementation -> why it was not measured.
    """

    date: str
    machine: str
    cores: int
    env_id: str
    seconds: float
    rounds: int
    compared: int
    versions: dict[str, str]
    results: tuple[Implementation, ...]
    missing: dict[str, str]


def measure(
    sizes: tuple[int, ...] = SIZES,
    threads: tuple[int, ...] | None = None,
    workers: tuple[int, ...] = WORKERS,
    *,
    seconds: float = 2.0,
    rounds: int = 5,
    others: bool = True,
) -> Figures:
    """All figures.

    Args:
        sizes: numbers of environments. threads: of the physics; 1 and all cores by default.
        workers: of the ways that take a process for each environment.
        seconds: about how long a turn takes. rounds: turns of each implementation.
        others: also Gymnasium's and SB3's ways, Humanoid-v5 and EnvPool.
    """
    import torch

    torch.set_num_threads(1)
    cores = os.cpu_count() or 1
    threads = threads or tuple(sorted({1, cores}))
    done: list[Implementation] = []
    missing: dict[str, str] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("throughput", total=len(sizes) + 1)
        if others:  # first: processes cannot be forked beside thousands of simulations
            progress.update(task, description="other ways to vectorise")
            done += _measure_others(max(threads), workers, seconds, rounds, missing)
        progress.advance(task)
        for size in sizes:
            progress.update(task, description=f"{size} environments")
            done += _take_turns(
                [pair for count in threads for pair in ours(size, count, seconds)], rounds
            )
            gc.collect()
            progress.advance(task)
    return Figures(
        date=datetime.date.today().isoformat(),
        machine=cpu(),
        cores=cores,
        env_id=ENV_ID,
        seconds=seconds,
        rounds=rounds,
        compared=COMPARED,
        versions={
            name: importlib.import_module(name).__version__
            for name in ("mujoco", "gymnasium", "stable_baselines3", "numpy")
        },
        results=tuple(done),
        missing=missing,
    )


def _measure_others(
    threads: int, workers: tuple[int, ...], seconds: float, rounds: int, missing: dict[str, str]
) -> list[Implementation]:
    """The usual ways, each beside ours of the same round."""
    done: list[Implementation] = []
    baseline = [pair for pair in ours(COMPARED, threads, seconds) if pair[0].name == OURS]
    asked = [(SINGLE[0], ENV_ID, n) for n in (16, COMPARED)]
    asked += [(name, ENV_ID, n) for name in SINGLE[1:] for n in workers]
    humanoid = "Humanoid-v5"
    for name, env_id, n in asked:
        with vectorised(name, env_id, n, seconds) as pair:
            done += _take_turns([*_again(baseline), pair], rounds)
    for name, n in ((SINGLE[0], 16), *((SINGLE[1], n) for n in workers)):
        label = f"{humanoid}, {name}"
        try:
            with vectorised(name, humanoid, n, seconds) as (implementation, run):
                implementation.name = label
                done += _take_turns([(implementation, run)], rounds)
        except Exception as error:  # whatever another package raises is its result
            missing[label] = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        with envpool_humanoid(COMPARED, threads, seconds) as pair:
            done += _take_turns([pair], rounds)
    except ImportError:
        missing["EnvPool Humanoid-v4"] = "envpool is not installed"
    except Exception as error:  # such as a wheel without its data files
        missing["EnvPool Humanoid-v4"] = (
            f"envpool is installed and does not work: {type(error).__name__}"
        )
    return done


def _again(pairs: list[tuple[Implementation, Run]]) -> list[tuple[Implementation, Run]]:
    """The same implementations without rates, under the name of a baseline."""
    return [(Implementation(BASELINE, c.num_envs, c.threads, c.steps), run) for c, run in pairs]


def _take_turns(field: list[tuple[Implementation, Run]], rounds: int) -> list[Implementation]:
    for _ in range(rounds):
        for implementation, run in field:
            implementation.rates.append(implementation.steps / run())
    return [implementation for implementation, _ in field]
