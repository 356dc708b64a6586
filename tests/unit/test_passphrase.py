"""What a passphrase seals: opened by it alone, with the header that it was sealed with."""

import unicodedata

import pytest

from heclstm.deploy import passphrase
from heclstm.deploy.passphrase import COST, OVERHEAD_BYTES, SALT_BYTES, seal, unseal
from heclstm.errors import FileFormatError, InputError

SECRET, HEADER, WORDS = bytes(range(200)), b"header", "trois chats gâtés"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(passphrase, "COST", (10, 8, 1))


def test_a_guess_costs_128_megabytes():
    assert passphrase._memory(COST) == pytest.approx(128 << 20, rel=0.01)
    assert passphrase._memory(COST) <= passphrase.MEMORY_MAX


def test_what_is_sealed_is_opened_again():
    blob = seal(SECRET, WORDS, HEADER)
    assert len(blob) == len(SECRET) + OVERHEAD_BYTES
    assert SECRET[:8] not in blob
    assert seal(SECRET, WORDS, HEADER) != blob
    for form in ("NFC", "NFD"):  # keyboards differ in how they send an â
        assert unseal(blob, unicodedata.normalize(form, WORDS), HEADER, "x") == SECRET


@pytest.mark.parametrize("place", [0, SALT_BYTES + 4, OVERHEAD_BYTES, -1])
def test_altered_bytes_and_other_words_open_nothing(place):
    blob = bytearray(seal(SECRET, WORDS, HEADER))
    for words, header in (("other", HEADER), (WORDS, b"headex")):
        with pytest.raises(InputError, match="x: this passphrase does not open it, or the file was altered"):
            unseal(bytes(blob), words, header, "x")
    blob[place] ^= 1
    with pytest.raises(InputError, match="does not open it"):
        unseal(bytes(blob), WORDS, HEADER, "x")


@pytest.mark.parametrize("cost", [(22, 8, 1), (17, 255, 1), (0, 8, 1), (10, 0, 1), (31, 1, 1), (255, 255, 255)])
def test_a_file_does_not_choose_how_much_memory_it_takes(cost):
    blob = bytearray(seal(SECRET, WORDS, HEADER))
    blob[SALT_BYTES : SALT_BYTES + 3] = bytes(cost)
    with pytest.raises(FileFormatError, match="in a way that this release does not know"):
        unseal(bytes(blob), WORDS, HEADER, "x")
    with pytest.raises(FileFormatError, match="in a way that this release does not know"):
        unseal(bytes(blob[:20]), WORDS, HEADER, "x")
