"""The folder of what is learned: what was asked for, and which stages are done.

A stage is done when ``state.json`` says what it was made of and its files are there. The same
command again does the others; another one is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sfv_gym.errors import OutputError
from sfv_gym.files import JSON, write_json
from sfv_gym.jobs.folder import LOCK, read_json

STATE = "state.json"
DIFFERENCES = {
    "source": "of another video or motion",
    "start": "from another policy",
    "extraction": "of another part or reading of the clip",
    "settings": "with other settings of the training",
}
"""How it was learned where these parts of what was asked for differ; else both values say it."""


class Stages:
    """The stages that are done, in one folder.

    Args:
        folder: one that this process has locked.
        asked: what must be the same for going on, by name.

    Raises:
        OutputError: the folder holds what was learned otherwise.
    """

    def __init__(self, folder: Path, asked: JSON) -> None:
        self.folder, self.asked = folder, asked
        saved = read_json(folder / STATE)
        self._done: JSON = saved.get("stages", {})
        for name, value in asked.items():
            was = saved.get("asked", {}).get(name, value)
            if was != value:
                how = DIFFERENCES.get(name, f"with {name} {was}, not {value}")
                raise OutputError(
                    f"{folder} holds what was learned {how}: choose another folder (--out), or "
                    "remove that one"
                )

    def seconds(self) -> dict[str, float]:
        """How long each stage took, in the order in which they were done."""
        return {name: stage["seconds"] for name, stage in self._done.items()}

    def result(self, name: str) -> JSON | None:
        """What a stage that is done came to; None of another one."""
        stage = self._done.get(name)
        return None if stage is None else stage["result"]

    def is_done(self, name: str, made_of: JSON, files: Sequence[str]) -> bool:
        """Whether a stage is done."""
        stage = self._done.get(name)
        return (
            stage is not None
            and stage["made_of"] == made_of
            and all((self.folder / file).is_file() for file in files)
        )

    def do(self, name: str, made_of: JSON, files: Sequence[str], work: Callable[[], JSON]) -> JSON:
        """Do a stage, unless it is done.

        Args:
            made_of: what it depends on, as JSON has it.
            files: that ``work`` writes.
            work: returns the result, which JSON can hold. Its ``"seconds"`` count in place of
                the clock's, where earlier processes had a part in it.
        """
        if self.is_done(name, made_of, files):
            return dict(self._done[name]["result"])
        began = time.monotonic()
        result = work()
        seconds = result.pop("seconds", time.monotonic() - began)
        self._done.pop(name, None)  # the order tells what was made last
        self._done[name] = {
            "made_of": made_of,
            "seconds": round(seconds, 2),
            "result": result,
        }
        write_json(self.folder / STATE, {"asked": self.asked, "stages": self._done})
        return result

    def leave_nothing(self) -> None:
        """Remove the folder if no stage was done in it, and nothing else lies there."""
        if not self._done and {path.name for path in self.folder.iterdir()} <= {LOCK}:
            (self.folder / LOCK).unlink(missing_ok=True)
            self.folder.rmdir()
