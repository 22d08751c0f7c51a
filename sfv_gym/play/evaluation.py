"""The evaluation protocol: one function, used by training, the command line and benchmarks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Unpack

import numpy as np

from sfv_gym.envs.measurement import OBJECT_FIGURES
from sfv_gym.envs.rewards import REWARDS
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import Task, TaskSettings
from sfv_gym.files import JSON
from sfv_gym.play.agents import Agent, policy_agent
from sfv_gym.play.episodes import Predict
from sfv_gym.play.episodes import episodes as play_episodes
from sfv_gym.seeds import Purpose, stream

KEY_LINK_DISTANCE = 0.5
UPRIGHT_ANGLE = np.pi / 4
OBJECT_DISTANCE = 0.2
"""Metres: nearer than this to where the reference's ends, an object has arrived."""
PUBLISHED_EPISODES = 128
CONFIDENCE = 0.95
"""Of every interval here."""
RESAMPLES = 2000
"""Of the bootstrap."""

Bounds = tuple[float, float]
"""Lower and upper end of an interval."""


@dataclass(frozen=True)
class Evaluation:
    """Figures over the episodes of one evaluation.

    Attributes:
        normalized_return: under the pose reward, the return divided by the most that an
            episode of the same horizon can give; steps lost to early termination count as 0.
        normalized_return_sfv: the same under the paper's composite reward.
        success_rate: share of episodes without early termination, with every link within
            0.5 m of the reference's all along, and at the end the root's up axis within 45 degrees
            of the reference's and every object that may be moved within 0.2 m of its place.
        completion_rate: share of episodes without early termination.
        mpjpe_mm, mpjpe_root_mm: mean distance of the 15 links from the reference's, global and
            relative to the root, over the steps that were played.
        velocity_error_mm_s, acceleration_error_m_s2: mean length of the difference of the 15
            links' velocities and accelerations from the reference's, by differences of
            positions between control steps.
        mean_seconds: mean length of an episode.
        object_position_mm, object_rotation_rad: mean over the steps of how far the object that is
            farthest off its path is; None where none may be moved.
        success_interval: 95 % interval of ``success_rate``, Wilson's.
        normalized_return_interval, normalized_return_sfv_interval: 95 % intervals of the two
            returns, by the bootstrap over episodes. All three say what other episodes of this
            policy may come to, not what other runs of its training may. They are None where they
            were not measured or, for the returns, where there is a single episode.
    """

    env_id: str
    episodes: int
    start: str
    horizon_steps: int
    normalized_return: float
    normalized_return_sfv: float
    success_rate: float
    completion_rate: float
    mpjpe_mm: float
    mpjpe_root_mm: float
    velocity_error_mm_s: float
    acceleration_error_m_s2: float
    mean_seconds: float
    object_position_mm: float | None = None
    object_rotation_rad: float | None = None
    success_interval: Bounds | None = None
    normalized_return_interval: Bounds | None = None
    normalized_return_sfv_interval: Bounds | None = None

    def as_dict(self) -> JSON:
        """The fields as JSON has them: intervals are lists, and what is said of objects stands
        only where there are some."""
        return {
            k: list(v) if isinstance(v, tuple) else v
            for k, v in asdict(self).items()
            if v is not None or k not in OF_OBJECTS
        }

    @classmethod
    def from_dict(cls, figures: JSON) -> Evaluation:
        """The inverse of ``as_dict``; further keys are ignored, missing figures are NaN and
        missing intervals None."""
        values = {field.name: figures.get(field.name, np.nan) for field in fields(cls)}
        values |= {name: figures.get(name) for name in OF_OBJECTS}
        for name in INTERVALS:
            bounds = figures.get(name)
            values[name] = None if bounds is None else (float(bounds[0]), float(bounds[1]))
        return cls(**values)


OF_OBJECTS = tuple(field.name for field in fields(Evaluation) if field.name.startswith("object_"))
INTERVALS = tuple(field.name for field in fields(Evaluation) if field.name.endswith("_interval"))


