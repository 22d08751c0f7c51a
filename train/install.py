"""Take the policies of finished runs into a folder of policies, where they are better."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sfv_gym.envs.task import Task
from sfv_gym.errors import PolicyError
from sfv_gym.files import JSON, atomic_path
from sfv_gym.play.by_motion import IdEvaluation, evaluate_id
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.policy import Policy
from sfv_gym.seeds import Purpose, stream
from sfv_gym.train.runs import POLICY, CurveRow, read_curve

COMPARISON_EPISODES = 64


def install_policy(run: Path, folder: Path) -> tuple[bool, str]:
    """Copy the policy, and its card with the learning curve, of the run in ``run`` to ``folder``,
    if that is a gain.

    It is where nothing lies there, where what does was trained on another motion or cannot be
    read, or where the run's evaluates better in the same episodes: in success, rounded to tenths,
    then in normalized return.

    Returns:
        Whether it was copied, and why or why not.
    """
    policy = Policy.load(run / POLICY)
    env_id = policy.card["env_id"]
    task = Task.of(env_id)
    motion_hash = task.motion_hash
    if policy.layout is not None:
        try:
            policy.layout.check_same(PolicyLayout.of(task))
        except PolicyError as error:
            return False, f"not installed: {error}"
    if policy.card["motion_hash"] != motion_hash:
        return False, "not installed: it was trained on another motion than the present one"
    target = folder / f"{env_id}.safetensors"
    wanted, reason = _is_gain(policy, target, env_id, motion_hash)
    if not wanted:
        return False, f"not installed: {reason}"
    policy.save(target)
    with atomic_path(target.with_suffix(".json")) as temporary:
        temporary.write_text(card_text({**policy.card, "curve": short_curve(read_curve(run))}))
    return True, f"installed: {reason}"


def short_curve(curve: Sequence[CurveRow]) -> list[list[float]]:
    """Rows of samples, seconds, NR under pose and sfv, and success, of a run's evaluations."""
    return [
        [
            round(value, 4)
            for value in (
                row["samples"],
                row["seconds"],
                row["normalized_return"],
                row["normalized_return_sfv"],
                row["success_rate"],
            )
        ]
        for row in curve
    ]


def card_text(card: JSON) -> str:
    """A card as JSON, with one evaluation of its curve a line."""
    text = json.dumps({**card, "curve": "@"}, indent=1)
    rows = ",\n  ".join(json.dumps(row) for row in card["curve"])
    return text.replace('"@"', f"[\n  {rows}\n ]")


def _is_gain(policy: Policy, target: Path, env_id: str, motion_hash: str) -> tuple[bool, str]:
    if not target.is_file():
        return True, "there was none"
    try:
        there = Policy.load(target)
    except PolicyError:
        return True, "the one there is damaged"
    if there.card.get("motion_hash") != motion_hash:
        return True, "the one there is of another motion"
    if there.card == policy.card:
        return False, "it is there already"
    new, old = (
        evaluate_id(
            p.predict, env_id, episodes=COMPARISON_EPISODES, seed=stream(Purpose.INSTALLATION)
        )
        for p in (policy, there)
    )
    figures = " against ".join(
        f"{e.normalized_return:.3f} (success {e.success_rate:.2f})" for e in (new, old)
    )
    return rank(new) > rank(old), figures


def rank(evaluation: IdEvaluation) -> tuple[float, float]:
    """What makes one policy better than another."""
    return round(evaluation.success_rate, 1), evaluation.normalized_return
