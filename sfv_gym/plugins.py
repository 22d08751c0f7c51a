"""What a user names on the command line out of their own code."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def load_named(spec: str) -> Any:
    """The object that ``module:name`` or ``folder/file.py:name`` names.

    Raises:
        Exception: whatever importing the module raises, or AttributeError; see `short`.
    """
    place, _, attribute = spec.rpartition(":")
    module = _load_file(Path(place)) if place.endswith(".py") else _import(place)
    return getattr(module, attribute)


def short(error: BaseException) -> str:
    """One line for an error of another's code."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _import(name: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:  # as `python -m` would find it
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(re.sub(r"\W", "_", path.stem), path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look there
    spec.loader.exec_module(module)
    return module
