"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import re
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import platformdirs

from sfv_gym.errors import OutputError, SFVError

JSON: TypeAlias = dict[str, Any]
"""An object of a JSON or YAML file: whoever reads one looks at what is in it."""
CACHE_VARIABLE = "SFV_GYM_CACHE"
NPZ_LIMIT = 512 * 2**20
"""Bytes that the arrays of one ``.npz`` may take in memory: an hour of motion takes 60 MiB."""
MAX_DIMENSIONS = 4
UNFINISHED = ".part-"
"""In the name of a file that is being written."""
UNFINISHED_NAME = re.compile(r"\..*\.part-[a-z0-9_]{8}(\.[^.]*)?")


def cache_folder() -> Path:
    """Where fetched files and results are kept: SFV_GYM_CACHE, or the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("sfv_gym"))


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed to it on success and removed otherwise.

    The temporary name keeps the suffix, since encoders choose the format by it. Killed in between,
    a process leaves the file behind: ``jobs.folder.locked_folder`` clears it away.

    Raises:
        OutputError: the folder is missing or cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}{UNFINISHED}", suffix=path.suffix, dir=path.parent
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


def write_npz(path: str | os.PathLike[str], **arrays: Any) -> None:
    """Write a compressed ``.npz`` whole or not at all.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    try:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None


def read_npz(
    path: str | os.PathLike[str], kind: str, error: type[SFVError]
) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz``, without pickle, and without trusting what it says of its size.

    Args:
        kind: what the file is to be, for the message, such as ``"reference motion"``.
        error: raised where the file is missing, no ``.npz``, damaged, or larger in memory than
            ``NPZ_LIMIT``; the message begins with the file's name.
    """
    path = Path(path)
    if not path.is_file():
        name = kind.removeprefix("reference ").removesuffix(" file")
        raise error(f"{path}: there is no such {name} file")
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            members = archive.infolist()
            room = NPZ_LIMIT
            for member in members:
                room -= member.file_size
                if room < 0:
                    raise ValueError(f"it unpacks to more than {NPZ_LIMIT // 2**20} MiB")
            return {m.filename.removesuffix(".npy"): _read_array(archive, m) for m in members}
    except (
        ValueError,  # NumPy's, of headers and of what is not finite JSON
        TypeError,
        OSError,
        EOFError,
        SyntaxError,
        RecursionError,
        MemoryError,
        NotImplementedError,  # a kind of compression that is not known
        RuntimeError,  # encrypted
        zlib.error,
        zipfile.BadZipFile,
    ) as reason:
        text = " ".join(str(reason).split()) or type(reason).__name__  # NumPy's may have lines
        raise error(f"{path}: not a {kind} (.npz): {text}") from None


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array, whose header is believed only as far as the member has bytes for it."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"{member.filename} has an unknown format {version}")
        shape, fortran, kind = read(file)
        if kind.hasobject or kind.kind not in "biufUS" or len(shape) > MAX_DIMENSIONS:
            raise ValueError(f"{member.filename} holds {kind} of {len(shape)} dimensions")
        count = 1
        for size in shape:
            count *= int(size)
        if count < 0 or count * kind.itemsize > member.file_size:
            raise ValueError(f"{member.filename} says it has shape {shape}, and is too short")
        data = file.read(count * kind.itemsize)
    values = np.frombuffer(data, kind, count).copy()  # ValueError where it ends too soon
    return values.reshape(shape, order="F" if fortran else "C")


def read_nested_json(text: str) -> JSON:
    """A JSON object; ValueError if it is none, or nested too deeply."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return value


def check_folder(folder: Path) -> None:
    """See that files can be put into a folder, without making it: before minutes are spent.

    Raises:
        OutputError: it, or what it would lie in, is a file or cannot be written.
    """
    nearest = folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {folder}: {nearest} is no folder that you can write to")
