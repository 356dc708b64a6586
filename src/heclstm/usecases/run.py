"""An encrypted query → an encrypted result. No secret key can be reached from here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heclstm.backend.base import Observer
from heclstm.backend.cpu.backend import CpuBackend, CpuProgram
from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.context import arithmetic as arithmetic_named
from heclstm.backend.machine import cores, prepared_folder, require_memory
from heclstm.card.program_card import ProgramCard
from heclstm.circuit.cost import estimate
from heclstm.circuit.memory import MEMORY
from heclstm.deploy.kept import load_kept
from heclstm.deploy.keys import EVALUATION_KEYS_FILE, evaluation_key_blobs, query_blobs
from heclstm.deploy.server import Server, TenantKeys, is_message
from heclstm.deploy.wire import (
    Header,
    Kind,
    Message,
    read_header,
    received,
    require_card,
    require_key,
    require_program,
    require_sizes,
)
from heclstm.errors import ResourceError
from heclstm.program.program import Program
from heclstm.storage.source import Source
from heclstm.usecases.card import read_card
from heclstm.usecases.clock import Clock
from heclstm.usecases.events import SILENT, Cancel, Events, Update
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


@dataclass(frozen=True)
class Ready:
    """A program that is prepared, with one hospital's keys. program: for a watch. clock: what it took so far."""

    server: Server
    program: Program | None
    keys: TenantKeys
    clock: Clock
    watch: Watch | None

    def evaluate(self, query: Message, output: Path | None, cancel: Cancel | None, update: Update) -> Ran:
        prepared = self.server.prepared
        assert isinstance(prepared, CpuProgram)  # of `ready`
        require_key(query.header, self.keys.label, "query")
        observe = self.watch(self.program, prepared.context) if self.watch and self.program else None
        self.clock.lap("shadow" if self.watch else "")
        result = self.server.evaluate(query, self.keys, output, on_progress=update, cancel=cancel, observe=observe)
        self.clock.lap("evaluate")
        memory = prepared.bytes_in_memory, self.keys.bytes_in_memory
        laps, arithmetic = dict(self.clock.laps), prepared.context.arithmetic
        return Ran(result, output, self.server.card.digest, arithmetic, laps, peak_memory(), *memory)


@contextmanager
def ready(
    program: Path | Program,
    keys: Path,
    *,
    threads: int | None = None,
    arithmetic: str = "auto",
    compact: bool = False,
    memory: int | None = None,
    cache: bool = True,
    watch: Watch | None = None,
    events: Events = SILENT,
) -> Iterator[Ready]:
    """Prepare and load once, for as many queries as there are. The arguments are those of `run`."""
    bound = 0 if compact else MEMORY if memory is None else memory
    folder = prepared_folder() if cache else None
    cpu = CpuBackend(threads=threads, arithmetic=arithmetic_named(arithmetic), memory=bound, cache=folder)
    clock = Clock()
    with events.stage("preparing program") as update:
        loaded: Program | None = (
            program if isinstance(program, Program) else load_kept(program, None if watch else folder)
        )
        assert loaded
        costs = estimate(loaded.circuit, memory=bound, threads=threads or cores())
        require_memory(costs.peak_memory, "run")
        if memory is not None and costs.peak_memory > memory:
            raise ResourceError(
                f"run: needs about {costs.peak_memory / 1e9:.2f} GB of memory, and --memory allows "
                f"{memory / 1e9:.2f} GB; allow it more, or compile the model with --prefer keys"
            )
        server = Server(loaded, cpu, on_prepare=update)
        kept, loaded = loaded if watch else None, None
    clock.lap("prepare")
    with closing(server):
        over = server.prepared.bytes_in_memory - costs.prepared_memory  # of coefficients that did not fit one word
        if memory is not None and costs.peak_memory + over > memory:
            raise ResourceError(
                f"run: needs about {(costs.peak_memory + over) / 1e9:.2f} GB of memory, and --memory allows "
                f"{memory / 1e9:.2f} GB; allow it more"
            )
        with events.stage("loading keys") as update:
            tenant = server.open_keys(keys, update)
        clock.lap("load_keys")
        yield Ready(server, kept, tenant, clock, watch)


def run(
    program: Path | Program,
    query: Source,
    keys: Path,
    output: Path | None = None,
    *,
    threads: int | None = None,
    arithmetic: str = "auto",
    compact: bool = False,
    memory: int | None = None,
    cache: bool = True,
    watch: Watch | None = None,
    cancel: Cancel | None = None,
    events: Events = SILENT,
) -> Ran:
    """program: a folder. keys: evaluation.keys, its folder, or what `TenantKeys.save` wrote. memory: bytes that
    this process may take; compact: as little as can be (see `CpuBackend`). cache: whether to keep what is prepared.

    The query is read and checked before anything that takes long. Raises Cancelled.
    """
    keys = key_file(keys)
    card = program.card if isinstance(program, Program) else read_card(program, key=keys, alone=False, events=events)
    asked = read_query(query, keys, card)
    options: dict[str, Any] = {"threads": threads, "arithmetic": arithmetic, "compact": compact, "memory": memory}
    options |= {"cache": cache, "watch": watch}
    with ready(program, keys, events=events, **options) as at_hand, events.stage("evaluating") as update:
        return at_hand.evaluate(asked, output, cancel, update)


def key_file(keys: Path) -> Path:
    return keys / EVALUATION_KEYS_FILE if keys.is_dir() else keys


def read_query(query: Source, keys: Path, card: ProgramCard) -> Message:
    """All of it, checked. Raises what headers alone tell before keys are read for a quarter of a minute."""
    with received(query, Kind.QUERY) as message:
        _look(message.header, message.name, keys, card)
        return Message(message.header, [blob for _, blob in message.blobs()])


def _look(query: Header, name: str, keys: Path, card: ProgramCard) -> None:
    """Raise what headers alone tell, before keys are read for a quarter of a minute."""
    require_program(query, card.digest, name)
    require_sizes(query, query_blobs(card), name)
    if is_message(keys):  # else they were saved in another form, and are opened at once
        header = read_header(keys, Kind.EVALUATION_KEYS)
        require_card(header, card, keys)
        require_sizes(header, evaluation_key_blobs(card), keys)
        require_key(query, header.key, name)
