"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
