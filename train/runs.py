"""What lies in a run's folder, and what it says about the run.

``config.json`` (id, motion hash, seed, settings), ``checkpoint.zip`` (to go on from),
``policy.safetensors`` and ``card.json`` (the best so far), ``curve.jsonl`` and ``curve.svg`` (one
evaluation a row), ``progress.json`` (every rollout), ``log.txt`` (of a run in a queue), ``lock``,
TensorBoard events. A run is finished when its card says how it ended: ``outcome``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfv_gym.errors import OutputError
from sfv_gym.files import atomic_path

CONFIG, CHECKPOINT, POLICY = "config.json", "checkpoint.zip", "policy.safetensors"
CARD, CURVE, PICTURE = "card.json", "curve.jsonl", "curve.svg"
PROGRESS, LOG, LOCK = "progress.json", "log.txt", "lock"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty when there is none."""
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        value = json.loads(path.read_text())
        return value if isinstance(value, dict) else {}
    return {}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1))


def read_curve(folder: Path, until: float = float("inf")) -> list[dict[str, Any]]:
    """The evaluations of a run up to ``until`` samples."""
    path = folder / CURVE
    rows: list[dict[str, Any]] = []
    if path.is_file():
        for line in path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the last one may be cut off
                rows.append(json.loads(line))
    return [row for row in rows if row["samples"] <= until]


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
    card: dict[str, Any]

    @classmethod
    def read(cls, folder: Path, budget: int | None = None) -> RunState:
        """The state of the run in ``folder``; with another ``budget`` than it ended at, a run
        that did not reach its target is not finished."""
        config, card = read_json(folder / CONFIG), read_json(folder / CARD)
        progress = read_json(folder / PROGRESS)
        outcome = card.get("outcome")
        more = budget is not None and budget > card.get("budget", 0)
        return cls(
            exists=(folder / CHECKPOINT).is_file() and bool(config),
            motion_hash=config.get("motion_hash"),
            finished=outcome == "target" or (outcome == "budget" and not more),
            samples=int(progress.get("samples", 0)),
            seconds=float(progress.get("seconds", 0.0)),
            card=card,
        )


@contextmanager
def locked(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold a run's folder: two processes that train in one would spoil each other's files.

    The lock goes with the process, however it ends.

    Args:
        wait: seconds to wait for another process that is just ending.

    Raises:
        OutputError: another process holds it, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / LOCK, "w")  # noqa: SIM115
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from None
    with file:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise OutputError(f"another process is training in {folder}") from None
                time.sleep(0.2)
        yield
