"""What an assessment finds: figures of every step, what is wrong where, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_gym.envs.task import CONTROL_HZ
from sfv_gym.files import JSON
from sfv_gym.fitting.ballistics import GRAVITY

TOUCH = 0.015
"""Metres: a point this near the ground may be pushed by it. Reconstruction leaves a planted sole
within 3 mm of z = 0, and MuJoCo's soft contacts let it sink by a few."""
ZMP_LIMIT = 0.1
"""Metres beyond what touches at which balance is named as the cause of trouble."""
SUSTAINED = 0.3
"""Seconds over which an unexplained acceleration adds up: about the time of a step or a flight."""
RESIDUAL_LIMIT = 0.2
TORQUE_LIMIT = 1.25
"""A step is feasible with less unexplained acceleration (g) and less torque (shares of the
published limits) than these. Recorded episodes of the shipped policies stay within both in at least
98 % of their steps, as ``tests/test_assessment.py`` asks. They exceed 0 and 1, although nothing but
the ground pushes them and no torque is ever beyond its limit: in flight, what is left of the force
is the error of the simulation's own step of 1/150 s and goes away with a finer one; what is left of
the torque is that of second differences over 1/30 s."""


@dataclass(frozen=True)
class Imitability:
    """What a motion asks of a character, at T control steps, and what is there to give it.

    Forces are in body weights and act in the world frame; torques on the whole body are about its
    centre of mass. J counts the joints.

    Attributes:
        character: its name. mass: kg. gyration: metres, its radius of gyration at rest.
        window: seconds, h above.
        time: (T,) seconds of the motion.
        in_flight: (T,) bool, the motion flies within h of the time, by its own flights; of one that
            names neither contacts nor flights, nothing touches the ground.
        clearance: (T,) metres from the ground to the lowest point, negative where it is below;
            lowest: (T,) the geom that it is of.
        needed_force: (T, 3) body weights, and needed_torque (T, 3) N m: what must act on the body
            from outside: mass times (acceleration minus gravity), and the rate of the angular
            momentum.
        residual_force: (T, 3) body weights, residual_torque: (T, 3) N m: the part of it that the
            ground cannot give.
        zmp_beyond: (T,) metres from the zero-moment point to the hull of what touches; NaN where
            the ground need not push.
        joints: (J,) names.
        torque: (T, J) N m, length of the torque vector of each joint.
        torque_ratio: (T, J) the same by the joint's published limit.
        actuator_ratio: (T, J) the largest of a joint's actuators by its own limit. Of a ball joint
            it is the stricter one: its limit is split over three axes.
        slide: (T, 4) m/s along the ground of planted hands and feet (``skeleton.END_EFFECTORS``),
            NaN where they are not.
        velocity_jump: (T,) m/s by which the velocity of the centre of mass changes within h.
        limit_violation: (T,) rad beyond the joints' limits.
        turn_speed: (T, J + 1) rad/s of the root and of the joints.
    """

    character: str
    mass: float
    gyration: float
    window: float
    time: np.ndarray
    in_flight: np.ndarray
    clearance: np.ndarray
    lowest: np.ndarray
    needed_force: np.ndarray
    needed_torque: np.ndarray
    residual_force: np.ndarray
    residual_torque: np.ndarray
    zmp_beyond: np.ndarray
    joints: tuple[str, ...]
    torque: np.ndarray
    torque_ratio: np.ndarray
    actuator_ratio: np.ndarray
    slide: np.ndarray
    velocity_jump: np.ndarray
    limit_violation: np.ndarray
    turn_speed: np.ndarray

    def _unexplained(self) -> np.ndarray:
        """(T, 6) in g: the torque counts as a force at the radius of gyration."""
        torque = self.residual_torque / (self.mass * GRAVITY * self.gyration)
        return np.hstack((self.residual_force, torque))

    @property
    def residual(self) -> np.ndarray:
        """(T,) in g: the acceleration that nothing explains, of position and rotation alike.

        It is the measure of Gauss's principle of least constraint. A body that leans beyond its
        feet, for instance, is off by the acceleration with which a pendulum there starts to fall.
        """
        return np.asarray(np.linalg.norm(self._unexplained(), axis=1))

    @property
    def sustained(self) -> np.ndarray:
        """(T,) in g: length of the mean of it over SUSTAINED seconds around.

        A jerk has its opposite beside it and hardly moves the body; what is left here adds up.
        """
        vector = self._unexplained()
        count = max(1, round(SUSTAINED * CONTROL_HZ))
        half = count // 2
        sums = np.concatenate((np.zeros((1, 6)), np.cumsum(vector, axis=0)))
        at = np.arange(len(vector))
        first, stop = np.maximum(at - half, 0), np.minimum(at + half + 1, len(vector))
        mean = (sums[stop] - sums[first]) / (stop - first)[:, None]
        return np.asarray(np.linalg.norm(mean, axis=1))

    @property
    def feasible(self) -> np.ndarray:
        """(T,) bool: ground and joints can do it, within RESIDUAL_LIMIT and TORQUE_LIMIT."""
        return (self.residual < RESIDUAL_LIMIT) & (self.torque_ratio.max(1) < TORQUE_LIMIT)

    @property
    def feasible_fraction(self) -> float:
        """Share of the steps that are feasible: the verdict.

        It judges instants. A small lean that lasts is below its bound and yet ends in a fall:
        that is what ``sustained`` is for.
        """
        return float(self.feasible.mean())

    def fine(self, figure: Figure) -> float:
        """The bound of a figure for this character."""
        if figure.unit == "N m":
            return RESIDUAL_LIMIT * self.mass * GRAVITY * self.gyration
        return figure.fine

    def troubles(self) -> list[Trouble]:
        """Where and why it is not feasible, in the order of time."""
        weak = np.array([f"{joint} too weak" for joint in self.joints])
        thrown = np.linalg.norm(self.residual_force, axis=1) >= RESIDUAL_LIMIT
        cause = np.select(
            [
                self.residual < RESIDUAL_LIMIT,
                self.in_flight & thrown,
                self.in_flight,
                self.clearance > TOUCH,
                self.zmp_beyond > ZMP_LIMIT,
            ],
            [
                weak[self.torque_ratio.argmax(1)],
                "in the air, but not falling freely",
                "its spin changes in the air",
                "it hovers: nothing touches the ground, and it does not fly",
                "out of balance",
            ],
            "the ground cannot push like this",
        )
        cause[self.feasible] = ""
        starts = np.flatnonzero(np.r_[True, cause[1:] != cause[:-1]])
        stops = np.r_[starts[1:], len(cause)]
        return [
            Trouble(
                str(cause[a]),
                float(self.time[a]),
                float(self.time[b - 1]),
                float(self.residual[a:b].max()),
                float(self.torque_ratio[a:b].max()),
            )
            for a, b in zip(starts, stops, strict=True)
            if cause[a]
        ]

    def series(self) -> dict[str, np.ndarray]:
        """The curve behind each of ``FIGURES``, in its unit; NaN where there is no such thing."""
        force = np.linalg.norm(self.residual_force, axis=1)
        torque = np.linalg.norm(self.residual_torque, axis=1)
        air = self.in_flight
        return {
            "sustained": self.sustained,
            "flight_force": np.where(air, force, np.nan),
            "flight_torque": np.where(air, torque, np.nan),
            "ground_force": np.where(air, np.nan, force),
            "ground_torque": np.where(air, np.nan, torque),
            "zmp_beyond_mm": 1e3 * self.zmp_beyond,
            "torque_ratio": self.torque_ratio.max(1),
            "actuator_ratio": self.actuator_ratio.max(1),
            "penetration_mm": 1e3 * np.maximum(-self.clearance, 0.0),
            "skate_mm": 1e3 / CONTROL_HZ * self.slide,
            "velocity_jump": self.velocity_jump,
            "limit_violation": self.limit_violation,
            "turn_speed": self.turn_speed.max(1),
        }

    def summary(self) -> JSON:
        """The verdict, 95th percentile and maximum of each of ``FIGURES``, and where; for JSON.

        A figure that the motion has no step for, such as flight, is None.
        """
        figures: dict[str, float | None] = {}
        for key, curve in self.series().items():
            known = curve[np.isfinite(curve)]
            for name, percentile in (("p95", 95), ("max", 100)):
                value = round(float(np.percentile(known, percentile)), 4) if known.size else None
                figures[f"{key}_{name}"] = value
        step, joint = np.unravel_index(self.torque_ratio.argmax(), self.torque_ratio.shape)
        instant, turning = np.unravel_index(self.turn_speed.argmax(), self.turn_speed.shape)
        deepest = self.clearance.argmin()
        return {
            "character": self.character,
            "seconds": round(len(self.time) / CONTROL_HZ, 3),
            "feasible_fraction": round(self.feasible_fraction, 4),
            "flight_share": round(float(self.in_flight.mean()), 4),
            "torque_over_share": round(float((self.torque_ratio > 1).any(1).mean()), 4),
            "actuator_over_share": round(float((self.actuator_ratio > 1).any(1).mean()), 4),
            **figures,
            "torque_worst": f"{self.joints[joint]} at {self.time[step]:.2f} s",
            "penetration_worst": f"{self.lowest[deepest]} at {self.time[deepest]:.2f} s",
            "turn_worst": f"{('root', *self.joints)[turning]} at {self.time[instant]:.2f} s",
            "torque_ratio_by_joint": {
                name: round(float(ratio), 3)
                for name, ratio in zip(self.joints, self.torque_ratio.max(0), strict=True)
            },
        }


