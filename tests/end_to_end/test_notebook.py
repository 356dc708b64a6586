"""examples/quickstart.ipynb runs as it stands, and the README shows its first lines."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NOTEBOOK = json.loads((EXAMPLES / "quickstart.ipynb").read_text())
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
@pytest.mark.alone
def test_the_cells_run_in_order(tmp_path):
    """At 128 bits, as users run it: nothing smaller shows that these lines do. No kernel: cells are plain Python."""
    (tmp_path / "adrenal").symlink_to(EXAMPLES / "adrenal")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-W", "error", "-c", "\n".join(CODE)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    decision, score, *_ = done.stdout.split()
    assert decision == "positive"  # test volume 5, which carries a mass
    assert float(score) == pytest.approx(1.6875, abs=0.002)  # noise decides how three decimals of it are rounded
    assert "SequenceError" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"adrenal"}  # no key is left behind


def test_it_is_kept_without_outputs():
    """No picture and no number of a run: a notebook says what to do, a reader's machine what comes out."""
    assert NOTEBOOK["nbformat"] == 4
    assert NOTEBOOK["metadata"]["kernelspec"]["name"] == "python3"
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    for code in CODE:
        assert not re.search(r"^[%!]", code, flags=re.MULTILINE)  # what only a kernel understands


def test_the_readme_shows_lines_that_are_run():
    """Its Python is the notebook's, but for the folder that they start from."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert [block.replace('"examples/', '"').strip() for block in blocks] == CODE[:1]


def test_what_it_points_to_exists():
    text = "".join("".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "markdown")
    named = re.findall(r"`((?:docs/)?[\w-]+\.(?:md|py))`", text)
    assert "docs/glossary.md" in named
    for name in named:
        assert (ROOT / name).exists() or (EXAMPLES / name).exists(), name
