"""The book of benchmarks: pages as Markdown, HTML and on a terminal, and the committed ones."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from sfv_gym.benchmarks.book import Column, Fold, Gallery, Page, Picture, Table, Text
from sfv_gym.benchmarks.chapters import BASELINES, CHAPTERS, book
from sfv_gym.benchmarks.suites import WITHDRAWN
from sfv_gym.errors import SFVError, UnknownIdError

ROOT = Path(__file__).resolve().parent.parent
TABLE = Table.of(
    ("policy", Column("error", ".1f"), Column("why", left=True)),
    [("**ours**", 1.25, "a|b"), ("none", None, "<b>"), ("two\nlines", float("nan"), "`x`")],
    "Errors",
)


def page(**changes) -> Page:
    parts = (
        TABLE,
        Text("A *word* <script>."),
        Picture("images/one.svg", "one", draw=lambda: b"<svg></svg>"),
        Gallery((Picture("videos/two.webp", 'a "video"', draw=lambda: b"RIFF"),), "Videos", "Two."),
        Fold("more", (Table.of(("a",), [("b",)]), Picture("images/three.svg", "three"))),
    )
    return Page("page.md", "A page", "What it shows.", parts, "sfv bench test", **changes)


def test_a_table_is_markdown_and_stands_on_a_terminal():
    assert TABLE.markdown().splitlines() == [
        "| policy | error | why |",
        "|---|---:|---|",
        "| **ours** | 1.2 | a\\|b |",
        "| none |  | <b> |",
        "| two<br>lines |  | `x` |",
    ]
    console = Console(file=io.StringIO(), width=60)
    page().show(console)
    shown = console.file.getvalue()
    assert "Errors" in shown and "ours" in shown and "a|b" in shown and "<b>" in shown
    assert "**" not in shown and "`" not in shown
    with pytest.raises(ValueError, match="zip"):
        _ = Table.of(("one", "two"), [("short",)]).texts


def test_a_page_is_written_with_its_pictures(tmp_path):
    text = page().write(tmp_path).read_text()
    assert text.startswith(
        "<!-- written by `sfv bench test` -->\n# A page\n\nWhat it shows.\n\n## Err"
    )
    assert "<details><summary>more</summary>\n\n| a |" in text and text.endswith("</details>\n")
    assert (tmp_path / "images" / "one.svg").read_bytes() == b"<svg></svg>"
    assert (tmp_path / "videos" / "two.webp").read_bytes() == b"RIFF"
    assert not (tmp_path / "images" / "three.svg").exists()  # something else draws it


def test_html_holds_everything_and_runs_nothing():
    html = page().html()
    assert "<svg></svg>" in html and "data:image/webp;base64,UklGRg==" in html
    assert "<strong>ours</strong>" in html and "<td>1.2</td>" in html and "two<br />" in html
    assert "<script>" not in html and "<b>" not in html and "&lt;script&gt;" in html
    assert "<summary>more</summary>" in html and 'alt="a &#34;video&#34;"' in html.replace(
        "&quot;", "&#34;"
    )


def test_figures_take_their_place_in_a_page_written_by_hand(tmp_path):
    mine = page(marks=("<!-- a -->", "<!-- b -->"))
    path = tmp_path / "page.md"
    path.write_text("mine\n<!-- a -->\nold\n<!-- b -->\nalso mine\n")
    mine.write(tmp_path)
    text = path.read_text()
    assert text == f"mine\n<!-- a -->\n{mine.body()}\n<!-- b -->\nalso mine\n"
    path.write_text("no marks")
    with pytest.raises(SFVError, match="no place for figures"):
        mine.write(tmp_path)
    path.unlink()
    assert mine.write(tmp_path).read_text().startswith("# A page\n\n<!-- a -->\nWhat it shows.")


def test_the_committed_pages_are_what_the_command_writes(tmp_path):
    """`sfv bench book` writes them again."""
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(ROOT / "README.md", tmp_path)
    for path in [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("*.json")]:
        shutil.copy(path, docs)
    book(docs=docs)
    for path in [*docs.glob("*.md"), *docs.glob("*.json")]:
        committed = (ROOT / "docs" / path.name).read_text(encoding="utf-8")
        assert path.read_text(encoding="utf-8") == committed, path.name
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert readme == (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_leaderboard_without_baselines_says_why():
    if not (BASELINES / "SFV-Quick").is_dir():  # withdrawn, and not measured again yet
        text = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
        assert WITHDRAWN["SFV-Quick-v1"] in text and "| algorithm |" not in text


def test_a_page_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(UnknownIdError, match=CHAPTERS[0].study):
        book(["cookery"], tmp_path)
