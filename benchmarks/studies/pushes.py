"""The largest push that a policy survives, by the protocol of DeepMimic and SFV.

A horizontal force acts on the root for 0.2 s about halfway through the episode. It grows in small
steps; an episode has survived a force if trunk and head never touch the ground.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypedDict, cast

import numpy as np
import typer
from rich.console import Console

from sfv_gym.benchmarks.book import Page, Table, texts
from sfv_gym.benchmarks.fingerprint import stream_name
from sfv_gym.benchmarks.statistics import bootstrap
from sfv_gym.benchmarks.trained_policies import (
    KEPT,
    Docs,
    Measured,
    MeasuredPolicy,
    OutFolder,
    Policies,
    PolicyFile,
    TrainedPolicy,
    find_policies,
    measure_policies,
    missing_parts,
    to_be_measured,
)
from sfv_gym.envs.perturbations import Pushes
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import CONTROL_HZ, Task
from sfv_gym.envs.terminations import EarlyTermination
from sfv_gym.errors import SFVError
from sfv_gym.files import JSON
from sfv_gym.jobs.job import Executor, Reporter
from sfv_gym.jobs.options import Address, ExecutorName, Workers, interruptible, make_executor
from sfv_gym.play.episodes import episodes
from sfv_gym.seeds import Purpose, stream

PUSHES_FILE = "pushes.json"
DURATION = 0.2
SECONDS = 10.0
DIRECTIONS = {"front": math.pi, "side": math.pi / 2}
"""Where a push comes from, and the angle of its force in the character's heading frame."""
FALLS = EarlyTermination(link_distance=None, root_angle=None)


class Push(TypedDict):
    """The largest force in newtons: its median over episodes with an interval, and each one's."""

    median: float
    interval: list[float]
    episodes: list[float]


class PushesPolicy(MeasuredPolicy):
    """What a policy survives, by direction; None where the skill goes to the ground by itself."""

    front: Push | None
    side: Push | None


class PushesFigures(Measured[PushesPolicy]):
    """What ``pushes.json`` holds."""

    step: float
    most: float
    episodes: int
    duration: float
    stream: str


class NeverFallsError(SFVError):
    """A skill whose trunk or head touches the ground anyway cannot be pushed over."""


class PushTrial:
    """Episodes of a policy with one push each, in which nothing but that push changes.

    Args:
        num_episodes: N, played side by side.
        seed: of the start noise and of the times of the pushes.

    Raises:
        NeverFallsError: the skill goes to the ground by itself.
        SettingError: a seed that is out of range.
    """

    def __init__(self, policy: TrainedPolicy, num_episodes: int, seed: int) -> None:
        self._policy, self._first_seed = policy, stream(Purpose.PUSHES, seed)
        task = Task.of(
            policy.env_id,
            initialization="fixed",
            termination=FALLS,
            horizon=round(SECONDS * CONTROL_HZ),
        )
        unpushed = ImitationSimulation(task)
        if not unpushed.fall_counts.all():
            raise NeverFallsError(
                f"{policy.env_id}: the skill itself goes to the ground; no push makes it fall"
            )
        unpushed.reset(unpushed.all_ids)
        horizon = int(unpushed.episode_limit()[0])
        # one push an episode: the schedule draws its time from the middle half of the interval
        self._pushes = Pushes(0.0, DURATION, interval=horizon / CONTROL_HZ, angle=0.0)
        task = Task.of(task, horizon=horizon, pushes=self._pushes)
        self._simulation = ImitationSimulation(task, num_episodes)
        self.num_episodes = num_episodes

    def survives(self, force: float, angle: float) -> np.ndarray:
        """Which episodes (N,) get through a push of ``force`` newtons without a fall.

        Args:
            angle: rad, of the force in the character's heading frame.
        """
        self._simulation.set_pushes(replace(self._pushes, force=force, angle=angle))
        fallen = np.zeros(self.num_episodes, bool)
        for step in episodes(self._simulation, self._policy.predict, self._first_seed):
            fallen |= step.playing & step.result.terminated
        return ~fallen


def largest_pushes(trial: PushTrial, angle: float, *, step: float, most: float) -> np.ndarray:
    """The largest force (N,) in newtons that each episode survives, 0 if it falls anyway.

    Every episode has the same start and time of the push whatever the force is.
    """
    largest = np.zeros(trial.num_episodes)
    standing = trial.survives(0.0, angle)
    for force in np.arange(step, most + step / 2, step):
        if not standing.any():
            break
        standing &= trial.survives(float(force), angle)
        largest[standing] = force
    return largest


