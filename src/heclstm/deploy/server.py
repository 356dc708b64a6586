"""The server's side: a program, tenants' evaluation keys, ciphertexts. No secret key type can be reached from here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from heclstm.backend.base import Backend, Cancel, Keys, Observer, OnProgress
from heclstm.backend.registry import backend as backend_named
from heclstm.deploy.keys import evaluation_key_blobs, query_blobs, result_blobs
from heclstm.deploy.wire import (
    Header,
    Kind,
    read_file,
    read_header,
    require_card,
    require_key,
    require_program,
    require_sizes,
    write_file,
)
from heclstm.errors import DigestError, FileFormatError
from heclstm.program.program import Program
from heclstm.storage.atomic import MAGIC


class TenantKeys:
    """One client's evaluation keys, made ready for one server. label: of the secret key that they belong to.

    Closing frees them, or lets an evaluation that uses them finish first.
    """

    def __init__(self, program: str, label: str, keys: Keys) -> None:
        self.program, self.label, self.keys = program, label, keys

    @property
    def bytes_in_memory(self) -> int:
        return self.keys.bytes_in_memory

    def save(self, path: Path) -> None:
        """Write them expanded: larger than evaluation.keys, and opened by `Server.open_keys` at once."""
        self.keys.save(path, json.dumps({"program": self.program, "key": self.label}).encode())

    def close(self) -> None:
        self.keys.close()

    def __enter__(self) -> TenantKeys:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Server:
    """Evaluates one program for any number of clients, from several threads at once.

    backend: who computes; the CPU with all its cores by default. on_prepare(done, total): while it makes ready.
    """

    def __init__(
        self, program: Program, backend: Backend | None = None, *, on_prepare: OnProgress | None = None
    ) -> None:
        self.card = program.card
        self.prepared = (backend or backend_named("cpu")).prepare(program.circuit, on_prepare)

    def open_keys(self, path: Path, on_progress: OnProgress | None = None) -> TenantKeys:
        """A client's evaluation.keys, or what `TenantKeys.save` wrote.

        Raises DigestError if they were made for another program.
        """
        if not is_message(path):
            return self._open_saved(path)
        header = read_header(path, Kind.EVALUATION_KEYS)
        require_card(header, self.card, path)
        require_sizes(header, evaluation_key_blobs(self.card), path)
        keys = self.prepared.load_keys(read_file(path, Kind.EVALUATION_KEYS), on_progress)
        return TenantKeys(header.program, header.key, keys)

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
        query: Path,
        keys: TenantKeys,
        result: Path,
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
        observe: Observer | None = None,
    ) -> int:
        """Diagnose one encrypted sequence; writes the encrypted result and returns its size in bytes."""
        header = read_header(query, Kind.QUERY)
        self.require(header, keys, query)
        blobs = [blob for _, blob in read_file(query, Kind.QUERY)]
        answer, blob = self.answer(header, blobs, keys, on_progress=on_progress, cancel=cancel, observe=observe)
        return write_file(result, answer, [blob])

    def require(self, query: Header, keys: TenantKeys, place: Path | str) -> None:
        """Raise what is wrong with a query before its ciphertexts are read."""
        require_program(query, self.card.digest, place)
        require_key(query, keys.label, place)
        require_sizes(query, query_blobs(self.card), place)

    def answer(
        self,
        query: Header,
        blobs: Iterable[bytes],
        keys: TenantKeys,
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
        observe: Observer | None = None,
    ) -> tuple[Header, bytes]:
        """The header and the ciphertext of a result, wherever query and result travel. Raises Cancelled."""
        self.require(query, keys, "query")
        inputs = self.prepared.load(list(blobs))
        output = self.prepared.evaluate(inputs, keys.keys, on_progress=on_progress, cancel=cancel, observe=observe)
        blob = self.prepared.store(output)
        header = Header(Kind.RESULT, self.card.digest, keys.label, tuple(result_blobs(self.card)), query.query)
        return header, blob

    def close(self) -> None:
        self.prepared.close()


def is_message(path: Path) -> bool:
    """Whether these are evaluation.keys, and not what `TenantKeys.save` wrote. Raises FileFormatError."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from error


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
