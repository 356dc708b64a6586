"""An encrypted query → an encrypted result. No secret key can be reached from here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heclstm.backend.base import Observer
from heclstm.backend.cpu.backend import CpuBackend, CpuProgram
from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.context import arithmetic as arithmetic_named
from heclstm.deploy.keys import EVALUATION_KEYS_FILE, query_blobs
from heclstm.deploy.server import Server
from heclstm.deploy.wire import Kind, Message, received, require_key, require_program, require_sizes
from heclstm.program.files import load_program
from heclstm.program.program import Program
from heclstm.storage.source import Source
from heclstm.usecases.card import read_card
from heclstm.usecases.clock import Clock
from heclstm.usecases.events import SILENT, Cancel, Events
from heclstm.usecases.memory import peak_memory

Watch = Callable[[Program, Context], Observer]  # makes what looks at every operation's results


@dataclass(frozen=True, repr=False)
class Ran:
    """result: to be sent back, or saved already as `output`. arithmetic: which one computed. seconds: of each step."""

    result: Message
    output: Path | None
    program: str
    arithmetic: str
    seconds: dict[str, float]
    peak_memory: int | None
    program_memory: int
    key_memory: int

    @property
    def bytes(self) -> int:
        return self.result.header.total_bytes

    def to_json(self) -> dict[str, Any]:
        return {
            **({"result": str(self.output)} if self.output else {}),
            "bytes": self.bytes,
            "program": self.program,
            "backend": "cpu",
            "arithmetic": self.arithmetic,
            "seconds": self.seconds,
            "peak_memory_bytes": self.peak_memory,
            "program_memory_bytes": self.program_memory,
            "key_memory_bytes": self.key_memory,
        }


def run(
    program: Path | Program,
    query: Source,
    keys: Path,
    output: Path | None = None,
    *,
    threads: int | None = None,
    arithmetic: str = "auto",
    compact: bool = False,
    watch: Watch | None = None,
    cancel: Cancel | None = None,
    events: Events = SILENT,
) -> Ran:
    """program: a folder. keys: evaluation.keys, its folder, or what `TenantKeys.save` wrote. compact: keep diagonals
    small in memory, and transform them at each use.

    The query is read and checked before anything that takes long. Raises Cancelled.
    """
    cpu = CpuBackend(threads=threads, arithmetic=arithmetic_named(arithmetic), compact=compact)
    keys = keys / EVALUATION_KEYS_FILE if keys.is_dir() else keys
    clock = Clock()
    card = program.card if isinstance(program, Program) else read_card(program, key=keys, alone=False, events=events)
    with received(query, Kind.QUERY) as message:
        require_program(message.header, card.digest, message.name)
        require_sizes(message.header, query_blobs(card), message.name)
        asked = Message(message.header, [blob for _, blob in message.blobs()])
        with events.stage("preparing program") as update:
            loaded = program if isinstance(program, Program) else load_program(program)
            server = Server(loaded, cpu, on_prepare=update)
        clock.lap("prepare")
        with closing(server):
            prepared = server.prepared
            assert isinstance(prepared, CpuProgram)  # of the backend above
            with events.stage("loading keys") as update:
                tenant = server.open_keys(keys, update)
            clock.lap("load_keys")
            require_key(message.header, tenant.label, message.name)
            observe = watch(loaded, prepared.context) if watch else None
            clock.lap("shadow" if watch else "")
            with events.stage("evaluating") as update:
                result = server.evaluate(asked, tenant, output, on_progress=update, cancel=cancel, observe=observe)
            clock.lap("evaluate")
            computed_by = prepared.context.arithmetic
            memory = prepared.bytes_in_memory, tenant.bytes_in_memory
    return Ran(result, output, card.digest, computed_by, clock.laps, peak_memory(), *memory)
