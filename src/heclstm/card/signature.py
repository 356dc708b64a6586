"""The model owner's signature of a program: Ed25519 over its digest. The one file that knows `cryptography`.

The hospital gets the owner's public key by another way than the program, and says so by `--trust`. What is signed
begins with a name of its own, so that no other signature of the same key passes for one of a program.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, cast

from msgspec import Meta, Struct

from heclstm.errors import FileFormatError, HeclstmError, SignatureError
from heclstm.storage.source import Source, opened
from heclstm.storage.typed import Digest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

DOMAIN = b"heclstm program signature 1\x00"
PEM_BYTES_MAX = 1 << 14


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """key: the owner's public key, value: the signature, both in hex."""

    key: Digest  # 32 bytes, as a SHA-256 has
    value: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}(?!\n)$")]


@dataclass(frozen=True)
class PemPair:
    """A new pair of keys as PEM files. private: PKCS 8, not encrypted. fingerprint: the public key in hex."""

    private: bytes
    public: bytes
    fingerprint: str


def new_pair() -> PemPair:
    """A key to sign programs with."""
    ed25519, serialization = _library()
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PemPair(private, public, _raw(key.public_key()))


def sign(digest: str, private: Source) -> Signature:
    """digest: of the program. private: a PEM file with an Ed25519 key. Raises FileFormatError if it is none."""
    key = _private(private)
    return Signature(_raw(key.public_key()), key.sign(DOMAIN + bytes.fromhex(digest)).hex())


def require_signature(signature: Signature | None, digest: str, public: Source, name: str) -> None:
    """Raise SignatureError unless the owner of this key (a PEM file) signed the program with this digest.

    name: of the program, for messages.
    """
    key = _public(public)
    trusted = _raw(key)
    if signature is None:
        raise SignatureError(
            f"{name}: is not signed, expected a signature by {trusted[:12]}; ask the model owner for a signed program"
        )
    if signature.key != trusted:
        raise SignatureError(
            f"{name}: is signed by {signature.key[:12]}, expected {trusted[:12]}; ask whom you trust which key is right"
        )
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(bytes.fromhex(signature.value), DOMAIN + bytes.fromhex(digest))
    except InvalidSignature as error:
        raise SignatureError(
            f"{name}: its signature is not of this program; it was altered, get it again from the model owner"
        ) from error


def _private(source: Source) -> Ed25519PrivateKey:
    ed25519, serialization = _library()
    with opened(source) as file:
        content = file.read_all(PEM_BYTES_MAX)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError as error:  # what the library says of a passphrase
        raise FileFormatError(
            f"{file.name}: is encrypted; decrypt it first (openssl pkey -in KEY -out PLAIN)"
        ) from error
    except ValueError as error:
        raise FileFormatError(f"{file.name}: is no private key in PEM; make one with `heclstm signing-key`") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise FileFormatError(f"{file.name}: is a private key of another kind, expected Ed25519")
    return cast("Ed25519PrivateKey", key)


def _public(source: Source) -> Ed25519PublicKey:
    ed25519, serialization = _library()
    with opened(source) as file:
        content = file.read_all(PEM_BYTES_MAX)
    try:
        key = serialization.load_pem_public_key(content)
    except ValueError as error:
        raise FileFormatError(f"{file.name}: is no public key in PEM; use the .pub file of the model owner") from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise FileFormatError(f"{file.name}: is a public key of another kind, expected Ed25519")
    return cast("Ed25519PublicKey", key)


def _raw(key: Ed25519PublicKey) -> str:
    return key.public_bytes_raw().hex()


def _library() -> tuple[ModuleType, ModuleType]:
    """(ed25519, serialization)"""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError as error:
        raise HeclstmError("signature: cryptography is not installed; pip install heclstm[sign]") from error
    return ed25519, serialization
