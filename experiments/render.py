"""docs/results.md from experiments/results/*.json: only what was run is in it.

python -m experiments.render
"""

from collections.abc import Iterable
from typing import Any

from experiments import record
from experiments.sections import SECTIONS
from experiments.texts import HEAD

PAGE = record.ROOT / "docs" / "results.md"


def page(results: dict[str, dict[str, Any]]) -> str:
    """The sections whose results exist, in the order of SECTIONS."""
    parts = [section(results[name]) for name, section in SECTIONS.items() if name in results]
    used = {name: results[name] for name in SECTIONS if name in results}
    return "\n\n".join([HEAD.rstrip(), *parts, provenance(used)]) + "\n"


def provenance(results: dict[str, dict[str, Any]]) -> str:
    """Where each file comes from."""
    rows: Iterable[str] = (
        f"| `{name}.json` | {found['commit']} | {found['date']} | {found['machine']}, {found['cores']} cores | "
        + ", ".join(f"{key} {value}" for key, value in found["versions"].items())
        + " |"
        for name, found in results.items()
    )
    head = "| file | commit | date | machine | versions |\n| --- | --- | --- | --- | --- |"
    return "## Where the figures come from\n\n" + "\n".join([head, *rows])


def main() -> None:
    found = {name: result for name in SECTIONS if (result := record.read(name)) is not None}
    PAGE.write_text(page(found), "utf-8")


if __name__ == "__main__":
    main()
