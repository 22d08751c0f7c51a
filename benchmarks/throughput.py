"""Control steps per second, ours against raw MuJoCo and against the usual ways to vectorise.

``sfv bench throughput --out out/throughput --docs docs`` measures and writes figures, picture and
page. Contestants that are compared take turns within every round, so that a
machine that slows down slows all of them down.
"""

from __future__ import annotations

import datetime
import gc
import importlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sfv_gym.benchmarks.pages import table_lines
from sfv_gym.envs import ImitationVectorEnv
from sfv_gym.errors import SFVError
from sfv_gym.files import atomic_path
from sfv_gym.jobs.machine import cpu
from sfv_gym.physics import Physics

ENV_ID = "SFV-Walk-v0"
SIZES = (1, 4, 16, 64, 256, 1024, 4096)
WORKERS = (2, 4, 8, 16)
COMPARED = 256
"""The number of environments at which ratios are taken."""
ACTION_SPREAD = 0.05
RAW, OURS, SB3 = "raw Batch.step", "ImitationVectorEnv", "SB3VecEnv"
SINGLE = ("Gymnasium SyncVectorEnv", "Gymnasium AsyncVectorEnv", "SB3 SubprocVecEnv")

Run = Callable[[], float]
"""Makes the control steps of one turn and returns the seconds that they took."""


@dataclass
class Contestant:
    """One way to step N environments.

    Attributes:
        steps: control steps of one turn, over all environments.
        rates: control steps per second, one a round.
    """

    name: str
    num_envs: int
    threads: int
    steps: int
    rates: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Control steps per second; a round that another process disturbed hardly moves it."""
        return float(np.median(self.rates))


# --- contestants --------------------------------------------------------------------------------


def record(env: ImitationVectorEnv, actions: np.ndarray) -> dict[str, Any]:
    """Play ``actions`` (K, N, A) from seed 0 and keep what it takes to do the physics again."""
    env.reset(seed=0)
    physics = env.simulation.physics
    start, ctrl, resets = physics.state.copy(), [], []
    targets = physics.data("ctrl")
    for action in actions:
        *_, terminated, truncated, _ = env.step(action)
        ctrl.append(targets.copy())
        ids = np.flatnonzero(terminated | truncated)
        resets.append((ids, physics.state[ids].copy()))
    return {"start": start, "ctrl": np.array(ctrl), "resets": resets, "end": physics.state.copy()}


def replay(physics: Physics, substeps: int, recorded: dict[str, Any]) -> float:
    """Seconds that the physics alone of a recording takes.

    Simulations are put where the environment's resets have put them, so that the contacts, which
    decide what a step costs, are the same; only targets and steps are timed.
    """
    physics.state[:] = recorded["start"]
    physics.forward_all()
    targets, seconds = physics.data("ctrl"), 0.0
    for ctrl, (ids, state) in zip(recorded["ctrl"], recorded["resets"], strict=True):
        began = time.perf_counter()
        targets[:] = ctrl
        physics.step(substeps)
        seconds += time.perf_counter() - began
        physics.state[ids] = state
    return seconds


def ours(num_envs: int, threads: int, seconds: float) -> Iterator[tuple[Contestant, Run]]:
    """Raw physics, the vector environment and the SB3 adapter, with the same work to do."""
    from sfv_gym.envs.sb3 import SB3VecEnv

    env = gym.make_vec(
        ENV_ID,
        num_envs=num_envs,
        num_threads=threads,
        vectorization_mode="vector_entry_point",
    ).unwrapped
    assert isinstance(env, ImitationVectorEnv)
    actions = _actions(num_envs, env.single_action_space.shape, env, seconds)
    recorded = record(env, actions)
    raw = Physics(env.simulation.model, num_envs, threads)
    adapter = SB3VecEnv(env)

    def step_ours() -> float:
        env.reset(seed=0)
        began = time.perf_counter()
        for action in actions:
            env.step(action)
        return time.perf_counter() - began

    def step_adapter() -> float:
        adapter.seed(0)
        adapter.reset()
        began = time.perf_counter()
        for action in actions:
            adapter.step(action)
        return time.perf_counter() - began

    steps = num_envs * len(actions)
    yield (
        Contestant(RAW, num_envs, threads, steps),
        lambda: replay(raw, env.substeps, recorded),
    )
    yield Contestant(OURS, num_envs, threads, steps), step_ours
    yield Contestant(SB3, num_envs, threads, steps), step_adapter


def _actions(num_envs: int, shape: tuple[int, ...] | None, env: Any, seconds: float) -> np.ndarray:
    """Actions (K, N, ...), drawn beforehand, for about ``seconds`` of stepping ``env``."""
    rng = np.random.default_rng(0)
    some = rng.normal(0, ACTION_SPREAD, (3, num_envs, *(shape or ()))).astype(np.float32)
    env.reset(seed=0)
    env.step(some[0])
    began = time.perf_counter()
    for action in some[1:]:
        env.step(action)
    count = int(np.clip(seconds / ((time.perf_counter() - began) / 2), 4, 4000))
    drawn = rng.normal(0, ACTION_SPREAD, (count, num_envs, *(shape or ())))
    return np.clip(drawn, -1, 1).astype(np.float32)


@contextmanager
def vectorised(
    name: str, env_id: str, num_envs: int, seconds: float
) -> Iterator[tuple[Contestant, Run]]:
    """An environment vectorised the usual way, and closed whatever happens."""
    env: Any
    if name == SINGLE[2]:
        from stable_baselines3.common.vec_env import SubprocVecEnv

        # fork: a worker that imports everything anew takes seconds to start
        env = SubprocVecEnv([lambda: gym.make(env_id)] * num_envs, start_method="fork")
        step, shape = env.step, env.action_space.shape
        reset = env.reset
    else:
        mode = "sync" if "Sync" in name else "async"
        env = gym.make_vec(env_id, num_envs=num_envs, vectorization_mode=mode)
        step, shape = env.step, env.single_action_space.shape

        def reset() -> Any:
            return env.reset(seed=0)

    try:
        reset()
        actions = _actions(num_envs, shape, _Face(reset, step), seconds)

        def run() -> float:
            reset()
            began = time.perf_counter()
            for action in actions:
                step(action)
            return time.perf_counter() - began

        workers = 1 if "Sync" in name else num_envs
        yield Contestant(name, num_envs, workers, num_envs * len(actions)), run
    finally:
        env.close()


@dataclass
class _Face:
    """What ``_actions`` needs of an environment."""

    _reset: Callable[[], Any]
    step: Callable[[np.ndarray], Any]

    def reset(self, seed: int) -> None:
        self._reset()


@contextmanager
def envpool_humanoid(num_envs: int, threads: int, seconds: float) -> Iterator[Any]:
    """EnvPool's Humanoid, where it is installed."""
    envpool = importlib.import_module("envpool")
    env = envpool.make_gymnasium("Humanoid-v4", num_envs=num_envs, num_threads=threads)
    try:
        actions = _actions(num_envs, (17,), _Face(env.reset, env.step), seconds)

        def run() -> float:
            env.reset()
            began = time.perf_counter()
            for action in actions:
                env.step(action)
            return time.perf_counter() - began

        yield Contestant("EnvPool Humanoid-v4", num_envs, threads, num_envs * len(actions)), run
    finally:
        env.close()


