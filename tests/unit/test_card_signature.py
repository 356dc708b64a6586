"""The model owner's signature: what it is over, and who is not believed."""

import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from msgspec import structs

from heclstm.card.signature import Signature, new_pair, require_signature, sign
from heclstm.errors import FileFormatError, HeclstmError, SignatureError
from heclstm.storage.typed import typed
from tiny_program import tiny_program

DIGEST = "0123456789abcdef" * 4
PAIR, OTHER = new_pair(), new_pair()
ENCODING, PRIVATE, PUBLIC = (
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.PublicFormat.SubjectPublicKeyInfo,
)


def pem(key, protection=None):
    return key.private_bytes(ENCODING, PRIVATE, protection or serialization.NoEncryption())


def test_what_is_signed_is_written_down():
    """Ed25519 gives the same signature for the same key and message: a known answer."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    made = sign(DIGEST, pem(key))
    assert made.key == "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    assert bytes.fromhex(made.value) == key.sign(b"heclstm program signature 1\x00" + bytes.fromhex(DIGEST))
    require_signature(made, DIGEST, key.public_key().public_bytes(ENCODING, PUBLIC), "p")


def test_the_right_signature_is_believed(tmp_path):
    (tmp_path / "owner.pem").write_bytes(PAIR.private)
    (tmp_path / "owner.pub").write_bytes(PAIR.public)
    made = sign(DIGEST, tmp_path / "owner.pem")
    assert made.key == PAIR.fingerprint
    require_signature(made, DIGEST, tmp_path / "owner.pub", "p")


def test_a_signature_stays_as_it_was_made():
    made = sign(DIGEST, PAIR.private)
    with pytest.raises(AttributeError):
        made.key = OTHER.fingerprint
    with pytest.raises(AttributeError):
        PAIR.public = OTHER.public
    with pytest.raises(FileFormatError, match="s: Object contains unknown field `by`"):
        typed({"key": made.key, "value": made.value, "by": "me"}, Signature, "s")


def test_absent_foreign_and_wrong_signatures_are_refused():
    right = sign(DIGEST, PAIR.private)
    plain = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    own = plain.public_key().public_bytes(ENCODING, PUBLIC)
    without_domain = Signature(plain.public_key().public_bytes_raw().hex(), plain.sign(bytes.fromhex(DIGEST)).hex())
    flipped = structs.replace(right, value=f"{int(right.value[0], 16) ^ 1:x}{right.value[1:]}")
    for made, digest, public, message in (
        (None, DIGEST, PAIR.public, rf"p: is not signed, expected a signature by {PAIR.fingerprint[:12]}; ask"),
        (right, DIGEST, OTHER.public, f"is signed by {PAIR.fingerprint[:12]}, expected {OTHER.fingerprint[:12]};"),
        (structs.replace(right, key=OTHER.fingerprint), DIGEST, OTHER.public, "is not of this program; it was altered"),
        (right, "f" * 64, PAIR.public, "is not of this program; it was altered"),
        (flipped, DIGEST, PAIR.public, "is not of this program"),
        (structs.replace(right, value="0" * 128), DIGEST, PAIR.public, "is not of this program"),
        (without_domain, DIGEST, own, "is not of this program"),
    ):
        with pytest.raises(SignatureError, match=message):
            require_signature(made, digest, public, "p")


def test_other_files_are_no_keys():
    other = rsa.generate_private_key(65537, 2048)
    locked = pem(ed25519.Ed25519PrivateKey.generate(), serialization.BestAvailableEncryption(b"word"))
    for content, message in (
        (b"", "is no private key in PEM; make one with `heclstm signing-key`"),
        (b"hello", "is no private key in PEM"),
        (PAIR.public, "is no private key in PEM"),
        (PAIR.private[:60], "is no private key in PEM"),
        (pem(other), "is a private key of another kind, expected Ed25519"),
        (locked, "is encrypted; decrypt it first"),
        (b"x" * 20_000, "larger than 16384 bytes"),
    ):
        with pytest.raises(FileFormatError, match=message):
            sign(DIGEST, content)
    for content, message in (
        (PAIR.private, "is no public key in PEM; use the .pub file of the model owner"),
        (b"hello", "is no public key in PEM"),
        (other.public_key().public_bytes(ENCODING, PUBLIC), "is a public key of another kind, expected Ed25519"),
    ):
        with pytest.raises(FileFormatError, match=message):
            require_signature(None, DIGEST, content, "p")


def test_the_digest_does_not_cover_its_signature():
    """Else nobody could sign; and a program whose signature changes keeps its keys."""
    card = tiny_program().card
    signed = structs.replace(card, signature=sign(card.digest, PAIR.private))
    assert signed.field_digests() == card.field_digests()
    assert signed.purpose == card.purpose


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    for use in (
        lambda: sign(DIGEST, PAIR.private),
        lambda: require_signature(None, DIGEST, PAIR.public, "p"),
        new_pair,
    ):
        with pytest.raises(HeclstmError, match=r"cryptography is not installed; pip install heclstm\[sign\]"):
            use()
