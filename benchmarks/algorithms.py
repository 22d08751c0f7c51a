"""What a learning algorithm is to the benchmark, and how one is found by name.

An algorithm is any object with two methods. It is named on the command line by

* a built-in name: ``ppo``, ``sac``, ``trpo``, … (``sfv bench algorithms`` lists them);
* the name of an entry point in the group ``sfv_gym.algorithms``;
* ``module:function`` or ``folder/file.py:function``: a function without arguments that returns it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sfv_gym.benchmarks.suites import Suite, SuiteTask
from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.errors import AlgorithmError, MissingExtraError
from sfv_gym.plugins import load_named, short

GROUP = "sfv_gym.algorithms"
DEFAULT_NUM_ENVS = 64


@runtime_checkable
class Agent(Protocol):
    """The two methods. Two more things are used if they are there.

    ``num_envs``: an attribute, how many environments it wants to learn in (64 by default).

    ``resume(logdir) -> int``: called before ``learn`` when a run was killed. It loads what
    ``learn`` left in ``logdir`` and returns the number of control steps that this has already
    learned from, 0 if there is nothing; ``learn`` then goes on to the same ``steps``.
    """

    def learn(self, env: ImitationVectorEnv, steps: int, seed: int, logdir: Path) -> None:
        """Learn from ``steps`` control steps, counted over all environments of ``env``.

        Args:
            env: a Gymnasium vector environment that resets itself within the step. From time to
                time it scores ``predict`` from within ``env.step``, which the clock leaves out.
            seed: of everything that is drawn; ``env.reset(seed=seed)`` seeds the environment.
            logdir: a folder of the run's own, for checkpoints and logs.
        """

    def predict(self, observations: np.ndarray) -> np.ndarray:
        """Actions (N, A) in [-1, 1], without exploration, for observations (N, D)."""


@dataclass(frozen=True)
class BuiltIn:
    """A class of Stable-Baselines3's kind that comes with an extra of sfv_gym.

    Attributes:
        module, attribute: where the class is. package: its distribution, for the version.
    """

    module: str
    attribute: str
    package: str
    extra: str


_SB3 = ("stable_baselines3", "stable_baselines3", "bench")
_CONTRIB = ("sb3_contrib", "sb3_contrib", "bench")
_SBX = ("sbx", "sbx-rl", "sbx")
BUILT_IN: dict[str, BuiltIn] = {
    name: BuiltIn(module, attribute, package, extra)
    for name, attribute, (module, package, extra) in (
        ("ppo", "PPO", _SB3),
        ("a2c", "A2C", _SB3),
        ("sac", "SAC", _SB3),
        ("td3", "TD3", _SB3),
        ("trpo", "TRPO", _CONTRIB),
        ("tqc", "TQC", _CONTRIB),
        ("ars", "ARS", _CONTRIB),
        ("sbx-ppo", "PPO", _SBX),
        ("sbx-sac", "SAC", _SBX),
        ("sbx-td3", "TD3", _SBX),
        ("sbx-tqc", "TQC", _SBX),
        ("sbx-crossq", "CrossQ", _SBX),
    )
}
ZERO = "zero"


class ZeroAgent:
    """Learns nothing and acts with 0: what the reference's PD targets alone achieve."""

    num_envs = DEFAULT_NUM_ENVS

    def __init__(self) -> None:
        self._size = 0

    def learn(self, env: ImitationVectorEnv, steps: int, seed: int, logdir: Path) -> None:
        """Note how many actions there are; no step is taken."""
        self._size = env.single_action_space.shape[0]  # type: ignore[index]

    def predict(self, observations: np.ndarray) -> np.ndarray:
        """Zeros (N, A), whatever is observed."""
        return np.zeros((len(observations), self._size))


@dataclass(frozen=True)
class Algorithm:
    """An algorithm that was found.

    Attributes:
        name: for tables and folders. spec: what it was asked for by.
        package: the distribution whose version a result notes, if any.
        make: gives a fresh agent for a task of a suite.
    """

    name: str
    spec: str
    package: str | None
    make: Callable[[Suite, SuiteTask], Agent]


def find_algorithm(spec: str) -> Algorithm:
    """The algorithm that ``spec`` names.

    Raises:
        AlgorithmError: there is none, or its module cannot be imported.
        MissingExtraError: it needs a package that is not installed.
    """
    if spec == ZERO:
        return Algorithm(ZERO, spec, None, lambda suite, task: ZeroAgent())
    if spec in BUILT_IN:
        return _built_in(spec, BUILT_IN[spec])
    if ":" in spec:
        return _from_module(spec)
    own = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    if spec in own:
        try:
            factory = own[spec].load()
        except Exception as error:  # whatever another's package raises
            raise AlgorithmError(f"{spec}: cannot be loaded: {short(error)}") from error
        source = own[spec].dist
        package = source.name if source is not None else None
        return _from_factory(spec, spec, package, factory)
    known = ", ".join([*BUILT_IN, ZERO, *own])
    raise AlgorithmError(
        f"{spec}: no such algorithm; known: {known}. Your own: --algo my_module:make_agent"
    )


def _built_in(name: str, entry: BuiltIn) -> Algorithm:
    try:
        module = importlib.import_module(entry.module)
    except ImportError as error:
        raise MissingExtraError(
            f"{name} needs {entry.package}, which is not installed ({error}): "
            f"pip install 'sfv-gym[{entry.extra}]'"
        ) from None

    def make(suite: Suite, task: SuiteTask) -> Agent:
        from sfv_gym.benchmarks.sb3_agent import SB3Agent, load_settings

        return SB3Agent(getattr(module, entry.attribute), load_settings(name, suite, task))

    return Algorithm(name, name, entry.package, make)


def _from_module(spec: str) -> Algorithm:
    place, _, attribute = spec.rpartition(":")
    try:
        factory = load_named(spec)
    except Exception as error:  # whatever another's module raises
        raise AlgorithmError(f"{spec}: cannot be loaded: {short(error)}") from error
    name = Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]
    if attribute != "make_agent":
        name = f"{name}.{attribute}"
    return _from_factory(name, spec, None, factory)


def _from_factory(
    name: str, spec: str, package: str | None, factory: Callable[[], Any]
) -> Algorithm:
    if not re.fullmatch(r"[\w.+-]+", name):
        raise AlgorithmError(f"{name!r} cannot name a folder: use letters, digits, - and _")
    if not callable(factory):
        raise AlgorithmError(f"{name}: {spec} is not a function")

    def make(suite: Suite, task: SuiteTask) -> Agent:
        agent = factory()
        if not isinstance(agent, Agent):
            raise AlgorithmError(
                f"{name}: {spec} gave {type(agent).__name__}, which lacks one of the methods "
                "learn(env, steps, seed, logdir) and predict(observations)"
            )
        return agent

    return Algorithm(name, spec, package, make)