# --- measuring ----------------------------------------------------------------------------------


def measure(
    sizes: tuple[int, ...] = SIZES,
    threads: tuple[int, ...] | None = None,
    workers: tuple[int, ...] = WORKERS,
    *,
    seconds: float = 2.0,
    rounds: int = 5,
    others: bool = True,
) -> dict[str, Any]:
    """All figures, as they are written to ``throughput.json``.

    Args:
        sizes: numbers of environments. threads: of the physics; 1 and all cores by default.
        workers: of the ways that take a process for each environment.
        seconds: about how long a turn takes. rounds: turns of each contestant.
        others: also Gymnasium's and SB3's ways, Humanoid-v5 and EnvPool.
    """
    import torch

    torch.set_num_threads(1)
    cores = os.cpu_count() or 1
    threads = threads or tuple(sorted({1, cores}))
    done: list[Contestant] = []
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
    return {
        "date": datetime.date.today().isoformat(),
        "machine": cpu(),
        "cores": cores,
        "env_id": ENV_ID,
        "seconds": seconds,
        "rounds": rounds,
        "versions": {
            name: importlib.import_module(name).__version__
            for name in ("mujoco", "gymnasium", "stable_baselines3", "numpy")
        },
        "results": [asdict(one) for one in done],
        "missing": missing,
    }


