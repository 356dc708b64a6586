"""Bytes that only a passphrase opens: a key by scrypt, AES-256-GCM over the content and over all that stands before it.

    magic 8 | version 2 | log2 n 1 | r 1 | p 1 | salt 16 | nonce 12 | content, encrypted, with a tag of 16 bytes

Somebody who has the file can try passphrases as fast as scrypt lets them: 128 MiB and about 0.3 s for each.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from typing import TYPE_CHECKING

from heclstm.errors import FileFormatError, InputError, PassphraseError
from heclstm.storage.atomic import SEALED_MAGIC as MAGIC
from heclstm.storage.source import Source, opened

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
SALT_BYTES, NONCE_BYTES, TAG_BYTES = 16, 12, 16
HEAD = struct.Struct(f"<8sHBBB{SALT_BYTES}s{NONCE_BYTES}s")
SEALED_BYTES_MAX = 1 << 28
PASSPHRASE_LENGTH_MIN = 8
LOG_N, R, P = 17, 8, 1  # 128 MiB; as RFC 7914 and OWASP advise for files that lie about
LOG_N_MAX = 20  # 1 GiB: a file may not ask for more
MEMORY_BYTES_MAX = 0x7FFFFFFF  # of scrypt, as OpenSSL counts them


def seal(content: bytes | bytearray, passphrase: str) -> bytes:
    """Raises InputError if the passphrase is too short."""
    require_passphrase(passphrase)
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    head = HEAD.pack(MAGIC, VERSION, LOG_N, R, P, salt, nonce)
    return head + _cipher(head, passphrase).encrypt(nonce, bytes(content), head)


def is_sealed(start: bytes) -> bool:
    """start: at least the first 8 bytes of a file."""
    return start.startswith(MAGIC)


def unseal(source: Source, passphrase: str) -> bytes:
    """Raises FileFormatError for what is not sealed, PassphraseError for a wrong passphrase or a changed byte."""
    with opened(source) as file:
        sealed = file.read_all(SEALED_BYTES_MAX)
    if len(sealed) < HEAD.size + TAG_BYTES or not is_sealed(sealed):
        raise FileFormatError(f"{file.name}: is nothing that heclstm sealed, or was cut short; get it again")
    head, content = sealed[: HEAD.size], sealed[HEAD.size :]
    _, version, log_n, r, p, _, nonce = HEAD.unpack(head)
    if version != VERSION:
        raise FileFormatError(f"{file.name}: is sealed in version {version}, this release reads version {VERSION}")
    if not 1 <= log_n <= LOG_N_MAX or (r, p) != (R, P):
        raise FileFormatError(f"{file.name}: asks for more work than heclstm ever does; it was altered")
    cipher = _cipher(head, passphrase)
    from cryptography.exceptions import InvalidTag

    try:
        return bytes(cipher.decrypt(nonce, content, head))
    except InvalidTag as error:
        raise PassphraseError(
            f"{file.name}: the passphrase is wrong, or the file was altered; nothing of it can be read"
        ) from error


def require_passphrase(passphrase: str) -> None:
    """Raise InputError unless it is worth something."""
    if len(passphrase) < PASSPHRASE_LENGTH_MIN:
        raise InputError(f"passphrase: got {len(passphrase)} characters, expected at least {PASSPHRASE_LENGTH_MIN}")


def _cipher(head: bytes, passphrase: str) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM as aesgcm

    _, _, log_n, r, p, salt, _ = HEAD.unpack(head)
    key = hashlib.scrypt(passphrase.encode(), salt=salt, n=1 << log_n, r=r, p=p, maxmem=MEMORY_BYTES_MAX, dklen=32)
    return aesgcm(key)
