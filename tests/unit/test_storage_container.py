"""The container of keys and messages: its bytes, its limits, and what ties a result to its query."""

import io
import json
import os
from pathlib import Path

import pytest
from msgspec import structs

from heclstm.deploy.wire import key_header, require_card, require_key, require_program, require_query, require_sizes
from heclstm.errors import DigestError, FileFormatError, OutputError
from heclstm.storage import container
from heclstm.storage.container import (
    BLOB_BYTES_MAX,
    HEADER_BYTES_MAX,
    MAGIC,
    PREFIX,
    Header,
    Kind,
    Message,
    read_header,
    received,
)
from messages import read_file
from tiny_program import tiny_card

GOLDEN = Path(__file__).parents[1] / "golden" / "wire_v1"
PROGRAM, KEY, QUERY = "0123456789abcdef" * 4, "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
CARD = {"operating_points": "5" * 64, "preparation": "a" * 64}
# name → (kind, blobs, query, card): files of version 1, as releases wrote and write them
FILES = {
    "secret.key": (Kind.SECRET_KEY, (("secret", 5),), "", {}),
    "evaluation.keys": (Kind.EVALUATION_KEYS, (("relinearization", 7), ("rotation 3", 4)), "", {}),
    "query.he": (Kind.QUERY, (("ciphertext 0", 6), ("ciphertext 1", 6)), QUERY, {}),
    "result.he": (Kind.RESULT, (("result", 3),), QUERY, {}),
    "pinned-secret.key": (Kind.SECRET_KEY, (("secret", 5),), "", CARD),
}


def golden_message(name):
    kind, blobs, query, card = FILES[name]
    contents = [bytes((16 * i + j) % 256 for j in range(size)) for i, (_, size) in enumerate(blobs)]
    return Message(Header(kind, PROGRAM, KEY, blobs, query, card), contents), contents


def header(kind, query=""):
    return Header(kind, PROGRAM, KEY, (("blob", 3),), query)


def encoded(kind=Kind.QUERY, *, version=1, body=None, **fields):
    """A container with this header, its length and checksum as they should be."""
    fields = {"program": PROGRAM, "key": KEY, "blobs": [], **fields}
    body = json.dumps(fields).encode() if body is None else body
    content = PREFIX.pack(MAGIC, version, kind, len(body)) + body
    return content + container.hashlib.sha256(content).digest()


# ── bytes ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FILES)
def test_the_bytes_of_version_1_stay(name):
    """Written as ever, and read as ever."""
    message, contents = golden_message(name)
    stream, told = io.BytesIO(), []
    assert message.write(stream, told.append) == len(stream.getvalue()) == message.header.total_bytes
    assert told == [len(message.header.encode()), *(size for _, size in message.header.blobs)]
    assert stream.getvalue() == (GOLDEN / name).read_bytes() == bytes(golden_message(name)[0])
    with received(GOLDEN / name, message.header.kind) as found:
        assert found.header == message.header
        assert [blob for _, blob in found.blobs()] == contents


def test_a_header_is_frozen():
    with pytest.raises(AttributeError, match="immutable"):
        header(Kind.QUERY).key = "other"


def test_every_kind_has_its_golden_file():
    assert {kind for kind, *_ in FILES.values()} == set(Kind)
    assert {path.name for path in GOLDEN.iterdir()} == set(FILES)


# ── limits and refusals ────────────────────────────────────────────────────────────────────────────────────


def test_the_header_limit():
    """A megabyte is read, a byte more is not asked for."""
    fields = json.dumps({"program": PROGRAM, "key": KEY, "blobs": []}).encode()
    at_limit = encoded(body=fields + b" " * (HEADER_BYTES_MAX - len(fields)))
    assert read_header(at_limit, Kind.QUERY).program == PROGRAM
    beyond = PREFIX.pack(MAGIC, 1, Kind.QUERY, HEADER_BYTES_MAX + 1)

    class Guarded(io.BytesIO):
        def read(self, size=-1):
            assert size <= PREFIX.size, "asked for the header"
            return super().read(size)

    with pytest.raises(FileFormatError, match="has a header of 1048577 bytes, expected at most 1048576"):
        read_header(Guarded(beyond), Kind.QUERY)


