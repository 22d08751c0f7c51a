"""The stage that leaves a policy: the one to start from as it is, or what PPO makes of it."""

from __future__ import annotations

import time
from dataclasses import replace

from sfv_gym.envs.task import Task
from sfv_gym.files import JSON, write_json
from sfv_gym.jobs.folder import locked_folder
from sfv_gym.play.by_motion import publish_id
from sfv_gym.play.evaluation import Evaluation
from sfv_gym.play.policy import Policy
from sfv_gym.train.config import Asked
from sfv_gym.train.facts import machine_facts, task_facts
from sfv_gym.train.learn.call import Call
from sfv_gym.train.learn.film import seconds_after_training
from sfv_gym.train.ppo import train_in
from sfv_gym.train.progress import ProgressBar
from sfv_gym.train.recorder import what_was_given
from sfv_gym.train.runs import CARD, POLICY, RunState

EVALUATE_EVERY = 50_000
"""Control steps between two evaluations in training."""
TORCH_THREADS = 1
"""Of the updates. Two of the physics do no harm beside other busy processes; two of torch wait for
each other: 40,960 samples of a kick took 148 s in place of 32."""
STARTING = 5.0
"""Seconds until a run begins to count its own."""
TRAINING = "training"
"""The folder of the run, within the folder."""
EVALUATION = "evaluation.json"
SELECTION_EPISODES = 64
"""Of an evaluation on the way, which also ends the run: of 20 that are always the same, a kick's
policy went through 18, and through 0.61 of 448 others."""


def make_policy(call: Call, task: Task, zero_shot: Evaluation | None) -> None:
    """Leave the policy with its card and its evaluation."""
    config = call.asked.config
    good = zero_shot is not None and zero_shot.success_rate >= call.target
    made_of = {
        "motion": task.motion_hash,
        "ends": {
            "steps": config.steps,
            "minutes": call.minutes,
            "target": [call.target, config.target_evaluations],
        },
    }
    files = (POLICY, CARD, EVALUATION)
    if good and call.start.fits(task):
        call.say(f"Training: none, success is {call.target:g} or more already")
        call.stages.do("training", made_of, files, lambda: _as_it_is(call))
    else:
        call.stages.do("training", made_of, files, lambda: _learn(call, task))


def _as_it_is(call: Call) -> JSON:
    """The policy to start from is the one."""
    policy, path = call.start.policy, call.start.path
    assert policy is not None and path is not None
    fixed, rsi = publish_id(
        policy.predict,
        call.env_id,
        observation=call.observation,
        num_threads=call.threads,
    )
    card = {
        **task_facts(call.env_id),
        "algorithm": policy.card.get("algorithm", "unknown"),
        "settings": policy.card.get("settings", {}),
        **what_was_given(path),
        "seed": call.seed,
        "samples": 0,
        "seconds": 0.0,
        "samples_total": 0,
        "outcome": "target",
        **machine_facts(),
    }
    _save(call, policy, card, {**fixed.as_dict(), "rsi": rsi.as_dict()})
    return {"samples": 0}


def _learn(call: Call, task: Task) -> JSON:
    """A run of PPO, or going on with it."""
    began, run = time.monotonic(), call.folder / TRAINING
    state = RunState.read(run)
    rest = seconds_after_training(task, call.threads)
    asked = _with_minutes(call, rest + time.monotonic() - began + STARTING)
    if state.exists:
        call.say(f"Training: goes on after {state.samples / 1e6:.2f} M samples")
    with (
        locked_folder(run, f"another process is training in {run}"),
        ProgressBar("Training", show=call.progress) as bar,
    ):
        train_in(
            run,
            call.env_id,
            asked,
            seed=call.seed,
            resume=state.exists,
            init=call.start.path,
            num_threads=call.threads,
            torch_threads=TORCH_THREADS,
            device="cpu",
            evaluate_every=EVALUATE_EVERY,
            selection_episodes=SELECTION_EPISODES,
            listener=bar,
        )
    policy = Policy.load(run / POLICY)
    _save(call, policy, policy.card, policy.card["evaluation"])
    # what earlier processes have spent: all of it, or what the run has counted
    before = max(state.seconds, call.stages.seconds().get("training", 0.0))
    seconds = before + time.monotonic() - began
    return {"samples": policy.card["samples_total"], "seconds": seconds}


def _with_minutes(call: Call, rest: float) -> Asked:
    """The settings with the minutes that are left to the run, evaluations on the way included.

    Args:
        rest: seconds that what follows will take.
    """
    if call.minutes is None:
        return call.asked
    before = sum(call.stages.seconds().get(name, 0.0) for name in ("motion", "zero-shot"))
    left = max(60.0 * call.minutes - before - rest, 0.1)
    call.say(
        f"Training: at most {left / 60:.1f} min of {call.minutes:g}; {before / 60:.1f} are "
        f"spent, {rest / 60:.1f} are kept for evaluation and film"
    )
    config = call.asked.config
    values = {**call.asked.overrides(), "minutes": left / 60.0}
    return Asked.for_env(call.env_id, config.steps, values)


def _save(call: Call, policy: Policy, card: JSON, evaluation: JSON) -> None:
    """The policy, its card and its evaluation; the evaluation last."""
    card = {**card, "evaluation": evaluation}
    replace(policy, card=card).save(call.folder / POLICY)
    write_json(call.folder / CARD, card)
    write_json(call.folder / EVALUATION, evaluation)
