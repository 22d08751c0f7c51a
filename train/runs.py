"""What lies in a run's folder, and what it says about the run.

``config.json`` (id, motion hash, seed, settings), ``checkpoint.zip`` (to go on from),
``policy.safetensors`` and ``card.json`` (the best so far), ``curve.jsonl`` and ``curve.svg`` (one
evaluation a row), ``progress.json`` (every rollout), TensorBoard events; and what every job's
folder has, see ``jobs.folder``. A run is finished when its card says how it ended: ``outcome``.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

from sfv_gym.files import JSON, read_nested_json, write_json
from sfv_gym.jobs.folder import read_json
from sfv_gym.play.policy import Policy

CONFIG, CHECKPOINT, POLICY = "config.json", "checkpoint.zip", "policy.safetensors"
CARD, CURVE, PICTURE = "card.json", "curve.jsonl", "curve.svg"
PROGRESS = "progress.json"


class CurveRow(TypedDict):
    """A row of ``curve.jsonl``: when an evaluation was, and what is used of it; it has the rest of
    its figures, too, see ``play.evaluation.Evaluation``."""

    samples: int
    seconds: float
    normalized_return: float
    normalized_return_sfv: float
    success_rate: float


def read_curve(folder: Path, until: float = float("inf")) -> list[CurveRow]:
    """The evaluations of a run up to ``until`` samples."""
    path = folder / CURVE
    rows: list[CurveRow] = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):  # the last one may be cut off
                rows.append(cast(CurveRow, read_nested_json(line)))
    return [row for row in rows if _number(row, "samples", math.inf) <= until]


def save_policy(policy: Policy, card: JSON, folder: Path) -> None:
    """Write a run's best policy with its card; the card last: it is what tells of the policy."""
    policy.card = card
    policy.save(folder / POLICY)
    write_json(folder / CARD, card)


def _number(values: Mapping[str, object], name: str, otherwise: float = 0.0) -> float:
    value = values.get(name)
    return value if isinstance(value, int | float) else otherwise


@dataclass(frozen=True)
class RunState:
    """What a folder tells of its run.

    Attributes:
        exists: whether there is a checkpoint to go on from.
        motion_hash: of the motion that it is trained on; None before it began.
        finished: whether it has ended, and a larger budget would not make it go on.
        samples, seconds: used so far.
        card: of the best policy so far; empty when there is none.
    """

    exists: bool
    motion_hash: str | None
    finished: bool
    samples: int
    seconds: float
    card: JSON

    @classmethod
    def read(cls, folder: Path, budget: int | None = None) -> RunState:
        """The state of the run in ``folder``; with another ``budget`` than it ended at, a run
        that did not reach its target is not finished."""
        config, card = read_json(folder / CONFIG), read_json(folder / CARD)
        progress = read_json(folder / PROGRESS)
        outcome = card.get("outcome")
        more = budget is not None and budget > _number(card, "budget")
        return cls(
            exists=(folder / CHECKPOINT).is_file() and bool(config),
            motion_hash=config.get("motion_hash"),
            finished=outcome == "target" or (outcome == "budget" and not more),
            samples=int(_number(progress, "samples")),
            seconds=float(_number(progress, "seconds")),
            card=card,
        )
