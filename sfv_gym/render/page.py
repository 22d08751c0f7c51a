"""Self-contained HTML pages, which load nothing from anywhere."""

from __future__ import annotations

import base64
import html
import os
import platform
from importlib import resources
from pathlib import Path
from string import Template

import sfv_gym
from sfv_gym.files import write_text
from sfv_gym.motion import Verdict


def write_page(
    path: str | os.PathLike[str], *, title: str, lead: str, body: str, footer: str = ""
) -> None:
    """Write a page, whole or not at all.

    Args:
        title: text. lead: HTML that stands below it. body: HTML.
        footer: text beside the versions.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    template = resources.files("sfv_gym.assets").joinpath("page.html").read_text("utf-8")
    made_by = (
        f"sfv_gym {sfv_gym.__version__}",
        f"Python {platform.python_version()}",
        f"{platform.system()} {platform.machine()}",
    )
    page = Template(template).substitute(
        title=html.escape(title),
        lead=lead,
        body=body,
        footer=html.escape(", ".join(filter(None, (*made_by, footer)))),
    )
    write_text(Path(path), page)


def table(rows: list[list[str]], head: tuple[str, ...] = ()) -> str:
    """An HTML table whose first column names the row; cells are HTML already."""

    def line(cells: list[str] | tuple[str, ...], tag: str) -> str:
        first, *rest = cells
        numbers = "".join(f'<{tag} class="n">{cell}</{tag}>' for cell in rest)
        return f"<tr><{tag}>{first}</{tag}>{numbers}</tr>"

    top = f"<thead>{line(head, 'th')}</thead>" if head else ""
    return f"<table>{top}<tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table>"


def embedded_video(path: Path) -> str:
    """A player of an mp4 that lies within the page."""
    return (
        f'<video controls autoplay muted loop playsinline src="{data_url(path, "video/mp4")}">'
        "</video>"
    )


def data_url(path: Path, kind: str) -> str:
    """A file's content as an address.

    Args:
        kind: its media type.
    """
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def verdict_list(verdict: Verdict) -> str:
    """How good a reconstruction is, and what speaks against it, as HTML."""
    findings = "".join(f"<li>{html.escape(text)}</li>" for _, text in verdict.lines())
    grade = f'<b class="{verdict.grade}">{verdict.grade}</b>'
    return f"<p>Reconstruction: {grade}</p>" + (f"<ul>{findings}</ul>" if findings else "")
