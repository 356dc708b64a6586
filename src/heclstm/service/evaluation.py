"""The port to the engine: all that the service knows of programs that compute. Used in child processes only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from heclstm.card.program_card import ProgramCard
from heclstm.circuit.cost import PROCESS_MEMORY, estimate
from heclstm.deploy.keys import evaluation_key_blobs
from heclstm.deploy.server import Server
from heclstm.deploy.wire import require_card, require_key, require_sizes
from heclstm.errors import HeclstmError
from heclstm.program.files import load_program
from heclstm.storage.atomic import new_file
from heclstm.storage.container import Message, Received

OnProgress = Callable[[float, float, str], None]  # (done, in all, layer)


class Cancelled(HeclstmError):
    pass


class Keys:
    def __init__(self, path: Path) -> None:
        self.path = path

    def close(self) -> None:
        return


class Evaluator:
    """One program for many key sets."""

    def __init__(self, folder: Path, threads: int | None) -> None:
        self.program = load_program(folder)
        self._threads = threads
        costs = estimate(self.program.circuit)
        self.program_bytes = PROCESS_MEMORY + costs.plaintext_memory + costs.working_memory
        self.key_bytes = costs.key_memory
        self._loaded: Keys | None = None

    def prepare(self) -> None:
        self._server = Server(self.program, threads=self._threads)

    def open_keys(self, path: Path) -> Keys:
        return Keys(path)

    def evaluate(self, query: bytes, keys: Keys, on_progress: OnProgress, cancel: threading.Event) -> bytes:
        if self._loaded is not keys:
            self._server.load_keys(keys.path)
            self._loaded = keys
        total, done = len(self.program.circuit.operations), 0

        def observe(operation: Any, _: list[Any]) -> None:
            nonlocal done
            done += 1
            on_progress(done, total, operation.layer)
            if cancel.is_set():
                raise Cancelled("evaluation: cancelled")

        with TemporaryDirectory() as folder:
            place = Path(folder)
            with new_file(place / "query") as stream:
                stream.write(query)
            self._server.evaluate(place / "query", place / "result", observe)
            return (place / "result").read_bytes()


def expand(card: ProgramCard, label: str, message: Received, target: Path) -> None:
    """Check a client's evaluation keys as they arrive, and write them in the form that is opened fastest."""
    require_card(message.header, card, message.name)
    require_key(message.header, label, message.name)
    require_sizes(message.header, evaluation_key_blobs(card), message.name)
    Message(message.header, (blob for _, blob in message.blobs())).save(target)
