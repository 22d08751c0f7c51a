"""What ``mkdocs.yml`` does not say: pages that stand outside docs/, and links that lead there.

README.md is the front page, and on the code host too. A link in any page leads to a file of the
repository; on the site it leads to where that file stands there.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
FRONT_PAGE = "README.md"
ROOT_PAGES = (FRONT_PAGE, "CHANGELOG.md", "CONTRIBUTING.md", "NOTICE.md")

log = logging.getLogger("mkdocs.hooks.docs_site")

_LOADED = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="(?:https?:)?//[^"]*')
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|[#/])[^)#\s]+")
_FILE_FENCE = re.compile(r"^(```\w+) file=(\S+)$", re.MULTILINE)


def site_path(source: str) -> str:
    """Where a file of the repository stands on the site; both paths are from the root."""
    return "index.md" if source == FRONT_PAGE else source.removeprefix("docs/")


def repository_path(page: str) -> str:
    """The inverse of ``site_path``, for pages."""
    if page == "index.md":
        return FRONT_PAGE
    return page if page in ROOT_PAGES else f"docs/{page}"


def for_the_site(text: str, source: str) -> str:
    """The Markdown of a page with its links as the site needs them.

    Args:
        text: as it stands in the repository.
        source: the page's path from the repository's root.
    """
    here = posixpath.dirname(source)
    there = posixpath.dirname(site_path(source)) or "."

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, match[0]))
        return posixpath.relpath(site_path(target), there)

    # the guides' blocks that are to be saved as a file: the site shows its name
    return _FILE_FENCE.sub(r'\1 title="\2"', _LINK.sub(link, text))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """MkDocs' event: adds the pages of the root, and the examples that guides link to."""
    from mkdocs.structure.files import File

    for name in ROOT_PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, site_path(name), content=text))
    for path in sorted((ROOT / "examples").glob("*.py")):
        files.append(File.generated(config, f"examples/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """MkDocs' event: a page's text before it becomes HTML."""
    return for_the_site(markdown, repository_path(page.file.src_uri))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """MkDocs' event: a page's HTML. Reading it tells nobody: it loads nothing from elsewhere."""
    for element in _LOADED.findall(output):
        log.warning("%s loads something from another host: %s", page.file.src_uri, element)
    return output
