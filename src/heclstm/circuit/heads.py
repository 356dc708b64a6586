"""The head of every blob that the engine writes, from the parameters alone: for checks where no engine is at hand.

    magic "HECL" 4 | version 2 | kind 1 | zero 1 | ring degree 4 | level 4 | rotation step 4 | zero 4 | parameters 16

All numbers are little-endian; native/blob.go writes the same.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

from heclstm.circuit.parameters import Parameters

MAGIC, VERSION = b"HECL", 1
SEEDED, FULL = 4, 5  # kinds of ciphertexts
_HEAD = struct.Struct("<4sHBBIIII16s")


class Head(NamedTuple):
    """parameters: their fingerprint."""

    magic: bytes
    version: int
    kind: int
    zero: int
    ring_degree: int
    level: int
    step: int
    reserved: int
    parameters: bytes

    def encode(self) -> bytes:
        return _HEAD.pack(*self)


def ciphertext_head(parameters: Parameters, level: int, *, seeded: bool) -> Head:
    kind = SEEDED if seeded else FULL
    return Head(MAGIC, VERSION, kind, 0, parameters.ring_degree, level, 0, 0, fingerprint(parameters))


def read_head(blob: bytes) -> Head:
    """blob: at least its first HEADER_BYTES; every field may be anything."""
    return Head(*_HEAD.unpack_from(blob))


def fingerprint(parameters: Parameters) -> bytes:
    """What tells blobs of other parameters apart."""
    settings = hashlib.sha256(parameters.ring.encode())
    whole = [parameters.ring_degree, len(parameters.moduli), *parameters.moduli, *parameters.special_moduli]
    settings.update(struct.pack(f"<{len(whole)}Q", *whole))
    settings.update(struct.pack(f"<{len(parameters.scales)}d", *parameters.scales))
    settings.update(struct.pack(f"<{len(parameters.special_counts)}Q", *parameters.special_counts))
    return settings.digest()[:16]
