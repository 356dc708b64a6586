"""`import heclstm`: what it offers, what it costs, and what is said where a library is missing."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import heclstm
from heclstm.errors import MissingLibraryError
from heclstm.extras import EXTRAS, missing

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Where a library is called otherwise than what brings it.
DISTRIBUTIONS = {"psycopg": "psycopg[binary]"}


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


def test_every_name_is_there_and_says_what_it_is():
    for name in heclstm.__all__:
        found = getattr(heclstm, name)
        assert found.__name__ == name
        assert len(found.__doc__.split()) > 4, name
        assert name in heclstm.__doc__, name
    assert set(dir(heclstm)) >= {*heclstm.__all__, "__version__"}
    assert heclstm.__version__ == PROJECT["version"]


def test_type_checkers_and_python_find_the_same():
    tree = ast.parse(Path(heclstm.__file__).read_text())
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    homes = {alias.name: item.module.removeprefix("heclstm.") for item in typed.body for alias in item.names}
    assert homes == heclstm._HOMES
    assert sorted(homes) == heclstm.__all__ == sorted(heclstm.__all__)
    assert Path(heclstm.__file__).with_name("py.typed").exists()


def test_names_that_do_not_exist_are_told_with_those_that_do():
    with pytest.raises(AttributeError, match="heclstm has no 'Klient'; it has AsyncRemote, Client, Diagnosis"):
        heclstm.Klient  # noqa: B018  # reading it is the test


def test_importing_it_loads_nothing_else():
    """No outside library, no engine, and no other room of the package."""
    code = (
        "import sys; before = set(sys.modules); import heclstm; loaded = set(sys.modules) - before;"
        "print(*sorted(name for name in loaded if name.split('.')[0] not in sys.stdlib_module_names))"
    )
    assert run(code).stdout.split() == ["heclstm"]


@pytest.mark.parametrize("side", ["Client", "Server"])
def test_neither_side_loads_what_others_need(side):
    done = run(f"import sys, heclstm; heclstm.{side}; print(*{{name.split('.')[0] for name in sys.modules}})")
    assert done.returncode == 0, done.stderr
    heavy = {"torch", "lightning", "monai", "matplotlib", "scipy", "safetensors", "PIL", "pydicom", "cryptography"}
    assert not set(done.stdout.split()) & heavy


@pytest.mark.parametrize(("library", "extra"), EXTRAS.items())
def test_extras_bring_what_is_said_to_be_missing(library, extra):
    """By the name of the distribution, which no table tells but the package itself."""
    requirements = PROJECT["optional-dependencies"][extra]
    wanted = DISTRIBUTIONS.get(library, library).replace("_", "-")
    assert any(requirement.startswith(f"{wanted}>=") for requirement in requirements), requirements
    told = missing(ModuleNotFoundError(f"No module named '{library}.part'", name=f"{library}.part"), "report")
    assert isinstance(told, MissingLibraryError)
    assert str(told) == f"report: needs {library}, which is not installed; pip install 'heclstm[{extra}]'"


def test_every_extra_is_told_of():
    rows = re.findall(r"^\| (.*?) \|", (ROOT / "docs" / "installing.md").read_text(), flags=re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert told == PROJECT["optional-dependencies"].keys()


def test_what_no_extra_brings_is_an_ordinary_mistake():
    assert missing(ModuleNotFoundError("No module named 'nothing'", name="nothing"), "report") is None
    assert missing(ModuleNotFoundError("somewhere"), "report") is None


ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "scipy":
            raise ModuleNotFoundError("No module named 'scipy'", name="scipy")
sys.meta_path.insert(0, Absent())
import heclstm
heclstm.load_card
from heclstm.cli.main import app
app(["compile", "model/", "-o", "out/"]) if len(sys.argv) > 1 else heclstm.compile_model
"""


def test_a_missing_library_is_told_once_and_at_once():
    assert find_spec("scipy")
    done = run(ABSENT)
    assert "MissingLibraryError: compile_model: needs scipy, which is not installed;" in done.stderr
    done = subprocess.run([sys.executable, "-c", ABSENT, "verb"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "heclstm: compile: needs scipy, which is not installed; pip install 'heclstm[compile]'"
    ]
