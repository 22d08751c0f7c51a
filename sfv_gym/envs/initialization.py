"""Where an episode starts: the step of the reference, and the noise on the start state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.errors import SFVError, UnknownIdError

INITIALIZATIONS = ("rsi", "fixed")


@dataclass(frozen=True)
class Initialization:
    """Start-state distribution.

    Attributes:
        kind: ``"rsi"`` draws the reference step uniformly (reference state initialization,
            SFV sec. 6), ``"fixed"`` starts at the motion's first frame.
        first_frame: with ``"rsi"``, the share of episodes that start at the first frame all the
            same; that is where an evaluation starts.
        joint_noise: rad, standard deviation on each component of each joint's rotation.
        velocity_noise: standard deviation on each component of the velocity, rad/s and m/s.
        position_noise: metres, standard deviation of the root's horizontal position.
    """

    kind: str = "rsi"
    first_frame: float = 0.0
    joint_noise: float = 0.02
    velocity_noise: float = 0.1
    position_noise: float = 0.02

    def __post_init__(self) -> None:
        if self.kind not in INITIALIZATIONS:
            raise UnknownIdError(
                f"unknown initialization {self.kind!r}; known: {', '.join(INITIALIZATIONS)}"
            )
        if not 0.0 <= self.first_frame < 1.0:
            raise SFVError(f"first_frame must lie in 0..1, below 1; it is {self.first_frame}")

    def draw_step(self, uniform: np.ndarray, num_starts: int) -> np.ndarray:
        """Reference steps (n,) to start at, from uniform numbers (n,) in [0, 1)."""
        if self.kind == "fixed":
            return np.zeros(len(uniform), int)
        drawn = (uniform - self.first_frame) / (1.0 - self.first_frame)
        return np.clip((drawn * num_starts).astype(int), 0, num_starts - 1)
