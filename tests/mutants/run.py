"""Does a test fail when the code is wrong? Changes a module, one thing at a time, and runs its tests on each change.

    make mutants                              all modules, and the faults that were planted by hand
    make mutants MUTANTS="storage --seconds 300"    some of them, for so long; what was run is not run again

Nothing on disk is changed: each change lives in a process of its own, which takes it for the module. What survives must
stand in survivors.toml with a reason, or the run fails.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import time
import tomllib
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

from mutants.changes import Change, changes
from mutants.targets import MODULES, PLANTED

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "heclstm"
RESULTS = ROOT / "build" / "mutants"
SURVIVORS = Path(__file__).with_name("survivors.toml")
MEMORY_BYTES = 4 << 30  # of a changed module that knows no limit
PYTEST = [
    *(
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "_hypothesis_pytestplugin",
        f"--basetemp={RESULTS / f'tmp-{os.getpid()}'}",
    ),
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


class FirstFailure:
    """What pytest tells of the first test that fails."""

    name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._take(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._take(report)

    def _take(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid.replace("tests/", "", 1) or "collection"


def failing(path: Path, source: str, tests: list[str], timeout: float) -> str | None:
    """The first of these tests that fails when a module has this source; None if none does."""
    answer = RESULTS / f"answer-{os.getpid()}.json"
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _test(path, source, tests, answer)
    status = _wait(child, timeout)
    if status is None:
        return "takes too long"
    if not answer.exists():
        return f"ends with {status}"
    failed, imported = json.loads(answer.read_text())
    if status in (pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.INTERNAL_ERROR):
        raise SystemExit(f"{path}: pytest ends with {status} on {tests}: {failed}")
    if status == pytest.ExitCode.OK:
        with warnings.catch_warnings(action="ignore"):
            for name in imported:  # once here instead of in every process to come
                with suppress(Exception):
                    import_module(name)
        return None
    return failed or f"ends with {status}"


def _test(path: Path, source: str, tests: list[str], answer: Path) -> NoReturn:
    """Run tests in this process; leave (the first that failed, modules of others that they imported) behind."""
    name = ".".join(("heclstm", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    status, first = int(pytest.ExitCode.INTERNAL_ERROR), FirstFailure()
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        sys.meta_path.insert(0, Finder(name, path, source))
        status = int(pytest.main([*PYTEST, *(f"tests/{test}" for test in tests)], plugins=[first]))
    except BaseException:
        first.name = traceback.format_exc()
    finally:
        files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
        others = [name for name, file in files.items() if file and not Path(file).is_relative_to(ROOT)]
        answer.write_text(json.dumps((first.name, others)))
        os._exit(status)


def _wait(child: int, timeout: float) -> int | None:
    """Its exit code, or None if it was ended."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


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
    done = {}
    if store.exists():
        done = {(row["key"], row["tests"]): row["by"] for row in map(json.loads, store.read_text().splitlines())}
    todo, timeout = changes_of(source), 0.0
    survivors, noticed, tried = [], 0, 0
    for change in todo:
        # What one test noticed the next version of it will; a survivor is tried again when its tests change.
        by = next((by for (key, _), by in done.items() if key == change.key and by), None)
        if by is None and (change.key, signature) not in done:
            if time.monotonic() > end:
                continue
            if not timeout:
                begun = time.monotonic()
                if found := failing(path, source, tests, 600):
                    raise SystemExit(f"{file}: fails without any change: {found}")
                timeout = 10 + 5 * (time.monotonic() - begun)
            each = (failing(path, change.source, [test], timeout) for test in tests)  # the quickest says most
            by = next((failed for failed in each if failed), None)
            with store.open("a") as stream:
                stream.write(json.dumps({"key": change.key, "tests": signature, "by": by, "text": change.text}) + "\n")
        tried += 1
        noticed += by is not None
        if by is None:
            survivors.append(f"{file}: {change.text}")
    tell(f"{file}: {len(todo)} changes, {tried} tried, {noticed} noticed, {len(survivors)} not")
    return len(todo), noticed, survivors, tried == len(todo)


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

    settings.register_profile("mutants", deadline=None, max_examples=25, database=None)

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
    (RESULTS / f"answer-{os.getpid()}.json").unlink(missing_ok=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
