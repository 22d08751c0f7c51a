"""What policies' cards say of their training, and what is written into them."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, cast

import yaml

from sfv_gym.benchmarks.studies.policies.records import Measured, TrainingFacts
from sfv_gym.files import write_text
from sfv_gym.play.policy import Policy
from sfv_gym.train.install import card_text

Card = dict[str, Any]
"""A policy's, as its file has it."""
CARD_FACTS = ("samples", "seconds", "samples_total", "seconds_total", "seed", "machine", "threads",
              "init", "samples_before", "seconds_before", "motion_hash", "mujoco_version",
              "outcome")  # fmt: skip


def training_facts(card: Card) -> TrainingFacts:
    """What a record says of the training."""
    facts = {name: card[name] for name in CARD_FACTS if name in card}
    if "reward" in card.get("settings", {}):
        facts["reward"] = card["settings"]["reward"]
    return cast("TrainingFacts", facts)


def write_card(folder: Path, env_id: str, record: Measured) -> bool:
    """Put the record's evaluation and selection into the policy's card, inside its file and beside
    it; whether anything was another.

    Nothing else in the card changes but what ``known_origin`` adds, and nothing that the policy
    does.
    """
    file = folder / f"{env_id}.safetensors"
    policy = Policy.load(file)
    curve = read_card(folder, env_id, policy).get("curve", [])
    policy.card = {
        **policy.card,
        **known_origin(env_id, policy),
        "evaluation": {**record["first_frame"], "rsi": record["rsi"]},
        "selection": record["selection"],
    }
    beside = file.with_suffix(".json")
    text = card_text({**policy.card, "curve": curve})
    if Policy.load(file).card == policy.card and beside.is_file() and beside.read_text() == text:
        return False
    policy.save(file)
    write_text(beside, text)
    return True


def known_origin(env_id: str, policy: Policy) -> Card:
    """What had gone into the policy that a run began from, where its card could not say it:
    ``samples_before`` and ``seconds_before`` from ``origins.yml``; empty for every other policy."""
    text = (
        resources.files("sfv_gym.benchmarks.studies.policies").joinpath("origins.yml").read_text()
    )
    known = yaml.safe_load(text).get(env_id)
    if known is None or known["of"] != policy.content_hash():
        return {}
    return {name: known[name] for name in ("samples_before", "seconds_before")}


def read_card(folder: Path, env_id: str, policy: Policy) -> Card:
    """The card beside a policy, which has the learning curve; else that inside it."""
    file = folder / f"{env_id}.json"
    card: Card = json.loads(file.read_text()) if file.is_file() else policy.card
    return card
