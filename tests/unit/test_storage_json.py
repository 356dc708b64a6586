"""JSON from outside: what is no JSON of ours is refused by a typed error, before it costs memory."""

import json
import os
import tracemalloc
from io import BytesIO

import pytest

from heclstm.errors import FileFormatError
from heclstm.storage.json import SMALL, JsonLimits, canonical, digest_of, parse_object, read_json

LIMITS = JsonLimits(bytes=1000, depth=3, values=20, text=30)


def parsed(content, limits=LIMITS):
    return parse_object(content, "a.json", limits)


def test_what_is_json_is_read(tmp_path):
    data = {"a": [1, -2.5e-3, True, None], "text": 'ä "quoted" \\ \u2028 [{', "pair": "\U0001f600"}
    for content in (json.dumps(data).encode(), json.dumps(data, ensure_ascii=False, indent=1).encode()):
        assert parse_object(content, "a") == data
        (tmp_path / "a").write_bytes(content)
        for source in (tmp_path / "a", str(tmp_path / "a"), content, bytearray(content), BytesIO(content)):
            assert read_json(source) == data
    assert parsed(b'{"a": "\\\\ud800"}') == {"a": "\\ud800"}  # a backslash, and no half of anything


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": [[[1]]]}', "brackets stand more than 3 deep"),
        (b'{"a": [[],[],[],[[1]]]}', "brackets stand more than 3 deep"),
        (b'{"a":"' + b"x" * 29 + b'"}', "a string of 31 bytes, expected at most 30"),
        (b'{"' + b"x" * 29 + b'":1}', "a string of 31 bytes"),
        (b'{"a":' + b"1" * 41 + b"}", "a number of 41 digits, expected at most 40"),
        (b'{"a":0.' + b"1" * 41 + b"}", "a number of 43 digits"),
        (b'{"a":[' + b"1," * 20 + b"1]}", "about 22 values, expected at most 20"),
        (b" " * 999 + b"{}", "1001 bytes, expected at most 1000"),
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b'{"a": {"b": 1, "b": 1}}', "a key stands twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": 1e999}', "a number is too large"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"\\uDFFF": 1}', "half of a surrogate pair"),
        (b'{"a": "\\ud83d\\ud83d\\ude00"}', "half of a surrogate pair"),
        (b'{"a": "\\ud800\\x"}', "is no JSON"),
        (b'{"a": "\xed\xa0\x80"}', "no UTF-8 at byte 7"),
        (b'\xff\xfe{"a"', "no UTF-8 at byte 0"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"[1]", "holds a list, expected a JSON object"),
        (b"null", "holds a NoneType, expected a JSON object"),
        (b"", "is no JSON"),
        (b'{"a": "unclosed', "is no JSON"),
        (b'{"a": "\\', "is no JSON"),
        (b"}]{", "is no JSON"),
    ],
)
def test_what_is_no_json_of_ours_is_refused(content, message):
    with pytest.raises(FileFormatError, match=message) as caught:
        parsed(content)
    assert str(caught.value).startswith("a.json: ")


def test_limits_of_our_files():
    """A circuit of the largest experiment has 0.1 MB of JSON, a card 50 kB."""
    assert JsonLimits() == JsonLimits(bytes=16 << 20, depth=64, values=1_000_000, text=1 << 16)
    assert JsonLimits(bytes=4 << 20, depth=32, values=100_000, text=1 << 15) == SMALL
    with pytest.raises(AttributeError):
        SMALL.depth = 1 << 20


def test_limits_are_met_exactly():
    assert parsed(b'{"a": [[1]]}')
    assert parsed(b'{"a": [[],[],[]], "b": [[],[],[]]}')
    assert parsed(b'{"a":"' + b"x" * 28 + b'"}')
    assert parsed(b'{"a":' + b"1" * 40 + b"}")
    assert parsed(b'{"a":[' + b"1," * 18 + b"1]}")
    assert parsed(b" " * 998 + b"{}") == {}


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b"[" + b"[[]]," * 400_000 + b"[]]",
        b"[" + b"0," * 1_000_001 + b"0]",
        b'"' + b'\\"' * 1_000_000,  # an unclosed string of escapes: no search may begin anew at each of them
        b'"' * 99_999,
        b"9" * 2_000_000,
    ],
    ids=["deep", "deep objects", "nested", "long", "escapes", "quotes", "number"],
)
def test_refusing_costs_no_memory(content):
    """Less than a copy or two of the bytes; parsed, the third would take 37 times as much."""
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError):
            parse_object(content, "a")
        assert tracemalloc.get_traced_memory()[1] < 3 * len(content) + 100_000
    finally:
        tracemalloc.stop()


def test_a_file_is_not_read_beyond_its_limit(tmp_path):
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: a terabyte that takes no space
    with pytest.raises(FileFormatError, match="large.json: larger than 1000 bytes"):
        read_json(path, LIMITS)

    class Endless(BytesIO):
        taken = 0

        def read(self, size=-1):
            assert size > 0
            self.taken += size
            return b" " * size

    stream = Endless()
    with pytest.raises(FileFormatError, match="stream: larger than 1000 bytes"):
        read_json(stream, LIMITS)
    assert stream.taken == 1001


def test_what_never_ends_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(FileFormatError, match=r"cannot be read \(it is no regular file\)"):
            read_json(path)
    with pytest.raises(FileFormatError, match=r"absent: cannot be read \(No such file or directory\)"):
        read_json(tmp_path / "absent")
    with pytest.raises(FileFormatError, match="no name of a file"):
        read_json("a\0b")


def test_a_stream_that_breaks_is_an_error_of_its_own():
    class Broken(BytesIO):
        name = "socket"

        def read(self, size=-1):
            raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(FileFormatError, match=r"socket: cannot be read \(Connection reset by peer\)"):
        read_json(Broken())


def test_canonical_json_is_written_down():
    """By hand: the form is part of every digest, so it can never change."""
    assert canonical({"b": [1, 1.0, 1e-7, True, None], "a": "ä\u2028/\n"}) == (
        b'{"a":"\xc3\xa4\xe2\x80\xa8/\\n","b":[1,1.0,1e-07,true,null]}'
    )
    assert digest_of({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))
