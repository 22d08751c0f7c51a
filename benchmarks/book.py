"""What the studies make of their figures: pages of text, tables and pictures, and the one writer
of them, as Markdown, as HTML that needs nothing else, and as tables on a terminal.

Texts and cells are Markdown without HTML.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import yaml
from rich import table as rich_table
from rich.console import Console
from rich.markup import escape

from sfv_gym.errors import SFVError
from sfv_gym.files import atomic_path, write_text

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

Cell = str | float | None
"""A text, a number that its column formats, or nothing: None and NaN stay empty."""


@dataclass(frozen=True)
class Column:
    """One of a table's.

    Attributes:
        format: of its numbers, as ``format`` takes it.
        left: whether it stands to the left; the first one does anyway.
    """

    name: str
    format: str = ""
    left: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under the names of their columns; a title begins a section."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    kind: ClassVar[str] = "table"

    @classmethod
    def of(
        cls, head: Sequence[str | Column], rows: Iterable[Sequence[Cell]], title: str = ""
    ) -> Table:
        """A table whose columns are given by name, or as they are."""
        columns = tuple(one if isinstance(one, Column) else Column(one) for one in head)
        return cls(columns, tuple(tuple(row) for row in rows), title)

    @property
    def head(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    @property
    def left(self) -> tuple[bool, ...]:
        """Which columns stand to the left."""
        return tuple(column.left or not i for i, column in enumerate(self.columns))

    @property
    def texts(self) -> list[list[str]]:
        """The cells as they are shown; a line may end within one."""
        return [
            [_shown(cell, column) for cell, column in zip(row, self.columns, strict=True)]
            for row in self.rows
        ]

    def markdown(self) -> str:
        """As GitHub's Markdown has it, without the title."""
        rule = "|".join("---" if left else "---:" for left in self.left)
        head, *rows = (
            " | ".join(cell.replace("|", r"\|").replace("\n", "<br>") for cell in line)
            for line in (self.head, *self.texts)
        )
        return "\n".join((f"| {head} |", f"|{rule}|", *(f"| {row} |" for row in rows)))

    def rich(self) -> rich_table.Table:
        """For a terminal."""
        shown = rich_table.Table(title=escape(self.title) or None)
        for name, left in zip(self.head, self.left, strict=True):
            shown.add_column(escape(_plain(name)), justify="left" if left else "right")
        for row in self.texts:
            shown.add_row(*(escape(_plain(cell)) for cell in row))
        return shown


@dataclass(frozen=True)
class Text:
    """Paragraphs."""

    text: str
    title: str = ""
    kind: ClassVar[str] = "text"

    def markdown(self) -> str:
        """Without the title."""
        return self.text


