"""Shapes of arrays in type hints, as jaxtyping writes them: ``Float[np.ndarray, "T 3"]``.

mypy reads them, and the tests check them at every call, see ``tests/conftest.py``. Nothing else
asks: jaxtyping is loaded where something has loaded it before, and need not be installed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float, Int, Shaped
else:

    class Shaped:
        """The type of array alone."""

        def __class_getitem__(cls, array_and_shape: tuple[Any, str]) -> Any:
            return array_and_shape[0]

    Bool = Float = Int = Shaped

__all__ = ["Bool", "Float", "Int", "Shaped"]
