"""Dependencies go one way, outside libraries stay in their place, and no file grows too long."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
LINES_MAX = 400

# package → the packages of heclstm that it may import; the command line may import all.
ALLOWED = {
    "errors": set(),
    "storage": {"errors"},
    "circuit": {"errors"},
    "card": {"errors", "circuit"},
    "program": {"errors", "storage", "circuit", "card"},
    "data": {"errors"},
    "model": {"errors", "data"},
    "compiler": {"errors", "circuit", "card", "program", "model"},
    "backend": {"errors", "storage", "circuit"},
    "deploy": {"errors", "circuit", "card", "program", "backend", "data"},
    "report": {"errors", "storage", "circuit", "card", "data", "deploy", "model"},
}

# The only files that may import torch; all others run without it.
TRAINING = ("augment", "batches", "checkpoint", "history", "layers", "losses", "module", "network", "train")
TORCH_USERS = {f"heclstm.model.{name}" for name in TRAINING}
TORCH = {"torch", "torchmetrics", "lightning", "monai"}


def modules():
    """Dotted name → file."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imports(name):
    """Everything that a module imports, anywhere in its text; `from a import b` also as a.b."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative imports hide where a name comes from"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def reachable(name):
    """The module, what it imports, and so on; with the packages that Python imports on the way."""
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        if current in seen or current not in MODULES:
            continue
        seen.add(current)
        parents = {current.rsplit(".", depth)[0] for depth in range(1, current.count(".") + 1)}
        todo += [*imports(current), *parents]
    return seen


def outside(names):
    """Top-level packages that these modules import."""
    return {imported.split(".")[0] for name in names for imported in imports(name)}


@pytest.mark.parametrize("package", ALLOWED)
def test_dependencies_go_one_way(package):
    wrong = {
        f"{name} imports {imported}"
        for name in MODULES
        if name.split(".")[1:2] == [package]
        for imported in imports(name) & MODULES.keys()
        if imported != "heclstm" and imported.split(".")[1] not in ALLOWED[package] | {package}
    }
    assert not wrong, sorted(wrong)


def test_torch_is_used_where_models_are_trained_and_nowhere_else():
    users = {name for name in MODULES if outside([name]) & TORCH}
    assert users <= TORCH_USERS


def test_pydicom_is_known_to_one_file():
    """By its name alone, since it is an extra: nothing imports it before a DICOM file is read."""
    assert not {name for name in MODULES if "pydicom" in outside([name])}
    naming = {name for name, path in MODULES.items() if re.search(r"import_module\(.pydicom", path.read_text())}
    assert naming == {"heclstm.data.dicom.library"}


@pytest.mark.parametrize("package", ["circuit", "compiler", "backend", "deploy", "data", "report"])
def test_no_torch_is_loaded_on_the_way(package):
    for name in MODULES:
        if name.startswith(f"heclstm.{package}"):
            assert not outside(reachable(name)) & TORCH, name


def test_the_server_can_hold_no_secret_key():
    """Not even indirectly does it import code that makes or uses one, nor datasets, models, the compiler."""
    loaded = reachable("heclstm.deploy.server")
    assert "heclstm.backend.lattigo_secret" in MODULES  # the name that this test is about
    assert "heclstm.backend.lattigo_secret" not in loaded
    packages = {name.split(".")[1] for name in loaded if "." in name}
    assert packages <= {"errors", "storage", "circuit", "card", "program", "backend", "deploy"}


def test_nothing_is_unpickled():
    """No pickle, and NumPy is told so wherever it loads."""
    for name, path in MODULES.items():
        assert not outside([name]) & {"pickle", "dill", "joblib", "shelve", "marshal"}, name
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), name
                assert node.value.value is False, name


def source_files():
    folders = ("src", "tests", "native", "examples", "benchmarks", "experiments")
    return [path for folder in folders for kind in ("*.py", "*.go") for path in (ROOT / folder).rglob(kind)]


def test_no_file_is_longer_than_it_can_be_read():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in source_files()}
    assert not {name: lines for name, lines in lengths.items() if lines > LINES_MAX}


def test_no_two_test_files_share_a_name():
    """`pytest tests/unit/test_x.py` then means one thing in every report."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(set(names)) == len(names)