@dataclass(frozen=True)
class Picture:
    """A picture beside a page.

    Attributes:
        path: of its file, from the page's folder.
        alt: what it shows, in words.
        draw: makes the file's contents; None where something else draws it.
    """

    path: str
    alt: str
    title: str = ""
    draw: Callable[[], bytes] | None = None
    kind: ClassVar[str] = "picture"

    def markdown(self) -> str:
        """Without the title."""
        return f"![{self.alt}]({self.path})"

    def html(self) -> str:
        """An element that holds the picture, or a link to one that something else draws."""
        if self.draw is None:
            return f'<img src="{html.escape(self.path)}" alt="{html.escape(self.alt)}">'
        if self.path.endswith(".svg"):
            return self.draw().decode()
        kind = self.path.rpartition(".")[2]
        return (
            f'<img src="data:image/{kind};base64,{base64.b64encode(self.draw()).decode()}" '
            f'alt="{html.escape(self.alt)}">'
        )


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side, each with what it shows in words."""

    pictures: tuple[Picture, ...]
    title: str
    note: str
    kind: ClassVar[str] = "gallery"

    def markdown(self) -> str:
        """Without the title."""
        shown = [f"{one.alt}:\n\n{one.markdown()}" for one in self.pictures]
        return "\n\n".join((self.note, *shown))


@dataclass(frozen=True)
class Fold:
    """Parts that a reader opens by their title."""

    summary: str
    parts: tuple[Part, ...]
    title: str = ""
    kind: ClassVar[str] = "fold"

    def markdown(self) -> str:
        """Without the title."""
        inner = "\n\n".join(part.markdown() for part in self.parts)
        return f"<details><summary>{self.summary}</summary>\n\n{inner}\n\n</details>"


Part = Table | Text | Picture | Gallery | Fold


@dataclass(frozen=True)
class Page:
    """A page of figures.

    Attributes:
        file: its name in the folder of pages.
        title: its heading.
        note: what it shows, below the heading.
        parts: what comes then; the title of a part begins a section.
        command: that makes it.
        marks: begin and end of the place in a page that is otherwise written by hand, where the
            note and the parts go; None for a page of its own.
        beside: pictures that such a page shows elsewhere.
    """

    file: str
    title: str
    note: str
    parts: tuple[Part, ...]
    command: str
    marks: tuple[str, str] | None = None
    beside: tuple[Picture, ...] = ()

    def body(self) -> str:
        """Note and parts as Markdown."""
        shown = [self.note] if self.note else []
        for part in self.parts:
            shown += [f"## {part.title}"] if part.title else []
            shown.append(part.markdown())
        return "\n\n".join(shown)

    def markdown(self) -> str:
        """The whole of a page of its own."""
        return f"<!-- written by `{self.command}` -->\n# {self.title}\n\n{self.body()}\n"

    def html(self) -> str:
        """The page with its pictures in it."""
        import jinja2
        from markupsafe import Markup

        source = resources.files("sfv_gym.benchmarks").joinpath("templates", "page.html")
        world = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        reader = _reader()
        world.filters["markdown"] = lambda text: Markup(reader.render(text))
        world.filters["inline"] = lambda text: Markup(reader.renderInline(text))
        template = world.from_string(source.read_text(encoding="utf-8"))
        return template.render(page=self)

    def show(self, console: Console) -> None:
        """Its tables, on a terminal."""
        for part in self.parts:
            if isinstance(part, Table):
                console.print(part.rich())

    def write(self, folder: Path) -> Path:
        """Write it as Markdown with its pictures, or put it into its place; the page's path.

        Raises:
            SFVError: the page that it belongs into has no place for it.
            OutputError: something cannot be written.
        """
        path = folder / self.file
        write_text(path, self.markdown() if self.marks is None else self._placed(path, self.marks))
        for picture in self._pictures():
            if picture.draw is not None:
                with atomic_path(folder / picture.path) as temporary:
                    temporary.write_bytes(picture.draw())
        return path

    def _placed(self, path: Path, marks: tuple[str, str]) -> str:
        begin, end = marks
        old = f"# {self.title}\n\n{begin}\n{end}\n"
        if path.is_file():
            old = path.read_text(encoding="utf-8")
        before, found_begin, rest = old.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found_begin and found_end):
            raise SFVError(f"{path} has no place for figures: {begin} … {end}")
        return f"{before}{begin}\n{self.body()}\n{end}{after}"

    def _pictures(self) -> list[Picture]:
        found, parts = list(self.beside), list(self.parts)
        while parts:
            part = parts.pop(0)
            if isinstance(part, Picture):
                found.append(part)
            elif isinstance(part, Gallery):
                found += part.pictures
            elif isinstance(part, Fold):
                parts = [*part.parts, *parts]
        return found


def texts(package: str, file: str) -> Mapping[str, str]:
    """The prose of a study: templates over its figures, by name, from YAML beside its code."""
    found: dict[str, str] = yaml.safe_load(
        resources.files(package).joinpath(file).read_text(encoding="utf-8")
    )
    return {name: text.rstrip("\n") for name, text in found.items()}


def with_interval(value: float, bounds: Sequence[float] | None, digits: int) -> str:
    """``0.97 [0.92, 0.99]``; the value alone where there is no interval."""
    if bounds is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"


def _shown(cell: Cell, column: Column) -> str:
    if isinstance(cell, str):
        return cell
    return "" if cell is None or math.isnan(cell) else format(cell, column.format)


def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False, "breaks": True})


def _plain(text: str) -> str:
    """Markdown's text without its marks."""
    lines = []
    for token in _reader().parseInline(text)[0].children or ():
        lines.append("\n" if token.type in ("softbreak", "hardbreak") else token.content)
    return "".join(lines)
