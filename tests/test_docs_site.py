"""The documentation site, without building it: every name and every page has its place."""

import importlib.util
import posixpath
import re
from pathlib import Path

import pytest
import yaml

import sfv_gym

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *ROOT.glob("C*.md"), ROOT / "NOTICE.md", *DOCS.rglob("*.md")]


@pytest.fixture(scope="module")
def site():
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "scripts/docs_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def named_on(page: Path) -> list[str]:
    """The names of ``sfv_gym`` that a page of the API describes."""
    return re.findall(r"^::: sfv_gym\.(\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def navigation(entries: list) -> list[str]:
    """The pages of a navigation, in order."""
    pages: list[str] = []
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        pages += navigation(value) if isinstance(value, list) else [value]
    return pages


def test_every_public_name_is_on_one_page_of_the_api():
    names = [name for page in (DOCS / "api").glob("*.md") for name in named_on(page)]
    assert sorted(names) == sorted([*sfv_gym.__all__, "errors"])


def test_the_list_of_the_api_has_what_its_pages_describe():
    text = (DOCS / "api/index.md").read_text(encoding="utf-8")
    for page in set((DOCS / "api").glob("*.md")) - {DOCS / "api/index.md"}:
        (row,) = (line for line in text.splitlines() if f"]({page.name})" in line)
        assert re.findall(r"`(\w+)", row) == named_on(page), page.name


def test_every_page_is_in_the_navigation(site):
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = navigation(settings["nav"])
    there = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    assert sorted(pages) == sorted([*there, *map(site.site_path, site.ROOT_PAGES)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere_in_the_repository_and_on_the_site(site, page):
    source = page.relative_to(ROOT).as_posix()
    on_site = site.site_path(source)
    assert site.repository_path(on_site) == source
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", text)
    links_of_site = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", site.for_the_site(text, source))
    assert len(links) == len(links_of_site)
    for link, link_of_site in zip(links, links_of_site, strict=True):
        target = (page.parent / link).resolve()
        assert target.is_file(), link
        assert site.site_path(target.relative_to(ROOT).as_posix()) == posixpath.normpath(
            posixpath.join(posixpath.dirname(on_site), link_of_site)
        )
        known = target.is_relative_to(DOCS) or target.parent == ROOT / "examples"
        assert known or target.relative_to(ROOT).as_posix() in site.ROOT_PAGES, link


def test_the_front_page_is_the_read_me(site):
    text = "![a](docs/images/a.webp) [b](docs/guides/b.md#c) [d](NOTICE.md) [e](https://e.org)"
    assert site.for_the_site(text, "README.md") == (
        "![a](images/a.webp) [b](guides/b.md#c) [d](NOTICE.md) [e](https://e.org)"
    )
    text = "[a](../../examples/a.py) [b](../b.md) [c](#c) [d](../../README.md)"
    assert site.for_the_site(text, "docs/guides/x.md") == (
        "[a](../examples/a.py) [b](../b.md) [c](#c) [d](../index.md)"
    )
