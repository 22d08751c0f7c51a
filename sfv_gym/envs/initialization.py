"""Where an episode starts: the step of the reference, and how far from it.

An ``Initialization`` is a small typed setting. Its ``sampler`` draws starts for N environments,
and the adaptive ones learn from how the episodes ended.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from sfv_gym.checks import real, whole
from sfv_gym.errors import SettingError, UnknownIdError


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
        return UniformSampler(self, qvel.shape[1], num_starts, self.first_frame)


@dataclass(frozen=True)
class FailureWeightedInitialization(Initialization):
    """RSI that starts more often where episodes have failed early.

    Attributes:
        bins: phases that failures are counted in.
        uniform: the share of starts that stay uniform.
        memory: the weight that a phase's past failures keep when an episode from it ends.
        first_frame: the share of episodes that start at the first frame whatever has failed.
    """

    bins: int = 20
    uniform: float = 0.3
    memory: float = 0.95
    first_frame: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("bins", self.bins, 1, 10_000)
        for name in ("first_frame", "uniform", "memory"):
            real(name, getattr(self, name), 0.0, 1.0, below=True)

    def sampler(self, qvel: np.ndarray, pose: np.ndarray, num_starts: int, n: int) -> StartSampler:
        return FailureSampler(self, qvel.shape[1], num_starts, n)


@dataclass(frozen=True)
class AdaptiveStateInitialization(Initialization):
    """Adaptive state initialization (ASI, SFV sec. 6): a learned start-state distribution.

    ``phases`` uniform phases, drawn with learned probabilities, and around the reference's state
    at each a diagonal Gaussian over pose and velocity, whose mean and spread are learned as well,
    by the policy gradient of the episode's return. The drawn state is lifted out of the ground.

    Attributes:
        phases: k, fixed over the motion.
        spread: first standard deviation of each coordinate, in standard deviations of that
            coordinate over the reference's states (the paper takes 1).
        phase_step: how far an update may move the probabilities of the phases, and
        state_step: the mean and spread of the states at each: the Kullback-Leibler divergence of
            the new distribution from the old one, in nats, at the most (a natural gradient, cut
            to the size of what could be told from noise).
        episodes_per_update: episodes whose returns make one update.
    """

    phases: int = 10
    spread: float = 0.1
    phase_step: float = 0.02
    state_step: float = 0.02
    episodes_per_update: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("phases", self.phases, 1, 10_000)
        whole("episodes_per_update", self.episodes_per_update, 2, 10_000_000)
        real("spread", self.spread, 1e-6, 10.0)
        for name in ("phase_step", "state_step"):
            real(name, getattr(self, name), 0.0, 1.0)

    def sampler(self, qvel: np.ndarray, pose: np.ndarray, num_starts: int, n: int) -> StartSampler:
        return AdaptiveSampler(self, qvel, pose, num_starts, n)


INITIALIZATIONS: dict[str, type[Initialization]] = {
    "rsi": ReferenceStateInitialization,
    "fixed": FixedInitialization,
    "failure": FailureWeightedInitialization,
    "asi": AdaptiveStateInitialization,
}


def get_initialization(initialization: str | Initialization, **settings: float) -> Initialization:
    """The object itself, or the one of that name, with those of ``settings`` that it has.

    Raises:
        UnknownIdError: there is none of that name.
        SettingError: a setting makes no sense, or it is neither a name nor an ``Initialization``.
    """
    if isinstance(initialization, Initialization):
        return initialization
    if not isinstance(initialization, str):
        raise SettingError(
            f"initialization must be a name or an Initialization, not {initialization!r}"
        )
    if initialization not in INITIALIZATIONS:
        raise UnknownIdError(
            f"unknown initialization {initialization!r}; known: {', '.join(INITIALIZATIONS)}"
        )
    kind = INITIALIZATIONS[initialization]
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in settings.items() if name in known})


# --- samplers -----------------------------------------------------------------------------------


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

    lifts = False
    """Whether a drawn state may lie in the ground, and has to be lifted out of it."""
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

    def snapshot(self) -> dict[str, Any]:
        """All that decides what it will draw, what it has of running episodes included."""
        return copy.deepcopy({n: getattr(self, n) for n in (*self.learned, *self.running)})

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go on from what ``snapshot`` returned."""
        for name, value in copy.deepcopy(snapshot).items():
            setattr(self, name, value)