def test_the_blob_limit():
    assert BLOB_BYTES_MAX == 1 << 30
    content = encoded(blobs=[["result", BLOB_BYTES_MAX]])
    assert read_header(io.BytesIO(content), Kind.QUERY).blobs == (("result", 1 << 30),)
    for size in (BLOB_BYTES_MAX + 1, -1):
        with pytest.raises(FileFormatError, match=r"its header: Expected `int` [<>]= .*blobs"):
            read_header(io.BytesIO(encoded(blobs=[["result", size]])), Kind.QUERY)


@pytest.mark.parametrize(
    "fields",
    [
        {"program": "x"},
        {"program": PROGRAM.upper()},
        {"program": PROGRAM + "\n"},
        {"program": "\x1b[2J" + PROGRAM[4:]},
        {"program": "\ud800"},
        {"program": None},
        {"key": KEY[:-1]},
        {"key": KEY + "\n"},
        {"query": "short"},
        {"query": QUERY + "\n"},
        {"query": 7},
        {"blobs": {"a": 1}},
        {"blobs": [["a"]]},
        {"blobs": [["a", 1, 1]]},
        {"blobs": [["a", True]]},
        {"blobs": [["a", 1.0]]},
        {"blobs": [["\ud800", 0]]},
        {"blobs": [["\x1b]0;title\x07", 0]]},
        {"blobs": [["a" * 65, 0]]},
        {"card": {"preparation": "x"}},
        {"card": {"Preparation": PROGRAM}},
        {"card": []},
        {"kind": 1},
        {"more": 1},
    ],
)
def test_headers_with_other_fields_are_refused(fields):
    with pytest.raises(FileFormatError, match="its header"):
        read_header(
            encoded(body=json.dumps({"program": PROGRAM, "key": KEY, "blobs": [], **fields}).encode()), Kind.QUERY
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no heclstm file"),
        (b"HECLSTM", "is no heclstm file"),
        (b"GIF89a" + bytes(50), "is no heclstm file"),
        (encoded(version=2), "has version 2, this release reads version 1"),
        (encoded(9), "holds: file of unknown kind 9; expected: query"),
        (encoded(Kind.SECRET_KEY), "holds: secret key; expected: query"),
        (encoded(body=b"[" * 50_000), "its header: brackets stand more than 4 deep"),
        (encoded(body=b"no json"), "its header: is no JSON"),
        (encoded(key="x" * 254), "its header: Expected `str`"),
        (encoded(key="x" * 255), "its header: holds a string of 257 bytes, expected at most 256"),
        (
            encoded(body=b'{"blobs": [%b0]}' % (b"0," * (1 << 18))),
            "its header: holds about 262146 values, expected at most 262144",
        ),
        (encoded(body=b'{"program": "' + PROGRAM.encode() + b'"}'), r"missing required field `key`"),
        (encoded() + b"more", "is oversized: 1[0-9]+ bytes, its header says"),
        (encoded()[:-1], "is truncated: 1[0-9]+ bytes, its header says"),
        (encoded()[: PREFIX.size + 10], "is truncated within its header of"),
    ],
)
def test_damaged_and_foreign_containers_are_refused(content, message, tmp_path):
    (tmp_path / "file").write_bytes(content)
    for source in (content, tmp_path / "file"):
        with pytest.raises(FileFormatError, match=message):
            read_header(source, Kind.QUERY)


def test_each_flipped_bit_of_a_message_is_noticed():
    content = bytearray((GOLDEN / "query.he").read_bytes())
    for place in range(len(content)):
        content[place] ^= 4
        with pytest.raises(FileFormatError):
            list(read_file(bytes(content), Kind.QUERY))
        content[place] ^= 4
    assert len(list(read_file(bytes(content), Kind.QUERY))) == 2


def test_a_stream_that_ends_early_is_truncated():
    content = (GOLDEN / "query.he").read_bytes()
    for length in range(len(content)):
        with pytest.raises(FileFormatError, match=r"is no heclstm file|truncated"):
            list(read_file(io.BytesIO(content[:length]), Kind.QUERY))


def test_messages_follow_each_other_on_one_stream():
    """Nothing is read beyond the end, so a connection can go on."""
    both = [(GOLDEN / name).read_bytes() for name in ("query.he", "result.he")]
    stream = io.BytesIO(b"".join(both))
    with received(stream, Kind.QUERY) as query:
        query.check()
    with received(stream, Kind.RESULT) as result:
        require_query(result.header, query.header, "result")
        assert result.blob() == b"\x00\x01\x02"
    assert not stream.read()


