"""Native code that writes to stderr past every setting."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Silence what an estimator's C++ code, MediaPipe's for one, writes to file descriptor 2.

    Python's own stderr stays visible.
    """
    stream = sys.stderr
    try:
        stream.flush()
        saved = os.dup(2)
    except (OSError, AttributeError):  # a process without stderr
        yield
        return
    with open(os.devnull, "w") as sink, os.fdopen(saved, "w", buffering=1) as visible:
        os.dup2(sink.fileno(), 2)
        try:
            if _descriptor(stream) == 2:
                sys.stderr = visible
            yield
        finally:
            sys.stderr = stream
            os.dup2(saved, 2)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):  # replaced by something that is no file
        return None
