"""Every link in what people read leads somewhere: in the source as it is browsed, and in the site built of it."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import heclstm

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
PAGES += [path for folder in ("examples", "experiments") for path in sorted((ROOT / folder).rglob("README.md"))]
LINK = re.compile(r"(?<!`)\[[^\]`]*(?:`[^`]*`[^\]`]*)*\]\(([^)\s]+)\)")


def prose(path):
    return re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)


def anchors(path):
    """Those of its headings, as source browsers make them."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_pages_exist(page):
    for target in LINK.findall(prose(page)):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        found = page.parent / name if name else page
        assert found.exists(), target
        assert ROOT in found.resolve().parents, target
        assert not anchor or anchor in anchors(found), target


def test_what_is_looked_for_is_found():
    assert LINK.findall("see [`a`](b.md#c), [d](e) and ![f](g.png)") == ["b.md#c", "e", "g.png"]
    assert "whose-program" in anchors(DOCS / "security.md")
    assert "bad-request--400" in anchors(DOCS / "errors.md")


def test_every_page_has_its_place():
    """In mkdocs.yml, which no page misses and which names none that is not there."""
    named = re.findall(r"^ +- .*: ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE)
    assert sorted(named) == sorted(["index.md", "changelog.md", *(path.name for path in DOCS.glob("*.md"))])


def test_the_reference_holds_what_the_package_offers():
    named = re.findall(r"^::: heclstm\.(\w+)$", (DOCS / "reference.md").read_text(), flags=re.MULTILINE)
    assert sorted(named) == sorted({*heclstm.__all__, "errors"} - {"HeclstmError"})  # which errors holds


class Links(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.targets, self.anchors, self.fetched = [], set(), []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.targets.append(value)
                if tag in ("link", "script", "img"):
                    self.fetched.append(value)
            elif name == "id":
                self.anchors.add(value)


def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path):
    """As `make docs` builds it: every page, link and anchor; and a reader's browser fetches nothing from elsewhere."""
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {page.resolve(): Links(page) for page in tmp_path.rglob("*.html") if page.name != "404.html"}
    assert {page.stem for page in pages} >= {path.stem for path in DOCS.glob("*.md")} | {"index", "changelog"}
    for page, links in pages.items():
        assert not [target for target in links.fetched if urlsplit(target).netloc]
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme:
                assert parts.scheme in ("https", "mailto"), (page.name, target)
                continue
            found = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            found = found / "index.html" if found.is_dir() else found
            assert found.exists(), (page.name, target)
            if parts.fragment and found in pages:
                assert parts.fragment == "__skip" or unquote(parts.fragment) in pages[found].anchors, (
                    page.name,
                    target,
                )
    text = (tmp_path / "reference.html").read_text()
    for name in heclstm.__all__:
        assert f'id="heclstm.{name}"' in text or f'id="heclstm.errors.{name}"' in text, name
