"""What imports what, read off the text of all modules: nothing is run. For tests/unit/test_imports.py."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"


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


@cache
def nodes(name):
    """All of a module's text, parsed."""
    return list(ast.walk(ast.parse(MODULES[name].read_text())))


def at_load_of(node):
    """What runs when a module is imported: no bodies of functions, nothing that is for types alone."""
    yield node
    for child in ast.iter_child_nodes(node):
        types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not types:
            yield from at_load_of(child)


@cache
def imports(name, at_load=False):
    """What a module imports, anywhere in its text or when it is loaded; `from a import b` also as a.b."""
    names = set()
    # heclstm itself loads a name when somebody asks for it; no module of ours does, as tests/unit/test_imports.py says.
    for node in at_load_of(nodes(name)[0]) if at_load or name == "heclstm" else nodes(name):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative imports hide where a name comes from"
            modules = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= modules if modules <= MODULES.keys() else {node.module} | modules
        elif calls(node, "kinds") and ast.unparse(node).startswith("kinds(__name__, __path__, "):
            names |= folders(name)
        elif calls(node, "iter_modules") and ast.unparse(node) == "iter_modules(cli.__path__)":
            names |= {each for each in MODULES if each.rpartition(".")[0] == "heclstm.cli"} - {name}
    return names


def calls(node, function):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function


def folders(name):
    """The packages of a package, which a registry imports by looking for them (model/registry.py)."""
    return {each for each in MODULES if each.rpartition(".")[0] == name and MODULES[each].name == "__init__.py"}


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


def within(names, *places):
    """Those of the modules that stand in one of these places: "cli" is heclstm.cli and all below it."""
    prefixes = [f"heclstm.{place}" for place in places]
    return {name for name in names for prefix in prefixes if name == prefix or name.startswith(f"{prefix}.")}
