"""The state of a batch of simulations, as one value: for planning, copies and pickles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sfv_gym.terrains import Terrain

EPISODE = (
    "motion", "start", "elapsed", "_end", "_last", "_return", "_over", "_failed", "_placed"
)  # fmt: skip
"""Arrays (N,) of the episodes that are being played."""


@dataclass(frozen=True)
class SimulationState:
    """All that decides how N simulations go on: ``get_state`` makes it, ``set_state`` takes it.

    It can be pickled. What it holds is the library's own matter.
    """

    physics: dict[str, np.ndarray]
    fields: dict[str, np.ndarray]
    ground: dict[str, np.ndarray | Terrain]
    starts: list[dict[str, object]]
    pushes: dict[str, np.ndarray]
    episode: dict[str, np.ndarray]
    generators: list[dict[str, Any]]  # as NumPy has them
    motions: dict[str, np.ndarray]

    def fits(
        self,
        physics: Mapping[str, np.ndarray],
        fields: Mapping[str, np.ndarray],
        motions: Mapping[str, np.ndarray],
    ) -> bool:
        """Whether it is of simulations with arrays like these."""
        pairs = (physics, self.physics), (fields, self.fields), (motions, self.motions)
        return all(
            ours.keys() == theirs.keys() and all(ours[k].shape == theirs[k].shape for k in ours)
            for ours, theirs in pairs
        )
