"""The hospital's side: makes keys, encrypts sequences, decrypts results. Holds the secret key."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.secret import Decryptor, Encryptor, KeyGenerator, SecretKey, wipe
from heclstm.card.program_card import ProgramCard
from heclstm.circuit.sizes import secret_key_bytes
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.diagnosis import Diagnosis, read_result, real_frames
from heclstm.deploy.keys import (
    EVALUATION_KEYS_FILE,
    SECRET_KEY_FILE,
    evaluation_key_blobs,
    query_blobs,
    result_blobs,
)
from heclstm.deploy.wire import (
    Header,
    Kind,
    read_file,
    read_header,
    require_key,
    require_program,
    require_query,
    require_sizes,
    write_file,
)
from heclstm.errors import SecurityError, SequenceError

OnProgress = Callable[[int, int], None]  # (bytes done, bytes in all)


class Client:
    """One hospital with one secret key for one program.

    Refuses a program whose parameters are below 128 bits, unless `allow_insecure` says that this is a test.
    """

    def __init__(self, card: ProgramCard, *, threads: int | None = None, allow_insecure: bool = False) -> None:
        if card.parameters.security != "128" and not allow_insecure:
            raise SecurityError(
                f"program: its parameters are {card.parameters.security}, expected 128-bit security; "
                "never encrypt a patient's images with them"
            )
        self.card = card
        self.context = Context(card.parameters, threads=threads)
        self._secret: SecretKey | None = None
        self._label = ""

    def generate_keys(self, folder: Path, on_progress: OnProgress | None = None) -> None:
        """Write secret.key (mode 0600, stays here) and evaluation.keys (goes to the server) into `folder`."""
        generator = KeyGenerator(self.context)
        self._secret, self._label = generator.secret_key(), secrets.token_hex(16)
        header = self._header(Kind.EVALUATION_KEYS, evaluation_key_blobs(self.card))
        done = 0

        def count(size: int) -> None:
            nonlocal done
            done += size
            if on_progress:
                on_progress(done, header.total_bytes)

        secret_blobs = [("secret", secret_key_bytes(self.card.parameters))]
        secret_header, secret = self._header(Kind.SECRET_KEY, secret_blobs), self._secret.serialize()
        try:
            write_file(folder / SECRET_KEY_FILE, secret_header, [secret], mode=0o600)
        finally:
            wipe(secret)
        write_file(folder / EVALUATION_KEYS_FILE, header, self._evaluation_keys(generator), on_bytes=count)

    def load_secret_key(self, path: Path) -> None:
        """Take the secret key of a `secret.key` file that belongs to this program."""
        header = read_header(path, Kind.SECRET_KEY)
        require_program(header, self.card.digest, path)
        require_sizes(header, [("secret", secret_key_bytes(self.card.parameters))], path)
        ((_, blob),) = read_file(path, Kind.SECRET_KEY)
        self._secret, self._label = SecretKey.load(self.context, blob), header.key

    def encrypt(self, sequence: ImageSequence, path: Path) -> int:
        """Pack and encrypt `sequence` into a query file; returns its size in bytes."""
        layout = self.card.input_layout
        expected = (layout.frames, layout.channels, layout.height, layout.width)
        if sequence.frames.shape != expected:
            raise SequenceError(
                f"{sequence.name}: got frames of shape {sequence.frames.shape}, expected {expected}; "
                "prepare the images as program.json says"
            )
        tensor = sequence.frames.astype(np.float64).reshape(layout.frames, layout.features)
        encryptor = Encryptor(self.context, self._key())
        blobs = [encryptor.encrypt(slots, level=self.card.input_level, seeded=True) for slots in layout.pack(tensor)]
        header = replace(self._header(Kind.QUERY, query_blobs(self.card)), query=secrets.token_hex(16))
        return write_file(path, header, blobs)

    def decrypt(self, path: Path, name: str = "", frames: int | None = None, *, query: Path | None = None) -> Diagnosis:
        """Read an encrypted result. frames: `real_frames` of the sequence, where a program takes shorter ones.

        query: the query that the result should answer; a result of another one is refused (DigestError).
        """
        header = read_header(path, Kind.RESULT)
        require_program(header, self.card.digest, path)
        require_key(header, self._label, path)
        require_sizes(header, result_blobs(self.card), path)
        if query is not None:
            require_query(header, read_header(query, Kind.QUERY), path)
        real_frames(self.card, frames)  # says what is missing before anything is decrypted
        ((_, blob),) = read_file(path, Kind.RESULT)
        with closing(self.context.load_ciphertext(blob, level=self.card.result_level)) as ciphertext:
            slots = Decryptor(self.context, self._key()).decrypt(ciphertext)
        return read_result(slots, self.card, name, frames)

    def close(self) -> None:
        """Overwrite the secret key, as far as that can be done (see docs/security.md), and free the engine."""
        if self._secret is not None:
            self._secret.close()
            self._secret = None
        self.context.close()

    def _key(self) -> SecretKey:
        if self._secret is None:
            raise SequenceError("client: has no secret key yet; call generate_keys or load_secret_key first")
        return self._secret

    def _header(self, kind: Kind, blobs: list[tuple[str, int]]) -> Header:
        return Header(kind, self.card.digest, self._label, tuple(blobs))

    def _evaluation_keys(self, generator: KeyGenerator) -> Iterator[bytes]:
        """Keys in the order of `evaluation_key_blobs`, made on all cores a few ahead of the writer."""
        keys, secret = self.card.keys, self._key()
        jobs: list[Callable[[], bytes]] = []
        if (level := keys.relinearization_level) is not None:
            jobs.append(partial(generator.relinearization_key, secret, level))
        for step, level in keys.rotations.items():
            jobs.append(partial(generator.rotation_key, secret, step, level))
        with ThreadPoolExecutor(max_workers=2) as pool:
            for start in range(0, len(jobs), 8):
                yield from pool.map(lambda job: job(), jobs[start : start + 8])
