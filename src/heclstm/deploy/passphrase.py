"""A secret key under a passphrase: scrypt makes the key of AES-256-GCM, which also covers the header of the file.

    salt 16 | log2 N, r, p: 1 each | nonce 12 | the secret, encrypted | tag 16

Without a passphrase, whoever reads secret.key reads all queries and results; with one, he must guess it, and each guess
takes 128 MB and a good part of a second.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from typing import TYPE_CHECKING

from heclstm.errors import FileFormatError, HeclstmError, InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SEALED = "sealed"  # the name of the blob; that of a secret in clear is "secret"
SALT_BYTES, NONCE_BYTES, TAG_BYTES = 16, 12, 16
COST = (17, 8, 1)  # log2 N, r, p
MEMORY_MAX = 1 << 28  # bytes that reading one may take
OVERHEAD_BYTES = SALT_BYTES + len(COST) + NONCE_BYTES + TAG_BYTES


def seal(secret: bytes | bytearray, passphrase: str, header: bytes) -> bytes:
    """header: of the file, which is not encrypted, but cannot be changed either."""
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    cipher = _cipher(passphrase, salt, COST)
    return salt + bytes(COST) + nonce + cipher.encrypt(nonce, bytes(secret), header)


def unseal(blob: bytes, passphrase: str, header: bytes, name: str) -> bytearray:
    """The secret. Raises InputError if the passphrase is another, or blob or header were altered."""
    _library()
    from cryptography.exceptions import InvalidTag

    salt, cost = blob[:SALT_BYTES], blob[SALT_BYTES : SALT_BYTES + len(COST)]
    nonce, rest = (blob[SALT_BYTES + len(COST) :][part] for part in (slice(NONCE_BYTES), slice(NONCE_BYTES, None)))
    if len(blob) < OVERHEAD_BYTES or not all(cost) or cost[0] > 30 or _memory(cost) > MEMORY_MAX:
        raise FileFormatError(f"{name}: its passphrase was used in a way that this release does not know")
    try:
        return bytearray(_cipher(passphrase, salt, cost).decrypt(nonce, rest, header))
    except InvalidTag as error:
        raise InputError(f"{name}: this passphrase does not open it, or the file was altered; try again") from error


def require_passphrase(passphrase: str) -> str:
    """Raise InputError for an empty one, or one that would not come back from a file."""
    if not passphrase or not passphrase.isprintable():
        raise InputError("passphrase: is empty, or holds control characters; take one line of words")
    return passphrase


def _cipher(passphrase: str, salt: bytes, cost: bytes | tuple[int, ...]) -> AESGCM:
    logarithm, block, lanes = cost
    text = unicodedata.normalize("NFC", require_passphrase(passphrase)).encode()
    key = hashlib.scrypt(
        text, salt=salt, n=1 << logarithm, r=block, p=lanes, maxmem=_memory(cost) + (1 << 20), dklen=32
    )
    return _library()(key)


def _memory(cost: bytes | tuple[int, ...]) -> int:
    logarithm, block, lanes = cost
    return 128 * block * ((1 << logarithm) + lanes + 2)


def _library() -> type[AESGCM]:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise HeclstmError("passphrase: cryptography is not installed; pip install heclstm[sign]") from error
    return AESGCM
