"""Physics and forces that a task itself does not have and that make a policy robust: randomised
physics and pushes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np

from sfv_gym.checks import real
from sfv_gym.errors import SettingError
from sfv_gym.physics import Physics


@dataclass(frozen=True)
class DomainRandomization:
    """Physics drawn anew for every episode of every environment; 0 leaves a part as it is.

    Attributes:
        mass: largest relative change of each link's mass and inertia.
        friction: largest relative change of the friction between ground and character.
        gains: largest relative change of all actuators' kp and kv together.
        latency: seconds, the longest delay of the targets on their way to the actuators.
    """

    mass: float = 0.2
    friction: float = 0.3
    gains: float = 0.1
    latency: float = 0.02

    def __post_init__(self) -> None:
        for name in ("mass", "friction", "gains"):
            real(name, getattr(self, name), 0.0, 1.0, below=True)
        real("latency", self.latency, 0.0, 0.5)

    def prepare(self, spec: mujoco.MjSpec) -> None:
        """Give the actuators a memory for the latency, before the model is compiled."""
        if self.latency > 0:
            for actuator in spec.actuators:
                actuator.nsample = math.ceil(self.latency / spec.option.timestep) + 2
                actuator.delay = self.latency


class RandomizedPhysics:
    """The per-simulation model fields that a ``DomainRandomization`` writes."""

    fields: dict[str, np.ndarray]

    def __init__(self, settings: DomainRandomization, physics: Physics) -> None:
        self._settings, self._physics = settings, physics
        model = physics.model
        self._bodies = np.flatnonzero(model.body_rootid == 1)  # the character's
        self.num_uniform = len(self._bodies) + 3
        fields = []
        if settings.mass:
            fields += ["body_mass", "body_inertia"]
        if settings.friction:
            fields += ["geom_friction"]
        if settings.gains:
            fields += ["actuator_gainprm", "actuator_biasprm"]
        if settings.latency:
            fields += ["actuator_delay"]
        self.fields = {name: physics.expand(name) for name in fields}
        self._nominal = {name: getattr(model, name).copy() for name in fields}
        self._history = physics.data("history") if settings.latency else None

    def draw(self, ids: np.ndarray, uniform: np.ndarray) -> None:
        """New physics for the environments ``ids`` (n,), from uniform (n, num_uniform)."""
        settings, links = self._settings, len(self._bodies)
        sign = 2.0 * uniform - 1.0
        if settings.mass:
            factor = 1.0 + settings.mass * sign[:, :links]
            for name in ("body_mass", "body_inertia"):
                value = self._nominal[name][self._bodies]
                scaled = factor.reshape(factor.shape + (1,) * (value.ndim - 1)) * value
                self.fields[name][ids[:, None], self._bodies] = scaled
            self._physics.set_const(ids)
        if settings.friction:
            # the larger of two geoms' frictions counts, so both the ground's and the links' go
            factor = 1.0 + settings.friction * sign[:, links]
            nominal = self._nominal["geom_friction"]
            self.fields["geom_friction"][ids] = factor[:, None, None] * nominal
        if settings.gains:
            factor = 1.0 + settings.gains * sign[:, links + 1]
            for name in ("actuator_gainprm", "actuator_biasprm"):
                self.fields[name][ids] = factor[:, None, None] * self._nominal[name]
        if settings.latency:
            self.fields["actuator_delay"][ids] = (settings.latency * uniform[:, links + 2])[:, None]

    def settle(self) -> None:
        """Bring up to date what MuJoCo derives from the fields, after they were written whole."""
        if self._settings.mass:
            self._physics.set_const()

    def forget(self, ids: np.ndarray, ctrl: np.ndarray) -> None:
        """Fill the actuators' memory with the targets ctrl (n, nu): no last episode's lingers."""
        if self._history is None:
            return
        model = self._physics.model
        samples = int(model.actuator_history[0, 0])
        first = model.actuator_historyadr[:, None] + 2 + samples + np.arange(samples)
        self._history[ids[:, None, None], first] = ctrl[:, :, None]


@dataclass(frozen=True)
class Pushes:
    """Horizontal forces on the root, again and again, each from a drawn direction.

    Attributes:
        force: newtons, the largest; each push draws between half of it and all of it, and with
            an ``angle`` has all of it.
        duration: seconds that a push lasts.
        interval: seconds from one push to the next, on average; each is drawn from half of it
            to one and a half.
        angle: rad, the direction in the character's heading frame (0: from behind, pi/2: from
            its right) of every push, which then is of the full ``force``, as a measurement
            wants it; None draws one for each push.
    """

    force: float = 100.0
    duration: float = 0.2
    interval: float = 2.0
    angle: float | None = None

    def __post_init__(self) -> None:
        real("force", self.force, 0.0, 1e5)
        real("duration", self.duration, 1e-3, 60.0)
        real("interval", self.interval, 1e-3, 3600.0)
        if self.interval <= self.duration:
            raise SettingError(
                f"pushes need duration < interval; they are {self.duration} and {self.interval} s"
            )
        if self.angle is not None:
            real("angle", self.angle, -1e3, 1e3)


class PushSchedule:
    """When and how N environments are pushed in their episodes."""

    DRAWN = ("_start", "_size", "_angle")

    def __init__(self, settings: Pushes, n: int, control_hz: float, horizon: int) -> None:
        self._settings, self._control_hz = settings, control_hz
        self._length = max(1, round(settings.duration * control_hz))
        self._interval = settings.interval * control_hz
        self._count = max(1, math.ceil(horizon / self._interval))
        self.num_uniform = 3 * self._count
        self._start = np.zeros((n, self._count), int)
        self._size, self._angle = np.zeros((n, self._count)), np.zeros((n, self._count))

    def change(self, settings: Pushes) -> None:
        """Other pushes in the episodes that are still to begin.

        Raises:
            SettingError: they come at another interval, for which other numbers are drawn.
        """
        if settings.interval != self._settings.interval:
            raise SettingError(
                f"pushes come every {self._settings.interval} s here, not every "
                f"{settings.interval} s: make another simulation for these"
            )
        self._settings = settings
        self._length = max(1, round(settings.duration * self._control_hz))

    def draw(self, ids: np.ndarray, uniform: np.ndarray) -> None:
        """New pushes for the environments ``ids`` (n,), from uniform (n, num_uniform)."""
        when, size, angle = np.split(uniform, 3, axis=1)
        middle = self._interval * (np.arange(self._count) + 0.5)
        self._start[ids] = (middle + self._interval * 0.5 * (when - 0.5)).astype(int)
        self._size[ids] = self._settings.force * (0.5 + 0.5 * size)
        if self._settings.angle is None:
            self._angle[ids] = 2 * np.pi * angle
        else:
            self._angle[ids], self._size[ids] = self._settings.angle, self._settings.force

    def force(self, elapsed: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        """The forces (N, 3) in newtons of the coming control step, in the world.

        Args:
            elapsed: (N,) control steps since the episode began.
            cos, sin: (N,) of the root's heading.
        """
        since = elapsed[:, None] - self._start
        size = np.where((since >= 0) & (since < self._length), self._size, 0.0)
        along = (size * np.cos(self._angle)).sum(-1)
        across = (size * np.sin(self._angle)).sum(-1)
        x, y = cos * along - sin * across, sin * along + cos * across
        return np.stack((x, y, np.zeros_like(x)), axis=-1)
