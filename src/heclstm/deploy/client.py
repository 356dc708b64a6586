"""The hospital's side: makes keys, encrypts sequences, decrypts results. Holds the secret key."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.secret import Decryptor, Encryptor, KeyGenerator, SecretKey, wipe
from heclstm.backend.machine import cores
from heclstm.card.preparation import Preparation
from heclstm.card.program_card import ProgramCard
from heclstm.card.signature import require_signature
from heclstm.circuit.sizes import secret_key_bytes
from heclstm.data.prepare import prepare
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
from heclstm.deploy.usual import require_usual
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
from heclstm.errors import FileFormatError, InputError, PassphraseError, SecurityError, SequenceError
from heclstm.program.program import Program
from heclstm.program.public import load_card
from heclstm.storage.atomic import require_free
from heclstm.storage.container import Received
from heclstm.storage.sealed import HEAD, TAG_BYTES, seal, unseal
from heclstm.storage.source import Place, Source, name_of

if TYPE_CHECKING:
    from heclstm.data.dicom import Selection
    from heclstm.data.handed_in import HandedIn

OnProgress = Callable[[int, int], None]  # (bytes done, bytes in all)
SEALED = "sealed"  # the blob of a secret under a passphrase; that of one in clear is called "secret"
BOUND_BYTES = 32
SEALING_BYTES = HEAD.size + BOUND_BYTES + TAG_BYTES
Passphrase = Callable[[], str]  # asked once it is known to be needed


class Client:
    """One hospital with one secret key for one program: makes keys, encrypts sequences, decrypts results.

    What it takes in may be a path, bytes, a stream or a `Message`; what it makes is a `Message`. Closing it, or leaving
    its `with` block, overwrites the secret key as far as that can be done.
    """

    def __init__(
        self,
        program: Program | ProgramCard | Source,
        secret_key: Source | None = None,
        *,
        trust: Source | None = None,
        threads: int | None = None,
        allow_insecure: bool = False,
    ) -> None:
        """program: its program.json, as a file, a folder that holds it, or bytes; or what was loaded of it.

        secret_key: of an earlier `generate_keys`; without one, make keys first. trust: the model owner's public key
        (PEM); then a program that the owner did not sign is refused (SignatureError; extra `sign`). threads: cores to
        use, all by default.

        Refuses a program whose parameters are below 128 bits (SecurityError), unless `allow_insecure` says that this is
        a test. Raises FileFormatError or DigestError for files that cannot be read or do not belong together.
        """
        card = _card_of(program, trust)
        if card.parameters.security != "128" and not allow_insecure:
            raise SecurityError(
                f"program: its parameters are {card.parameters.security}, expected 128-bit security; "
                "never encrypt a patient's images with them"
            )
        self.card = card
        self.context = Context(card.parameters, threads=threads)
        self._threads = threads or cores()
        self._secret: SecretKey | None = None
        self._label = ""
        self._real_frames: dict[str, int] = {}  # by the label of a query; where a program takes shorter sequences
        if secret_key is not None:
            try:
                self.load_secret_key(secret_key)
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def generate_keys(
        self, folder: Place, on_progress: OnProgress | None = None, *, passphrase: str | None = None
    ) -> Path:
        """Write secret.key (mode 0600, stays here) and evaluation.keys (goes to the server) into `folder`.

        Returns the path of evaluation.keys, hundreds of megabytes. A secret key that is there already is not replaced
        (OutputError). The new one comes last: whatever kills the process before leaves none on the disk.
        passphrase: seals it.
        """
        folder = Path(folder)
        require_free(folder / SECRET_KEY_FILE)
        secret = self.new_secret_key(passphrase)
        keys, done = self.evaluation_keys(), 0
        total = keys.header.total_bytes

        def count(size: int) -> None:
            nonlocal done
            done += size
            if on_progress:
                on_progress(done, total)

        keys.save(folder / EVALUATION_KEYS_FILE, count)
        secret.save(folder / SECRET_KEY_FILE)
        return folder / EVALUATION_KEYS_FILE

    def new_secret_key(self, passphrase: str | None = None) -> Message:
        """Make a secret key and use it from now on. Who has this message can read every query and result, unless it is
        sealed by a passphrase (see `storage.sealed`).
        """
        secret = KeyGenerator(self.context).secret_key()
        self._take(secret, secrets.token_hex(16))
        size = secret_key_bytes(self.card.parameters)
        if passphrase is None:
            return Message(self._header(Kind.SECRET_KEY, [("secret", size)]), _wiped(secret))
        header = self._header(Kind.SECRET_KEY, [(SEALED, size + SEALING_BYTES)])
        bound = sha256(header.encode()).digest()  # so that nobody puts it under another header
        return Message(header, (seal(bound + clear, passphrase) for clear in _wiped(secret)))

    def evaluation_keys(self) -> Message:
        """What lets a server compute under the secret key, not decrypt. Keys are made while they are written, once."""
        return Message(self._header(Kind.EVALUATION_KEYS, evaluation_key_blobs(self.card)), self._evaluation_keys())

    def load_secret_key(self, source: Source, passphrase: Passphrase | None = None) -> None:
        """Take the secret key of a `secret.key` file. passphrase: asked for that of a sealed one.

        Raises DigestError if it was made for another program or card, InputError for a wrong passphrase.
        """
        with received(source, Kind.SECRET_KEY) as message:
            require_card(message.header, self.card, message.name)
            secret = secret_of(message, self.card, passphrase)
        try:
            self._take(SecretKey.load(self.context, secret), message.header.key)
        finally:
            wipe(secret)

    def read(
        self,
        images: Place | list[Place],
        *,
        row: int | None = None,
        sequence: str = "",
        as_given: bool = False,
        selection: Selection | None = None,
    ) -> HandedIn:
        """Read one patient's images and prepare them as the model was trained on them.

        images: a NumPy file, a folder, zip or list of pictures or DICOM files, or a manifest. row: which patient, of a
        NumPy file that holds many; sequence: which one, of a manifest. as_given: a list is in its order already.
        selection: which series, of DICOM files. What comes back holds the `sequence` for `encrypt`, and why its frames
        stand in this order: look at `told()`. Raises SequenceError or FileFormatError.
        """
        from heclstm.data.dicom import ANY
        from heclstm.data.handed_in import read_handed_in  # and so Pillow: not for who has arrays

        if self.card.preparation is None:
            raise SequenceError("client: the program does not say how images are prepared; hand `encrypt` an array")
        paths = [Path(image) for image in (images if isinstance(images, list) else [images])]
        chosen = selection or ANY
        return read_handed_in(
            paths, self.card.preparation, row=row, sequence=sequence, as_given=as_given, selection=chosen
        )

    def encrypt(
        self, images: ImageSequence | HandedIn | Any, path: Place | None = None, *, override_envelope: str = ""
    ) -> Message:
        """Pack and encrypt one sequence into a query, and save it if there is a path.

        images: an array of raw images, or a list of frames, which is prepared as the model was trained on them
        (`data.prepare`); or a sequence that was prepared, such as what `read` gives. override_envelope: why images are
        encrypted that do not look like those of training. Raises SequenceError, NotAssessableError for too few frames,
        EnvelopeError for unusual images.
        """
        sequence = self.prepared(images)
        layout = self.card.input_layout
        expected = (layout.frames, layout.channels, layout.height, layout.width)
        if sequence.frames.shape != expected:
            raise SequenceError(
                f"{sequence.name}: got frames of shape {sequence.frames.shape}, expected {expected}; "
                "prepare the images as program.json says"
            )
        self.card.operating_point(sequence.real_frames)  # says if so many cannot be assessed
        require_usual(self.card, sequence, override_envelope)
        tensor = sequence.frames.astype(np.float64).reshape(layout.frames, layout.features)
        encryptor = Encryptor(self.context, self._key())
        blobs = [encryptor.encrypt(slots, level=self.card.input_level, seeded=True) for slots in layout.pack(tensor)]
        query = Message(self._header(Kind.QUERY, query_blobs(self.card), secrets.token_hex(16)), blobs)
        if self.card.padded and sequence.real_frames:
            self._real_frames[query.header.query] = sequence.real_frames
        if path is not None:
            query.save(path)
        return query

    def decrypt(
        self,
        result: Source,
        name: str = "",
        frames: int | None = None,
        *,
        query: Source | None = None,
        case: Case | None = None,
        unrounded: bool = False,
    ) -> Diagnosis:
        """Read an encrypted result. name: what to call the sequence; it stays in this process.

        frames: `real_frames` of the sequence, where a program takes shorter ones and another client made the query.
        query, case: of the query that the result should answer; a result of another one is refused (DigestError). A
        case of unusual images that nobody vouches for makes the diagnosis "not assessable"; where somebody does, it has
        no probability.
        Raises RangeError for what cannot be a result of this program. Nothing about a diagnosis may go back to the
        server.

        Numbers are rounded to what the noise leaves. unrounded: to measure the noise itself, under a secret key that is
        thrown away: whoever learns such numbers may learn the key.
        """
        require_name(name)
        with received(result, Kind.RESULT) as message:
            require_program(message.header, self.card.digest, message.name)
            require_key(message.header, self._label, message.name)
            if frames is None:
                frames = self._real_frames.get(message.header.query)
            real_frames(self.card, frames)  # says what is missing before anything is decrypted
            require_sizes(message.header, result_blobs(self.card), message.name)
            if query is not None:
                require_query(message.header, read_header(query, Kind.QUERY), message.name)
            if case is not None:
                case.require(message.header, message.name)
            blob = message.blob()
        with closing(self.context.load_ciphertext(blob, level=self.card.result_level)) as ciphertext:
            slots = Decryptor(self.context, self._key()).decrypt(ciphertext)
        found = read_result(slots, self.card, name, frames, unrounded=unrounded)
        if case is None or case.envelope != "outside":
            return found
        return found.without_decision() if case.withheld else found.without_probability()

    def close(self) -> None:
        """Free the engine, and overwrite its copy of the secret key; docs/security.md tells which copies stay."""
        self._take(None, "")
        self.context.close()

    def prepared(self, images: ImageSequence | HandedIn | Any) -> ImageSequence:
        """What `encrypt` makes of images before it encrypts them: checked, and prepared as the model was trained."""
        if isinstance(images, ImageSequence):
            return images
        if isinstance(handed_in := getattr(images, "sequence", None), ImageSequence):
            return handed_in
        if isinstance(images, str | bytes | os.PathLike):
            raise SequenceError(
                "client: `encrypt` takes an array or a sequence; hand files to `read`, and encrypt what it gives"
            )
        layout = self.card.input_layout
        shape = layout.frames, layout.channels, layout.height, layout.width
        return prepare(images, self.card.preparation or Preparation("frames", shape, *shape))

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
        """Keys in the order of `evaluation_key_blobs`, each made on one of our threads, a few ahead of the writer."""
        generator, keys, secret = KeyGenerator(self.context), self.card.keys, self._key()
        jobs: list[Callable[[], bytes]] = []
        if (level := keys.relinearization_level) is not None:
            jobs.append(partial(generator.relinearization_key, secret, level))
        for step, level in keys.rotations.items():
            jobs.append(partial(generator.rotation_key, secret, step, level))
        ahead = 4 * self._threads
        with ThreadPoolExecutor(self._threads) as pool:
            for start in range(0, len(jobs), ahead):
                yield from pool.map(lambda job: job(), jobs[start : start + ahead])


def _card_of(program: Program | ProgramCard | Source, trust: Source | None) -> ProgramCard:
    """Raises FileFormatError, DigestError, SignatureError."""
    if isinstance(program, ProgramCard):
        card, name = program, "program"
    elif isinstance(program, Program):
        card, name = program.card, "program"
    else:
        card, name = load_card(program), name_of(program)
    if trust is not None:
        require_signature(card.signature, card.digest, trust, name)
    return card


def secret_of(message: Received, card: ProgramCard, passphrase: Passphrase | None) -> bytearray:
    """The secret in a key file, which the caller wipes."""
    size = secret_key_bytes(card.parameters)
    if message.header.blobs != ((SEALED, size + SEALING_BYTES),):
        require_sizes(message.header, [("secret", size)], message.name)
        return bytearray(message.blob())
    if passphrase is None:
        raise InputError(f"{message.name}: is sealed by a passphrase, and none was given")
    try:
        content = bytearray(unseal(message.blob(), passphrase()))
    except PassphraseError as error:
        raise PassphraseError(
            f"{message.name}: the passphrase is wrong, or the file was altered; nothing of it can be read"
        ) from error
    bound, secret = content[:BOUND_BYTES], content[BOUND_BYTES:]
    wipe(content)
    if bound != sha256(message.header.encode()).digest():
        wipe(secret)
        raise FileFormatError(f"{message.name}: its header was altered; get it again")
    return secret


def _wiped(key: SecretKey) -> Iterator[bytearray]:
    """Hand out the only copy in Python's memory, made when it is written, and overwrite it then."""
    secret = key.serialize()
    try:
        yield secret
    finally:
        wipe(secret)
