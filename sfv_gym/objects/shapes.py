"""The types of object that ship."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.objects.scene_object import SceneObject


@dataclass(frozen=True, eq=False)
class Box(SceneObject):
    """A box: ``size`` is its length, width and height."""

    name = "box"
    geom = "box"

    def reach(self, half: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """See ``SceneObject``."""
        return np.asarray((np.abs(direction) * half).sum(-1))


@dataclass(frozen=True, eq=False)
class Ball(SceneObject):
    """A ball: ``size`` is its diameter."""

    name = "ball"
    geom = "sphere"
    is_round = True

    def reach(self, half: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """See ``SceneObject``."""
        return half[..., 0] * np.ones(direction.shape[:-1])
