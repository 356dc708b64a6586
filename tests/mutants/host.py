"""A session of pytest in which all is imported and collected once; each change lives in a fork of it."""

import json
import os
import resource
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import CodeType, FrameType

import pytest

from mutants.changes import Change
from mutants.swap import exchange, exchanged, forget, lines

MEMORY_BYTES = 4 << 30  # of a changed module that knows no limit
TESTS = Path(__file__).parents[1]
TOO_LONG = "takes too long"


class FirstFailure:
    """What pytest tells of the first test that fails; those named before are run before the others."""

    def __init__(self, first: Sequence[str] = ()) -> None:
        self.name, self.first = "", first

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        rank = {name: index for index, name in enumerate(self.first)}
        items.sort(key=lambda item: rank.get(named(item.nodeid), len(rank)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._take(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._take(report)

    def _take(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self.name:
            self.name = named(report.nodeid) or "collection"


def named(nodeid: str) -> str:
    return nodeid.replace("tests/", "", 1)


class Host(FirstFailure):
    """Runs, for each change, the tests that execute the function that it changes. done(change, by): what noticed it.

    Changes of more than functions, and those that no test notices here, are left to a process that imports all anew:
    what was made before the change may hide it.
    """

    def __init__(
        self,
        file: Path,
        source: str,
        changes: list[Change],
        dependents: set[str],
        done: Callable[[Change, str], None],
        end: float,
    ) -> None:
        super().__init__()
        self.file, self.source, self.dependents, self.done, self.end = file, source, dependents, done, end
        pairs = ((change, exchanged(source, change.source, str(file))) for change in changes)
        self.changes = [(change, found) for change, found in pairs if found]
        self.set_up: set[int] = set()
        self.refused, self.seconds = "", 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        with traced(self.file, self.set_up):
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items, killers = session.items, Counter[str]()
        if self.name:  # a file that cannot be imported
            self.refused = self.name
            return True
        if engine_loaded():  # by the import of a test: no fork can use it, each change needs a process of its own
            return True
        found = forked(lambda: self._survey(items), 900)
        if not isinstance(found, dict) or found["failed"]:
            self.refused = str(found["failed"] if isinstance(found, dict) else found)
            return True
        self.seconds = sum(found["seconds"])
        if self.changes and not found["engine"]:  # its threads would not follow a fork; what tests remember does
            self._run(items)
        for change, pairs in self.changes:
            if time.monotonic() > self.end:
                break
            function = {line for old, _ in pairs for line in lines(old)}
            exact = changed_lines(self.source, change.source)
            chosen = [index for index, ran in enumerate(found["ran"]) if not function.isdisjoint(ran)]
            took = found["seconds"]
            chosen.sort(key=lambda i: (-killers[named(items[i].nodeid)], exact.isdisjoint(found["ran"][i]), took[i]))
            seconds = 10 + 5 * sum(took[index] for index in chosen)
            by = forked(partial(self._changed, pairs, [items[index] for index in chosen]), seconds)
            if by:
                killers[str(by)] += 1
                self.done(change, str(by))
        return True

    def _changed(self, pairs: list[tuple[CodeType, CodeType]], items: list[pytest.Item]) -> str:
        if not exchange(pairs):
            return ""
        files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
        forget(self.dependents | {name for name, file in files.items() if file and Path(file).is_relative_to(TESTS)})
        return self._run(items)

    def _run(self, items: list[pytest.Item]) -> str:
        self.name = ""
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.name:
                break
        return self.name

    def _survey(self, items: list[pytest.Item]) -> dict[str, object]:
        """Seconds and lines of the module, by test; what one sets up is there for all of its file."""
        ran: list[set[int]] = []
        shared: dict[Path, set[int]] = defaultdict(set)
        seconds = []
        for item, following in zip(items, [*items[1:], None], strict=True):
            begun, mine, self.set_up = time.monotonic(), set[int](), set()
            with traced(self.file, mine):
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            ran.append(mine)
            shared[item.path] |= self.set_up
            seconds.append(time.monotonic() - begun)
            if self.name:
                break
        lines = [sorted(mine | shared[item.path]) for mine, item in zip(ran, items, strict=False)]
        return {"failed": self.name, "engine": engine_loaded(), "seconds": seconds, "ran": lines}


def engine_loaded() -> bool:
    return "libheclstm" in Path("/proc/self/maps").read_text()


def changed_lines(before: str, after: str) -> set[int]:
    """Of the source before."""
    old, new = before.splitlines(), after.splitlines()
    first = next((i for i, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), 0)
    return set(range(first + 1, max(first + 2, first + 2 + len(old) - len(new))))


@contextmanager
def traced(file: Path, into: set[int]) -> Iterator[None]:
    name = str(file)

    def local(frame: FrameType, event: str, _: object) -> object:
        into.add(frame.f_lineno)
        return local

    before = sys.gettrace()

    def call(frame: FrameType, event: str, argument: object) -> object:
        if frame.f_code.co_filename != name:
            return None
        return local(frame, event, argument)

    sys.settrace(call)
    threading.settrace(call)
    try:
        yield
    finally:
        sys.settrace(before)
        threading.settrace(before)


def forked(work: Callable[[], object], seconds: float, group: bool = True) -> object:
    """What work returns in a child, as JSON takes it; or a word on how the child ended. group: one of its own."""
    with tempfile.TemporaryFile("w+") as answer:
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                if group:
                    os.setsid()
                resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
            try:
                found = work()
            except BaseException:
                found = traceback.format_exc()
            with suppress(BaseException):
                json.dump(found, answer)
                answer.flush()
            os._exit(0)
        ended = os.pidfd_open(child)
        late = not select.select([ended], [], [], seconds)[0]
        os.close(ended)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # with what its tests started
        _, status = os.waitpid(child, 0)
        answer.seek(0)
        content = answer.read()
    if late:
        return TOO_LONG
    return json.loads(content) if content else f"ends with {os.waitstatus_to_exitcode(status)}"
