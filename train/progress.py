"""The bar of a run in this process."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress

from sfv_gym.jobs.supervise import bar_columns


class ProgressBar:
    """A ``jobs.job.Listener`` that shows a bar on stderr, and prints what is said.

    Args:
        label: of the bar and of the lines.
        show: False for silence.
    """

    stopping = False  # Ctrl-C reaches the run itself

    def __init__(self, label: str, *, show: bool = True) -> None:
        self._label, self._show = label, show
        self._progress = Progress(
            *bar_columns(),
            console=Console(stderr=True),
            disable=not show,
        )
        self._task = self._progress.add_task(label, total=None, note="", start=False)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def advance(self, done: float, total: float | None = None, note: str = "") -> None:
        """Show that it is at ``done`` of ``total``."""
        self._start()
        self._progress.update(self._task, completed=done, total=total, note=note)

    def say(self, text: str) -> None:
        """Print a line."""
        if self._show:
            self._progress.console.print(f"{self._label}: {text}", highlight=False, soft_wrap=True)

    def _start(self) -> None:
        if not self._progress.live.is_started:  # only once there is something to show
            self._progress.start()
            self._progress.start_task(self._task)
