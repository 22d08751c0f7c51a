"""The ways to step N environments: raw physics, ours, and the usual ones."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from sfv_gym.envs import ImitationVectorEnv
from sfv_gym.physics import Physics

ENV_ID = "SFV-Walk-v0"
ACTION_SPREAD = 0.05
RAW, OURS, SB3 = "raw Batch.step", "ImitationVectorEnv", "SB3VecEnv"
SINGLE = ("Gymnasium SyncVectorEnv", "Gymnasium AsyncVectorEnv", "SB3 SubprocVecEnv")

Run = Callable[[], float]
"""Makes the control steps of one turn and returns the seconds that they took."""


@dataclass
class Implementation:
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


@dataclass(frozen=True)
class Recording:
    """What it takes to do the physics of K steps of N environments again.

    Attributes:
        start, end: (N, state) before the first step and after the last one.
        ctrl: (K, N, nu) targets of the motors.
        resets: of each step which environments (n,) were reset, and their states (n, state) then.
    """

    start: np.ndarray
    ctrl: np.ndarray
    resets: list[tuple[np.ndarray, np.ndarray]]
    end: np.ndarray


def record(env: ImitationVectorEnv, actions: np.ndarray) -> Recording:
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
    return Recording(start, np.array(ctrl), resets, physics.state.copy())


def replay(physics: Physics, substeps: int, recorded: Recording) -> float:
    """Seconds that the physics alone of a recording takes.

    Simulations are put where the environment's resets have put them, so that the contacts, which
    decide what a step costs, are the same; only targets and steps are timed.
    """
    physics.state[:] = recorded.start
    physics.forward_all()
    targets, seconds = physics.data("ctrl"), 0.0
    for ctrl, (ids, state) in zip(recorded.ctrl, recorded.resets, strict=True):
        began = time.perf_counter()
        targets[:] = ctrl
        physics.step(substeps)
        seconds += time.perf_counter() - began
        physics.state[ids] = state
    return seconds


def ours(num_envs: int, threads: int, seconds: float) -> Iterator[tuple[Implementation, Run]]:
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
        Implementation(RAW, num_envs, threads, steps),
        lambda: replay(raw, env.substeps, recorded),
    )
    yield Implementation(OURS, num_envs, threads, steps), step_ours
    yield Implementation(SB3, num_envs, threads, steps), step_adapter


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
) -> Iterator[tuple[Implementation, Run]]:
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
        actions = _actions(num_envs, shape, _SingleEnv(reset, step), seconds)

        def run() -> float:
            reset()
            began = time.perf_counter()
            for action in actions:
                step(action)
            return time.perf_counter() - began

        workers = 1 if "Sync" in name else num_envs
        yield Implementation(name, num_envs, workers, num_envs * len(actions)), run
    finally:
        env.close()


@dataclass
class _SingleEnv:
    """What ``_actions`` needs of an environment."""

    _reset: Callable[[], Any]
    step: Callable[[np.ndarray], Any]

    def reset(self, seed: int) -> None:
        self._reset()


@contextmanager
def envpool_humanoid(
    num_envs: int, threads: int, seconds: float
) -> Iterator[tuple[Implementation, Run]]:
    """EnvPool's Humanoid, where it is installed."""
    envpool = importlib.import_module("envpool")
    env = envpool.make_gymnasium("Humanoid-v4", num_envs=num_envs, num_threads=threads)
    try:
        actions = _actions(num_envs, (17,), _SingleEnv(env.reset, env.step), seconds)

        def run() -> float:
            env.reset()
            began = time.perf_counter()
            for action in actions:
                env.step(action)
            return time.perf_counter() - began

        yield Implementation("EnvPool Humanoid-v4", num_envs, threads, num_envs * len(actions)), run
    finally:
        env.close()
