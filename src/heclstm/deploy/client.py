"""The hospital's side: makes keys, encrypts sequences, decrypts results. Holds the secret key."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.secret import Decryptor, Encryptor, KeyGenerator, SecretKey, wipe
from heclstm.card.program_card import ProgramCard
from heclstm.circuit.sizes import secret_key_bytes
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.case import Case
from heclstm.deploy.diagnosis import Diagnosis, read_result, real_frames, require_name
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
    Message,
    read_header,
    received,
    require_card,
    require_key,
    require_program,
    require_query,
    require_sizes,
)
from heclstm.errors import SecurityError, SequenceError
from heclstm.storage.source import Source

OnProgress = Callable[[int, int], None]  # (bytes done, bytes in all)


class Client:
    """One hospital with one secret key for one program.

    What it takes in may be a path, bytes or a stream; what it makes is a `Message` to save or to write to a stream.
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
        self.new_secret_key().save(folder / SECRET_KEY_FILE)
        keys, done = self.evaluation_keys(), 0
        total = keys.header.total_bytes

        def count(size: int) -> None:
            nonlocal done
            done += size
            if on_progress:
                on_progress(done, total)

        keys.save(folder / EVALUATION_KEYS_FILE, count)

    def new_secret_key(self) -> Message:
        """Make a secret key and use it from now on. Who has this message can read every query and result."""
        secret = KeyGenerator(self.context).secret_key()
        self._take(secret, secrets.token_hex(16))
        blobs = [("secret", secret_key_bytes(self.card.parameters))]
        return Message(self._header(Kind.SECRET_KEY, blobs), _wiped(secret.serialize()))

    def evaluation_keys(self) -> Message:
        """What lets a server compute under the secret key, not decrypt. Keys are made while they are written, once."""
        return Message(self._header(Kind.EVALUATION_KEYS, evaluation_key_blobs(self.card)), self._evaluation_keys())

    def load_secret_key(self, source: Source) -> None:
        """Take the secret key of a `secret.key` file. Raises DigestError if it was made for another program or card."""
        with received(source, Kind.SECRET_KEY) as message:
            require_card(message.header, self.card, message.name)
            require_sizes(message.header, [("secret", secret_key_bytes(self.card.parameters))], message.name)
            self._take(SecretKey.load(self.context, message.blob()), message.header.key)

    def encrypt(self, sequence: ImageSequence, path: Path | None = None) -> Message:
        """Pack and encrypt `sequence` into a query, and save it if there is a path."""
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
        query = Message(self._header(Kind.QUERY, query_blobs(self.card), secrets.token_hex(16)), blobs)
        if path is not None:
            query.save(path)
        return query

    def decrypt(
        self,
        source: Source,
        name: str = "",
        frames: int | None = None,
        *,
        query: Source | Message | None = None,
        case: Case | None = None,
        unrounded: bool = False,
    ) -> Diagnosis:
        """Read an encrypted result. frames: `real_frames` of the sequence, where a program takes shorter ones.

        Numbers are rounded to what the noise leaves. unrounded: to measure the noise itself, under a secret key that is
        thrown away: whoever learns such numbers may learn the key.

        query, case: of the query that the result should answer; a result of another one is refused (DigestError).
        """
        require_name(name)
        real_frames(self.card, frames)  # says what is missing before anything is decrypted
        with received(source, Kind.RESULT) as message:
            require_program(message.header, self.card.digest, message.name)
            require_key(message.header, self._label, message.name)
            require_sizes(message.header, result_blobs(self.card), message.name)
            if query is not None:
                asked = query.header if isinstance(query, Message) else read_header(query, Kind.QUERY)
                require_query(message.header, asked, message.name)
            if case is not None:
                case.require(message.header, message.name)
            blob = message.blob()
        with closing(self.context.load_ciphertext(blob, level=self.card.result_level)) as ciphertext:
            slots = Decryptor(self.context, self._key()).decrypt(ciphertext)
        return read_result(slots, self.card, name, frames, unrounded=unrounded)

    def close(self) -> None:
        """Overwrite the secret key, as far as that can be done (see docs/security.md), and free the engine."""
        self._take(None, "")
        self.context.close()

    def _take(self, secret: SecretKey | None, label: str) -> None:
        if self._secret is not None:
            self._secret.close()
        self._secret, self._label = secret, label

    def _key(self) -> SecretKey:
        if self._secret is None:
            raise SequenceError("client: has no secret key yet; call generate_keys or load_secret_key first")
        return self._secret

    def _header(self, kind: Kind, blobs: list[tuple[str, int]], query: str = "") -> Header:
        """Key files carry the digest of each field of the card, so that a changed one is noticed, and named."""
        self._key()
        pins = self.card.field_digests() if kind in (Kind.SECRET_KEY, Kind.EVALUATION_KEYS) else {}
        return Header(kind, self.card.digest, self._label, tuple(blobs), query, pins)

    def _evaluation_keys(self) -> Iterator[bytes]:
        """Keys in the order of `evaluation_key_blobs`, made on all cores a few ahead of the writer."""
        generator, keys, secret = KeyGenerator(self.context), self.card.keys, self._key()
        jobs: list[Callable[[], bytes]] = []
        if (level := keys.relinearization_level) is not None:
            jobs.append(partial(generator.relinearization_key, secret, level))
        for step, level in keys.rotations.items():
            jobs.append(partial(generator.rotation_key, secret, step, level))
        with ThreadPoolExecutor(max_workers=2) as pool:
            for start in range(0, len(jobs), 8):
                yield from pool.map(lambda job: job(), jobs[start : start + 8])


def _wiped(secret: bytearray) -> Iterator[bytearray]:
    """Hand out the only copy in Python's memory, and overwrite it once it was written."""
    try:
        yield secret
    finally:
        wipe(secret)
