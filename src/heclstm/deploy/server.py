"""The server's side: a program, evaluation keys, ciphertexts. No secret key type can be reached from here."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from heclstm.backend.execute import Executor, Observer
from heclstm.backend.lattigo import Arithmetic, Ciphertext, Engine, Plaintext, Transform
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
from heclstm.errors import FileFormatError, MissingKeyError
from heclstm.program.program import Program

OnProgress = Callable[[int, int], None]  # (done, in all)


class Server:
    """Evaluates one program for one client at a time.

    arithmetic: whose transforms compute, see `backend.lattigo`; "lattigo" is the reference.
    compact: keep diagonals as coefficients and transform them at each use: a tenth of their memory, and slower.
    """

    def __init__(
        self,
        program: Program,
        *,
        threads: int | None = None,
        arithmetic: Arithmetic = "auto",
        compact: bool = False,
        on_prepare: OnProgress | None = None,
    ) -> None:
        self.card = program.card
        self.engine = Engine(program.circuit.parameters, threads=threads, arithmetic=arithmetic, compact=compact)
        self._threads = threads or os.cpu_count() or 1
        self.executor: Executor[Ciphertext, Plaintext, Transform] = Executor(program.circuit, self.engine, on_prepare)
        self._label = ""

    def load_keys(self, path: Path, on_progress: OnProgress | None = None) -> None:
        """Take a client's evaluation keys. Raises DigestError if they were made for another program."""
        header = read_header(path, Kind.EVALUATION_KEYS)
        require_card(header, self.card, path)
        require_sizes(header, evaluation_key_blobs(self.card), path)
        self._label = ""
        # Expanding seeds is most of the work and runs outside of the GIL, a few keys at a time.
        with ThreadPoolExecutor(self._threads) as pool:
            pending: deque[Future[int]] = deque()
            done = 0
            for name, blob in read_file(path, Kind.EVALUATION_KEYS):
                pending.append(pool.submit(self._load_key, name, blob))
                if len(pending) > 2 * self._threads:
                    done += pending.popleft().result()
                    if on_progress:
                        on_progress(done, header.total_bytes)
            for job in pending:
                job.result()
        self._label = header.key  # only now: everything was read and its checksum fits
        if on_progress:
            on_progress(header.total_bytes, header.total_bytes)

    def _load_key(self, name: str, blob: bytes) -> int:
        if name == "relinearization":
            self.engine.load_relinearization_key(blob)
        elif name != (found := f"rotation {self.engine.load_rotation_key(blob)}"):
            raise FileFormatError(f"evaluation keys: {name} is the key of {found}; get the file again")
        return len(blob)

    def evaluate(self, query: Path, result: Path, observe: Observer | None = None) -> int:
        """Diagnose one encrypted sequence; writes the encrypted result and returns its size in bytes.

        Several threads may evaluate at once. Keys that are replaced meanwhile make it fail (MissingKeyError).
        """
        header = read_header(query, Kind.QUERY)
        require_program(header, self.card.digest, query)
        label = self._label
        if not label:
            raise MissingKeyError("server: has no evaluation keys; load those of this client first")
        require_key(header, label, query)
        require_sizes(header, query_blobs(self.card), query)
        level = self.card.input_level
        inputs = [self.engine.load_ciphertext(blob, level=level) for _, blob in read_file(query, Kind.QUERY)]
        with closing(self.executor.run(inputs, observe)) as output:
            blob = output.serialize()
        if self._label != label:
            raise MissingKeyError("server: the evaluation keys were replaced during an evaluation; run it again")
        blobs = tuple(result_blobs(self.card))
        answer = Header(Kind.RESULT, self.card.digest, label, blobs, header.query)
        return write_file(result, answer, [blob])

    def close(self) -> None:
        self.engine.close()