@dataclass(frozen=True)
class Episodes:
    """What happened in E episodes that were played side by side, one number each (E,).

    Attributes:
        returns: normalized returns in 0..1 by reward.
        success, completed: as in ``Evaluation``.
        steps: control steps played.
        joint_error, joint_error_root: metres, mean over the steps.
        velocity_error, acceleration_error: m/s and m/s2, mean over the steps.
        object_position, object_rotation: metres and rad, mean over the steps; None where no object
            may be moved.
    """

    env_id: str
    start: str
    horizon_steps: int
    control_hz: int
    returns: dict[str, np.ndarray]
    success: np.ndarray
    completed: np.ndarray
    steps: np.ndarray
    joint_error: np.ndarray
    joint_error_root: np.ndarray
    velocity_error: np.ndarray
    acceleration_error: np.ndarray
    object_position: np.ndarray | None = None
    object_rotation: np.ndarray | None = None

    def summary(self) -> Evaluation:
        """Means over the episodes; of errors, over all their steps."""

        def over_steps(values: np.ndarray, steps: np.ndarray = self.steps) -> float:
            return float((values * steps).sum() / max(steps.sum(), 1))

        place, turn = (
            None if values is None else over_steps(values)
            for values in (self.object_position, self.object_rotation)
        )
        return Evaluation(
            env_id=self.env_id,
            episodes=len(self.steps),
            start=self.start,
            horizon_steps=self.horizon_steps,
            normalized_return=float(self.returns["pose"].mean()),
            normalized_return_sfv=float(self.returns["sfv"].mean()),
            success_rate=float(self.success.mean()),
            completion_rate=float(self.completed.mean()),
            mpjpe_mm=1000 * over_steps(self.joint_error),
            mpjpe_root_mm=1000 * over_steps(self.joint_error_root),
            velocity_error_mm_s=1000 * over_steps(self.velocity_error),
            acceleration_error_m_s2=over_steps(self.acceleration_error, self.steps - 1),
            mean_seconds=float(self.steps.mean() / self.control_hz),
            object_position_mm=None if place is None else 1000 * place,
            object_rotation_rad=turn,
            success_interval=share_interval(int(self.success.sum()), len(self.steps)),
            normalized_return_interval=mean_interval(self.returns["pose"]),
            normalized_return_sfv_interval=mean_interval(self.returns["sfv"]),
        )


def share_interval(successes: int, trials: int, level: float = CONFIDENCE) -> Bounds:
    """Wilson's interval of a share of independent trials."""
    from scipy import stats  # slow to import, and not needed to play an environment

    found = stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    # rounding must not put the share itself outside
    share = successes / trials
    return min(float(found.low), share), max(float(found.high), share)


def mean_interval(values: np.ndarray, level: float = CONFIDENCE) -> Bounds | None:
    """Percentile bootstrap interval of the mean of values (E,); the same values give the same.

    None for a single value, of whose spread nothing is known.
    """
    from scipy import stats

    if len(values) < 2:
        return None
    mean = float(values.mean())
    if np.ptp(values) == 0.0:
        return mean, mean
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def evaluate(predict: Predict, task: Task | str, **settings: Any) -> Evaluation:
    """Play episodes side by side and measure them: the summary of ``play``'s.

    Args:
        predict: deterministic actions (N, A) for observations (N, D).
        settings: of ``play``.
    """
    return play(predict, task, **settings).summary()


def play(predict: Predict, task: Task | str, **settings: Any) -> Episodes:
    """Play episodes side by side.

    Args:
        predict: deterministic actions (N, A) for observations (N, D).
        settings: of ``play_agent``.
    """
    return play_agent(policy_agent(predict), task, **settings)


