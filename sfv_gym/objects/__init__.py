"""Objects: what stands or lies in a scene beside the character and the ground.

None ships yet. A type of object is a frozen dataclass that adds its bodies to a model; an object
given to a task may move freely, and neither its joints nor its geoms count as the character's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import mujoco


@dataclass(frozen=True)
class SceneObject(ABC):
    """Base of all types of object."""

    @abstractmethod
    def add_to(self, spec: mujoco.MjSpec, name: str) -> None:
        """Add its bodies to the world of a scene, after the character's and the ground's.

        Args:
            name: of this object in the scene, for a prefix of its bodies', joints' and geoms'
                names: there may be two of a type.
        """


__all__ = ["SceneObject"]
