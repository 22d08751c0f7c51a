"""How far a reconstruction is."""

from __future__ import annotations

from typing import Any


class IterationBar:
    """A progress bar on stderr over the solver's iterations, or nothing.

    Args:
        show: whether there is one.
    """

    def __init__(self, show: bool) -> None:
        self._bar: Any = None
        self._expected = 0
        if show:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("reconstruction", total=None)

    def expect(self, iterations: int) -> None:
        """So many more are to come, at most."""
        self._expected += iterations
        if self._bar is not None:
            self._bar.update(self._task, total=self._expected)

    def advance(self) -> None:
        """One is done."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def __enter__(self) -> IterationBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