@dataclass(frozen=True)
class Trouble:
    """A stretch that is not feasible: its main cause, first and last second, and the worst of it.

    ``residual`` is in g, ``torque_ratio`` in shares of the limit.
    """

    cause: str
    start: float
    end: float
    residual: float
    torque_ratio: float


@dataclass(frozen=True)
class Figure:
    """How to read one of the curves of ``Imitability.series``.

    Attributes:
        fine: at or below it there is nothing to do. N m are those of the humanoid and grow with
            the character: ``Imitability.fine`` knows.
        advice: what a larger one means, and what to do.
    """

    key: str
    title: str
    unit: str
    fine: float
    advice: str


FIGURES: tuple[Figure, ...] = (
    Figure(
        "sustained", f"unexplained, mean over {SUSTAINED:g} s", "g", 0.06,
        "It adds up, and carries the character away from the reference: hovering, a lean, a pull "
        "from nowhere. The rows below say which. A policy has learned a backflip's reference with "
        "0.46.",
    ),
    Figure(
        "flight_force", "unexplained force in the air", "body weights", RESIDUAL_LIMIT,
        "In one of the motion's flights it does not fall freely. About 1: that is no flight, feet "
        "or hands that should carry it are above the ground.",
    ),
    Figure(
        "flight_torque", "unexplained torque in the air", "N m", 30.0,
        "The angular momentum changes in flight, which nothing can do: a spin that starts or stops "
        "in the air. A policy has to bring the spin along from take-off.",
    ),
    Figure(
        "ground_force", "unexplained force on the ground", "body weights", RESIDUAL_LIMIT,
        "More than the ground can give where it is touched: it only pushes, within the friction "
        "cone. A jerk of the path, a contact that is missing, or out of balance. About 1: it "
        "hovers where the motion names no flight.",
    ),
    Figure(
        "ground_torque", "unexplained torque on the ground", "N m", 30.0,
        "As above, for turning: mostly out of balance.",
    ),
    Figure(
        "zmp_beyond_mm", "zero-moment point beyond support", "mm", 1e3 * ZMP_LIMIT,
        "It leans beyond what touches and would fall: depth is wrong, or a contact is missing.",
    ),
    Figure(
        "torque_ratio", "joint torque / published limit", "", TORQUE_LIMIT,
        "The joint is too weak. A single instant is a jerk: smooth it; a longer stretch is more "
        "than the character can do, and a policy will do it slower or lower.",
    ),
    Figure(
        "actuator_ratio", "actuator torque / its limit", "", 1.3,
        "The same for each axis of a ball joint on its own, whose limits are stricter.",
    ),
    Figure(
        "penetration_mm", "below the ground", "mm", 15.0,
        "A start there is thrown out of the ground, and no policy gets there. Lift the limb.",
    ),
    Figure(
        "skate_mm", "planted feet and hands slide, a step", "mm", 15.0,
        "They drag along the ground: the contact is wrong, or the path drifts.",
    ),
    Figure(
        "velocity_jump", "the body's velocity jumps, a step", "m/s", 1.6,
        "A blow, or a glitch of the path.",
    ),
    Figure(
        "limit_violation", "beyond the joints' limits", "rad", 0.05,
        "The joint does not bend that far: a wrong pose.",
    ),
    Figure(
        "turn_speed", "fastest turn of root or joint", "rad/s", 25.0,
        "Most likely a pose that flips within a frame. Extract again, or cut the clip there.",
    ),
)  # fmt: skip
"""What a report shows. The bounds of residuals and torques are RESIDUAL_LIMIT and TORQUE_LIMIT, in
N m at the radius of gyration. Of the others, by the same episodes: the 95th percentile for the
zero-moment point (its maximum, at the ends of a flight, was 284 mm), the largest for what is
sustained (0.052), for actuators and for jumps, half as much again for turns. Penetration is what
contacts of this softness do in a walk, a slide half a metre a second; joint limits hold as they
are."""
