"""Files that are written whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from sfv_gym.errors import OutputError

CACHE_VARIABLE = "SFV_GYM_CACHE"


def cache_folder() -> Path:
    """Where fetched files and results are kept: SFV_GYM_CACHE, or the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("sfv_gym"))


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed to it on success and removed otherwise.

    The temporary name keeps the suffix, since encoders choose the format by it.

    Raises:
        OutputError: the folder is missing or cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o644)  # mkstemp's files are for their owner alone
        try:
            os.replace(temporary, path)
        except OSError as error:
            reason = "it is a folder" if path.is_dir() else error.strerror or error
            raise OutputError(f"cannot write {path}: {reason}") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None


def write_json(path: Path, value: Any) -> None:
    """The same for JSON."""
    write_text(path, json.dumps(value, indent=1))


@contextmanager
def locked_folder(folder: Path, busy: str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold a folder that two processes would spoil for each other.

    The lock goes with the process, however it ends.

    Args:
        busy: what to say when another process holds it.
        wait: seconds to wait for one that is just ending.

    Raises:
        OutputError: another process holds it, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / "lock", "w")  # noqa: SIM115
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
                    raise OutputError(busy) from None
                time.sleep(0.2)
        yield
