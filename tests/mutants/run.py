"""Does a test fail when the code is wrong? Changes a module, one thing at a time, and runs its tests on each change.

    make mutants                              all modules, and the faults that were planted by hand
    make mutants MUTANTS="storage --seconds 300"    some of them, for so long; what was run is not run again

Nothing on disk is changed: each change lives in a process of its own, which takes it for the module. What survives must
stand in survivors.toml with a reason, or the run fails.
"""

import argparse
import json
import os
import shutil
import sys
import time
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest
from hypothesis import settings

import import_graph
from mutants.changes import Change, changes
from mutants.host import FirstFailure, Host, forked
from mutants.targets import MODULES, PLANTED

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "heclstm"
RESULTS = ROOT / "build" / "mutants"
SURVIVORS = Path(__file__).with_name("survivors.toml")
PYTEST = [
    *("-q", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin", f"--basetemp={RESULTS / f'tmp-{os.getpid()}'}"),
    *("-o", "tmp_path_retention_policy=none"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of what is imported already
    *("--hypothesis-seed=0", "--hypothesis-profile=mutants"),
]


class Finder(MetaPathFinder):
    """Gives a module another source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        source, file = self.source, str(self.path)

        class Loader(SourceFileLoader):
            def get_code(self, fullname: str):
                return compile(source, file, "exec", dont_inherit=True)

        return spec_from_file_location(fullname, self.path, loader=Loader(fullname, file))


def failing(path: Path, source: str, tests: list[str], seconds: float, first: Sequence[str] = ()) -> str | None:
    """The first of these tests that fails when all is imported anew and a module has this source; None if none does."""
    found = forked(lambda: _test(path, source, tests, first), seconds)
    if isinstance(found, str):
        return found
    status, failed, imported = found
    if status in (pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.INTERNAL_ERROR):
        raise SystemExit(f"{path}: pytest ends with {status} on {tests}: {failed}")
    if status == pytest.ExitCode.OK:
        with warnings.catch_warnings(action="ignore"):
            for name in imported:  # once here instead of in every process to come
                with suppress(Exception):
                    import_module(name)
        return None
    return failed or f"ends with {status}"


def _test(path: Path, source: str, tests: list[str], first: Sequence[str]) -> tuple[int, str, list[str]]:
    """(how pytest ends, the first that failed, modules of others that were imported)"""
    silence()
    sys.meta_path.insert(0, Finder(module_name(path), path, source))
    failure = FirstFailure(first)
    status = pytest.main([*PYTEST, "-x", *(f"tests/{test}" for test in tests)], plugins=[failure])
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    others = [name for name, file in files.items() if file and not Path(file).is_relative_to(ROOT)]
    return int(status), failure.name, others


def hosted(
    path: Path, source: str, tests: list[str], todo: list[Change], done: Callable[[Change, str], None], end: float
) -> float:
    """As many of these changes as a session of pytest takes without importing anything anew → seconds of its tests."""

    def serve() -> tuple[str, float]:
        silence()
        host = Host(path, source, todo, dependents(module_name(path)), done, end)
        status = pytest.main([*PYTEST, *(f"tests/{test}" for test in tests)], plugins=[host])
        return host.refused or (f"pytest ends with {status}" if status not in (0, 5) else ""), host.seconds

    found = forked(serve, 24 * 3600, group=False)
    refused, seconds = (found, 0.0) if isinstance(found, str) else found
    if refused:
        raise SystemExit(f"{path}: fails without any change: {refused}")
    return seconds


def silence() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)


def module_name(path: Path) -> str:
    return ".".join(("heclstm", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def dependents(name: str) -> set[str]:
    """All modules of ours that import this one, on any way."""
    return {each for each in import_graph.MODULES if name in import_graph.reachable(each)}


def known_survivors() -> dict[str, str]:
    """Change → why no test fails."""
    groups = tomllib.loads(SURVIVORS.read_text())["reason"]
    return {change: group["why"] for group in groups for change in group["changes"]}


def planted(tell: Callable[[str], None]) -> int:
    """Plant each fault that was planted by hand; how many no test notices."""
    missed = 0
    for fault in PLANTED:
        path = PACKAGE / fault.file
        source = path.read_text()
        if source.count(fault.old) != 1:
            raise SystemExit(f"{fault.file}: {fault.old!r} stands there {source.count(fault.old)} times, expected once")
        found = failing(path, source.replace(fault.old, fault.new), list(fault.tests), 300)
        missed += found is None
        tell(f"{fault.name}: {found or 'NO TEST FAILS'}")
    return missed


def changes_of(source: str) -> list[Change]:
    """As `changes`, which takes seconds for a long module, once for each source."""
    path = RESULTS / f"{sha256(source.encode()).hexdigest()[:16]}.json"
    if not path.exists():
        path.write_text(json.dumps([(change.text, change.source) for change in changes(source)]))
    return [Change(*pair) for pair in json.loads(path.read_text())]


def mutate(file: str, tests: list[str], end: float, tell: Callable[[str], None]) -> tuple[int, int, list[str], bool]:
    """(changes, those that a test noticed, the survivors, whether all were tried) of a module."""
    path, store = PACKAGE / file, RESULTS / f"{file.replace('/', '.')}.jsonl"
    source = path.read_text()
    signature = sha256(repr([(test, (ROOT / "tests" / test).read_bytes()) for test in tests]).encode()).hexdigest()[:8]
    changes = changes_of(source)

    def known() -> dict[str, str | None]:
        """What one test noticed the next version of it will; a survivor is tried again when its tests change."""
        rows = map(json.loads, store.read_text().splitlines()) if store.exists() else ()
        return {row["key"]: row["by"] for row in rows if row["by"] or row["tests"] == signature}

    def done(change: Change, by: str | None) -> None:
        with store.open("a") as stream:
            stream.write(json.dumps({"key": change.key, "tests": signature, "by": by, "text": change.text}) + "\n")

    todo = [change for change in changes if change.key not in known()]
    if todo and time.monotonic() < end:
        hosted(path, source, tests, todo, done, end)
        before = known()
        first = [by for by, _ in Counter(filter(None, before.values())).most_common()]
        begun, seconds = time.monotonic(), 0.0
        for change in todo:
            if change.key in before or time.monotonic() > end:
                continue
            if not seconds:
                if found := failing(path, source, tests, 900):
                    raise SystemExit(f"{file}: fails without any change: {found}")
                seconds = 10 + 5 * (time.monotonic() - begun)
            by = failing(path, change.source, tests, seconds, first)
            done(change, by)
            if by and by not in first:
                first.append(by)
    found = known()
    tried = [change for change in changes if change.key in found]
    survivors = [f"{file}: {change.text}" for change in tried if not found[change.key]]
    noticed = len(tried) - len(survivors)
    tell(f"{file}: {len(changes)} changes, {len(tried)} tried, {noticed} noticed, {len(survivors)} not")
    return len(changes), noticed, survivors, len(tried) == len(changes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "modules", nargs="*", help="beginnings of files below src/heclstm, or `planted`; all by default"
    )
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no change after so long")
    options = parser.parse_args()
    os.chdir(ROOT)
    RESULTS.mkdir(parents=True, exist_ok=True)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(RESULTS / "hypothesis")  # for its tables of characters
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # some take a second to load
    chosen, end = options.modules or ["planted", ""], time.monotonic() + options.seconds

    settings.register_profile("mutants", deadline=None, max_examples=10, database=None)

    def tell(line: str) -> None:
        print(line, flush=True)

    wrong, known = planted(tell) if "planted" in chosen else 0, known_survivors()
    total = [0, 0, 0]
    for file, tests in MODULES.items():
        if any(file.startswith(each) for each in chosen):
            count, noticed, survivors, _ = mutate(file, tests, end, tell)
            total = [a + b for a, b in zip(total, (count, noticed, len(survivors)), strict=True)]
            for survivor in survivors:
                if survivor not in known:
                    wrong += 1
                    tell(f"  NEW {survivor}")
    tell(f"{total[0]} changes: {total[1]} noticed, {total[2]} not, {total[0] - total[1] - total[2]} not tried")
    shutil.rmtree(RESULTS / f"tmp-{os.getpid()}", ignore_errors=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
