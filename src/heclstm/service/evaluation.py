"""The port to the engine: all that the service knows of programs that compute. Used in child processes only."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from heclstm.backend.base import key_name
from heclstm.backend.cpu.backend import CpuBackend, CpuProgram
from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.keyset import KeySet
from heclstm.backend.machine import cores, prepared_folder
from heclstm.card.program_card import ProgramCard
from heclstm.circuit.cost import estimate
from heclstm.circuit.operations import Operation
from heclstm.deploy.kept import load_kept
from heclstm.deploy.keys import evaluation_key_blobs
from heclstm.deploy.server import Server, TenantKeys
from heclstm.deploy.wire import require_card, require_key, require_sizes
from heclstm.errors import FileFormatError
from heclstm.program.program import Program
from heclstm.storage.container import Received

LAST = 19  # the highest niceness
OnProgress = Callable[[float, float, str], None]  # (done, in all, layer that was finished last)


class Evaluator:
    """One program for many key sets."""

    def __init__(self, folder: Path, threads: int | None) -> None:
        self._program: Program | None = load_kept(folder, prepared_folder())
        self._threads = threads
        costs = estimate(self._program.circuit, threads=threads or cores())
        self.program_bytes = costs.process_memory + costs.prepared_memory + costs.working_memory
        self.key_bytes = costs.key_memory

    def prepare(self) -> None:
        assert self._program  # prepared once
        self._server = Server(self._program, CpuBackend(threads=self._threads, cache=prepared_folder()))
        self._program = None  # the server has what it needs of it

    @property
    def shared_bytes(self) -> int:
        """Of the program's memory, what other processes map as well."""
        prepared = self._server.prepared
        assert isinstance(prepared, CpuProgram)  # as `prepare` made it
        return prepared.mapped_bytes

    def open_keys(self, path: Path) -> TenantKeys:
        """What `expand` wrote: mapped into memory, and shared with other processes that do the same."""
        return self._server.open_keys(path)

    def evaluate(self, query: bytes, keys: TenantKeys, on_progress: OnProgress, cancel: threading.Event) -> bytes:
        """A query's result. Raises Cancelled."""
        layer = ""

        def observe(operation: Operation, _: list[object]) -> None:
            nonlocal layer
            layer = operation.layer

        result = self._server.evaluate(
            query,
            keys,
            on_progress=lambda done, total: on_progress(done, total, layer),
            cancel=cancel,
            observe=observe,
        )
        return bytes(result)


def expand(
    card: ProgramCard,
    label: str,
    message: Received,
    target: Path,
    threads: int,
    arriving: Callable[[], bool] = lambda: False,
) -> None:
    """Check a client's evaluation keys as they arrive, and write them in the form that is opened fastest.

    arriving: whether more of them is still on its way, which comes first.
    Raises FileFormatError or DigestError, and then writes nothing; OutputError if there is no room.
    """
    require_card(message.header, card, message.name)
    require_key(message.header, label, message.name)
    require_sizes(message.header, evaluation_key_blobs(card), message.name)
    with Context(card.parameters, threads=threads) as context, TenantKeys(card.digest, label, KeySet(context)) as keys:
        _load(keys, message, threads, arriving)
        keys.save(target)


def _load(keys: TenantKeys, message: Received, threads: int, arriving: Callable[[], bool]) -> None:
    """A few keys at a time: expanding seeds is most of the work, and runs outside of the GIL.

    What is received while it runs loses a core to it, so it gives way until all has arrived.
    """
    key_set = keys.keys
    assert isinstance(key_set, KeySet)

    def load(name: str, blob: bytes) -> None:
        if name != (found := key_name(key_set.load(blob))):
            raise FileFormatError(f"evaluation keys: {name} is the key of {found}; get the file again")

    count = threads + 1  # one reads
    with ThreadPoolExecutor(count, initializer=_give_way) as meanwhile, ThreadPoolExecutor(count) as afterwards:
        pending: deque[Future[None]] = deque()
        blobs = message.blobs()
        while found := (pool := meanwhile if arriving() else afterwards).submit(next, blobs, None).result():
            pending.append(pool.submit(load, *found))
            if len(pending) > threads:
                pending.popleft().result()
        for job in pending:
            job.result()


def _give_way() -> None:
    """This thread runs when nobody else wants to: even with the highest niceness it would keep a core for milliseconds
    from who wakes, which Linux's idle policy does not. Only Linux gives threads either of their own, and none gives it
    back, so there are two kinds of threads.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # a filter of system calls may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LAST)
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
