"""Where bytes come from: read once, in pieces, and no more than a limit."""

from dataclasses import FrozenInstanceError
from io import BytesIO

import pytest

from heclstm.errors import FileFormatError
from heclstm.storage.source import opened


class Recorded(BytesIO):
    """Notes how much it is asked for."""

    def __init__(self, content=b""):
        super().__init__(content)
        self.asked = []

    def read(self, count=-1):
        self.asked.append(count)
        return super().read(count)


class Endless(Recorded):
    def read(self, count=-1):
        self.asked.append(count)
        return bytes(count)


def test_no_more_than_16_mib_is_asked_for_at_once():
    stream = Endless()
    with opened(stream) as file:
        assert len(file.read((2 << 24) + 5)) == (2 << 24) + 5
    assert stream.asked == [1 << 24, 1 << 24, 5]


@pytest.mark.parametrize("made", [bytes, BytesIO], ids=["of a known size", "a stream"])
def test_a_limit_is_the_last_size_that_is_read(made):
    with opened(made(bytes(100))) as file:
        assert file.read_all(100) == bytes(100)
    with opened(made(bytes(101))) as file, pytest.raises(FileFormatError, match="larger than 100 bytes"):
        file.read_all(100)


def test_no_more_than_one_byte_beyond_a_limit_is_taken_in(tmp_path):
    stream = Endless()
    with opened(stream) as file, pytest.raises(FileFormatError, match="stream: larger than 100 bytes"):
        file.read_all(100)
    assert stream.asked == [101]


def test_a_source_that_is_open_stays_what_it_is():
    with opened(b"content") as file, pytest.raises(FrozenInstanceError):
        file.name = "other"


def test_what_is_no_source_is_refused():
    for other in (5, None, object()):
        with (
            pytest.raises(FileFormatError, match="is no source; expected a path, bytes, a stream or a Message"),
            opened(other),
        ):
            pass
