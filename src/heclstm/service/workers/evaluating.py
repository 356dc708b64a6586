"""What a worker does, wherever it runs: one prepared program, and a cache of opened key sets."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from heclstm.deploy.server import TenantKeys
from heclstm.errors import (
    Cancelled,
    DigestError,
    FileFormatError,
    HandleError,
    HeclstmError,
    LayoutError,
    LevelError,
    MissingKeyError,
    OutputError,
    ResourceError,
    ScaleError,
)
from heclstm.service.blobs import Blobs
from heclstm.service.evaluation import Evaluator
from heclstm.service.problems import storage_full
from heclstm.service.workers.messages import Failed, Loaded, Message, Progress, Ready, Result, Task

PROGRESS_SECONDS = 0.2
ERASED_MAX = 1024  # names of key sets that are no more; none is given twice


class EvaluatingWorker:
    """Evaluates one task at a time; the other methods may be called meanwhile."""

    def __init__(self, program: Path, threads: int | None, blobs: Blobs) -> None:
        self._evaluator = Evaluator(program, threads)
        self._blobs = blobs
        self._keys: dict[str, TenantKeys] = {}
        self._erased: deque[str] = deque(maxlen=ERASED_MAX)
        self._cancel, self._running = threading.Event(), 0
        self._lock = threading.Lock()

    def loaded(self) -> Loaded:
        return Loaded(self._evaluator.program_bytes, self._evaluator.key_bytes)

    def prepare(self) -> Ready:
        start = time.monotonic()
        self._evaluator.prepare()
        return Ready(time.monotonic() - start, self._evaluator.shared_bytes)

    def evaluate(self, task: Task, tell: Callable[[Progress], object]) -> Message:
        """Result or Failed. tell: progress, a few times a second."""
        start = last = time.monotonic()
        with self._lock:
            self._running = task.evaluation
            self._cancel.clear()
        self.close_keys(task.close)

        def progress(done: float, total: float, layer: str) -> None:
            nonlocal last
            if time.monotonic() - last > PROGRESS_SECONDS:
                last = time.monotonic()
                tell(Progress(task.evaluation, done / total, layer))

        try:
            keys = self._opened(task.keys)
            content = self._evaluator.evaluate(task.query, keys, progress, self._cancel)
        except (HeclstmError, MemoryError, OSError) as error:
            return _failed(task, error)
        finally:
            with self._lock:
                self._running = 0
        return Result(task.evaluation, content, time.monotonic() - start)

    def cancel(self, evaluation: int) -> None:
        with self._lock:
            if self._running == evaluation:
                self._cancel.set()

    def close_keys(self, names: tuple[str, ...], *, erased: bool = False) -> None:
        """An evaluation that uses them ends as ever. erased: also from this machine, and for good."""
        if erased:  # noted before they are closed: what opens one of them meanwhile looks afterwards
            with self._lock:
                self._erased.extend(names)
        for name in names:
            if keys := self._keys.pop(name, None):
                keys.close()
            if erased:
                self._blobs.forget(f"keys/{name}")

    def _opened(self, name: str) -> TenantKeys:
        """Only the keys in use stand in memory: the others of the cache are checked already, and mapped again in
        milliseconds from what the system keeps of their files.
        """
        for other, keys in list(self._keys.items()):
            if other != name:
                with suppress(HandleError):  # closed meanwhile
                    keys.rest()
        opened = self._keys.get(name)
        if opened is None:
            opened = self._keys[name] = self._open(f"keys/{name}")
            with self._lock:
                erased = name in self._erased
            if erased:  # while they were brought here
                self.close_keys((name,), erased=True)
        return opened  # not what is kept now: another thread may have closed it

    def _open(self, blob: str) -> TenantKeys:
        try:
            return self._evaluator.open_keys(self._blobs.local(blob))
        except (FileFormatError, DigestError):  # of this machine's copy, perhaps; without one it fails again
            self._blobs.forget(blob)
            return self._evaluator.open_keys(self._blobs.local(blob))


def _failed(task: Task, error: Exception) -> Failed:
    if isinstance(error, Cancelled):
        return Failed(task.evaluation, "cancelled", str(error))
    if storage_full(error) or isinstance(error, MemoryError | OutputError | ResourceError):
        return Failed(task.evaluation, "storage-full", f"{type(error).__name__}: no disk or memory left", again=True)
    if isinstance(error, DigestError | MissingKeyError | HandleError | OSError):
        return Failed(task.evaluation, "evaluation-failed", str(error), again=True)
    refused = isinstance(error, FileFormatError | LayoutError | LevelError | ScaleError)
    return Failed(task.evaluation, "damaged" if refused else "evaluation-failed", str(error))
