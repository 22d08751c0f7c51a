"""Pages of the documentation with measured tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def table_lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; all columns but the first stand to the right."""
    rule = f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|"
    return [f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)]
