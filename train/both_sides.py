"""Each motion and its mirror image learned at once, from simulations of the motion alone."""

from __future__ import annotations

import numpy as np

from sfv_gym.array_types import Float
from sfv_gym.characters.symmetry import Reorder
from sfv_gym.envs.mirroring import mirror_of
from sfv_gym.envs.task import Task
from sfv_gym.errors import CharacterError, SettingError


class BothSides:
    """Some environments are looked at and acted in through a mirror.

    The physics has no sides: what a student sees, does and is told in such an environment is, to
    rounding, that of one in which the motion's mirror image is imitated, with the mirror image of
    the motion's specialist as its teacher (tested). So it is DAgger on twice as many motions, and
    the student gets into its own states with all of them, at the price of looking columns up.
    Mirroring samples instead, or besides, came to the same in one run each. Of Atlas, which is not
    quite its own mirror image, all this holds to some millimetres.

    Args:
        task: whose observation the student sees.
        num_envs: N. share: of them.

    Attributes:
        missing: why there is no mirror; empty where there is one.
    """

    def __init__(self, task: Task, num_envs: int, share: float) -> None:
        self.missing, self._mirror = "", None
        if share:
            try:
                self._mirror = mirror_of(task.observation_parts, task.character)
            except (CharacterError, SettingError) as error:
                self.missing = str(error)
        steps = np.floor(share * np.arange(num_envs + 1) + 1e-9)
        # evenly among them
        self._through = np.flatnonzero(np.diff(steps)) if self._mirror else np.zeros(0, int)

    def observation(self, seen: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
        """What the student sees where (N, D) is to be seen."""
        return self._turned(seen, None if self._mirror is None else self._mirror.observation)

    def action(self, action: Float[np.ndarray, "N A"]) -> Float[np.ndarray, "N A"]:
        """What is done where the student does (N, A), and what it is told where (N, A) is right."""
        return self._turned(action, None if self._mirror is None else self._mirror.action)

    def with_images(self, seen: Float[np.ndarray, "S D"]) -> Float[np.ndarray, "S2 D"]:
        """Observations (S, D), and after them their mirror images: a normalisation that is made of
        all of them is the same on both sides."""
        if self._mirror is None:
            return seen
        return np.concatenate((seen, self._mirror.observation(seen)))

    def _turned(self, values: np.ndarray, mirror: Reorder | None) -> np.ndarray:
        if mirror is None or not len(self._through):
            return values
        turned = values.copy()
        turned[self._through] = mirror(values[self._through])
        return turned
