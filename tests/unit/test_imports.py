"""Dependencies go one way, outside libraries stay in their place, and no file grows too long."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

import heclstm
from import_graph import MODULES, ROOT, imports, nodes, outside, reachable, room, within

LINES_MAX = 400


# room → the rooms of heclstm that it may import. A room is a package, but for two kinds of files of `model` that nobody
# loads who does not need them: those that train, and those the compiler calls.
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
    "service": {"errors", "storage", "circuit", "card", "program", "backend", "deploy", "templates"},
    "network": {"errors", "storage", "card", "program", "data", "deploy"},
    "templates": set(),
    "report": {"errors", "storage", "circuit", "card", "data", "deploy", "model", "templates"},
    "usecases": {
        "errors", "storage", "circuit", "card", "program", "data", "model", "compiler", "backend", "deploy", "devtools",
        "network", "report",
    },
    "cli": {"errors", "extras", "usecases", "report", "templates"},
    "gateway": {"errors", "storage", "card", "program", "data", "deploy", "network", "report", "usecases"},
    "page": {"errors", "storage", "card", "data", "deploy", "network", "report", "templates", "usecases"},
}  # fmt: skip

# What a room may import besides, within functions and for types: when it is asked for.
LATER = {
    "model": {"circuit", "compiler", "lowering", "training"},
    "usecases": {"training"},
    "cli": {"circuit", "network", "page", "service", "gateway"},
}

SECRETS = ("backend.cpu.secret", "deploy.client", "devtools")  # what makes or uses a secret key
OWNERS = ("compiler", "devtools", "model", "usecases.train", "usecases.evaluate")  # what only a model owner has

# place → what it never reaches, over whatever it imports, also within functions.
NEVER = {
    "circuit": ("compiler", "model"),
    "deploy.server": (*SECRETS, "data", "model", "compiler", "report"),
    "usecases.run": (*SECRETS, "data", "model", "compiler", "report"),
    "service": (*SECRETS, "network", "data", "model", "compiler", "report"),
    "network": (*OWNERS, "service"),
    "usecases.keygen": OWNERS,
    "usecases.encrypt": OWNERS,
    "usecases.images": (*SECRETS, *OWNERS),
    "usecases.decrypt": OWNERS,
    "usecases.report": OWNERS,
    "gateway": OWNERS,
    "page": OWNERS,
    "usecases": ("cli", "service", "gateway", "page"),
}

TORCH = {"torch", "torchmetrics", "lightning", "monai"}


def strangers(where, at_load):
    """Imports of a room that its line in ALLOWED, or LATER, does not name."""
    allowed = ALLOWED[where] | {where} | (set() if at_load else LATER.get(where, set()))
    return {
        f"{name} imports {imported}"
        for name in MODULES
        if room(name) == where
        for imported in imports(name, at_load) & MODULES.keys()
        if imported != "heclstm" and room(imported) not in allowed
    }


def reached(place):
    """What modules of a place reach although NEVER says that they do not."""
    return {name: found for name in within(MODULES, place) if (found := within(reachable(name), *NEVER[place]))}


@pytest.mark.parametrize("at_load", [True, False], ids=["at load", "ever"])
@pytest.mark.parametrize("where", ALLOWED)
def test_dependencies_go_one_way(where, at_load):
    assert sorted(strangers(where, at_load)) == []


def test_no_circle_stands_anywhere():
    """Among what modules import when they are loaded. Not counted: imports within functions and for types, which is how
    a circle is opened; and that a package runs before its modules: those that read names off it, it does not load.
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


@pytest.mark.parametrize("name", ["deploy.client", "deploy.server", "cli.main", "usecases.run", "usecases.encrypt"])
def test_who_serves_or_asks_loads_no_model(name):
    """Neither networks nor the compiler nor its words: a hospital has a card, a server operations."""
    assert "heclstm.compiler.expressions" in MODULES  # the name that this test is about
    rooms = {room(each) for each in reachable(f"heclstm.{name}", at_load=True)}
    assert not rooms & {"model", "compiler", "lowering", "training"}


@pytest.mark.parametrize("place", NEVER)
def test_what_a_place_never_reaches(place):
    assert reached(place) == {}


def test_rules_speak_of_what_there_is():
    """A module that was renamed would pass every rule about it, and a room without a line has none."""
    named = {place for places in NEVER.values() for place in places} | NEVER.keys() | ALLOWED.keys()
    assert {place for place in named if not within(MODULES, place)} <= {"lowering", "training"}
    assert {room(name) for name in MODULES if name != "heclstm"} <= ALLOWED.keys()
    assert "heclstm.backend.cpu.evaluator" in reachable("heclstm.deploy.server")  # through the registry
    for kinds, example in (("cells", "gru"), ("blocks", "convolution")):  # through folders that are looked for
        assert f"heclstm.model.{kinds}.{example}" in imports(f"heclstm.model.{kinds}", at_load=True)


