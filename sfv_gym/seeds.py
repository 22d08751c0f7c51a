"""Which random numbers belong to what: one table, so that no two purposes share an episode.

A policy that is chosen by some episodes is better in those than in others. So training, choosing,
comparing and publishing each have a stream of their own, and so has every seed within one.

A seed that a user gives to ``reset`` is taken as it is (environment ``i`` of a batch draws from
``seed + i``, as Gymnasium's vector environments do). Those below 2**32 make up the stream ``USER``;
all others are far above.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from sfv_gym.checks import whole
from sfv_gym.errors import SettingError

MAX_SEED = 2**32 - 1
"""The largest seed of a run or an evaluation."""
_ENVIRONMENTS_BITS, _PART_BITS, _SEED_BITS = 12, 48, 32


class Purpose(IntEnum):
    """What episodes are played for."""

    USER = 0
    """Of whoever calls ``reset(seed=...)``."""
    TRAINING = 1
    """A run's own samples."""
    SELECTION = 2
    """Evaluations during a run, by which its best policy is chosen."""
    RUN_OFF = 3
    """The comparison of a run's best policy and its last one."""
    INSTALLATION = 4
    """The comparison of a run's policy with the one that is there already."""
    PUBLICATION = 5
    """The figures in a policy's card and on every page: they choose nothing."""
    MATRIX = 6
    """Policies on terrains and difficulties."""
    PUSHES = 7
    """Policies against pushes."""
    BENCHMARK_TRAINING = 8
    """A benchmark run's own samples."""
    BENCHMARK_CURVE = 9
    """Evaluations during a benchmark run."""
    BENCHMARK_RESULT = 10
    """A benchmark run's final figures."""
    ABLATIONS = 11
    """The final figures of the study of the trainer's settings."""


def stream(purpose: Purpose, seed: int = 0, part: int = 0) -> int:
    """The seed of the first environment of a batch; environment ``i`` has the next ``i``-th.

    Batches of up to 4,096 environments of other purposes, seeds or parts share none of theirs.

    Args:
        seed: of the run or evaluation, 0 to 2**32 - 1.
        part: of a run that goes on, such as its samples so far.

    Raises:
        SettingError: seed or part is out of range.
    """
    seed = checked_seed(seed)
    if not 0 <= part < 2**_PART_BITS:
        raise SettingError(f"part must lie between 0 and 2**{_PART_BITS}, it is {part}")
    if purpose is Purpose.USER:
        return seed
    value = (int(purpose) << _SEED_BITS) | seed
    return ((value << _PART_BITS) | part) << _ENVIRONMENTS_BITS


def checked_seed(seed: Any) -> int:
    """A seed as an ``int``; raises SettingError if it is none of 0 to 2**32 - 1."""
    return whole("a seed", seed, 0, MAX_SEED)
