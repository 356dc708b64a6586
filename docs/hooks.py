"""What mkdocs is told beyond mkdocs.yml: README and CHANGELOG are pages, too, and other files are named, not linked."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {"index.md": "README.md", "changelog.md": "CHANGELOG.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for page, source in PAGES.items():
        text = LINK.sub(_from_root, (ROOT / source).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    return LINK.sub(_from_docs, markdown)


def _from_root(found: re.Match[str]) -> str:
    """A link of README or CHANGELOG, as it is from docs/."""
    image, text, target = found.groups()
    for page, source in PAGES.items():
        if target == source:
            return f"[{text}]({page})"
    inside = target.removeprefix("docs/")
    return f"{image}[{text}]({inside if inside != target else '../' + target})"


def _from_docs(found: re.Match[str]) -> str:
    """What lies outside docs/ is no page: its name stays, for whoever has the source."""
    _, text, target = found.groups()
    if not target.startswith("../"):
        return found[0]
    name, mark, anchor = target.removeprefix("../").partition("#")
    for page, source in PAGES.items():
        if name == source:
            return f"[{text}]({page}{mark}{anchor})"
    return f"`{name}`" if text in (name, Path(name).name) else f"{text} (`{name}`)"
