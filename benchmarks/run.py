"""One run of the benchmark: an algorithm learns a task with one seed, and is scored."""

from __future__ import annotations

import contextlib
import datetime
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from sfv_gym.benchmarks.algorithms import Agent, Algorithm, find_algorithm
from sfv_gym.benchmarks.fingerprint import environment_hash
from sfv_gym.benchmarks.results import (
    FAILED,
    FINISHED,
    FORMAT,
    CurvePoint,
    Figures,
    Heading,
    Learned,
    Machine,
    Result,
    RunError,
    RunSpec,
)
from sfv_gym.benchmarks.rollout_video import ROLLOUT_VIDEO, write_rollout_video
from sfv_gym.benchmarks.suites import Suite, SuiteTask, get_suite
from sfv_gym.envs.starts import ReferenceStateInitialization
from sfv_gym.envs.task import Task
from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.errors import ActionError, AlgorithmError, BenchmarkError, OutputError, RenderError
from sfv_gym.files import JSON, write_json
from sfv_gym.jobs.folder import read_json
from sfv_gym.jobs.job import Reporter
from sfv_gym.jobs.machine import describe_machine, git_revision, versions
from sfv_gym.play.evaluation import Evaluation, evaluate
from sfv_gym.registry import find_motion
from sfv_gym.seeds import Purpose, stream

Report = Callable[[int, float | None], None]
"""Told how many control steps were learned from, and the newest score if there is one."""

REPORT_SECONDS = 0.5
VIDEO_SECONDS, VIDEO_HZ = 3.0, 10
OVERSHOOT = 65_536
"""Control steps beyond the budget that an algorithm may take to end its last rollout."""


