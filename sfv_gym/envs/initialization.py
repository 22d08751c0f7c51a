"""Where an episode starts: the step of the reference, and the noise on the start state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.errors import UnknownIdError

INITIALIZATIONS = ("rsi", "fixed")


@dataclass(frozen=True)
class Initialization:
    """Start-state distribution.

    Attributes:
        kind: ``"rsi"`` draws the reference step uniformly (reference state initialization,
            SFV sec. 6), ``"fixed"`` starts at the motion's first frame.
        joint_noise: rad, standard deviation on each component of each joint's rotation.
        velocity_noise: standard deviation on each component of the velocity, rad/s and m/s.
        position_noise: metres, standard deviation of the root's horizontal position.
    """

    kind: str = "rsi"
    joint_noise: float = 0.02
    velocity_noise: float = 0.1
    position_noise: float = 0.02

    def __post_init__(self) -> None:
        if self.kind not in INITIALIZATIONS:
            raise UnknownIdError(
                f"unknown initialization {self.kind!r}; known: {', '.join(INITIALIZATIONS)}"
            )

    def draw_step(self, uniform: np.ndarray, num_starts: int) -> np.ndarray:
        """Reference steps (n,) to start at, from uniform numbers (n,) in [0, 1)."""
        if self.kind == "fixed":
            return np.zeros(len(uniform), int)
        return np.minimum((uniform * num_starts).astype(int), num_starts - 1)
