"""Starts over several motions: a sampler for each, in the rows of their joint table."""

from __future__ import annotations

import numpy as np

from sfv_gym.envs.reference import References
from sfv_gym.envs.starts.base import Initialization, Starts, StartSampler


class MixedStarts:
    """What draws the starts of N environments, each of which has a motion of its own.

    Args:
        coordinates: (S, nv) the references' poses: root position, root rotation vector, joints.
    """

    def __init__(
        self,
        settings: Initialization,
        references: References,
        coordinates: np.ndarray,
        num_envs: int,
    ) -> None:
        self._first = references.first
        spans = zip(references.first, references.end + 1, references.num_starts, strict=True)
        self.samplers: list[StartSampler] = [
            settings.sampler(references.qvel[a:b], coordinates[a:b], int(starts), num_envs)
            for a, b, starts in spans
        ]
        self.may_penetrate = self.samplers[0].may_penetrate

    def draw(
        self, ids: np.ndarray, motion: np.ndarray, uniform: np.ndarray, normal: np.ndarray
    ) -> Starts:
        """Starts for the environments ``ids`` (n,), whose motions are ``motion`` (n,).

        Args:
            uniform: (n,) in [0, 1). normal: (n, 2 nv) standard normal.
        """
        if len(self.samplers) == 1:
            return self.samplers[0].draw(ids, uniform, normal)
        half = normal.shape[1] // 2
        row = np.empty(len(ids), int)
        pose, velocity = np.empty((2, len(ids), half))
        for m in np.unique(motion):
            own = np.flatnonzero(motion == m)
            starts = self.samplers[m].draw(ids[own], uniform[own], normal[own])
            row[own] = self._first[m] + starts.row
            pose[own], velocity[own] = starts.pose, starts.velocity
        return Starts(row, pose, velocity)

    def around(self, rows: np.ndarray, normal: np.ndarray) -> Starts:
        """Starts at given rows (n,) of the joint table, with the noise that all kinds share."""
        return self.samplers[0].around(rows, normal)

    def finished(
        self, ids: np.ndarray, motion: np.ndarray, returns: np.ndarray, failed: np.ndarray
    ) -> None:
        """The episodes of ``ids`` (n,) are over: undiscounted returns (n,), early ends (n,)."""
        for m in np.unique(motion):
            own = motion == m
            self.samplers[m].finished(ids[own], returns[own], failed[own])

    def state(self) -> dict[str, np.ndarray]:
        """What was learned, for a checkpoint."""
        return {
            self._key(m, name): array
            for m, sampler in enumerate(self.samplers)
            for name, array in sampler.state().items()
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what ``state`` returned."""
        for m, sampler in enumerate(self.samplers):
            sampler.restore({name: state[self._key(m, name)] for name in sampler.learned})

    def snapshot(self) -> list[dict[str, object]]:
        """All that decides what will be drawn, running episodes included."""
        return [sampler.snapshot() for sampler in self.samplers]

    def resume(self, snapshot: list[dict[str, object]]) -> None:
        """Go on from what ``snapshot`` returned."""
        for sampler, kept in zip(self.samplers, snapshot, strict=True):
            sampler.resume(kept)

    def _key(self, motion: int, name: str) -> str:
        return name if len(self.samplers) == 1 else f"{name}.{motion}"
