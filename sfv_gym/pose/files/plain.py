"""Files of numbers by other programs, read without running any code that they may hold.

``.pt`` and ``.pkl`` files are pickles, programs for a small machine that may call any function.
Here they may name a few types of numbers and containers, which come out as arrays, dicts and lists;
whatever else is named is refused before anything is called.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sfv_gym.errors import PoseFileError, SFVError
from sfv_gym.files import read_npz

LIMIT = 2 * 2**30
"""Bytes of a file. Those of mesh estimators hold meshes and masks that are not needed here."""
SUFFIXES = (".json", ".npz", ".pkl", ".pickle", ".pt", ".pth")
_COMPRESSED = (b"\x78", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00")
"""First bytes of what joblib packs."""


def read_plain(path: Path) -> Any:
    """Dicts, lists, arrays, numbers and text, as nested in the file.

    Raises:
        PoseFileError: it is missing, empty, damaged, too large, of an unknown kind, or names what
            is not plain data.
    """
    if not path.is_file():
        raise PoseFileError(f"{path}: there is no such file")
    if path.suffix.lower() not in SUFFIXES:
        raise PoseFileError(f"{path}: poses come as {', '.join(SUFFIXES)}, not {path.suffix!r}")
    size = path.stat().st_size
    if size == 0:
        raise PoseFileError(f"{path}: the file is empty")
    if size > LIMIT:
        raise PoseFileError(f"{path}: larger than {LIMIT // 2**30} GiB: leave out meshes and masks")
    read = {".json": _read_json, ".npz": _read_npz, ".pt": _read_torch, ".pth": _read_torch}
    try:
        return read.get(path.suffix.lower(), _read_pickle)(path)
    except SFVError:
        raise
    except Exception as error:  # damaged pickles raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise PoseFileError(f"{path}: damaged or cut off: {reason}") from None


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_npz(path: Path) -> Any:
    return read_npz(path, "file of poses", PoseFileError)


def _read_torch(path: Path) -> Any:
    import torch

    return _without_tensors(torch.load(path, map_location="cpu", weights_only=True))


def _without_tensors(value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, dict):
        return {key: _without_tensors(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(item) for item in value]
    return value


# --- pickles -----------------------------------------------------------------------------------


class _DataType:
    """Stands for a pickled ``numpy.dtype``."""

    def __init__(self, code: str, *_: object) -> None:
        self._code, self._order = str(code), "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = str(state[1])

    @property
    def numpy(self) -> np.dtype[Any]:
        """Of numbers and text only."""
        found = np.dtype(self._code)
        if found.kind not in "biufSU" or self._order not in "<>|=":
            raise PoseFileError(f"an array of {self._code}")
        if self._order == ">":
            return found.newbyteorder(">")
        return found.newbyteorder("<") if self._order == "<" else found


class _Array:
    """Stands for a pickled ``numpy.ndarray``: filled by its state, never by a call."""

    values: np.ndarray

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, data = state
        if kind.numpy.hasobject or not isinstance(data, bytes):
            raise PoseFileError("an array without its bytes")
        self.values = _array(data, kind, shape, "F" if fortran else "C")


class _Scalar:
    """Stands for a pickled NumPy number."""

    def __init__(self, kind: _DataType, data: bytes) -> None:
        self.values = np.frombuffer(data, kind.numpy)[0]


class _JoblibArray:
    """Stands for joblib's note that an array's bytes follow in the file.

    Fields as in joblib's ``numpy_pickle.NumpyArrayWrapper`` (BSD).
    """

    shape: tuple[int, ...]
    order: str
    dtype: _DataType
    numpy_array_alignment_bytes: int | None = None

    def read_from(self, file: io.BufferedIOBase) -> _Array:
        """The array, from where the file stands."""
        if self.numpy_array_alignment_bytes is not None:
            file.read(file.read(1)[0])
        count = int(np.prod(self.shape, dtype=object)) * self.dtype.numpy.itemsize
        if not 0 <= count <= LIMIT:
            raise PoseFileError(f"an array of shape {self.shape}")
        found = _Array()
        found.values = _array(file.read(count), self.dtype, self.shape, self.order)
        return found


def _array(data: bytes, kind: _DataType, shape: tuple[int, ...], order: str) -> np.ndarray:
    values = np.frombuffer(data, kind.numpy)
    return values.reshape(shape, order="F" if order == "F" else "C").copy()


def _latin(text: str, encoding: str) -> bytes:
    """Bytes as protocol 2 keeps them."""
    if encoding != "latin1":
        raise PoseFileError(f"text in {encoding}")
    return text.encode("latin1")


def _buffer(data: bytes, kind: _DataType, shape: tuple[int, ...], order: str) -> _Array:
    found = _Array()
    found.values = _array(bytes(data), kind, shape, order)
    return found


_NUMPY = {"_reconstruct": _Array, "scalar": _Scalar, "_frombuffer": _buffer}
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DataType,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _JoblibArray,
    ("_codecs", "encode"): _latin,
    ("collections", "OrderedDict"): dict,
    ("collections", "defaultdict"): lambda *_: {},
    ("builtins", "dict"): dict,
    ("builtins", "list"): list,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module in ("multiarray", "numeric")
        for name, stand_in in _NUMPY.items()
    },
}


class _PlainUnpickler(pickle._Unpickler):  # the one in Python, since joblib's arrays are in between
    """Makes nothing but what `_ALLOWED` names."""

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file)
        self._source = file

    def find_class(self, module: str, name: str) -> Any:
        """Raises PoseFileError for all else."""
        if (module, name) not in _ALLOWED:
            raise PoseFileError(
                f"it names {module}.{name}, which is no plain data: write arrays, as .npz"
            )
        return _ALLOWED[module, name]

    def load_build(self) -> None:
        """Put an object's state in; for joblib's arrays, read them."""
        state, instance = self.stack.pop(), self.stack[-1]  # type: ignore[attr-defined]
        if isinstance(instance, _JoblibArray):
            for name in ("shape", "order", "dtype", "numpy_array_alignment_bytes"):
                if name in state:
                    setattr(instance, name, state[name])
            self.stack[-1] = instance.read_from(self._source)  # type: ignore[attr-defined]
        elif isinstance(instance, _Array | _DataType):
            instance.__setstate__(state)
        else:
            raise PoseFileError(f"it sets the state of a {type(instance).__name__}")

    dispatch[pickle.BUILD[0]] = load_build


def _read_pickle(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.peek(8)[:8]
        if start.startswith(_COMPRESSED):
            raise PoseFileError(f"{path}: packed by joblib: write it with compress=0")
        if start.startswith(b"PK"):  # torch.save's zip under another name
            return _read_torch(path)
        try:
            return _filled(_PlainUnpickler(file).load())
        except PoseFileError as error:
            raise PoseFileError(f"{path}: {error}") from None


def _filled(value: Any) -> Any:
    """The arrays in place of what stands for them."""
    if isinstance(value, _Array | _Scalar):
        return value.values
    if isinstance(value, dict):
        return {_filled(key): _filled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item) for item in value]
    return value