def play_agent(
    agent: Agent,
    task: Task | str,
    *,
    episodes: int = 32,
    start: str = "fixed",
    seed: int = 0,
    num_threads: int = 1,
    name: str | None = None,
    **settings: Unpack[TaskSettings],
) -> Episodes:
    """Play ``episodes`` side by side.

    Args:
        agent: who plays.
        task: or an environment id. Of several motions, each episode imitates one that is drawn;
            ``evaluate_motions`` plays them all.
        start: ``"fixed"``: the clip's first frame; ``"rsi"``: uniformly drawn ones. Both with
            the environment's default start noise.
        seed: of the episodes, and of what the agent draws.
        name: what the figures are called; by default the id.
        settings: of the task, in place of its own.
    """
    settings["initialization"] = start
    simulation = ImitationSimulation(Task.of(task, **settings), episodes, num_threads)
    hz, predict = simulation.control_hz, agent(simulation, np.random.default_rng(seed))
    returns = {name: np.zeros(episodes) for name in ("pose", "sfv")}
    steps = np.zeros(episodes, int)
    error, error_root, error_velocity, error_acceleration = np.zeros((4, episodes))
    of_objects = OBJECT_FIGURES if len(simulation.scenes.objects.tracked) else ()
    off_path = {name: np.zeros(episodes) for name in of_objects}
    fell, strayed, upright, lost = (np.zeros(episodes, bool) for _ in range(4))
    played = play_episodes(simulation, predict, seed)
    offsets = [simulation.link_offset()]  # of the last three states
    for step in played:
        result, playing = step.result, step.playing
        for reward, total in returns.items():
            value, _ = REWARDS[reward](result.errors)
            total += np.where(playing & ~result.terminated, value, 0.0)
        steps += playing
        error += np.where(playing, result.parts["joint_error"], 0.0)
        error_root += np.where(playing, result.parts["joint_error_root"], 0.0)
        offsets = [*offsets[-2:], simulation.link_offset()]
        for total, order in ((error_velocity, 1), (error_acceleration, 2)):
            if len(offsets) > order:
                change = np.diff(offsets[-1 - order :], n=order, axis=0)[0] * hz**order
                total += np.where(playing, np.linalg.norm(change, axis=-1).mean(-1), 0.0)
        strayed |= playing & (result.parts["link_distance"] > KEY_LINK_DISTANCE)
        fell |= playing & result.terminated
        upright |= step.ended & (simulation.root_tilt() < UPRIGHT_ANGLE)
        for figure, total in off_path.items():
            total += np.where(playing, result.parts[figure], 0.0)
        if off_path:
            lost |= step.ended & (result.parts[OBJECT_FIGURES[0]] > OBJECT_DISTANCE)
    limit = simulation.episode_limit()
    divisor = np.maximum(steps, 1)
    return Episodes(
        env_id=name or (task if isinstance(task, str) else ""),
        start=start,
        horizon_steps=int(limit.max()),
        control_hz=hz,
        returns={name: total / limit for name, total in returns.items()},
        success=~fell & ~strayed & upright & ~lost,
        completed=~fell,
        steps=steps,
        joint_error=error / divisor,
        joint_error_root=error_root / divisor,
        velocity_error=error_velocity / divisor,
        acceleration_error=error_acceleration / np.maximum(steps - 1, 1),
        **{name.removesuffix("_error"): total / divisor for name, total in off_path.items()},
    )


def publish(
    predict: Predict, env_id: str, *, episodes: int = PUBLISHED_EPISODES
) -> tuple[Evaluation, Evaluation]:
    """The figures of a policy's card and of every page: episodes that chose nothing, from the
    clip's first frame, and as many from drawn ones.

    Args:
        predict: deterministic actions (N, A) for observations (N, D).
        episodes: of each kind. Fewer than ``PUBLISHED_EPISODES`` are for a quick look alone.
    """
    seed = stream(Purpose.PUBLICATION)
    fixed, rsi = (
        evaluate(predict, env_id, start=kind, episodes=episodes, seed=seed)
        for kind in ("fixed", "rsi")
    )
    return fixed, rsi
