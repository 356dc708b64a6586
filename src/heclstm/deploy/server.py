"""The server's side: a program, tenants' evaluation keys, ciphertexts. No secret key type can be reached from here."""

from __future__ import annotations

import json
import os
from pathlib import Path

from heclstm.backend.base import Backend, Cancel, Keys, Observer, OnProgress
from heclstm.backend.registry import backend as backend_named
from heclstm.deploy.keys import evaluation_key_blobs, query_blobs, result_blobs
from heclstm.deploy.wire import (
    Header,
    Kind,
    Message,
    received,
    require_card,
    require_key,
    require_program,
    require_sizes,
)
from heclstm.errors import DigestError, FileFormatError
from heclstm.program.files import load_program
from heclstm.program.program import Program
from heclstm.storage.atomic import MAGIC
from heclstm.storage.source import Place, Source, opened


class TenantKeys:
    """One client's evaluation keys, made ready for one server. label: of the secret key that they belong to.

    Closing frees them, or lets an evaluation that uses them finish first.
    """

    def __init__(self, program: str, label: str, keys: Keys) -> None:
        self.program, self.label, self.keys = program, label, keys

    @property
    def bytes_in_memory(self) -> int:
        return self.keys.bytes_in_memory

    def save(self, path: Place) -> None:
        """Write them expanded: larger than evaluation.keys, and opened by `Server.open_keys` at once."""
        self.keys.save(Path(path), json.dumps({"program": self.program, "key": self.label}).encode())

    def rest(self) -> None:
        """Not used for a while: if they are mapped from a file, their pages need not stay in this process."""
        self.keys.rest()

    def close(self) -> None:
        self.keys.close()

    def __enter__(self) -> TenantKeys:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Server:
    """Evaluates one program for any number of clients, from several threads at once. Holds no secret key.

    What it takes in may be a path, bytes, a stream or a `Message`. Closing it, or leaving its `with` block, frees the
    engine and ends evaluations that still run (HandleError).
    """

    def __init__(
        self, program: Program | Place, backend: Backend | None = None, *, on_prepare: OnProgress | None = None
    ) -> None:
        """program: a program, or its folder. backend: who computes; the CPU with all its cores by default (see
        `backend.registry`). on_prepare(done, total): while it makes ready, about a second for a program at 128 bits.

        Raises FileFormatError or DigestError for files that cannot be read or do not belong together.
        """
        if not isinstance(program, Program):
            program = load_program(program)
        self.card = program.card
        self.prepared = (backend or backend_named("cpu")).prepare(program.circuit, on_prepare)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open_keys(self, source: Source, on_progress: OnProgress | None = None) -> TenantKeys:
        """A client's evaluation.keys, which takes seconds, or the file that `TenantKeys.save` wrote, which takes none.

        Raises DigestError if they were made for another program.
        """
        if isinstance(source, str | os.PathLike) and not is_message(Path(source)):
            return self._open_saved(Path(source))
        with received(source, Kind.EVALUATION_KEYS) as message:
            require_card(message.header, self.card, message.name)
            require_sizes(message.header, evaluation_key_blobs(self.card), message.name)
            keys = self.prepared.load_keys(message.blobs(), on_progress)
            return TenantKeys(message.header.program, message.header.key, keys)

    def _open_saved(self, path: Path) -> TenantKeys:
        keys = self.prepared.load_keys(path)
        try:
            program, label = _saved_for(keys.note, path)
            if program != self.card.digest:
                raise DigestError(
                    f"{path}: these keys were saved for program {program[:12]}, expected {self.card.digest[:12]}; "
                    "open the client's evaluation.keys again"
                )
        except BaseException:
            keys.close()
            raise
        return TenantKeys(program, label, keys)

    def evaluate(
        self,
        query: Source,
        keys: TenantKeys,
        path: Place | None = None,
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
        observe: Observer | None = None,
    ) -> Message:
        """Diagnose one encrypted sequence; returns the encrypted result, and saves it if there is a path.

        on_progress(done, total): counts work. cancel: an event, or a function that tells whether to stop; Cancelled is
        raised then. observe: sees what every operation gives, for developers. Raises FileFormatError or DigestError for
        a query that is damaged, or not for this program and these keys.
        """
        with received(query, Kind.QUERY) as message:
            require_program(message.header, self.card.digest, message.name)
            require_key(message.header, keys.label, message.name)
            require_sizes(message.header, query_blobs(self.card), message.name)
            asked, blobs = message.header, [blob for _, blob in message.blobs()]
        inputs = self.prepared.load(blobs)
        output = self.prepared.evaluate(inputs, keys.keys, on_progress=on_progress, cancel=cancel, observe=observe)
        header = Header(Kind.RESULT, self.card.digest, keys.label, tuple(result_blobs(self.card)), asked.query)
        result = Message(header, [self.prepared.store(output)])
        if path is not None:
            result.save(path)
        return result

    def close(self) -> None:
        self.prepared.close()


def is_message(path: Path) -> bool:
    """Whether these are evaluation.keys, and not what `TenantKeys.save` wrote. Raises FileFormatError."""
    with opened(path) as file:
        return file.read(len(MAGIC)) == MAGIC


def _saved_for(note: bytes, path: Path) -> tuple[str, str]:
    """(program, key label) as `TenantKeys.save` wrote them down."""
    try:
        fields = json.loads(note)
        program, label = fields["program"], fields["key"]
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path}: does not say whose keys it holds; open evaluation.keys again") from error
    if type(program) is not str or type(label) is not str:
        raise FileFormatError(f"{path}: does not say whose keys it holds; open evaluation.keys again")
    return program, label
