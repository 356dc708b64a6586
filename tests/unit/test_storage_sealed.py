"""Sealed bytes: only the passphrase opens them, and no byte of them can be changed."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heclstm.errors import FileFormatError, InputError, PassphraseError
from heclstm.storage import sealed
from heclstm.storage.sealed import HEAD, is_sealed, seal, unseal

WORDS = "correct horse battery"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """The cost of scrypt stands in the file, so a cheap one is read as any other."""
    monkeypatch.setattr(sealed, "LOG_N", 4)


def test_the_usual_cost_is_paid(monkeypatch):
    monkeypatch.undo()
    made = seal(b"content", WORDS)
    assert struct.unpack_from("<8sHBBB", made) == (b"HECLSEAL", 1, 17, 8, 1)
    assert len(made) == 13 + 16 + 12 + len(b"content") + 16  # head, salt, nonce, content, tag
    assert unseal(made, WORDS) == b"content"


@given(st.binary(max_size=2000), st.text(min_size=8, max_size=40))
def test_what_was_sealed_is_opened(content, passphrase):
    made = seal(content, passphrase)
    assert is_sealed(made)
    assert unseal(made, passphrase) == content
    assert content not in made[HEAD.size :] or len(content) < 4


def test_nothing_is_sealed_twice_alike():
    assert seal(b"same", WORDS) != seal(b"same", WORDS)


def test_a_wrong_passphrase_opens_nothing():
    with pytest.raises(PassphraseError, match="the passphrase is wrong, or the file was altered"):
        unseal(seal(b"content", WORDS), WORDS + " ")


def test_a_weak_passphrase_is_refused():
    with pytest.raises(InputError, match="got 7 characters, expected at least 8"):
        seal(b"content", "1234567")


def test_any_changed_byte_is_noticed():
    made = seal(b"content of a key", WORDS)
    for place in range(len(made)):
        changed = bytearray(made)
        changed[place] ^= 1
        with pytest.raises((FileFormatError, PassphraseError)):
            unseal(bytes(changed), WORDS)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda made: made[: HEAD.size + 15], "is nothing that heclstm sealed, or was cut short"),
        (lambda made: b"HECLSTM\x00" + made[8:], "is nothing that heclstm sealed"),
        (lambda made: made[:8] + b"\x02\x00" + made[10:], "is sealed in version 2, this release reads version 1"),
        (lambda made: made[:10] + b"\x15" + made[11:], "asks for more work than heclstm ever does"),
        (lambda made: made[:10] + b"\x00" + made[11:], "asks for more work than heclstm ever does"),
        (lambda made: made[:11] + b"\xff" + made[12:], "asks for more work than heclstm ever does"),
        (lambda made: made[:12] + b"\x02" + made[13:], "asks for more work than heclstm ever does"),
    ],
)
def test_foreign_and_greedy_files_are_refused(damage, message):
    with pytest.raises(FileFormatError, match=message):
        unseal(damage(seal(b"content", WORDS)), WORDS)


def test_a_cut_end_is_noticed():
    with pytest.raises(PassphraseError):
        unseal(seal(b"content", WORDS)[:-1], WORDS)


@pytest.mark.parametrize("log_n", [1, 20])
def test_the_least_and_the_most_work_that_a_file_may_ask_for(monkeypatch, log_n):
    """scrypt is asked for it, and may take what it needs: 128 bytes · r · n, and a little."""
    asked = []
    monkeypatch.setattr(sealed.hashlib, "scrypt", lambda *_, **limits: asked.append(limits) or bytes(32))
    monkeypatch.setattr(sealed, "LOG_N", log_n)
    assert unseal(seal(b"content", WORDS), WORDS) == b"content"
    for limits in asked:
        assert (limits["n"], limits["r"], limits["p"]) == (1 << log_n, 8, 1)
        assert limits["maxmem"] > 128 * 8 * (limits["n"] + 4)


def test_files_beyond_256_mib_are_not_read(tmp_path):
    path = tmp_path / "sealed"
    with open(path, "wb") as file:
        file.truncate(1 << 28)  # nothing on the disk
    with pytest.raises(FileFormatError, match="is nothing that heclstm sealed"):
        unseal(path, WORDS)
    os.truncate(path, (1 << 28) + 1)
    with pytest.raises(FileFormatError, match=r"268,?435,?45[67]"):
        unseal(path, WORDS)
