"""A local process that does one run: ``python -m sfv_gym.benchmarks.worker``.

The run comes as one line of JSON on stdin; messages go back as lines of JSON on stdout. stdin
stays open as long as the runner lives, so that no worker outlives it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

ORPHANED = 3
"""Exit code of a worker whose runner is gone."""


def main() -> None:
    # Only messages may go to the pipe: what algorithms print goes to the run's own log.
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    line = sys.stdin.readline()
    threading.Thread(target=_end_with_runner, daemon=True).start()
    folder = Path(json.loads(line)["folder"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "log.txt", "ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
    except OSError:
        os.dup2(2, 1)  # the run itself will say what is wrong with the folder

    from sfv_gym.benchmarks.results import RunSpec
    from sfv_gym.benchmarks.run import execute

    def send(message: dict[str, Any]) -> None:
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()

    def report(samples: int, score: float | None) -> None:
        send({"samples": samples, "score": score})

    send({"result": execute(RunSpec.from_json(line), report)})


def _end_with_runner() -> None:
    os.read(0, 1)  # not sys.stdin.read: a thread in it cannot be left when Python ends
    os._exit(ORPHANED)


if __name__ == "__main__":
    main()