class TrainingEnv(ImitationVectorEnv):
    """The suite's training environment, which counts what is learned from.

    ``reset(seed=s)`` draws from the stream of benchmark runs of seed ``s``, so that runs of
    different seeds have no start state in common, nor a run with its evaluations. A run that goes
    on draws from another part of its stream: what was drawn before does not come again.

    Args:
        after_step: called with the number of control steps so far.
        task: of the environment.

    Attributes:
        samples: control steps that were learned from.
        part: those that had been when this process began.
    """

    def __init__(
        self, name: str, num_envs: int, after_step: Callable[[int], None], task: Task
    ) -> None:
        super().__init__(task, num_envs, num_threads=1)
        self.samples = self.part = 0
        self._name, self._after_step = name, after_step

    def reset(
        self,
        *,
        seed: int | list[int | None] | np.ndarray | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """As in Gymnasium; ``seed`` picks from the run's own stream, see the class."""
        return super().reset(seed=self._streamed(seed), options=options)

    def _streamed(self, seed: Any) -> int | list[int | None] | None:
        """What to seed the environments with, for what an agent asks for; see ``reset``."""

        def first(of: Any) -> int:
            return stream(Purpose.BENCHMARK_TRAINING, of, self.part)

        if seed is None:
            return None
        if np.ndim(np.asarray(seed, object)) == 0:
            return first(seed)
        each = list(seed)
        counted = (
            bool(each) and None not in each and each == [each[0] + i for i in range(self.num_envs)]
        )
        if counted:  # what Gymnasium and Stable-Baselines3 make of a single seed
            return first(each[0])
        return [None if one is None else first(one) + i for i, one in enumerate(each)]

    def go_on(self, samples: int) -> None:
        """Count from ``samples`` on, that earlier processes have learned from."""
        self.samples = self.part = samples

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """As in Gymnasium, and every environment's step counts as a sample.

        Raises:
            AlgorithmError: the algorithm's actions are none.
        """
        try:
            result = super().step(actions)
        except ActionError as error:
            raise AlgorithmError(f"{self._name}: {error}") from None
        self.samples += self.num_envs
        self._after_step(self.samples)
        return result


class _Recorder:
    """The learning curve, over samples and over the seconds that learning itself took."""

    def __init__(
        self, spec: RunSpec, suite: Suite, task: SuiteTask, agent: Agent, report: Report
    ) -> None:
        self.spec, self.suite, self.task, self.agent = spec, suite, task, agent
        self.curve: list[CurvePoint] = []
        self.resumed_at: list[int] = []
        self._report = report
        self._file = Path(spec.folder) / "curve.json"
        self._marks = [
            round(spec.steps * (i + 1) / spec.evaluations) for i in range(spec.evaluations)
        ]
        self._seconds, self._since = 0.0, time.perf_counter()
        self._reported = 0.0
        self._evaluating = False

    def resume(self) -> int:
        """Go on where a run that was killed had its last checkpoint; its samples."""
        resume = getattr(self.agent, "resume", None)
        samples = int(resume(Path(self.spec.folder))) if callable(resume) else 0
        if samples and self._file.is_file():
            saved = read_json(self._file, BenchmarkError)
            self.curve = [point for point in saved["curve"] if point["samples"] <= samples]
            self.resumed_at = [*saved["resumed_at"], samples]
            self._seconds = self.curve[-1]["seconds"] if self.curve else 0.0
        elif samples:
            self.resumed_at = [samples]
        reached = self.curve[-1]["samples"] if self.curve else 0
        self._marks = [mark for mark in self._marks if mark > reached]
        return samples

    @property
    def seconds(self) -> float:
        """That the algorithm has taken, without the evaluations."""
        return self._seconds + (0.0 if self._evaluating else time.perf_counter() - self._since)

    def start(self) -> None:
        self._since = time.perf_counter()

    def after_step(self, samples: int) -> None:
        if samples > max(1.1 * self.spec.steps, self.spec.steps + OVERSHOOT):
            raise AlgorithmError(
                f"{self.spec.algorithm}: has learned from {samples:,} control steps, the budget "
                f"is {self.spec.steps:,}; learn() must return when it is used up"
            )
        if self._marks and samples >= self._marks[0]:
            self._marks = [mark for mark in self._marks if mark > samples]
            self.add_point(samples)
        elif time.perf_counter() - self._reported > REPORT_SECONDS:
            self._tell(samples)

    def add_point(self, samples: int) -> None:
        """Score the agent as it is now."""
        self._seconds, self._evaluating = self.seconds, True
        found = self.score(self.suite.protocol.curve_episodes, Purpose.BENCHMARK_CURVE)
        self.curve.append(
            {"samples": samples, "seconds": round(self._seconds, 2), **figures(found)}
        )
        write_json(self._file, {"curve": self.curve, "resumed_at": self.resumed_at})
        self._tell(samples)
        self._since, self._evaluating = time.perf_counter(), False

    def score(self, episodes: int, purpose: Purpose) -> Evaluation:
        """Play the agent; whatever goes wrong in it names the algorithm.

        All runs play the same episodes, whatever their seed: they are to be compared.
        """
        try:
            return evaluate(
                self.agent.predict,
                self.task.env_id,
                episodes=episodes,
                seed=stream(purpose),
                difficulty=self.task.difficulty,
            )
        except ActionError as error:
            raise AlgorithmError(f"{self.spec.algorithm}: predict: {error}") from None

    def _tell(self, samples: int) -> None:
        self._reported = time.perf_counter()
        self._report(samples, self.curve[-1]["normalized_return"] if self.curve else None)


def figures(evaluation: Evaluation) -> Figures:
    """As a result holds them."""
    values: dict[str, float | list[float]] = {}
    for name, value in evaluation.as_dict().items():
        if isinstance(value, float):
            values[name] = round(value, 6)
        elif isinstance(value, list):
            values[name] = [round(bound, 6) for bound in value]
    return cast("Figures", values)


def run(spec: RunSpec, reporter: Reporter) -> JSON:
    """``execute`` as a job's function."""

    def report(samples: int, score: float | None) -> None:
        reporter.advance(samples, spec.steps, "" if score is None else f"score {score:.2f}")

    return {**execute(spec, report)}


def execute(spec: RunSpec, report: Report) -> Result:
    """Do one run and return its result, whether it finished or failed.

    It is meant for a process of its own, in the environment ``jobs.worker.environment(1)``.
    """
    for path in reversed(spec.paths):
        if path not in sys.path:
            sys.path.insert(0, path)
    suite = get_suite(spec.suite)
    task = suite.task(spec.task)
    began = time.perf_counter()
    result: JSON = {**_heading(spec, suite, task)}
    try:
        algorithm = find_algorithm(spec.spec)
        found = _learn(spec, suite, task, algorithm, report)
        package = [algorithm.package] if algorithm.package else []
        result.update(found, status=FINISHED, versions=versions(*package))
    except Exception as error:  # whatever an algorithm raises is its result
        result.update(status=FAILED, error=_describe(error), versions=versions())
    seconds = round(time.perf_counter() - began, 1)
    return cast("Result", {**result, "total_seconds": seconds})


def _learn(
    spec: RunSpec, suite: Suite, task: SuiteTask, algorithm: Algorithm, report: Report
) -> Learned:
    agent = algorithm.make(suite, task)
    recorder = _Recorder(spec, suite, task, agent, report)
    folder = Path(spec.folder)
    folder.mkdir(parents=True, exist_ok=True)
    env = TrainingEnv(
        spec.algorithm,
        int(getattr(agent, "num_envs", 64)),
        recorder.after_step,
        Task.of(
            task.env_id,
            reward=suite.protocol.reward,
            horizon=suite.protocol.train_horizon,
            initialization=ReferenceStateInitialization(first_frame=suite.protocol.first_frame),
            difficulty=task.difficulty,
        ),
    )
    with _blaming(spec.algorithm):
        env.go_on(recorder.resume())
        recorder.start()
        agent.learn(env, spec.steps, spec.seed, folder)
        seconds = recorder.seconds
        final = recorder.score(suite.protocol.final_episodes, Purpose.BENCHMARK_RESULT)
    with contextlib.suppress(RenderError):  # a machine that cannot draw can still score
        write_rollout_video(
            task.env_id,
            agent.predict,
            folder / ROLLOUT_VIDEO,
            seconds=VIDEO_SECONDS,
            hz=VIDEO_HZ,
            seed=stream(Purpose.BENCHMARK_RESULT),
            difficulty=task.difficulty,
        )
    env.close()
    return {
        "score": round(final.normalized_return, 6),
        "evaluation": figures(final),
        "curve": recorder.curve,
        "samples": env.samples,
        "seconds": round(seconds, 2),
        "num_envs": env.num_envs,
        "settings": getattr(agent, "settings", None),
        "resumed_at": recorder.resumed_at,
    }


class _blaming:
    """Errors in an algorithm become AlgorithmErrors; those of disk and memory stay."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        keep = (AlgorithmError, OSError, MemoryError, OutputError)
        if isinstance(error, Exception) and not isinstance(error, keep):
            message = f"{type(error).__name__}: {error}".splitlines()[0]
            raise AlgorithmError(f"{self._name}: {message}") from error


def _heading(spec: RunSpec, suite: Suite, task: SuiteTask) -> Heading:
    return {
        "format": FORMAT,
        "suite": suite.name,
        "suite_hash": suite.content_hash(),
        "task": task.name,
        "env_id": task.env_id,
        "difficulty": task.difficulty,
        "motion_hash": motion_hash(task),
        "environment_hash": environment_hash(task.env_id, task.difficulty),
        "algorithm": spec.algorithm,
        "algorithm_spec": spec.spec,
        "seed": spec.seed,
        "budget": {"steps": spec.steps, "evaluations": spec.evaluations},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": cast("Machine", describe_machine()),
        "revision": git_revision(),
    }


def motion_hash(task: SuiteTask) -> str:
    """The content hash of the task's reference motion."""
    return find_motion(task.env_id).content_hash()


def _describe(error: Exception) -> RunError:
    ours = isinstance(error, AlgorithmError)
    return {
        "blame": "algorithm" if ours else "machine",
        "type": type(error).__name__,
        "message": str(error) if ours else f"{type(error).__name__}: {error}",
        "traceback": "".join(traceback.format_exception(error))[-8000:],
    }
