"""The paper's adaptive state initialization: a start-state distribution that is learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.checks import real, whole
from sfv_gym.envs.starts.base import Initialization, Starts, StartSampler


@dataclass(frozen=True)
class AdaptiveStateInitialization(Initialization):
    """Adaptive state initialization (ASI, SFV sec. 6): a learned start-state distribution.

    ``phases`` uniform phases, drawn with learned probabilities, and around the reference's state
    at each a diagonal Gaussian over pose and velocity, whose mean and spread are learned as well,
    by the policy gradient of the episode's return. The drawn state is raised out of the ground.

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
        """One that learns; the noise of the other kinds has no part in it."""
        return AdaptiveSampler(self, qvel, pose, num_starts, n)


class AdaptiveSampler(StartSampler):
    """The distribution of ASI: a categorical over phases, and a Gaussian around each.

    Everything is in units of the first standard deviations, so that one learning rate fits
    metres and radians: a start is reference + scale * (mean + exp(log_std) * noise).
    """

    may_penetrate = True
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
        """As learned: ``uniform`` chooses a phase, ``normal`` a state of its Gaussian."""
        edges = np.cumsum(self.probabilities)
        phase = np.minimum(np.searchsorted(edges, uniform, side="right"), len(edges) - 1)
        drawn = self.mean[phase] + np.exp(self.log_std[phase]) * normal
        self._phase[ids], self._drawn[ids] = phase, drawn
        offset = self._scale * drawn
        nv = offset.shape[1] // 2
        return Starts(self._rows[phase], offset[:, :nv], offset[:, nv:])

    def finished(self, ids: np.ndarray, returns: np.ndarray, failed: np.ndarray) -> None:
        """Collect episodes, and learn from every ``episodes_per_update`` of them."""
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
