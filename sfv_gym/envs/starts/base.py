"""Starts that do not learn, and what all kinds share: the noise around the reference's state."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from sfv_gym.checks import real


@dataclass(frozen=True)
class Initialization:
    """Start states: what all kinds share, the noise around the reference's state.

    Attributes:
        joint_noise: rad, standard deviation on each component of each joint's rotation.
        velocity_noise: standard deviation on each component of the velocity, rad/s and m/s.
        position_noise: metres, standard deviation of the root's horizontal position.
    """

    joint_noise: float = 0.02
    velocity_noise: float = 0.1
    position_noise: float = 0.02

    def __post_init__(self) -> None:
        for name, most in (("joint_noise", 1.0), ("velocity_noise", 10.0), ("position_noise", 2.0)):
            real(name, getattr(self, name), 0.0, most)

    def sampler(self, qvel: np.ndarray, pose: np.ndarray, num_starts: int, n: int) -> StartSampler:
        """What draws the starts of ``n`` environments.

        Args:
            qvel: (S, nv) the reference's velocities; pose: (S, nv) its pose, in coordinates that
                have a spread: root position, root rotation vector, joint vector.
            num_starts: rows that an episode may start from.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class FixedInitialization(Initialization):
    """Every episode starts at the motion's first frame."""

    def sampler(self, qvel: np.ndarray, pose: np.ndarray, num_starts: int, n: int) -> StartSampler:
        """One that knows a single row, the first."""
        return UniformSampler(self, qvel.shape[1], 1, first_frame=0.0)


@dataclass(frozen=True)
class ReferenceStateInitialization(Initialization):
    """Reference state initialization (SFV sec. 6): a uniformly drawn step of the reference.

    Attributes:
        first_frame: the share of episodes that start at the first frame all the same; that is
            where an evaluation starts.
    """

    first_frame: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        real("first_frame", self.first_frame, 0.0, 1.0, below=True)

    def sampler(self, qvel: np.ndarray, pose: np.ndarray, num_starts: int, n: int) -> StartSampler:
        """One that draws every row alike, but for the share of the first."""
        return UniformSampler(self, qvel.shape[1], num_starts, self.first_frame)


@dataclass(frozen=True)
class Starts:
    """Drawn starts of n environments.

    Attributes:
        row: (n,) of the reference table.
        pose: (n, nv) what the reference's pose is moved by: root position in metres, world, then
            rotations in rad, each in its own frame. velocity: (n, nv) what is added to qvel.
    """

    row: np.ndarray
    pose: np.ndarray
    velocity: np.ndarray


class StartSampler:
    """Draws starts, and hears how the episodes ended."""

    may_penetrate = False
    """Whether a drawn state may penetrate the ground, and has to be raised out of it."""
    learned: tuple[str, ...] = ()
    """Names of the arrays that it learns from how episodes end."""
    running: tuple[str, ...] = ()
    """Names of what it keeps of the episodes that are being played."""

    def __init__(self, settings: Initialization, nv: int) -> None:
        self.settings = settings
        self._noise = np.zeros(2 * nv)
        self._noise[:2] = settings.position_noise
        self._noise[6:nv] = settings.joint_noise
        self._noise[nv:] = settings.velocity_noise

    def draw(self, ids: np.ndarray, uniform: np.ndarray, normal: np.ndarray) -> Starts:
        """Starts for the environments ``ids`` (n,).

        Args:
            uniform: (n,) in [0, 1). normal: (n, 2 nv) standard normal.
        """
        return self.around(self.rows(ids, uniform), normal)

    def around(self, rows: np.ndarray, normal: np.ndarray) -> Starts:
        """Starts at given rows (n,), with the noise that all kinds share."""
        noise = self._noise * normal
        nv = len(self._noise) // 2
        return Starts(rows, noise[:, :nv], noise[:, nv:])

    def rows(self, ids: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Rows (n,) for ``uniform`` (n,) in [0, 1): what the kinds without a ``draw`` define."""
        raise NotImplementedError

    def finished(self, ids: np.ndarray, returns: np.ndarray, failed: np.ndarray) -> None:
        """The episodes of ``ids`` (n,) are over: undiscounted returns (n,), early ends (n,)."""

    def state(self) -> dict[str, np.ndarray]:
        """What it has learned, for a checkpoint."""
        return {name: getattr(self, name).copy() for name in self.learned}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what ``state`` returned."""
        for name in self.learned:
            getattr(self, name)[:] = state[name]

    def snapshot(self) -> dict[str, object]:
        """All that decides what it will draw, what it has of running episodes included."""
        return copy.deepcopy({n: getattr(self, n) for n in (*self.learned, *self.running)})

    def resume(self, snapshot: dict[str, object]) -> None:
        """Go on from what ``snapshot`` returned."""
        for name, value in copy.deepcopy(snapshot).items():
            setattr(self, name, value)


def after_first_frame(uniform: np.ndarray, share: float) -> np.ndarray:
    """Draws in [0, 1) as new ones; those of the first frame's share become negative."""
    return (uniform - share) / (1.0 - share)


class UniformSampler(StartSampler):
    """Uniform over rows, with a share of its own for the first one."""

    def __init__(
        self, settings: Initialization, nv: int, num_starts: int, first_frame: float
    ) -> None:
        super().__init__(settings, nv)
        self._num_starts, self._first_frame = num_starts, first_frame

    def rows(self, ids: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Rows (n,); a ``uniform`` below the first frame's share gives row 0."""
        drawn = after_first_frame(uniform, self._first_frame)
        return np.clip((drawn * self._num_starts).astype(int), 0, self._num_starts - 1)
