"""The list of the settings, made from their fields: for ``sfv train --settings`` and the docs.

``python -m sfv_gym.train.settings docs/training.md`` writes the table of the page anew.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from sfv_gym.errors import SFVError
from sfv_gym.files import write_text
from sfv_gym.train.config import PPOConfig, describe, recipes, schema

BEGIN = "<!-- made by `python -m sfv_gym.train.settings docs/training.md` -->"
END = "<!-- /made -->"


class Row(NamedTuple):
    """A setting as it is listed, all in words."""

    name: str
    kind: str
    span: str
    default: str
    meaning: str


def rows(kind: type = PPOConfig) -> list[Row]:
    """Every setting of ``kind``, in the order of the fields."""
    known = schema(kind)
    default = recipes()["default"] if kind is PPOConfig else asdict(kind())
    return [
        Row(name, *describe(one), _text(default[name]), one["description"])
        for name, one in known.items()
    ]


def markdown() -> str:
    """The table of docs/training.md."""
    lines = ["| setting | default | range | meaning |", "|---|---:|---|---|"]
    for row in rows():
        kind = "" if row.kind in ("number", "name") else f" ({row.kind})"
        lines.append(f"| `{row.name}` | {row.default} | {row.span}{kind} | {row.meaning} |")
    return "\n".join(lines)


def with_table(page: str) -> str:
    """A page's text with the present table between its marks.

    Raises:
        SFVError: the page lacks the marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SFVError(f"the page has no place for the table: {BEGIN} … {END}")
    return f"{before}{begin}\n{markdown()}\n{end}{after}"


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return str(list(value))
    if isinstance(value, int | float) and abs(value) >= 10_000:
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write_text(target, with_table(target.read_text(encoding="utf-8")))
