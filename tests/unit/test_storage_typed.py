"""Limits of what files may say, each met exactly, and how a refusal is worded."""

import pytest
from msgspec import Struct

from heclstm.errors import DigestError, FileFormatError
from heclstm.storage.typed import (
    Count,
    Digest,
    Finite,
    Label,
    Line,
    Logit,
    Name,
    Positive,
    Share,
    one_line,
    plain,
    typed,
)


@pytest.mark.parametrize(
    ("kind", "allowed", "refused"),
    [
        (Finite, [-1e300, 0, 1e300], [-1.1e300, 1.1e300, float("nan"), float("inf"), "1"]),
        (Logit, [-1e9, -1.5, 0, 1e9], [-1.1e9, 1.1e9, float("nan")]),
        (Positive, [5e-324, 1e300], [0.0, -1.0, 1.1e300]),
        (Share, [0, 0.5, 1], [-1e-9, 1 + 1e-9]),
        (Count, [0, 1 << 40], [-1, (1 << 40) + 1, 1.5]),
        (Name, ["", "x" * 200, "Ünal 😀"], ["x" * 201, "a\nb", "a\x1b", "a\x9f", "a\u2028", "a\u202e", "a\u2069"]),
        (Line, ["", "x" * 4000], ["x" * 4001, "a\nb", "\x00"]),
        (Digest, ["0123456789abcdef" * 4], ["0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n"]),
        (Label, ["0123456789abcdef" * 2], ["0" * 31, "0" * 33, "A" * 32, "0" * 32 + "\n"]),
    ],
)
def test_limits(kind, allowed, refused):
    for value in allowed:
        assert typed(value, kind, "a") == value
    for value in refused:
        with pytest.raises(FileFormatError, match="^a: Expected "):
            typed(value, kind, "a")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Digest, "of 64 hex digits"),
        (Label, "of 32 hex digits"),
        (Name, "on one line, without control characters"),
        (Line, "on one line, without control characters"),
    ],
)
def test_what_is_expected_is_said_in_words(kind, words):
    with pytest.raises(FileFormatError, match=f"^a: Expected `str` {words}$"):
        typed("\n", kind, "a")


class Refusing(Struct):
    counts: dict[int, float]

    def __post_init__(self):
        if not self.counts:
            raise DigestError("counts nothing")


def test_a_kind_refuses_by_its_own_error():
    with pytest.raises(DigestError, match="^a: counts nothing$"):
        typed({"counts": {}}, Refusing, "a")


def test_whole_numbers_are_keys_in_json():
    made = typed({"counts": {"1": 2.0}}, Refusing, "a")
    assert made.counts == {1: 2.0}
    assert plain(made) == {"counts": {"1": 2.0}}


def test_what_others_said_becomes_one_line():
    assert one_line(" a\n b\x1b[2Jc\u202ed  ") == "a b [2Jc d"
    assert one_line("x" * 5000) == "x" * 4000
    assert one_line("abc", 2) == "ab"
