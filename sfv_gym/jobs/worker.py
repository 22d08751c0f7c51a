"""A process that does one job: ``python -m sfv_gym.jobs.worker``.

The job comes as one line of JSON on stdin; messages go back as lines of JSON on stdout. stdin
stays open as long as whoever started the worker lives, so that no worker outlives it for long.
SIGINT and SIGTERM ask the job to stop.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType

from sfv_gym.errors import OutputError, SFVError
from sfv_gym.files import JSON, write_text
from sfv_gym.jobs.folder import JOB, LOG, WAIT, locked_folder
from sfv_gym.jobs.job import Job, Reporter, StoppedError, find_function

ORPHANED = 3
"""Exit code of a worker whose supervisor is gone."""
ORPHAN_SECONDS = 45.0
"""How long such a worker may take for its checkpoint: less than others wait for its folder."""

SINGLE_THREADED = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}


def environment(threads: int) -> dict[str, str]:
    """Variables of a worker: as many jobs as cores side by side, and figures that do not depend on
    how many cores there are. They count when a process loads NumPy."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    limits = {name: str(threads) for name in names}
    return {**limits, **(SINGLE_THREADED if threads == 1 else {}), "PYTHONUNBUFFERED": "1"}


def run_job(text: str, reporter: Reporter) -> JSON:
    """Do the job that ``text`` describes, in this process, and return what became of it.

    Whatever the function raises is the message of a failed job, and in the log with its traceback;
    only what ends the process is not caught.
    """
    try:
        values = json.loads(text)  # without its arguments' types: importing those may take long
        folder = Path(values["folder"])
        with locked_folder(folder, f"another process is at work in {folder}", wait=WAIT):
            with contextlib.suppress(OutputError):  # it is a record, nothing reads it
                write_text(folder / JOB, text)
            job = Job.from_json(text)
            return {"result": find_function(job.function)(job.arguments, reporter)}
    except StoppedError:
        return {"stopped": True}
    except SFVError as error:
        print(f"error: {error}", file=sys.stderr)
        return {"failed": str(error)}
    except Exception as error:
        traceback.print_exc()
        lines = str(error).splitlines()
        return {"failed": f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")}


def log_into(folder: Path) -> None:
    """From now on, what this process and its children print goes into the folder's log."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / LOG, "ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
    except OSError:
        os.dup2(2, 1)  # the job itself will say what is wrong with the folder


def heed_signals(job: JSON, reporter: Reporter) -> None:
    """Stop the job on SIGINT and SIGTERM; one that writes no checkpoints is interrupted."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        reporter.stop()
        if not job["checkpoints"]:
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


def main() -> None:
    """Do the job on stdin."""
    # Only messages may go to the pipe: what functions print goes to the job's own log.
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    job = json.loads(text := sys.stdin.readline())

    def send(message: JSON) -> None:
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()

    reporter = Reporter(send)
    threading.Thread(target=_stop_with_supervisor, args=(job, reporter), daemon=True).start()
    heed_signals(job, reporter)
    log_into(Path(job["folder"]))
    send(run_job(text, reporter))


def _stop_with_supervisor(job: JSON, reporter: Reporter) -> None:
    os.read(0, 1)  # not sys.stdin.read: a thread in it cannot be left when Python ends
    if job["checkpoints"]:
        reporter.stop()
        time.sleep(ORPHAN_SECONDS)
    os._exit(ORPHANED)


if __name__ == "__main__":
    main()