def test_a_message_must_hold_what_its_header_lists():
    for blobs, message in (
        ([b"abcd"], "blob 'blob' has 4 bytes, its header says 3"),
        ([], r"blobs \['blob'\] are missing"),
        ([b"abc", b"d"], "blob '' has 1 bytes, its header says -1"),
    ):
        with pytest.raises(FileFormatError, match=message):
            Message(header(Kind.QUERY), blobs).write(io.BytesIO())


def test_what_travels_may_be_read_by_all_that_the_umask_lets(tmp_path):
    before = os.umask(0)
    try:
        Message(header(Kind.QUERY), [b"abc"]).save(tmp_path / "query.he")
    finally:
        os.umask(before)
    assert (tmp_path / "query.he").stat().st_mode & 0o777 == 0o666


def test_a_message_is_shown_without_what_it_holds():
    message = Message(header(Kind.SECRET_KEY), [b"abc"])
    expected = f"<secret key of {message.header.total_bytes} bytes for program {PROGRAM[:12]}>"
    assert repr(message) == expected


def test_a_message_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(FileFormatError, match="are missing"):
        Message(header(Kind.QUERY), []).save(tmp_path / "query.he")
    assert not list(tmp_path.iterdir())


def test_secret_keys_are_private_and_never_replaced(tmp_path):
    path = tmp_path / "secret.key"
    Message(header(Kind.SECRET_KEY), [b"abc"]).save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    with pytest.raises(OutputError, match="holds a secret key, which is not replaced"):
        Message(header(Kind.QUERY), [b"def"]).save(path)
    assert path.read_bytes() == before


# ── what belongs to what ───────────────────────────────────────────────────────────────────────────────────


def test_a_result_names_the_query_it_answers():
    query, result = header(Kind.QUERY, "a" * 32), header(Kind.RESULT, "b" * 32)
    with pytest.raises(DigestError, match="answers query bbbbbbbbbbbb, expected aaaaaaaaaaaa;"):
        require_query(result, query, "result")
    require_query(structs.replace(result, query="a" * 32), query, "result")


def test_a_card_that_changed_since_the_keys_were_made():
    card = tiny_card()
    pins = card.field_digests()
    made = Header(Kind.SECRET_KEY, card.digest, KEY, (), "", pins)
    require_card(made, card, "k")
    require_card(structs.replace(made, card={}), card, "k")
    other = structs.replace(made, card=pins | {"attribution": "f" * 64})
    with pytest.raises(DigestError, match=f"the card of program {card.digest[:12]} has changed: attribution; use"):
        require_card(other, card, "k")
    with pytest.raises(
        DigestError, match=rf"for program 0123456789ab, expected {card.digest[:12]} \(attribution chang"
    ):
        require_card(structs.replace(other, program=PROGRAM), card, "k")
    with pytest.raises(DigestError, match=f"for program 0123456789ab, expected {card.digest[:12]};"):
        require_card(structs.replace(made, program=PROGRAM), card, "k")


def test_what_is_no_key_file_has_no_key_header():
    assert key_header(b"other") is None
    assert key_header(GOLDEN / "query.he") is None
    assert key_header(GOLDEN / "secret.key").kind is Kind.SECRET_KEY


def test_programs_keys_and_sizes_are_compared():
    query = header(Kind.QUERY)
    require_program(query, PROGRAM, "q")
    require_key(query, KEY, "q")
    require_sizes(query, [("blob", 3)], "q")
    with pytest.raises(DigestError, match="q: this query was made for program 0123456789ab, expected ffffffffffff;"):
        require_program(query, "f" * 64, "q")
    with pytest.raises(DigestError, match="q: this query belongs to key 001122334455, expected ffffffffffff;"):
        require_key(query, "f" * 32, "q")
    with pytest.raises(FileFormatError, match=r"q: holds 1 blobs of 3 bytes, expected 2 of 10 \(blob … other\)"):
        require_sizes(query, [("blob", 3), ("other", 7)], "q")
    for expected in ([("blob", 4)], [("other", 3)], [("blob", 3), ("blob", 3)]):
        with pytest.raises(FileFormatError, match="q: holds 1 blobs of 3 bytes, expected"):
            require_sizes(query, expected, "q")
