"""Pages of the documentation that hold measured tables between marks."""

from __future__ import annotations

from pathlib import Path

from sfv_gym.errors import SFVError
from sfv_gym.files import write_text


def fill(page: Path, begin: str, end: str, text: str) -> None:
    """Put ``text`` between the marks ``begin`` and ``end`` of a Markdown page.

    Raises:
        SFVError: the page or its marks are missing.
        OutputError: it cannot be written.
    """
    old = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, found_begin, rest = old.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise SFVError(f"{page} has no place for figures: {begin} … {end}")
    write_text(page, f"{before}{begin}\n{text}\n{end}{after}")