def _measure_others(
    threads: int, workers: tuple[int, ...], seconds: float, rounds: int, missing: dict[str, str]
) -> list[Contestant]:
    """The usual ways, each beside ours of the same round."""
    done: list[Contestant] = []
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
            with vectorised(name, humanoid, n, seconds) as (contestant, run):
                contestant.name = label
                done += _take_turns([(contestant, run)], rounds)
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


def _again(pairs: list[tuple[Contestant, Run]]) -> list[tuple[Contestant, Run]]:
    """The same contestants without rates, under the name of a baseline."""
    return [
        (Contestant(f"{c.name} (baseline)", c.num_envs, c.threads, c.steps), run)
        for c, run in pairs
    ]


def _take_turns(field: list[tuple[Contestant, Run]], rounds: int) -> list[Contestant]:
    for _ in range(rounds):
        for contestant, run in field:
            contestant.rates.append(contestant.steps / run())
    return [contestant for contestant, _ in field]


# --- reporting ----------------------------------------------------------------------------------


def ratios(figures: dict[str, Any]) -> dict[str, float]:
    """Medians over rounds of ratios within a round, at 256 environments and all threads."""
    results = [Contestant(**result) for result in figures["results"]]
    most = max((r.threads for r in results if r.name == OURS), default=1)

    def rates(name: str, threads: int) -> np.ndarray:
        for one in results:
            if (one.name, one.num_envs, one.threads) == (name, COMPARED, threads):
                return np.array(one.rates)
        return np.array([np.nan])

    out = {
        f"{OURS} / raw": float(np.median(rates(OURS, most) / rates(RAW, most))),
        f"{SB3} / raw": float(np.median(rates(SB3, most) / rates(RAW, most))),
    }
    if most > 1:
        for name in (RAW, OURS):
            gain = float(np.median(rates(name, most) / rates(name, 1)))
            out[f"{name}, {most} threads / 1 thread"] = gain
    best: tuple[float, float, str] | None = None
    for before, one in itertools.pairwise(results):
        if one.name in SINGLE and before.name == f"{OURS} (baseline)":
            ratio = float(np.median(np.array(before.rates) / np.array(one.rates)))
            if best is None or one.median > best[0]:
                best = (one.median, ratio, f"{one.name} of {one.num_envs}")
    if best is not None:
        out[f"{OURS} / {best[2]}, the fastest of the usual ways"] = best[1]
    return out


