"""Early termination: when an episode has failed (SFV sec. 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.array_types import Bool, Float
from sfv_gym.checks import real
from sfv_gym.errors import SettingError


@dataclass(frozen=True)
class EarlyTermination:
    """Thresholds; None switches a test off.

    Attributes:
        fall_contact: whether a fall link (trunk or head) that touches the ground ends the
            episode. None: it does, unless the skill itself takes one there, as rolling, crawling
            and getting up do.
        link_distance: metres, the farthest that any link may be from the reference's.
        root_angle: rad, the farthest that the root's rotation may be from the reference's.
        root_distance: metres, the farthest that the root may be from the reference's.
        object_distance: metres, the farthest that an object that may be moved may be off its path.
    """

    fall_contact: bool | None = None
    link_distance: float | None = 0.5
    root_angle: float | None = 1.0
    root_distance: float | None = None
    object_distance: float | None = 0.5

    def __post_init__(self) -> None:
        if self.fall_contact not in (None, True, False):
            raise SettingError(
                f"fall_contact must be True, False or None, not {self.fall_contact!r}"
            )
        for name in ("link_distance", "root_angle", "root_distance", "object_distance"):
            if getattr(self, name) is not None:
                real(name, getattr(self, name), 0.0, 1000.0)

    @classmethod
    def none(cls) -> EarlyTermination:
        """Nothing ends an episode early."""
        return cls(
            fall_contact=False,
            link_distance=None,
            root_angle=None,
            root_distance=None,
            object_distance=None,
        )

    def fall_counts(self, touches_ground: Bool[np.ndarray, " M"]) -> Bool[np.ndarray, " M"]:
        """For which motions (M,) a fall ends an episode.

        Args:
            touches_ground: (M,) whether the motion itself takes a fall link there.
        """
        if self.fall_contact is None:
            return ~touches_ground
        return np.full(len(touches_ground), self.fall_contact)

    def __call__(
        self,
        fall_counts: Bool[np.ndarray, " N"],
        fall_clearance: Float[np.ndarray, " N"],
        link_distance: Float[np.ndarray, " N"],
        root_angle: Float[np.ndarray, " N"],
        root_distance: Float[np.ndarray, " N"],
        object_position: Float[np.ndarray, "N K"] | None = None,
    ) -> Bool[np.ndarray, " N"]:
        """Which of N episodes have failed (N,).

        Args:
            fall_counts: (N,) whether a fall ends the episode, see ``fall_counts``.
            fall_clearance: (N,) metres between the ground and the lowest point of a fall link.
            link_distance: (N,) metres, the largest over links.
            root_angle: (N,) rad.
            root_distance: (N,) metres.
            object_position: (N, K) metres, of each object that may be moved from its path.
        """
        failed = fall_counts & (fall_clearance <= 0.0)
        if self.link_distance is not None:
            failed |= link_distance > self.link_distance
        if self.root_angle is not None:
            failed |= root_angle > self.root_angle
        if self.root_distance is not None:
            failed |= root_distance > self.root_distance
        if self.object_distance is not None and object_position is not None:
            failed |= (object_position > self.object_distance).any(-1)
        return failed
