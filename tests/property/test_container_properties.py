"""Any message survives any stream, and no other bytes are taken for one."""

import io

from hypothesis import given
from hypothesis import strategies as st

from heclstm.errors import FileFormatError
from heclstm.storage.container import Header, Kind, Message, received

HEX = "0123456789abcdef"
DIGESTS = st.text(HEX, min_size=64, max_size=64)
LABELS = st.text(HEX, min_size=32, max_size=32)
NAMES = st.from_regex(r"[a-z][a-z0-9 ]{0,20}", fullmatch=True)
FIELDS = st.from_regex(r"[a-z][a-z_]{0,20}", fullmatch=True)


@st.composite
def messages(draw):
    """(header, blobs)"""
    blobs = draw(st.lists(st.binary(max_size=60), max_size=6))
    names = draw(st.lists(NAMES, min_size=len(blobs), max_size=len(blobs)))
    header = Header(
        draw(st.sampled_from(Kind)),
        draw(DIGESTS),
        draw(LABELS),
        tuple((name, len(blob)) for name, blob in zip(names, blobs, strict=True)),
        draw(st.one_of(st.just(""), LABELS)),
        draw(st.dictionaries(FIELDS, DIGESTS, max_size=4)),
    )
    return header, blobs


class Chunked(io.RawIOBase):
    """Hands over, and takes, fewer bytes than it is asked to: so do sockets. No seek, no size, no name."""

    def __init__(self, content=b"", sizes=(1,)):
        self.content, self._sizes, self._turn = bytearray(content), sizes, 0

    def readable(self):
        return True

    def writable(self):
        return True

    def seekable(self):
        return False

    def _next(self):
        self._turn += 1
        return self._sizes[self._turn % len(self._sizes)]

    def readinto(self, buffer):
        count = min(len(buffer), len(self.content), self._next())
        buffer[:count] = self.content[:count]
        del self.content[:count]
        return count

    def write(self, content):
        piece = bytes(content)[: self._next()]
        self.content += piece
        return len(piece)


SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=5)


@given(messages(), SIZES, SIZES)
def test_a_message_survives_any_stream(message, writes, reads):
    header, blobs = message
    wire = Chunked(sizes=writes)
    assert Message(header, iter(blobs)).write(wire) == len(wire.content) == header.total_bytes
    stream = Chunked(wire.content, reads)
    with received(stream, header.kind) as found:
        assert found.header == header
        assert list(found.blobs()) == [(name, blob) for (name, _), blob in zip(header.blobs, blobs, strict=True)]
    assert not stream.content  # read to its end, and not beyond


@given(messages(), st.data())
def test_another_byte_anywhere_is_noticed(message, data):
    header, blobs = message
    stream = io.BytesIO()
    Message(header, blobs).write(stream)
    content = bytearray(stream.getvalue())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        with received(bytes(content), header.kind) as found:
            found.check()
    except FileFormatError:
        return
    raise AssertionError("nobody noticed")


@given(st.binary(max_size=200), st.booleans())
def test_no_other_bytes_raise_anything_else(content, begun):
    content = b"HECLSTM\x00\x01\x00\x03\x00" + content if begun else content
    try:
        with received(content) as found:
            found.check()
    except FileFormatError:
        return
    raise AssertionError("a random message passed its checksum")
