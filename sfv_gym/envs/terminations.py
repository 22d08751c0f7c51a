"""Early termination: when an episode has failed (SFV sec. 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EarlyTermination:
    """Thresholds; None switches a test off.

    Attributes:
        fall_contact: a fall link (trunk or head) touches the ground.
        link_distance: metres, the farthest that any link may be from the reference's.
        root_angle: rad, the farthest that the root's rotation may be from the reference's.
    """

    fall_contact: bool = True
    link_distance: float | None = 0.5
    root_angle: float | None = 1.0

    def __call__(
        self, fall_clearance: np.ndarray, link_distance: np.ndarray, root_angle: np.ndarray
    ) -> np.ndarray:
        """Which of N episodes have failed (N,).

        Args:
            fall_clearance: (N,) metres between the ground and the lowest point of a fall link.
            link_distance: (N,) metres, the largest over links.
            root_angle: (N,) rad.
        """
        failed = np.zeros(len(root_angle), bool)
        if self.fall_contact:
            failed |= fall_clearance <= 0.0
        if self.link_distance is not None:
            failed |= link_distance > self.link_distance
        if self.root_angle is not None:
            failed |= root_angle > self.root_angle
        return failed
