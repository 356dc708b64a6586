"""A body that comes in tiny chunks costs as little as one that comes in large ones."""

import os

from hypothesis import given
from hypothesis import strategies as some

from heclstm.service.pieces import PIECES_MAX, SMALL_BYTES, Pieces, write_pieces

SIZES = some.sampled_from([0, 1, 2, 100, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1, 20_000])


@given(some.lists(SIZES, max_size=40))
def test_all_is_there_in_order_and_no_two_neighbours_are_small(sizes):
    sent = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    pieces = Pieces()
    for each in sent:
        pieces.add(each)
    assert pieces.size == sum(sizes)
    taken = pieces.take()
    assert b"".join(taken) == b"".join(sent)
    assert all(len(one) + len(other) > SMALL_BYTES for one, other in zip(taken, taken[1:], strict=False))
    assert {type(each) for each in taken} <= {bytes}
    assert (pieces.size, pieces.take()) == (0, [])


def test_a_large_piece_is_not_copied():
    pieces, large = Pieces(), bytes(SMALL_BYTES)
    for piece in (b"a", large, b"b", b"c"):
        pieces.add(piece)
    taken = pieces.take()
    assert taken == [b"a", large, b"bc"]
    assert taken[1] is large


def test_more_pieces_than_the_system_writes_at_once_are_written_once_each(tmp_path, monkeypatch):
    """What was written was taken from the front of a list, which moved all others each time; and a system may write a
    part of what it is given.
    """
    sent, calls, real = [os.urandom(3) for _ in range(2000)], [], os.writev

    def writev(descriptor, buffers):
        calls.append(len(buffers))
        return real(descriptor, [*buffers[:-1], buffers[-1][:1]])

    monkeypatch.setattr(os, "writev", writev)
    with (tmp_path / "file").open("ab", buffering=0) as file:
        write_pieces(file, sent, 0)
    assert (tmp_path / "file").read_bytes() == b"".join(sent)
    assert max(calls) == PIECES_MAX
    assert len(calls) < 10
