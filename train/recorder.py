"""What a run does beside learning: rates, evaluations, the best policy, checkpoints, its end."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from sfv_gym.files import JSON, write_json
from sfv_gym.jobs.folder import read_json
from sfv_gym.jobs.job import Listener, StoppedError
from sfv_gym.play.by_motion import (
    IdEvaluation,
    evaluate_id,
    evaluation_from_dict,
    publish_id,
)
from sfv_gym.play.policy import Policy
from sfv_gym.registry import get_entry
from sfv_gym.seeds import Purpose, stream
from sfv_gym.train.checkpoint import save_checkpoint
from sfv_gym.train.config import PPOConfig
from sfv_gym.train.curriculum import Curriculum
from sfv_gym.train.curve import write_curve
from sfv_gym.train.export import export_policy
from sfv_gym.train.facts import machine_facts, task_facts
from sfv_gym.train.install import rank
from sfv_gym.train.lean_ppo import LeanPPO
from sfv_gym.train.runs import (
    CARD,
    CHECKPOINT,
    POLICY,
    PROGRESS,
    CurveRow,
    read_curve,
    save_policy,
)
from sfv_gym.train.schedule import (
    Annealing,
    begin_annealing,
    budget_share,
    is_out_of_time,
    learning_rate,
)

SELECTION_EPISODES = 20
RUN_OFF_EPISODES = 64
"""Of the comparison between the best policy and the last one, at the end of a run."""
TRACKER_SHARE = 4
"""One in so many episodes is played of each motion of a tracker, which has many."""
INIT_FACTS = ("init", "samples_before", "seconds_before")
"""What a card says of the policy that a run began with: its file, and all that went into it."""


def what_was_given(init: Path) -> JSON:
    """``INIT_FACTS`` of a policy file."""
    card = Policy.load(init).card
    spent = {
        f"{name}_before": card.get(f"{name}_total", card.get(name, 0))
        + card.get(f"{name}_before", 0)
        for name in ("samples", "seconds")
    }
    # its path says nothing elsewhere, and in a run's folder neither does its name
    return {"init": f"{card.get('env_id', init.stem)}.safetensors", **spent}


class Recorder(BaseCallback):
    """Learning rate, evaluations, the best policy, checkpoints, and the end of a run.

    Args:
        listener: told how far the run is; asked, at the start of each rollout, whether to stop.
        init: the policy file that the run begins with.
        num_threads: of the evaluations.
        selection_episodes: of an evaluation on the way; by default ``SELECTION_EPISODES``.

    Attributes:
        exact: whether a run that goes on is to the bit where its checkpoint was; set before it.
    """

    model: LeanPPO

    def __init__(
        self,
        env_id: str,
        folder: Path,
        config: PPOConfig,
        seed: int,
        evaluate_every: int,
        listener: Listener,
        init: str | os.PathLike[str] | None,
        num_threads: int = 1,
        selection_episodes: int | None = None,
    ) -> None:
        super().__init__()
        self.num_threads = num_threads
        self.selection_episodes = selection_episodes or SELECTION_EPISODES
        self.env_id, self.folder, self.config, self.run_seed = env_id, folder, config, seed
        self.evaluate_every, self.listener = evaluate_every, listener
        self.init: JSON = {} if init is None else what_was_given(Path(init))
        self.annealing: Annealing | None = None
        self.curriculum: Curriculum | None = None
        self.curve: list[CurveRow] = []
        self.best: IdEvaluation | None = None
        self.exact = False
        self._begun = self._due = False
        self._next_evaluation = 0
        self._seconds_before, self._samples_before = 0.0, 0
        self._started = time.monotonic()

    # --- where the run is ---------------------------------------------------------------------

    def has_ended(self, model: LeanPPO) -> bool:
        """Whether the run in the checkpoint had ended, under the budget that it has now."""
        saved = model.extra.get("annealing")
        if saved is None:
            return False
        annealing = Annealing(**saved)
        if annealing.reason == "budget" and annealing.start + annealing.length < self.config.steps:
            model.extra["annealing"] = None  # the budget was raised: learn on at the full rate
            return False
        return annealing.is_over(model.num_timesteps)

    def _on_training_start(self) -> None:
        model, samples = self.model, self.model.num_timesteps
        # what was written after the checkpoint will come again
        self.curve = read_curve(self.folder, until=samples)
        self._write_curve()
        card = read_json(self.folder / CARD)
        if card:
            selected = "selection" if "selection" in card else "evaluation"
            self.best = evaluation_from_dict(card[selected])
            self.init = {name: card[name] for name in INIT_FACTS if name in card}
        saved = model.extra.get("annealing")
        self.annealing = Annealing(**saved) if saved else None
        saved = model.extra.get("curriculum")
        if saved:
            self.curriculum = Curriculum(**saved)
        elif get_entry(self.env_id).terrain != "flat":
            self.curriculum = Curriculum.begin(self.config)
        self._seconds_before, self._samples_before = model.extra.get("seconds", 0.0), samples
        self._next_evaluation = samples + self.evaluate_every
        if self.exact:  # not later than it would have been
            due = model.extra.get("next_evaluation", self._next_evaluation)
            self._next_evaluation = min(due, self._next_evaluation)
        self._started = time.monotonic()
        self._begun = True
        if self.init.get("init") and not samples:  # never to end with less than it began with
            self._record()

    @property
    def seconds(self) -> float:
        """Spent on the run, those of earlier processes included."""
        return self._seconds_before + time.monotonic() - self._started

    def _on_rollout_start(self) -> None:
        if self._due or self.listener.stopping:
            self.checkpoint(between_rollouts=True)
        if self.listener.stopping:
            raise StoppedError
        samples, seconds = self.model.num_timesteps, self.seconds
        if self.annealing is None:
            self.annealing = begin_annealing(self.config, self.curve, samples, seconds)
        self.model.learning_rate_now = learning_rate(self.config, self.annealing, samples, seconds)
        self.model.extra["annealing"] = asdict(self.annealing) if self.annealing else None
        over = self.annealing is not None and self.annealing.is_over(samples)
        # a rollout there must be; a checkpoint holds that its run was to stop
        self.model.stop = over or (samples > 0 and is_out_of_time(self.config, seconds))
        if self.curriculum is not None:
            self.curriculum.adapt(self.config)
            difficulty = self.curriculum.draw(self.run_seed, samples)
            self.training_env.env_method("set_difficulty", difficulty)
            self.logger.record("train/hardest_terrain", self.curriculum.limit)

    def _on_step(self) -> bool:
        if self.curriculum is not None:
            ended = [info for info in self.locals["infos"] if "episode" in info]
            self.curriculum.count(len(ended), sum(i["TimeLimit.truncated"] for i in ended))
        return True

    def _on_rollout_end(self) -> None:
        if self.model.num_timesteps >= self._next_evaluation:
            self._next_evaluation += self.evaluate_every
            self._record()
        self._report()

    def _on_training_end(self) -> None:
        self._record()
        if self._due:
            self.checkpoint(between_rollouts=True)

    def _report(self) -> None:
        """Say how far the run is, to the listener and in ``progress.json``."""
        samples = self.model.num_timesteps
        mean = np.mean([e["r"] / e["l"] for e in self.model.ep_info_buffer or []] or [0.0])
        rate = (samples - self._samples_before) / max(time.monotonic() - self._started, 1e-3)
        ends_at = self.config.steps
        if self.annealing is not None:
            ends_at = self.annealing.start + self.annealing.length
        figures = {
            "samples": samples,
            "budget": self.config.steps,
            "ends_at": ends_at,
            "annealing": self.annealing is not None,
            "seconds": round(self.seconds, 1),
            "samples_per_second": round(rate, 1),
            "reward_per_step": round(float(mean), 4),
            "hardest_terrain": self.curriculum.limit if self.curriculum else None,
        }
        write_json(self.folder / PROGRESS, figures)
        note = f"{samples / 1e6:.2f} M, {rate / 1000:.1f} k/s, reward per step {mean:.2f}"
        note += ", annealing" if self.annealing else ""
        done = float(samples)
        if self.config.minutes:  # whichever ends it: the bar tells how long that will take
            done = max(done, budget_share(self.config, 0, self.seconds) * ends_at)
        self.listener.advance(done, ends_at, note)

    # --- what is kept ---------------------------------------------------------------------------

    def _record(self) -> None:
        """Evaluate, keep the policy if it is the best so far, and have a checkpoint written."""
        samples = self.model.num_timesteps
        if self.curve and self.curve[-1]["samples"] == samples:
            return
        policy = export_policy(self.model, {})
        evaluation = self._evaluate(policy, self.selection_episodes, Purpose.SELECTION)
        figures = {"samples": samples, "seconds": round(self.seconds, 1)}
        for name, value in evaluation.as_dict().items():
            if isinstance(value, float):
                self.logger.record(f"evaluation/{name}", value)
        self.curve.append(cast(CurveRow, {**figures, **evaluation.as_dict()}))
        self._write_curve()
        self.listener.say(
            f"{samples / 1e6:.2f} M samples, {self.seconds / 60:.0f} min, normalized return "
            f"{evaluation.normalized_return:.3f} (sfv {evaluation.normalized_return_sfv:.3f}), "
            f"success {evaluation.success_rate:.2f}"
        )
        if self.best is None or rank(evaluation) > rank(self.best):
            self.best = evaluation
            self._save(policy, {**self._card(figures), "evaluation": evaluation.as_dict()})
        self._due = True  # once the model has learned from the rollout

    def _evaluate(self, policy: Policy, episodes: int, purpose: Purpose) -> IdEvaluation:
        many = get_entry(self.env_id).motion is None
        return evaluate_id(
            policy.predict,
            self.env_id,
            observation=self.config.observation,
            episodes=max(episodes // TRACKER_SHARE, 1) if many else episodes,
            seed=stream(purpose, self.run_seed),
            num_threads=self.num_threads,
        )

    def _write_curve(self) -> None:
        start = self.annealing.start if self.annealing else None
        write_curve(self.curve, self.folder, start)

    def _save(self, policy: Policy, card: JSON) -> None:
        save_policy(policy, card, self.folder)

    def checkpoint(self, *, between_rollouts: bool = False) -> None:
        """Write what ``resume`` goes on from, in one file."""
        if not self._begun:  # interrupted before there was anything to keep
            return
        self.model.extra["seconds"] = self.seconds
        self.model.extra["next_evaluation"] = self._next_evaluation
        if self.curriculum is not None:
            self.model.extra["curriculum"] = self.curriculum.as_dict()
        path = self.folder / CHECKPOINT
        save_checkpoint(self.model, path, between_rollouts=between_rollouts)
        self._due = False

    def finish(self, model: LeanPPO) -> IdEvaluation:
        """Evaluate the best policy by the whole protocol, and say in the card that this is it."""
        card = read_json(self.folder / CARD)
        learned_on = card.get("samples_total") != model.num_timesteps
        if "outcome" in card and card["budget"] >= self.config.steps and not learned_on:
            return evaluation_from_dict(card["evaluation"])
        self._run_off(model)
        card, policy = read_json(self.folder / CARD), Policy.load(self.folder / POLICY)
        seen = self.config.observation
        fixed, rsi = publish_id(
            policy.predict, self.env_id, observation=seen, num_threads=self.num_threads
        )
        card = {
            **card,
            "selection": card.get("selection", card["evaluation"]),
            "evaluation": {**fixed.as_dict(), "rsi": rsi.as_dict()},
            "budget": self.config.steps,
            "samples_total": model.num_timesteps,
            "seconds_total": round(model.extra.get("seconds", 0.0), 1),
            "outcome": (model.extra.get("annealing") or {}).get("reason", "budget"),
        }
        self._save(policy, card)
        return fixed

    def _run_off(self, model: LeanPPO) -> None:
        """Keep the last policy, if over more episodes it is better than the best so far.

        The best of many evaluations of a few episodes is in part the luckiest, and was found
        before the learning rate had fallen: see docs/training.md.
        """
        last, best = export_policy(model, {}), Policy.load(self.folder / POLICY)
        if last.content_hash() == best.content_hash():
            return
        of_last, of_best = (
            self._evaluate(policy, RUN_OFF_EPISODES, Purpose.RUN_OFF) for policy in (last, best)
        )
        if rank(of_last) > rank(of_best):
            figures = {
                "samples": model.num_timesteps,
                "seconds": round(model.extra.get("seconds", 0.0), 1),
            }
            self._save(last, {**self._card(figures), "evaluation": of_last.as_dict()})

    def _card(self, figures: JSON) -> JSON:
        return {
            **task_facts(self.env_id),
            "algorithm": "PPO",
            "settings": self.config.as_dict(),
            "init": None,
            **self.init,
            "seed": self.run_seed,
            **figures,
            **machine_facts(),
        }
