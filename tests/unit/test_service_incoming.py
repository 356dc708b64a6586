"""Bodies of requests: handed over in large pieces, at once when they end or stall, and whole when they are cut."""

import asyncio
import contextlib
import gc
import weakref
from types import SimpleNamespace

import pytest

from heclstm.errors import ConfigError
from heclstm.service.config import Limits
from heclstm.service.http import incoming, protocol
from heclstm.service.http.incoming import HELD_BYTES_MAX, INCOMING, UNASKED_BYTES_MAX, WAKE_BYTES, Incoming, receive_of
from heclstm.service.limits import Gone, body
from heclstm.service.memory import keep_memory

PIECE = 16 << 10


class Cycle:
    """What uvicorn has of one request: it waits until its event is set, and tells what came."""

    def __init__(self):
        self.message_event, self.paused, self.woken = asyncio.Event(), 0, 0
        self.disconnected, self.more_body = False, True
        self.flow = SimpleNamespace(pause_reading=self._pause)

    def _pause(self):
        self.paused += 1

    async def receive(self):
        if not self.disconnected:
            await self.message_event.wait()
            self.message_event.clear()
            self.woken += 1
        if self.disconnected:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": self.more_body}


@pytest.fixture
def asked():
    """A function that runs a coroutine with (cycle, what stands around it), in a loop of its own."""

    def run(question):
        async def within():
            cycle = Cycle()
            return await asyncio.wait_for(question(cycle, Incoming(cycle, asyncio.get_running_loop())), 20)

        return asyncio.run(within())

    return run


async def asked_for(found):
    """A route that waits for the body."""
    taking = asyncio.create_task(found.take())
    await asyncio.sleep(0)
    return taking


def test_a_route_is_woken_once_for_a_megabyte(asked, monkeypatch):
    monkeypatch.setattr(incoming, "WAIT_SECONDS", 3600.0)

    async def question(cycle, found):
        taking = await asked_for(found)
        for number in range(WAKE_BYTES // PIECE):
            assert not cycle.message_event.is_set()
            found.add(bytes([number]) * PIECE)
        return cycle, await taking

    cycle, message = asked(question)
    assert (cycle.woken, cycle.paused, message["more_body"]) == (1, 0, True)
    assert [piece[0] for piece in message["heclstm.pieces"]] == list(range(WAKE_BYTES // PIECE))


def test_what_stalls_is_handed_over_all_the_same(asked):
    async def question(_, found):
        found.add(b"few")
        found.add(b" bytes")
        return await found.receive()

    assert asked(question) == {"type": "http.request", "body": b"few bytes", "more_body": True}


def test_more_than_is_held_pauses_the_connection(asked):
    async def question(cycle, found):
        taking = await asked_for(found)
        for _ in range(HELD_BYTES_MAX // PIECE - 1):
            found.add(bytes(PIECE))
        assert cycle.paused == 0
        found.add(bytes(PIECE))
        await taking
        return cycle.paused

    assert asked(question) == 1


def test_little_is_held_of_who_may_not_be_allowed_to_send(asked):
    """Until a route asks for the body it is not known: thousands of connections would fill the memory."""

    async def question(cycle, found):
        for _ in range(UNASKED_BYTES_MAX // PIECE - 1):
            found.add(bytes(PIECE))
        assert cycle.paused == 0
        found.add(bytes(PIECE))
        assert cycle.paused == 1
        return len((await found.take())["heclstm.pieces"])

    assert asked(question) == UNASKED_BYTES_MAX // PIECE


@pytest.mark.parametrize("fails", [False, True])
def test_all_of_a_request_goes_with_its_end(asked, fails):
    """Its scope held this, which held uvicorn's cycle, which holds the scope: bodies stayed until a collection."""

    async def question(cycle, found):
        cycle.scope = {"extensions": {INCOMING: found}}
        found.add(b"nobody asks for it")
        timer, gone = found._timer, weakref.ref(cycle)

        async def app(scope, receive, send):
            if fails:
                raise Gone

        with pytest.raises(Gone) if fails else contextlib.nullcontext():
            await found.around(app)(cycle.scope, None, None)
        cycle.flow = None  # a circle of this test alone
        return timer.cancelled(), cycle.scope["extensions"], found._pieces.size, gone

    gc.disable()
    try:
        cancelled, extensions, size, gone = asked(question)
        assert (cancelled, extensions, size) == (True, {}, 0)
        assert fails or gone() is None  # a traceback holds it longer
    finally:
        gc.enable()


def test_chunks_of_a_byte_come_as_one_piece(asked):
    """A megabyte of them was a million objects, and as many buffers of a write."""
    sent = bytes(range(250)) * 400

    async def question(cycle, found):
        for at in range(len(sent)):
            found.add(sent[at : at + 1])
        assert cycle.paused > 0
        message = await found.take()
        return message["heclstm.pieces"]

    assert asked(question) == [sent]


def test_what_came_before_a_cut_is_not_lost(asked):
    """An upload goes on behind it; only then is it heard that the connection is gone."""

    async def question(cycle, found):
        scope = {"extensions": {INCOMING: found}}
        first, second = bytes(PIECE), b"second"
        found.add(first)
        found.add(second)
        cycle.disconnected = True
        counted = []
        pieces = body(receive_of(scope, None), Limits(), counted.append)
        came = [await anext(pieces), await anext(pieces)]
        with pytest.raises(Gone):
            await anext(pieces)
        return came == [first, second], counted

    assert asked(question) == (True, [PIECE + 6])


def test_an_end_is_told_at_once(asked, monkeypatch):
    """Also where nothing came, and to routes that know no pieces."""
    monkeypatch.setattr(incoming, "WAIT_SECONDS", 3600.0)

    async def question(cycle, found):
        answers = []

        async def app(scope, receive, send):
            answers.append(await receive())

        for content in (b"{}", b""):
            if content:
                found.add(content)
            cycle.more_body = False
            cycle.message_event.set()
            await found.around(app)({}, None, None)
        return answers

    assert asked(question) == [{"type": "http.request", "body": each, "more_body": False} for each in (b"{}", b"")]


def test_without_it_a_body_comes_as_the_server_sends_it():
    messages = iter([{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.request", "body": b"b"}])

    async def receive():
        return next(messages)

    async def whole():
        return [piece async for piece in body(receive_of({}, receive), Limits(), lambda _: None)]

    assert asyncio.run(whole()) == [b"a", b"b"]


def test_a_uvicorn_that_would_lose_bodies_is_refused(monkeypatch):
    """Before 0.45 it had no `_start_asgi_task`: nothing of ours was called, and each body was empty."""
    assert protocol.protocol(Limits())
    monkeypatch.delattr(protocol.HttpToolsProtocol, protocol.HOOK)
    expected = r"^uvicorn \d+\.\d+\.\d+: has no _start_asgi_task, .* expected 0\.45 or a newer "
    with pytest.raises(ConfigError, match=expected):
        protocol.protocol(Limits())


def test_memory_is_kept_where_there_is_glibc():
    keep_memory()  # elsewhere it does nothing; it never fails