@dataclass(frozen=True)
class PushesRow:
    """What a row of the table is made of."""

    policy: PolicyFile
    step: float
    most: float
    episodes: int
    seed: int


def measure_row(row: PushesRow, reporter: Reporter) -> JSON:
    """The figures of a policy, by direction: a job's function."""
    try:
        trial = PushTrial(row.policy.load(), row.episodes, row.seed)
    except NeverFallsError:
        return dict.fromkeys(DIRECTIONS)
    found: dict[str, Push] = {}
    for name, angle in DIRECTIONS.items():
        reporter.advance(len(found), len(DIRECTIONS), f"from the {name}")
        forces = largest_pushes(trial, angle, step=row.step, most=row.most)
        median = bootstrap(
            forces[:, None],
            lambda x: np.median(x[..., 0], axis=-1),
            np.random.default_rng(row.seed),
        )
        found[name] = {
            "median": float(median.value),
            "interval": [float(median.low), float(median.high)],
            "episodes": forces.tolist(),
        }
    return {**found}


def measure_pushes(
    policies: Sequence[TrainedPolicy],
    *,
    step: float = 20.0,
    most: float = 1000.0,
    episodes: int = 32,
    seed: int = 0,
    file: Path | None = None,
    executor: Executor | None = None,
    console: Console | None = None,
) -> PushesFigures:
    """The figures of every policy and direction, as they are written to ``pushes.json``.

    A skill that goes to the ground itself has none: no push makes it fall.

    Args:
        file, executor, console: see ``trained_policies.measure_policies``.

    Raises:
        SettingError: a seed that is out of range.
        OutputError: the file cannot be written.
    """
    settings = {
        "step": step, "most": most, "episodes": episodes, "duration": DURATION,
        "stream": stream_name(Purpose.PUSHES, seed),
    }  # fmt: skip
    found = measure_policies(
        policies,
        f"{__name__}:{measure_row.__name__}",
        lambda policy: PushesRow(policy, step, most, episodes, seed),
        settings,
        file=file,
        executor=executor,
        console=console,
    )
    return cast("PushesFigures", found)


def push_table(pushes: PushesFigures, title: str = "") -> Table:
    """A row of each policy."""
    head = ("policy", *(f"from the {name}, N" for name in DIRECTIONS))
    most = pushes["most"]
    rows = [
        (row["policy"], _cell(row["front"], most), _cell(row["side"], most))
        for row in pushes["policies"]
    ]
    return Table.of(head, rows, title)


def protocol() -> str:
    """What was done, in words."""
    said = texts("sfv_gym.benchmarks.studies", "pushes.yml")["protocol"]
    return said.format(duration=DURATION, seconds=SECONDS)


def page(pushes: PushesFigures, missing: Sequence[str] = ()) -> Page:
    """The table, and the names of policies that it lacks."""
    note = texts("sfv_gym.benchmarks.studies", "pushes.yml")["note"].format(
        protocol=protocol(), episodes=pushes["episodes"], step=pushes["step"]
    )
    parts = (push_table(pushes), *missing_parts(missing))
    return Page("pushes.md", "The largest push survived", note, parts, "sfv bench pushes")


def _cell(found: Push | None, most: float) -> str:
    if found is None:
        return "on the ground itself"
    low, high = found["interval"]
    more = "≥ " if found["median"] >= most else ""
    return f"{more}{found['median']:.0f} [{low:.0f}, {high:.0f}]"


def pushes(
    policy: Policies = None,
    step: Annotated[float, typer.Option(help="Newtons by which the push grows.", min=1.0)] = 20.0,
    most: Annotated[float, typer.Option(help="Newtons, the largest push to try.")] = 1000.0,
    episodes: Annotated[int, typer.Option(help="Of each policy and direction.", min=1)] = 32,
    seed: Annotated[int, typer.Option(help="Of start noise and the times of pushes.")] = 0,
    out: OutFolder = Path("bench"),
    docs: Docs = None,
    executor: ExecutorName = "local",
    address: Address = None,
    workers: Workers = None,
) -> None:
    """The largest push over 0.2 s, from the front and the side, that policies survive.

    What the folder holds of the same policies already is kept: the same command goes on.
    """
    console, policies = Console(stderr=True), find_policies(policy)
    with interruptible(console, KEPT), make_executor(executor, workers, address) as chosen:
        found = measure_pushes(
            policies,
            step=step,
            most=most,
            episodes=episodes,
            seed=seed,
            file=out / PUSHES_FILE,
            executor=chosen,
            console=console,
        )
    shown = page(found, to_be_measured(found) if docs else ())
    shown.write(docs or out)
    shown.show(Console())
