"""A distillation at work: samples, updates, evaluations, the best policy, checkpoints, its end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from sfv_gym.envs.state import SimulationState
from sfv_gym.envs.task import Task
from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.errors import SFVError
from sfv_gym.files import JSON, atomic_path, write_json
from sfv_gym.jobs.folder import read_json
from sfv_gym.jobs.job import Listener, StoppedError
from sfv_gym.play.by_motion import IdEvaluation, evaluate_id, evaluation_from_dict, publish_id
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.policy import Policy
from sfv_gym.seeds import Purpose, stream
from sfv_gym.train.both_sides import BothSides
from sfv_gym.train.curve import write_curve
from sfv_gym.train.distill_config import DistillConfig
from sfv_gym.train.facts import machine_facts, task_facts
from sfv_gym.train.install import rank
from sfv_gym.train.lesson import Lesson
from sfv_gym.train.runs import (
    CARD,
    CHECKPOINT,
    POLICY,
    PROGRESS,
    CurveRow,
    read_curve,
    save_policy,
)
from sfv_gym.train.specialists import Teachers
from sfv_gym.train.student import Samples, Student

SELECTION_EPISODES = 8
"""Of each motion, in an evaluation on the way."""


class Teaching:
    """One run of DAgger.

    Args:
        task: of the simulation, whose observation has what student and specialists see.

    Attributes:
        samples: control steps so far, over all environments.
    """

    def __init__(self, task: Task, lesson: Lesson, config: DistillConfig, num_threads: int) -> None:
        self.lesson, self.config = lesson, config
        shown = PolicyLayout.of(task)
        own = Task.of(lesson.env_id, observation=config.observation)
        self.layout = PolicyLayout.of(own)
        self._columns = self.layout.columns_in(shown)
        self._teachers = Teachers(lesson.specialists, shown)
        self.num_envs = config.envs_per_motion * len(lesson.specialists)
        self.sides = BothSides(own, self.num_envs, config.mirrored)
        self.envs = ImitationVectorEnv(task, self.num_envs, num_threads=num_threads)
        new = self.num_envs * config.n_steps
        self._minibatches = max(1, round(config.passes * new / config.batch_size))
        self.kept = Samples(config.buffer, self.layout.size, task.action_size)
        # not by the seed alone: environments draw from generators of such seeds
        self._rng = np.random.default_rng((int(Purpose.TRAINING), lesson.seed))
        self.samples, self.error = 0, float("nan")
        self.student: Student | None = None
        self._observation = np.zeros((self.num_envs, shown.size), np.float32)
        self._num_actions = task.action_size
        self._curve: list[CurveRow] = []
        self._best: IdEvaluation | None = None
        self._next_evaluation = 0
        self._seconds_before, self._samples_before = 0.0, 0
        self._started = time.monotonic()

    def close(self) -> None:
        """Free the simulations."""
        self.envs.close()

    @property
    def seconds(self) -> float:
        """Spent on the run, those of earlier processes included."""
        return self._seconds_before + time.monotonic() - self._started

    @property
    def share(self) -> float:
        """How much of the run is done, 0..1, by whichever limit ends it."""
        done = self.samples / self.config.steps
        if self.config.minutes:
            done = max(done, self.seconds / (60.0 * self.config.minutes))
        return min(done, 1.0)

    # --- the run ------------------------------------------------------------------------------

    def run(
        self, folder: Path, resume: bool, evaluate_every: int, listener: Listener
    ) -> IdEvaluation:
        """Teach until it ends; the evaluation of the best policy.

        Raises:
            StoppedError: the listener wanted it to stop, and there is a checkpoint.
            KeyboardInterrupt: after a checkpoint.
        """
        if resume:
            self._restore(folder)
        try:
            if self.student is None:
                self._open()
                self._next_evaluation = self.samples + evaluate_every
            while self.share < 1.0:
                if listener.stopping:
                    self._checkpoint(folder)
                    raise StoppedError
                self.collect(self.config.n_steps)
                self.learn()
                self._report(folder, listener)
                if self.samples >= self._next_evaluation:
                    self._next_evaluation += evaluate_every
                    self._evaluate(folder, listener)
                    self._checkpoint(folder)
            self._evaluate(folder, listener)
            self._checkpoint(folder)
            return self._finish(folder, listener)
        except KeyboardInterrupt:
            if self.student is not None:
                # it may be a step behind
                self._observation = self.envs.simulation.observe()
                self._checkpoint(folder)
            raise

    def _open(self) -> None:
        """Let the specialists play, and make a student of what is seen, with a first update."""
        self._observation, _ = self.envs.reset(seed=stream(Purpose.TRAINING, self.lesson.seed))
        everyone = np.ones(self.num_envs, bool)
        seen, labels = [], []
        scale = self._noise_scale()
        for _ in range(self.config.opening_steps):
            seen.append(self._seen())
            labels.append(self._step(everyone, scale, None))
        self.student = Student(
            self.sides.with_images(np.concatenate(seen)),
            self._num_actions,
            self.config.hidden,
            int(self._rng.integers(2**63)),
            self.config.learning_rate,
        )
        for observation, label in zip(seen, labels, strict=True):
            self.kept.add(self.student.normalize(observation), torch.from_numpy(label))
        self.learn()

    def collect(self, steps: int) -> None:
        """Play control steps, and keep what is seen with what the specialists would have done."""
        assert self.student is not None
        opening = self.num_envs * self.config.opening_steps
        led = 0.0
        if self.config.specialist_steps:
            led = 1.0 - (self.samples - opening) / self.config.specialist_steps
        guided, scale = self._rng.random(self.num_envs) < led, self._noise_scale()
        for _ in range(steps):
            seen = self.student.normalize(self._seen())
            labels = self._step(guided, scale, self.student.act(seen))
            self.kept.add(seen, torch.from_numpy(labels))

    def _seen(self) -> np.ndarray:
        """What the student sees (N, D)."""
        return self.sides.observation(self._observation[:, self._columns])

    def _noise_scale(self) -> np.ndarray:
        """Standard deviation (N, 1) of each environment's noise, for a while: with none of it the
        states are those of the policy as it will play."""
        return self.config.noise * self._rng.random((self.num_envs, 1))

    def _step(self, guided: np.ndarray, scale: np.ndarray, own: np.ndarray | None) -> np.ndarray:
        """One control step by the student's ``own`` actions (N, A), where ``guided`` (N,) by the
        specialists'; theirs (N, A) are returned. Both are as the student has them."""
        right = self._teachers.actions(self._observation, self.envs.simulation.motion)
        labels = self.sides.action(right)
        actions = labels if own is None else np.where(guided[:, None], labels, own)
        actions = self.sides.action(actions)
        noise = scale * self._rng.standard_normal(actions.shape)
        self._observation, *_ = self.envs.step(np.clip(actions + noise, -1.0, 1.0))
        self.samples += self.num_envs
        return labels

    def learn(self) -> None:
        """One update: minibatches of what is kept."""
        assert self.student is not None
        config = self.config
        first, last = config.learning_rate, config.final_learning_rate
        self.student.learning_rate = first + self.share * (last - first)
        losses = [
            self.student.fit(*self.kept.draw(config.batch_size, self._rng))
            for _ in range(self._minibatches)
        ]
        self.error = float(torch.stack(losses).mean().sqrt())

    # --- what is kept ---------------------------------------------------------------------------

    def policy(self) -> Policy:
        """The student's, with the noise in whose reach it has learned to recover."""
        assert self.student is not None
        spread = self.config.noise / np.sqrt(3.0)  # root mean square of what is even from 0 on
        log_std = np.full(self._num_actions, np.log(spread), np.float32) if spread else None
        return self.student.policy({}, log_std, self.layout)

    def _report(self, folder: Path, listener: Listener) -> None:
        passed = max(time.monotonic() - self._started, 1e-3)
        rate = (self.samples - self._samples_before) / passed
        figures = {
            "samples": self.samples,
            "budget": self.config.steps,
            "seconds": round(self.seconds, 1),
            "samples_per_second": round(rate, 1),
            "imitation_error": self.error,
        }
        write_json(folder / PROGRESS, figures)
        note = f"{self.samples / 1e6:.2f} M, {rate / 1000:.1f} k/s, error {self.error:.3f} rad"
        listener.advance(self.share, 1.0, note)

    def _evaluate(self, folder: Path, listener: Listener) -> None:
        """Evaluate, and keep the policy if it is the best so far."""
        if self._curve and self._curve[-1]["samples"] == self.samples:
            return
        policy = self.policy()
        evaluation = evaluate_id(
            policy.predict,
            self.lesson.env_id,
            motions=self.lesson.taught,
            observation=self.config.observation,
            episodes=SELECTION_EPISODES,
            seed=stream(Purpose.SELECTION, self.lesson.seed),
        )
        figures: JSON = {
            "samples": self.samples,
            "seconds": round(self.seconds, 1),
            "imitation_error": self.error,
        }
        self._curve.append(cast(CurveRow, {**figures, **evaluation.as_dict()}))
        write_curve(self._curve, folder)
        listener.say(
            f"{self.samples / 1e6:.2f} M samples, {self.seconds / 60:.1f} min, error "
            f"{self.error:.3f} rad, normalized return {evaluation.normalized_return:.3f}, success "
            f"{evaluation.success_rate:.2f}"
        )
        if self._best is None or rank(evaluation) > rank(self._best):
            self._best = evaluation
            save_policy(policy, {**self._card(figures), "evaluation": evaluation.as_dict()}, folder)

    def _card(self, figures: JSON) -> JSON:
        lesson = self.lesson
        return {
            **task_facts(lesson.env_id),
            "algorithm": "DAgger",
            "settings": self.config.as_dict(),
            "specialists": {
                one.skill: {
                    "env_id": one.env_id,
                    "policy_hash": one.policy.content_hash(),
                    "samples": one.policy.card.get("samples_total"),
                }
                for one in lesson.specialists
            },
            "without_specialist": list(lesson.without),
            "seed": lesson.seed,
            **figures,
            **machine_facts(),
        }

    def _finish(self, folder: Path, listener: Listener) -> IdEvaluation:
        """Measure the best policy by the whole protocol, and say in the card that this is it."""
        card = read_json(folder / CARD)
        if card.get("samples_total") == self.samples:
            return evaluation_from_dict(card["evaluation"])
        listener.say("measuring every motion by the published protocol")
        policy = Policy.load(folder / POLICY)
        fixed, rsi = publish_id(
            policy.predict,
            self.lesson.env_id,
            motions=self.lesson.skills,
            observation=self.config.observation,
        )
        card = {
            **card,
            "selection": card.get("selection", card["evaluation"]),
            "evaluation": {**fixed.as_dict(), "rsi": rsi.as_dict()},
            "budget": self.config.steps,
            "samples_total": self.samples,
            "seconds_total": round(self.seconds, 1),
            "outcome": "budget",
        }
        save_policy(policy, card, folder)
        return fixed

    # --- to go on -----------------------------------------------------------------------------

    def _checkpoint(self, folder: Path) -> None:
        """Write what ``resume`` goes on from, in one file."""
        assert self.student is not None
        state = {
            "student": self.student.state(),
            "kept": self.kept.state(),
            "simulation": vars(self.envs.get_state()),  # plain: the class may move
            "observation": self._observation,
            "random": self._rng.bit_generator.state,
            "samples": self.samples,
            "error": self.error,
            "seconds": self.seconds,
            "next_evaluation": self._next_evaluation,
        }
        with atomic_path(folder / CHECKPOINT) as temporary:
            torch.save(state, temporary)

    def _restore(self, folder: Path) -> None:
        path = folder / CHECKPOINT
        try:
            # arrays and generators as NumPy has them, which plain weights do not allow
            state: dict[str, Any] = torch.load(path, weights_only=False)
            self.envs.set_state(SimulationState(**state["simulation"]))
            nothing = np.zeros((1, self.layout.size), np.float32)
            student = Student(nothing, self._num_actions, self.config.hidden, 0, 0.0)
            student.restore(state["student"])
            self.kept.restore(state["kept"])
            self._rng.bit_generator.state = state["random"]
            self._observation = state["observation"]
            self.samples, self.error = state["samples"], state["error"]
            self._seconds_before = state["seconds"]
            self._next_evaluation = state["next_evaluation"]
        except (LookupError, ValueError, TypeError, OSError, EOFError, RuntimeError) as error:
            raise SFVError(f"{path} cannot be gone on from: {error}; start a new run") from None
        self.student, self._samples_before = student, self.samples
        # what was written after the checkpoint will come again
        self._curve = read_curve(folder, until=self.samples)
        card = read_json(folder / CARD)
        if card:
            selected = "selection" if "selection" in card else "evaluation"
            self._best = evaluation_from_dict(card[selected])