def _after_first_frame(uniform: np.ndarray, share: float) -> np.ndarray:
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
        drawn = _after_first_frame(uniform, self._first_frame)
        return np.clip((drawn * self._num_starts).astype(int), 0, self._num_starts - 1)


class FailureSampler(StartSampler):
    """Rows in proportion to how often episodes from their bin have failed."""

    learned = ("failure_rate",)
    running = ("_bin",)

    def __init__(
        self, settings: FailureWeightedInitialization, nv: int, num_starts: int, n: int
    ) -> None:
        super().__init__(settings, nv)
        self._uniform, self._memory = settings.uniform, settings.memory
        self._first_frame = settings.first_frame
        self._num_starts = num_starts
        self._bins = min(settings.bins, num_starts)
        self.failure_rate = np.full(self._bins, 0.5)  # (bins,)
        self._bin = np.zeros(n, int)

    @property
    def probabilities(self) -> np.ndarray:
        """(bins,) of a start in each."""
        weight = self.failure_rate + 1e-6
        return self._uniform / self._bins + (1 - self._uniform) * weight / weight.sum()

    def rows(self, ids: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        edges = np.concatenate(([0.0], np.cumsum(self.probabilities)))
        edges /= edges[-1]
        drawn = _after_first_frame(uniform, self._first_frame)
        chosen = np.clip(np.searchsorted(edges, drawn, side="right") - 1, 0, self._bins - 1)
        within = (drawn - edges[chosen]) / (edges[chosen + 1] - edges[chosen])
        self._bin[ids] = chosen
        row = ((chosen + within) * self._num_starts / self._bins).astype(int)
        return np.clip(row, 0, self._num_starts - 1)

    def finished(self, ids: np.ndarray, returns: np.ndarray, failed: np.ndarray) -> None:
        for chosen, one in zip(self._bin[ids], failed, strict=True):  # a few a step
            rate = self.failure_rate[chosen]
            self.failure_rate[chosen] = self._memory * rate + (1 - self._memory) * one


class AdaptiveSampler(StartSampler):
    """The distribution of ASI: a categorical over phases, and a Gaussian around each.

    Everything is in units of the first standard deviations, so that one learning rate fits
    metres and radians: a start is reference + scale * (mean + exp(log_std) * noise).
    """

    lifts = True
    learned = ("logits", "mean", "log_std")
    running = ("_phase", "_drawn", "_returns", "_phases", "_states", "_pending")

    def __init__(
        self,
        settings: AdaptiveStateInitialization,
        qvel: np.ndarray,
        pose: np.ndarray,
        num_starts: int,
        n: int,
    ) -> None:
        nv = qvel.shape[1]
        super().__init__(settings, nv)
        k = settings.phases
        self._settings: AdaptiveStateInitialization = settings
        self._rows = (np.arange(k) * num_starts) // k
        states = np.concatenate((pose[:num_starts], qvel[:num_starts]), axis=1)
        scale = settings.spread * states.std(axis=0)
        scale[:2] = settings.position_noise  # along its path a motion may go anywhere
        self._scale = np.maximum(scale, 1e-4)
        self.logits = np.zeros(k)
        self.mean, self.log_std = np.zeros((k, 2 * nv)), np.zeros((k, 2 * nv))
        self._phase, self._drawn = np.zeros(n, int), np.zeros((n, 2 * nv))
        self._returns: list[np.ndarray] = []
        self._phases: list[np.ndarray] = []
        self._states: list[np.ndarray] = []
        self._pending = 0

    @property
    def probabilities(self) -> np.ndarray:
        """(k,) of each phase."""
        weight = np.exp(self.logits - self.logits.max())
        return weight / weight.sum()

    def draw(self, ids: np.ndarray, uniform: np.ndarray, normal: np.ndarray) -> Starts:
        edges = np.cumsum(self.probabilities)
        phase = np.minimum(np.searchsorted(edges, uniform, side="right"), len(edges) - 1)
        drawn = self.mean[phase] + np.exp(self.log_std[phase]) * normal
        self._phase[ids], self._drawn[ids] = phase, drawn
        offset = self._scale * drawn
        nv = offset.shape[1] // 2
        return Starts(self._rows[phase], offset[:, :nv], offset[:, nv:])

    def finished(self, ids: np.ndarray, returns: np.ndarray, failed: np.ndarray) -> None:
        self._returns.append(returns)
        self._phases.append(self._phase[ids])
        self._states.append(self._drawn[ids])
        self._pending += len(ids)
        if self._pending >= self._settings.episodes_per_update:
            self._update(*map(np.concatenate, (self._returns, self._phases, self._states)))
            self._returns, self._phases, self._states, self._pending = [], [], [], 0

    def _update(self, returns: np.ndarray, phase: np.ndarray, drawn: np.ndarray) -> None:
        """One step up the natural gradient of E[return], by the score function.

        The paper's plain gradient at its step size leaves the distribution where it is: fifty
        updates moved a mean by 0.05 of its standard deviation. In units of the distribution itself
        (Fisher's metric) a step has a size that means something, whatever a return's scale: an
        update may move the distribution by as much as its settings allow. The baseline is the mean
        return of a phase, since how far an episode can get differs more between phases than
        between the states of one.
        """
        k = len(self.logits)
        spread = returns.std()
        if not spread > 0.0:
            return
        scaled = (returns - returns.mean()) / spread
        chosen = np.eye(k)[phase]  # (episodes, k)
        count = chosen.sum(0)
        mean = chosen.T @ scaled / np.maximum(count, 1.0)  # (k,) of each phase
        # the categorical: its natural gradient is the phases' advantage over the average
        share = self.probabilities
        ascent = np.where(count > 0, mean - share @ mean, 0.0)
        self.logits += ascent * _step_size(
            0.5 * (share * ascent**2).sum(), self._settings.phase_step
        )
        np.clip(self.logits, self.logits.max() - MAX_LOGIT_RANGE, None, out=self.logits)
        # the Gaussians: the Fisher information is 1 / std^2 of the mean and 2 of the log std
        std = np.exp(self.log_std[phase])
        z = (drawn - self.mean[phase]) / std
        advantage = scaled - mean[phase]
        weighted = (advantage[:, None] * chosen).T / np.maximum(count, 1.0)[:, None]
        to_mean, to_log_std = weighted @ z, 0.5 * (weighted @ (np.square(z) - 1.0))
        # an average of n products of unit size is off by 1 / sqrt(n): what is smaller is noise
        noise = 1.0 / np.sqrt(np.maximum(count, 1.0))[:, None]
        to_mean = np.sign(to_mean) * np.maximum(np.abs(to_mean) - noise, 0.0)
        to_log_std = np.sign(to_log_std) * np.maximum(np.abs(to_log_std) - noise, 0.0)
        moved = 0.5 * np.square(to_mean).sum(1) + np.square(to_log_std).sum(1)  # (k,) nats
        size = np.array([_step_size(one, self._settings.state_step) for one in moved])[:, None]
        self.mean += size * np.exp(self.log_std) * to_mean
        self.log_std += size * to_log_std
        np.clip(self.log_std, *LOG_STD_RANGE, out=self.log_std)


MAX_LOGIT_RANGE = 3.0
"""The rarest phase is drawn a twentieth as often as the likeliest, at the least."""
LOG_STD_RANGE = (-2.0, 1.0)
"""Of a coordinate, from its first standard deviation: no start becomes certain, none absurd."""


def _step_size(divergence: float, most: float) -> float:
    """The factor of a step whose divergence, which grows as its square, may be ``most``."""
    return 0.0 if divergence <= 0.0 else min(1.0, float(np.sqrt(most / divergence)))
