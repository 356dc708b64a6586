"""Dependencies go one way, outside libraries stay in their place, and no file grows too long."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import heclstm

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
LINES_MAX = 400

# room → the rooms of heclstm that it may import; the command line may import all. A room is a package, but for two
# kinds of files of `model` that nobody loads who does not need them: those that train, and those the compiler calls.
ALLOWED = {
    "errors": set(),
    "extras": {"errors"},
    "storage": {"errors"},
    "circuit": {"errors"},
    "card": {"errors", "storage", "circuit"},
    "program": {"errors", "storage", "circuit", "card"},
    "data": {"errors", "storage", "card"},
    "model": {"errors", "storage", "card", "data"},
    "lowering": {"errors", "circuit", "compiler", "model"},
    "training": {"errors", "storage", "card", "data", "model"},
    "compiler": {"errors", "circuit", "card", "program", "model"},
    "backend": {"errors", "storage", "circuit"},
    "deploy": {"errors", "storage", "circuit", "card", "program", "backend", "data"},
    "devtools": {"errors", "circuit", "backend"},
    "service": {"errors", "storage", "circuit", "card", "program", "backend", "deploy"},
    "report": {"errors", "storage", "circuit", "card", "data", "deploy", "model"},
}
# What a room may import besides, within functions and for types: when it is asked for.
LATER = {"model": {"circuit", "compiler", "lowering", "training"}}

TORCH = {"torch", "torchmetrics", "lightning", "monai"}


def modules():
    """Dotted name → file."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room(name):
    """Where a module of heclstm stands."""
    _, package, *rest = [*name.split("."), ""]
    if package == "model" and name.endswith(".lowering"):
        return "lowering"
    return "training" if package == "model" and (rest[0] == "train" or name.endswith(".torch_module")) else package


class _AtLoad(ast.NodeTransformer):
    """Leaves what runs when a module is imported: no bodies of functions, nothing that is for types alone."""

    def visit_FunctionDef(self, node):
        return None

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node):
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