def table(figures: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Rows: contestant, environments, threads or processes, median, spread."""
    rows = []
    for result in figures["results"]:
        one = Contestant(**result)
        if one.name.endswith("(baseline)"):
            continue
        spread = f"{min(one.rates):,.0f} - {max(one.rates):,.0f}"
        cells = (one.name, str(one.num_envs), str(one.threads), f"{one.median:,.0f}", spread)
        rows.append(cells)
    return rows


def plot(figures: dict[str, Any], path: Path) -> None:
    """Draw control steps per second against the number of environments, and the comparison."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    results = [Contestant(**result) for result in figures["results"]]
    results = [one for one in results if not one.name.endswith("(baseline)")]
    scaled = [one for one in results if one.name in (RAW, OURS, SB3)]
    most = max(one.threads for one in scaled)
    picture, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for name, colour in zip((RAW, OURS, SB3), ("0.5", "C0", "C1"), strict=True):
        for threads in sorted({one.threads for one in scaled}):
            line = [o for o in scaled if (o.name, o.threads) == (name, threads)]
            style = "-" if threads == most else "--"
            label = f"{name}, {threads} thread{'s' if threads > 1 else ''}"
            left.plot(
                [o.num_envs for o in line],
                [o.median for o in line],
                style,
                marker="o",
                color=colour,
                label=label,
            )
    left.set(xscale="log", yscale="log", xlabel="environments", ylabel="control steps per second")
    left.legend(fontsize=8)
    left.grid(alpha=0.3, which="both")
    shown: dict[str, Contestant] = {}
    for one in results:
        ours_here = one.name in (RAW, OURS, SB3)
        if ours_here and (one.num_envs, one.threads) != (COMPARED, most):
            continue
        if one.name not in shown or one.median > shown[one.name].median:
            shown[one.name] = one
    names = [f"{one.name} ({one.num_envs})" for one in shown.values()]
    colours = ["C0" if one.name in (OURS, SB3) else "0.6" for one in shown.values()]
    right.barh(names, [one.median for one in shown.values()], color=colours)
    right.invert_yaxis()
    right.set(xlabel="control steps per second, all cores", title="best of each (environments)")
    right.grid(alpha=0.3, axis="x")
    with atomic_path(path) as temporary:
        picture.savefig(temporary, dpi=110, format="png")
    pyplot.close(picture)


def page(figures: dict[str, Any]) -> str:
    """The text of docs/performance.md."""
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    lines = [
        "<!-- written by `sfv bench throughput`; do not edit -->",
        "# Performance",
        "",
        "A control step is 1/30 s of one environment: five physics steps of the humanoid, with "
        "observation, reward, end of episode and reset.",
        "",
        "![Control steps per second](images/throughput.png)",
        "",
        f"Measured on {figures['date']} with `{figures['env_id']}` on {figures['cores']} cores "
        f"of {figures['machine']} ({versions}); {figures['rounds']} rounds, in each of which those "
        f"that are compared (one number of environments at a time; each usual way beside ours) "
        f"took turns of about {figures['seconds']:g} s. The machine is virtual and shared, so "
        "the ratios, taken within a round, say more than the rates. With thousands of "
        "environments a turn is a few steps, in which hardly any episode ends.",
        "",
        *table_lines(
            ("ratio, median over rounds", ""),
            ((name, f"{ratio:.2f}") for name, ratio in ratios(figures).items()),
        ),
        "",
        f"Ratios are taken at {COMPARED} environments.",
        "",
        f"* **{RAW}**: `mujoco.batch.Batch` with the same model, threads and physics steps replays "
        "the targets that our environment has recorded, from the same states: where an episode "
        "was reset, the state is put there, which is not timed. It does the same physics and "
        "nothing else.",
        f"* **{OURS}**, **{SB3}**: resets included. Actions are drawn beforehand, normally with "
        f"a spread of {ACTION_SPREAD}.",
        "* **Gymnasium's and SB3's ways** step single environments of the same id: one after the "
        "other in one process, or each in a process of its own. A single environment costs less "
        "in Python than in physics, so the ratio to them cannot be much more than that of raw "
        "physics on all cores to one such environment.",
        "* **Humanoid-v5** is another task: another body, and another control step (five physics "
        "steps of 3 ms).",
        "",
        *table_lines(
            ("", "environments", "threads or processes", "control steps/s", "lowest - highest"),
            table(figures),
        ),
        "",
    ]
    if figures["missing"]:
        lines += ["Not measured:", ""]
        lines += [f"* {name}: {reason}" for name, reason in figures["missing"].items()]
        lines += [""]
    lines += [
        "`sfv bench throughput --docs docs` measures again and writes this page.",
        "",
    ]
    return "\n".join(lines)


def report(figures: dict[str, Any], out: Path, docs: Path | None) -> None:
    """Write JSON and picture to ``out``, and the page with its picture to ``docs``."""
    with atomic_path(out / "throughput.json") as temporary:
        temporary.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    plot(figures, out / "throughput.png")
    if docs is not None:
        with atomic_path(docs / "performance.md") as temporary:
            temporary.write_text(page(figures), encoding="utf-8")
        plot(figures, docs / "images" / "throughput.png")
    console = Console(stderr=True)
    shown = Table(title="control steps per second")
    for column in ("", "environments", "threads", "median", "spread"):
        shown.add_column(column, justify="right" if column else "left")
    for row in table(figures):
        shown.add_row(*row)
    console.print(shown)
    for name, ratio in ratios(figures).items():
        console.print(f"{name}: [bold]{ratio:.2f}[/bold]")


def throughput(
    out: Annotated[Path, typer.Option(help="Folder for figures and picture.")] = Path(
        "out/throughput"
    ),
    docs: Annotated[
        Path | None, typer.Option(help="Also write performance.md and its picture here.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="About how long a turn takes.")] = 2.0,
    rounds: Annotated[int, typer.Option(help="Turns of each contestant.", min=1)] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only 256 environments, ours against raw MuJoCo.")
    ] = False,
    from_json: Annotated[
        Path | None, typer.Option(help="Write picture and page from these figures instead.")
    ] = None,
) -> None:
    """Measure control steps per second against raw MuJoCo and the usual vector environments."""
    if from_json is not None:
        try:
            figures = json.loads(from_json.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SFVError(f"{from_json}: no figures of this benchmark: {error}") from None
    elif quick:
        figures = measure((COMPARED,), seconds=seconds, rounds=rounds, others=False)
    else:
        figures = measure(seconds=seconds, rounds=rounds)
    report(figures, out, docs)
