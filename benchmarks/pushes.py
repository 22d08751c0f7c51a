"""The largest push that a policy survives, by the protocol of DeepMimic and SFV.

A horizontal force acts on the root for 0.2 s about halfway through the episode. It grows in small
steps; an episode has survived a force if trunk and head never touch the ground.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from sfv_gym.benchmarks.fingerprint import stream_name
from sfv_gym.benchmarks.pages import table_lines
from sfv_gym.benchmarks.players import Player, PlayerFile, measure_players, missing_lines
from sfv_gym.benchmarks.statistics import bootstrap
from sfv_gym.envs.perturbations import Pushes
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import CONTROL_HZ, Task
from sfv_gym.envs.terminations import EarlyTermination
from sfv_gym.errors import SFVError
from sfv_gym.jobs.job import Executor, Reporter
from sfv_gym.play.episodes import episodes
from sfv_gym.seeds import Purpose, stream

PUSHES_FILE = "pushes.json"
DURATION = 0.2
SECONDS = 10.0
DIRECTIONS = {"front": math.pi, "side": math.pi / 2}
"""Where a push comes from, and the angle of its force in the character's heading frame."""
FALLS = EarlyTermination(link_distance=None, root_angle=None)
PUSHES_NOTE = (
    "Pushes: a force on the root over 0.2 s, once an episode at a time drawn from its middle half, "
    "of up to 10 s; the largest, in steps, before the first that makes trunk or head touch the "
    "ground. Median over episodes with its 95 % bootstrap interval. An episode of a skill that is "
    "not cyclic ends with its clip: where that is a second or two, few falls are over by then, and "
    "the figures are high. They compare policies of one skill, not skills."
)


class NeverFallsError(SFVError):
    """A skill whose trunk or head touches the ground anyway cannot be pushed over."""


class PushTrial:
    """Episodes of a policy with one push each, in which nothing but its force changes.

    Args:
        angle: rad, of the force in the character's heading frame.
        num_episodes: N, played side by side.
        seed: of the start noise and of the times of the pushes.

    Raises:
        NeverFallsError: the skill goes to the ground by itself.
        SettingError: a seed that is out of range.
    """

    def __init__(self, player: Player, angle: float, num_episodes: int, seed: int) -> None:
        self._player, self._angle, self._episodes = player, angle, num_episodes
        self._first_seed = stream(Purpose.PUSHES, seed)
        unpushed = ImitationSimulation(
            Task.of(
                player.env_id,
                initialization="fixed",
                termination=FALLS,
                horizon=round(SECONDS * CONTROL_HZ),
            )
        )
        if not unpushed.fall_counts.all():
            raise NeverFallsError(
                f"{player.env_id}: the skill itself goes to the ground; no push makes it fall"
            )
        unpushed.reset(unpushed.all_ids)
        self._task = Task.of(unpushed.task, horizon=int(unpushed.episode_limit()[0]))

    def survives(self, force: float) -> np.ndarray:
        """Which episodes (N,) get through a push of ``force`` newtons without a fall."""
        # one push an episode: the schedule draws its time from the middle half of the interval
        interval = self._task.horizon / CONTROL_HZ
        pushes = Pushes(force, DURATION, interval=interval, angle=self._angle)
        simulation = ImitationSimulation(Task.of(self._task, pushes=pushes), self._episodes)
        fallen = np.zeros(self._episodes, bool)
        for moment in episodes(simulation, self._player.predict, self._first_seed):
            fallen |= moment.playing & moment.result.terminated
        return ~fallen


def largest_pushes(
    player: Player, angle: float, *, step: float, most: float, episodes: int, seed: int
) -> np.ndarray:
    """The largest force (N,) in newtons that each episode survives, 0 if it falls anyway.

    Every episode has the same start and time of the push whatever the force is.
    """
    trial = PushTrial(player, angle, episodes, seed)
    largest = np.zeros(episodes)
    standing = trial.survives(0.0)
    for force in np.arange(step, most + step / 2, step):
        if not standing.any():
            break
        standing &= trial.survives(float(force))
        largest[standing] = force
    return largest


@dataclass(frozen=True)
class PushesRow:
    """What a row of the table is made of."""

    player: PlayerFile
    step: float
    most: float
    episodes: int
    seed: int


def measure_row(row: PushesRow, reporter: Reporter) -> dict[str, Any]:
    """The figures of a policy, by direction: a job's function."""
    player = row.player.load()
    found: dict[str, Any] = {}
    for name, angle in DIRECTIONS.items():
        reporter.advance(len(found), len(DIRECTIONS), f"from the {name}")
        try:
            forces = largest_pushes(
                player,
                angle,
                step=row.step,
                most=row.most,
                episodes=row.episodes,
                seed=row.seed,
            )
        except NeverFallsError:
            found[name] = None
            continue
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
    return found


def measure_pushes(
    players: Sequence[Player],
    *,
    step: float = 20.0,
    most: float = 1000.0,
    episodes: int = 32,
    seed: int = 0,
    file: Path | None = None,
    executor: Executor | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """The figures of every policy and direction, as they are written to ``pushes.json``.

    A skill that goes to the ground itself has none: no push makes it fall.

    Args:
        file, executor, console: see ``players.measure_players``.

    Raises:
        SettingError: a seed that is out of range.
        OutputError: the file cannot be written.
    """
    settings = {
        "step": step, "most": most, "episodes": episodes, "duration": DURATION,
        "stream": stream_name(Purpose.PUSHES, seed),
    }  # fmt: skip
    return measure_players(
        players,
        "sfv_gym.benchmarks.pushes:measure_row",
        lambda player: PushesRow(player, step, most, episodes, seed),
        settings,
        file=file,
        executor=executor,
        console=console,
    )


def push_table(pushes: dict[str, Any]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Head and rows of the table."""
    head = ("policy", *(f"from the {name}, N" for name in DIRECTIONS))
    rows = tuple(
        (policy["policy"], *(_cell(policy[name], pushes["most"]) for name in DIRECTIONS))
        for policy in pushes["policies"]
    )
    return head, rows


def pushes_markdown(pushes: dict[str, Any], missing: Sequence[str] = ()) -> str:
    """The table as a page, and the names of policies that it lacks."""
    head, rows = push_table(pushes)
    lines = [
        "<!-- written by `sfv bench pushes` -->",
        "# The largest push survived",
        "",
        f"{PUSHES_NOTE} {pushes['episodes']} episodes each, steps of {pushes['step']:g} N.",
        "",
        *table_lines(head, rows),
        *missing_lines(missing),
        "",
    ]
    return "\n".join(lines)


def _cell(found: dict[str, Any] | None, most: float) -> str:
    if found is None:
        return "on the ground itself"
    low, high = found["interval"]
    more = "≥ " if found["median"] >= most else ""
    return f"{more}{found['median']:.0f} [{low:.0f}, {high:.0f}]"