@cache
def imports(name, at_load=False):
    """What a module imports, anywhere in its text or when it is loaded; `from a import b` also as a.b."""
    tree = ast.parse(MODULES[name].read_text())
    names = set()
    # heclstm itself loads a name when somebody asks for it; no module of ours does, as a test below says.
    for node in ast.walk(_AtLoad().visit(tree) if at_load or name == "heclstm" else tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative imports hide where a name comes from"
            modules = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= modules if modules <= MODULES.keys() else {node.module} | modules
    return names


def reachable(name, at_load=False):
    """The module, what it imports, and so on; with the packages that Python imports on the way."""
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        if current in seen or current not in MODULES:
            continue
        seen.add(current)
        parents = {current.rsplit(".", depth)[0] for depth in range(1, current.count(".") + 1)}
        todo += [*imports(current, at_load), *parents]
    return seen


def outside(names):
    """Top-level packages that these modules import."""
    return {imported.split(".")[0] for name in names for imported in imports(name)}


@pytest.mark.parametrize("at_load", [True, False], ids=["at load", "ever"])
@pytest.mark.parametrize("where", ALLOWED)
def test_dependencies_go_one_way(where, at_load):
    allowed = ALLOWED[where] | {where} | (set() if at_load else LATER.get(where, set()))
    wrong = {
        f"{name} imports {imported}"
        for name in MODULES
        if room(name) == where
        for imported in imports(name, at_load) & MODULES.keys()
        if imported != "heclstm" and room(imported) not in allowed
    }
    assert not wrong, sorted(wrong)


def test_no_circle_stands_anywhere():
    """Among what modules import when they are loaded. Not counted: imports within functions and for types, which is how
    a circle is opened; and that a package runs before its modules, since no module here reads names off its package.
    """
    graph = {name: imports(name, at_load=True) & MODULES.keys() - {name} for name in MODULES}
    tuple(TopologicalSorter(graph).static_order())  # CycleError tells the modules


def test_modules_behind_a_registry_can_be_the_first_to_be_imported():
    """Their package runs before them, and imports them itself."""
    packages = {name for name in MODULES if MODULES[name].name == "__init__.py" and imports(name) & MODULES.keys()}
    names = [name for name in MODULES if name.rpartition(".")[0] in packages and room(name) != "training"]
    assert len(names) > 20
    lines = [
        "import importlib, sys",
        f"sys.path[:0] = {sys.path!r}",
        f"for name in {names!r}:",
        "    for known in [known for known in sys.modules if known.split('.')[0] == 'heclstm']: del sys.modules[known]",
        "    importlib.import_module(name)",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, timeout=60)


def test_no_module_reads_names_off_heclstm_itself():
    """They are for people; which room a module needs stands in its imports."""
    public = {f"heclstm.{each}" for each in heclstm.__all__}
    assert not {name: imports(name) & public for name in MODULES if imports(name) & public and name != "heclstm"}


def test_torch_is_used_where_models_are_trained_and_nowhere_else():
    assert {room(name) for name in MODULES if outside([name]) & TORCH} == {"training"}


def test_pydicom_is_known_to_one_file():
    """By its name alone, since it is an extra: nothing imports it before a DICOM file is read."""
    assert not {name for name in MODULES if "pydicom" in outside([name])}
    naming = {name for name, path in MODULES.items() if re.search(r"import_module\(.pydicom", path.read_text())}
    assert naming == {"heclstm.data.dicom.library"}


def test_torch_is_loaded_by_nothing_else():
    for name in MODULES:
        if room(name) != "training":
            assert "training" not in {room(each) for each in reachable(name, at_load=True)}, name


@pytest.mark.parametrize("name", ["deploy.client", "deploy.server", "cli.main"])
def test_who_serves_or_asks_loads_no_model(name):
    """Neither networks nor the compiler nor its words: a hospital has a card, a server operations."""
    assert "heclstm.compiler.expressions" in MODULES  # the name that this test is about
    rooms = {room(each) for each in reachable(f"heclstm.{name}", at_load=True)}
    assert not rooms & {"model", "compiler", "lowering", "training"}


def test_the_server_can_hold_no_secret_key():
    """Not even indirectly does it import code that makes or uses one, nor datasets, models, the compiler, or the tools
    of developers, some of which hold a secret key.
    """
    loaded = reachable("heclstm.deploy.server")
    assert {"heclstm.backend.cpu.secret", "heclstm.devtools.shadow", "heclstm.devtools.measure"} <= MODULES.keys()
    assert "heclstm.backend.cpu.evaluator" in loaded  # through the registry
    assert not {name for name in loaded if "secret" in name}
    packages = {name.split(".")[1] for name in loaded if "." in name}
    assert packages <= {"errors", "storage", "circuit", "card", "program", "backend", "deploy"}


def test_only_the_command_line_reaches_the_tools_of_developers():
    users = {name for name in MODULES for imported in imports(name) if imported.startswith("heclstm.devtools")}
    assert {name.split(".")[1] for name in users} <= {"cli", "devtools"}


@pytest.mark.parametrize(
    ("library", "folder"), [("litestar", "http"), ("sqlalchemy", "database"), ("alembic", "database")]
)
def test_a_large_library_lives_in_one_folder(library, folder):
    users = {name for name in MODULES if library in outside([name])}
    assert users
    assert {name for name in users if not name.startswith(f"heclstm.service.{folder}.")} == set()


def test_the_service_can_hold_no_secret_key():
    """Nor datasets, training, reports; and its own process does not even load the engine."""
    for name in MODULES:
        if name.startswith("heclstm.service"):
            loaded = reachable(name)
            assert "heclstm.backend.cpu.secret" not in loaded, name
            packages = {each.split(".")[1] for each in loaded if "." in each}
            assert packages <= {"service", *ALLOWED["service"]}, name
            assert not outside(loaded) & TORCH, name
    # The pool that is chosen for a Ray cluster is the one way to the engine, on other machines.
    own = reachable("heclstm.service.service") - reachable("heclstm.service.workers.ray_pool")
    assert "heclstm.service.http.app" in own
    assert "heclstm.backend.cpu.context" not in own


def test_nothing_is_unpickled():
    """No pickle, and NumPy is told so wherever it loads."""
    for name, path in MODULES.items():
        assert not outside([name]) & {"pickle", "dill", "joblib", "shelve", "marshal"}, name
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), name
                assert node.value.value is False, name


@pytest.mark.parametrize(
    ("library", "users"),
    [
        ("cryptography", {"heclstm.card.signature"}),
        ("zipfile", {"heclstm.storage.arrays", "heclstm.data.sources"}),
        ("PIL", {"heclstm.data.pictures"}),
        ("structlog", {"heclstm.service.logs"}),
        ("prometheus_client", {"heclstm.service.metrics"}),
        ("fsspec", {"heclstm.service.blobs"}),
        ("joserfc", {"heclstm.service.oidc"}),
        ("ray", {"heclstm.service.workers.ray_pool"}),
    ],
)
def test_an_outside_library_lives_in_one_file(library, users):
    assert {name for name in MODULES if library in outside([name])} == users


def test_files_are_written_and_arrays_read_at_one_place():
    """Whole or not at all, never over a secret, and within limits: by heclstm.storage alone."""
    methods = {"write_text", "write_bytes", "savez", "savez_compressed", "mkstemp"}
    functions = {"os.replace", "os.rename", "np.load", "np.save", "shutil.move"}
    allowed = {"heclstm.storage.atomic", "heclstm.storage.arrays"}
    wrong = set()
    for name in MODULES.keys() - allowed:
        for node in ast.walk(ast.parse(MODULES[name].read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                if node.func.attr in methods or called in functions:
                    wrong.add(f"{name}, line {node.lineno}: {called}")
    # the demo hands files from one party to the other, as people do
    assert {each for each in wrong if not each.startswith("heclstm.cli.demo")} == set()


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
