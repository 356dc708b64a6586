"""Answers of a server that means harm: without end, or of what no hospital can use."""

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from types import SimpleNamespace

import httpx
import pytest

from conversation import GET, LABEL, PATIENCE, A, play, said
from heclstm.errors import NetworkError
from heclstm.network import calls, transport
from heclstm.network.address import Address
from heclstm.network.patience import ask
from heclstm.network.transport import AsyncTransport, Route, Transport


@pytest.mark.parametrize("strange", [{"seconds_left": 1e300}, {"seconds_left": -1.0}, {"position": -1}])
def test_what_no_job_can_be_is_refused(strange):
    """It went into tables and JSON as it came."""
    job = {"id": LABEL, "state": "running", "program": A, "key": LABEL, "queries": 1, "done": 0, **strange}
    with pytest.raises(NetworkError, match=f"Expected `(float|int)` .* at `.*{next(iter(strange))}`"):
        play(calls.list_jobs(), [said(data={"jobs": [job]})])


def test_a_list_of_jobs_ends(monkeypatch):
    """A server that always names a next page was asked for ever."""
    monkeypatch.setattr(calls, "JOBS_MAX", 50)
    job = {"state": "running", "program": A, "key": LABEL, "queries": 1, "done": 0}
    numbers = itertools.count()
    pages = [
        said(data={"jobs": [{"id": f"{next(numbers):032x}", **job} for _ in range(10)], "next": f"{page:032x}"})
        for page in range(6)
    ]
    with pytest.raises(NetworkError, match="lists more than 50 jobs"):
        play(calls.list_jobs(), pages)
    same = said(data={"jobs": [{"id": LABEL, **job}], "next": "2" * 32})
    found, asked, _ = play(calls.list_jobs(), [same, same])
    assert (len(found), len(asked)) == (1, 2)


def test_an_answer_that_trickles_ends(monkeypatch):
    """A byte now and then renews what a socket waits for; all in all it would take for ever."""
    clock = itertools.count(step=20)  # seconds
    monkeypatch.setattr(transport, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    line = Transport(Route(Address.of("http://127.0.0.1"), "token"))
    line.close()
    answer = httpx.Response(200, content=itertools.repeat(b" "))
    line._http = httpx.Client(base_url="http://127.0.0.1", transport=httpx.MockTransport(lambda request: answer))
    with pytest.raises(NetworkError, match="GET /v1/programs comes with fewer than 2048 bytes a second"):
        line.run(ask(GET, PATIENCE))
    assert next(clock) <= 160  # the timeout is 30 seconds


HEADS = {"a line now and then": b"x: y\r\n", "interim answers": b"HTTP/1.1 103 Early Hints\r\n\r\n"}


@pytest.fixture
def endless():
    """endless(piece): the port of a server that answers with this piece again and again."""
    with contextlib.ExitStack() as stack:

        def start(piece):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve():
                with contextlib.suppress(OSError), listener.accept()[0] as line:
                    line.recv(1 << 16)
                    line.sendall(b"HTTP/1.1 200 OK\r\n" if piece[:1] == b"x" else piece)
                    while True:
                        time.sleep(0.01)
                        line.sendall(piece)

            thread = threading.Thread(target=serve)
            thread.start()
            stack.callback(thread.join)
            return listener.getsockname()[1]

        yield start


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", [Transport, AsyncTransport])
def test_the_head_of_an_answer_ends(endless, monkeypatch, head, kind):
    """Each byte, and each interim answer, renews what a socket waits for."""
    monkeypatch.setattr(transport, "SLOW_TIMEOUTS", 0.005)  # of 30 seconds
    line = kind(Route(Address.of(f"http://127.0.0.1:{endless(HEADS[head])}"), "token"))

    async def asked():
        try:
            await line.run(ask(GET, PATIENCE))
        finally:
            await line.close()

    def answered():
        with contextlib.closing(line):
            line.run(ask(GET, PATIENCE))

    with pytest.raises(NetworkError, match="the head of its answer to GET /v1/programs does not end"):
        answered() if kind is Transport else asyncio.run(asked())
