"""What reads bytes of strangers: each takes anything, and refuses it by an error of ours or reads it.

A target is a function of bytes; whatever it raises besides `HeclstmError` is a fault. Its seeds lie in corpus/NAME/,
what guided searches found in found/NAME/.
"""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.keyset import KeySet
from heclstm.backend.cpu.secret import SecretKey
from heclstm.card.program_card import Card, program_digest
from heclstm.circuit.parameters import choose
from heclstm.data.images import read_images
from heclstm.deploy.case import Case
from heclstm.errors import HeclstmError
from heclstm.program.public import load_card
from heclstm.report.findings import Findings
from heclstm.storage.arrays import ArrayLimits, read_npy, read_npz
from heclstm.storage.container import PREFIX, TRAILER_BYTES, received
from hostile.fuzz.mutate import mutated, mutated_json

CORPUS = Path(__file__).parent / "corpus"  # written by make_corpus
FOUND = Path(__file__).parent / "found"  # written by keep, from what guided searches kept
LIMITS = ArrayLimits(file=1 << 20, unpacked=4 << 20)  # so that what fits is read quickly
LEVEL = 3


@dataclass(frozen=True)
class Target:
    """words: of its format. fit: makes checksums and the like fit again, so that readers look further."""

    name: str
    read: Callable[[bytes], object]
    words: tuple[bytes, ...] = ()
    fit: Callable[[bytes], bytes] = lambda content: content
    is_json: bool = False

    @property
    def seeds(self) -> tuple[bytes, ...]:
        """What is read."""
        return _files(CORPUS / self.name)

    @property
    def found(self) -> tuple[bytes, ...]:
        """What a search came upon: read, or refused."""
        return _files(FOUND / self.name)

    def input(self, rng: Random) -> bytes:
        """A mutation of a seed; every tenth has not been made to fit."""
        return self.changed(rng.choice(self.seeds + self.found), rng)

    def changed(self, content: bytes, rng: Random) -> bytes:
        by_value = self.is_json and rng.random() < 0.8
        try:
            changed = mutated_json(content, rng) if by_value else mutated(content, rng, self.words, self.seeds)
        except ValueError:  # what was found need not be JSON
            changed = mutated(content, rng, self.words, self.seeds)
        return self.fit(changed) if rng.random() < 0.9 else changed

    def refusal(self, content: bytes) -> str | None:
        """Why it is refused; None if it is read. Other errors pass through."""
        try:
            self.read(content)
        except HeclstmError as error:
            return f"{type(error).__name__}: {error}"
        return None


@cache
def _files(folder: Path) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(folder.glob("*")))


@cache
def _file(name: str) -> Path:
    """Where readers that take paths find their bytes: in memory, where there is such a folder."""
    shared = Path("/dev/shm")
    folder = tempfile.TemporaryDirectory(prefix="fuzz-", dir=shared if shared.is_dir() else None)
    _folders.append(folder)
    return Path(folder.name) / name


_folders: list[tempfile.TemporaryDirectory[str]] = []


def _container(content: bytes) -> None:
    with received(content) as message:
        message.check()


def _whole_container(content: bytes) -> bytes:
    """The length of its header, and the checksum, as they must be."""
    body = content[: max(len(content) - TRAILER_BYTES, 0)]
    end = body.find(b"]]}", PREFIX.size) + 3
    if len(body) > PREFIX.size and end > 2:
        body = body[: PREFIX.size - 4] + struct.pack("<I", end - PREFIX.size) + body[PREFIX.size :]
    return body + hashlib.sha256(body).digest()


def _whole_card(content: bytes) -> bytes:
    """With the digests of what it says, where they can be computed."""
    try:
        document = json.loads(content)
        card = Card.read(document["card"], "card")
        document["digest"] = program_digest(card, document["circuit"])
        return json.dumps(document).encode()
    except Exception:  # whatever it is, the target is to find it
        return content


def _diagnosis(content: bytes) -> None:
    Findings.load(content)


def _images(content: bytes) -> None:
    path = _file("images")
    path.write_bytes(content)
    read_images(path)


@cache
def context() -> Context:
    return Context(choose(LEVEL, slots_min=16, ring_degree=32, special_count=2, security="INSECURE_TEST"))


def _ciphertext(content: bytes) -> None:
    context().load_ciphertext(content, level=LEVEL + 1).close()


def _evaluation_key(content: bytes) -> None:
    keys = KeySet(context())
    try:
        keys.load(content)
    finally:
        keys.close()


def _key_file(content: bytes) -> None:
    path = _file("keys")
    path.write_bytes(content)
    KeySet.open(context(), path).close()


def _secret(content: bytes) -> None:
    SecretKey.load(context(), content).close()


_DICOM_WORDS = tuple(
    struct.pack("<HH", group, element) + representation
    for group, element, representation in (
        (0x28, 0x10, b"US"), (0x28, 0x11, b"US"), (0x28, 0x8, b"IS"), (0x28, 0x100, b"US"), (0x28, 0x1050, b"DS"),
        (0x20, 0x13, b"IS"), (0x28, 0x3010, b"SQ"), (0x5200, 0x9230, b"SQ"), (0x7FE0, 0x10, b"OW"), (0x2, 0x10, b"UI"),
    )
) + (b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xff\xff\xff\xff", b"1e999", b"\\")  # fmt: skip
_ARRAY_WORDS = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY", b"'<f8'", b"'|O'", b"(9999999999,)", b"(), ")
_WIRE_WORDS = (b"HECLSTM\x00", b'"blobs"', b'"card"', b"\\u001b", b"[[", b'"query"')

TARGETS = {
    target.name: target
    for target in (
        Target("container", _container, _WIRE_WORDS, _whole_container),
        Target("card", load_card, fit=_whole_card, is_json=True),
        Target("diagnosis", _diagnosis, is_json=True),
        Target("case", Case.read, is_json=True),
        Target("npy", lambda content: read_npy(content, LIMITS), _ARRAY_WORDS),
        Target("npz", lambda content: read_npz(content, LIMITS), _ARRAY_WORDS),
        Target("dicom", _images, _DICOM_WORDS),
        Target("ciphertext", _ciphertext),
        Target("evaluation_key", _evaluation_key),
        Target("key_file", _key_file),
        Target("secret", _secret),
    )
}