@pytest.mark.parametrize(
    ("place", "imported"),
    [
        ("service", "backend.cpu.secret"),
        ("service", "usecases.encrypt"),
        ("gateway", "model.train.training"),
        ("gateway", "usecases.train"),
        ("page", "usecases.demo"),
        ("circuit", "compiler.compile"),
        ("usecases", "cli.terminal"),
    ],
)
def test_rules_find_what_breaks_them(monkeypatch, tmp_path, place, imported):
    """Also in rooms that are to come, whose rules have nothing to look at yet."""
    name = f"heclstm.{place}.uses_{imported.replace('.', '_')}"  # of its own: `imports` remembers what it read
    (tmp_path / "planted.py").write_text(f"def use():\n    import heclstm.{imported}\n")
    monkeypatch.setitem(MODULES, name, tmp_path / "planted.py")
    assert name in reached(place)


def test_use_cases_alone_reach_the_tools_of_developers():
    users = {name for name in MODULES for imported in imports(name) if imported.startswith("heclstm.devtools")}
    assert {name.split(".")[1] for name in users} <= {"usecases", "devtools"}


# ── the command line ───────────────────────────────────────────────────────────────────────────────────────

VERBS = {name for name in within(MODULES, "cli") if re.search(r"^(@|\w+ = )verb\(", MODULES[name].read_text(), re.M)}


def test_the_command_line_finds_its_verbs():
    assert imports("heclstm.cli.application") >= VERBS


def test_verbs_never_import_verbs():
    assert {"heclstm.cli.train", "heclstm.cli.token"} <= VERBS
    assert {name: found for name in VERBS if (found := imports(name) & VERBS)} == {}


def test_verbs_compute_nothing():
    """No array, no file format, no drawing: use cases do that."""
    known = {"heclstm", "typer", "rich", *sys.stdlib_module_names}
    assert outside(within(MODULES, "cli")) <= known


def test_use_cases_print_nothing():
    assert not outside(within(MODULES, "usecases")) & {"typer", "rich", "logging"}
    for name in within(MODULES, "usecases"):
        for node in nodes(name):
            assert not (isinstance(node, ast.Name) and node.id in ("print", "input")), name
            stream = isinstance(node, ast.Attribute) and node.attr in ("stdin", "stdout", "stderr")
            assert not (stream and ast.unparse(node.value) == "sys"), name


@pytest.mark.parametrize(
    ("library", "folder"),
    [
        ("litestar", "service.http"),
        ("sqlalchemy", "service.database"),
        ("alembic", "service.database"),
        ("starlette", "page"),
    ],
)
def test_a_large_library_lives_in_one_folder(library, folder):
    users = {name for name in MODULES if library in outside([name])}
    assert users
    assert {name for name in users if not name.startswith(f"heclstm.{folder}.")} == set()


def test_the_service_does_not_even_load_the_engine():
    """Strangers' bytes meet native code in children only. The pool that is chosen for a Ray cluster is the one way to
    the engine, on other machines.
    """
    own = reachable("heclstm.service.service") - reachable("heclstm.service.workers.ray_pool")
    assert "heclstm.service.http.app" in own
    assert "heclstm.backend.cpu.context" not in own


def test_nothing_is_unpickled():
    """No pickle, and NumPy is told so wherever it loads."""
    for name in MODULES:
        assert not outside([name]) & {"pickle", "dill", "joblib", "shelve", "marshal"}, name
        for node in nodes(name):
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), name
                assert node.value.value is False, name


@pytest.mark.parametrize(
    ("library", "users"),
    [
        ("cryptography", {"heclstm.card.signature", "heclstm.storage.sealed", "heclstm.usecases.certificates"}),
        ("httpx", {"heclstm.network.transport"}),
        ("truststore", {"heclstm.network.transport"}),
        ("zipfile", {"heclstm.storage.archive", "heclstm.storage.arrays", "heclstm.data.sources"}),
        ("PIL", {"heclstm.data.pictures"}),
        ("jinja2", {"heclstm.templates.rendering"}),
        ("polib", {"heclstm.templates.language"}),
        ("pynetdicom", {"heclstm.gateway.listener", "heclstm.gateway.sender"}),
        ("highdicom", {f"heclstm.report.dicom.{name}" for name in ("concepts", "structured", "summary")}),
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
    last = {name.rpartition(".")[2] for name in functions}
    allowed = {"heclstm.storage.atomic", "heclstm.storage.arrays"}
    wrong = set()
    for name in MODULES.keys() - allowed:
        for node in nodes(name):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                found = node.func.attr
                called = ast.unparse(node.func) if found in methods | last else found
                if found in methods or called in functions:
                    wrong.add(f"{name}, line {node.lineno}: {called}")
    # the demo hands files from one party to the other, as people do
    assert {each for each in wrong if not each.startswith("heclstm.usecases.demo")} == set()


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
