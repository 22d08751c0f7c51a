"""One run of the queue, in a process of its own: ``python -m sfv_gym.train.worker JSON``.

It goes on with the run in the folder if there is one. It stops, after a checkpoint, on SIGINT
and SIGTERM, and when the process that started it is gone. Exit codes: 0, 2 on wrong input, 130
when it was stopped.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from sfv_gym.errors import SFVError
from sfv_gym.train.runs import CHECKPOINT

WAIT = 60.0
"""Seconds for a worker of an earlier queue to notice that its parent is gone."""
STOPPED = 130


def main(arguments: dict[str, Any]) -> int:
    """Train; ``arguments`` are those of ``train`` but ``resume``, and ``parent``, a process id."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    from sfv_gym.train.ppo import train

    parent = arguments.pop("parent")
    resume = (Path(arguments["run_dir"]) / CHECKPOINT).is_file()
    try:
        train(
            **arguments,
            resume=resume,
            progress=False,
            keep_going=lambda: os.getppid() == parent,
            wait=WAIT,
        )
    except SFVError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return STOPPED
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once: the checkpoint must not be interrupted, too
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
