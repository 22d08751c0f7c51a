"""Functions of jobs, for the tests of those who do them."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from sfv_gym.errors import SettingError
from sfv_gym.jobs.job import Reporter, StoppedError


@dataclass(frozen=True)
class Count:
    """Count to ``up_to`` in a file, from where it is; ``how`` says what goes wrong on the way."""

    file: Path
    up_to: int
    how: str = ""
    seconds: float = 0.0


def count(arguments: Count, reporter: Reporter) -> dict:
    print("counting")
    file = arguments.file
    for number in range(reached(file) + 1, arguments.up_to + 1):
        if arguments.how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if arguments.how == "dies once" and number == 3 and not file.with_suffix(".died").exists():
            file.with_suffix(".died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if arguments.how == "refuses":
            raise SettingError("there is no such number")
        if arguments.how == "breaks":
            raise ZeroDivisionError("the number\nis gone")
        file.write_text(str(number))
        reporter.advance(number, arguments.up_to, f"at {number}")
        if arguments.how == "checkpoints" and reporter.stopping:
            reporter.say(f"stops at {number}")
            file.with_suffix(".stopped").touch()
            raise StoppedError
        time.sleep(arguments.seconds)
    return {"number": reached(file), "threads": os.environ.get("OMP_NUM_THREADS")}


def reached(file: Path) -> int:
    """What has been counted to."""
    text = file.read_text() if file.is_file() else ""
    return int(text or 0)
