"""docs/faults.md names a test for each fault: those tests exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"


def named():
    """(line, file or "", beginning of a test's name or "") of every reference."""
    for number, line in enumerate((ROOT / "docs" / "faults.md").read_text().splitlines(), start=1):
        for word in re.findall(r"`([^`]+)`", line.rpartition("|")[0].rpartition("|")[2]):
            place, found, name = word.partition("::")
            if place.endswith((".py", ".go")) or found and not place:
                yield number, place, name


def test_the_tests_that_the_table_names_exist():
    references = list(named())
    assert len(references) > 80
    for number, place, name in references:
        root = ROOT if place.startswith("native/") else TESTS
        files = sorted(root.glob(place if root == ROOT else f"**/{place or 'test_*.py'}"))
        assert files, f"docs/faults.md, line {number}: no {place}"
        wanted = f"def {name.rstrip('…')}" + ("" if name.endswith("…") else "(")
        assert not name or any(wanted in path.read_text() for path in files), (
            f"docs/faults.md, line {number}: no {name}"
        )
