"""A job's folder: one process at a time, and files that are there whole or not at all.

``job.json`` says what was asked for, ``log.txt`` is what the process printed, ``lock`` is held by
the process at work. The rest is the job's own: what it goes on from, and what it makes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sfv_gym.errors import OutputError, SFVError
from sfv_gym.files import JSON, UNFINISHED_NAME, read_nested_json

JOB, LOG, LOCK = "job.json", "log.txt", "lock"
WAIT = 60.0
"""Seconds to wait for a worker of an earlier supervisor, which notices that it is alone."""


def read_json(path: Path, error: type[SFVError] = SFVError) -> JSON:
    """The object in a file; empty when there is no file.

    Args:
        error: raised where there is one that is damaged: files are written whole, so that
            something is wrong that going on would hide.
    """
    try:
        return read_nested_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as reason:
        raise error(f"{path} is damaged: {reason}; remove it to make it again") from None


@contextmanager
def locked_folder(folder: Path, busy: str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold a folder that two processes would spoil for each other.

    The lock goes with the process, however it ends. What processes that were killed have left
    half-written in the folder is removed: nobody else writes there now.

    Args:
        busy: what to say when another process holds it.
        wait: seconds to wait for one that is just ending.

    Raises:
        OutputError: another process holds it, or the folder cannot be written.
    """
    with _acquire(folder, busy, time.monotonic() + wait):
        _remove_unfinished(folder)
        yield


def _acquire(folder: Path, busy: str, deadline: float) -> IO[str]:
    """The folder's lock file, open and locked; closed, it is free again."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open(folder / LOCK, "w")  # noqa: SIM115
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror or error}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            if time.monotonic() >= deadline:
                raise OutputError(busy) from None
            time.sleep(0.2)
            continue
        if _is_there(file, folder / LOCK):
            return file
        file.close()  # the folder was renamed in between, and the lock with it


def _is_there(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _remove_unfinished(folder: Path) -> None:
    for path in folder.iterdir():
        if UNFINISHED_NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)


@contextmanager
def scratch_folder(beside: Path | None, name: str) -> Iterator[Path]:
    """Where temporary folders of jobs lie: ``jobs/name`` in ``beside``, or in the system's folder
    for such things. What is left of it at the end is removed if it is empty.

    Args:
        beside: the folder of the results, which a cluster's machines share.
    """
    if beside is None:
        with tempfile.TemporaryDirectory(prefix="sfv_gym-") as made:
            yield Path(made)
        return
    folder = beside / "jobs" / name
    try:
        yield folder
    finally:
        for one in (folder, folder.parent):
            with contextlib.suppress(OSError):
                one.rmdir()
