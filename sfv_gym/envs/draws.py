"""What episodes draw, each environment from generators of its own."""

from __future__ import annotations

from typing import Any

import numpy as np


class EpisodeDraws:
    """Random numbers for the starts of N environments' episodes: N does not change a draw.

    Args:
        num_uniform, num_normal: numbers of each kind that an episode takes, whatever it needs.
    """

    def __init__(self, n: int, num_uniform: int, num_normal: int) -> None:
        self._num_uniform, self._num_normal = num_uniform, num_normal
        self._generators = [np.random.default_rng() for _ in range(n)]
        self._motion_generators = [np.random.default_rng() for _ in range(n)]

    def seed(self, i: int, seed: int) -> None:
        """Environment i draws from generators of that seed. Which motion it imitates has one of
        its own: what else it draws is the same among several motions as with one."""
        self._generators[i] = np.random.default_rng(seed)
        self._motion_generators[i] = np.random.default_rng((seed, 1))

    def for_motions(self, ids: np.ndarray) -> np.ndarray:
        """(n,) in [0, 1), by which the environments ``ids`` (n,) choose their next motions."""
        return np.array([self._motion_generators[i].random() for i in ids])

    def numbers(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, num_uniform) in [0, 1) and (n, num_normal) standard normal for ``ids`` (n,)."""
        uniform = np.empty((len(ids), self._num_uniform))
        normal = np.empty((len(ids), self._num_normal))
        for k, i in enumerate(ids):
            generator = self._generators[i]
            uniform[k, 0] = generator.random()
            generator.standard_normal(out=normal[k])
            generator.random(out=uniform[k, 1:])
        return uniform, normal

    def snapshot(self) -> list[dict[str, Any]]:
        """The insides of all generators."""
        generators = (*self._generators, *self._motion_generators)
        return [dict(generator.bit_generator.state) for generator in generators]

    def resume(self, snapshot: list[dict[str, Any]]) -> None:
        """Go on from what ``snapshot`` returned."""
        generators = (*self._generators, *self._motion_generators)
        for generator, inside in zip(generators, snapshot, strict=True):
            generator.bit_generator.state = inside
