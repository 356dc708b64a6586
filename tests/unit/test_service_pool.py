"""Workers of this machine: warmed before it is known what they load, and each is told once."""

from types import SimpleNamespace

import pytest

from heclstm.service.workers import messages, pool
from heclstm.service.workers.pool import Early, LocalPool, start_early


class Pretended:
    def __init__(self, events):
        self.events, self.sent = events, []
        Pretended.made.append(self)

    ended = False

    def send(self, message):
        self.sent.append(message)


@pytest.fixture
def local(monkeypatch):
    """A pool of two, whose processes are pretended, and these."""
    Pretended.made = []
    monkeypatch.setattr(pool, "LocalWorker", Pretended)
    evaluation = SimpleNamespace(memory_bytes=1 << 30, threads=3)
    return LocalPool(SimpleNamespace(evaluation=evaluation, blobs="folder", state="/state"), 2), Pretended.made


def test_warmed_processes_are_the_workers_that_start_first(local):
    found, made = local
    early = Early()
    found.warm(early.events)
    assert len(made) == 2
    assert [each.sent for each in made] == [[], []]
    assert start_early(found, {"digest": "/program"}, early) is early
    assert {id(worker) for _, worker in early.workers} == {id(each) for each in made}
    assert all(each.sent == [messages.Load("/program", 3, "folder", "/state")] for each in made)
    later = found.start("/other", early.events)
    assert later is made[2]
    assert later.sent == [messages.Load("/other", 3, "folder", "/state")]


def test_without_a_program_they_wait(local):
    found, made = local
    early = Early()
    found.warm(early.events)
    assert start_early(found, {}, early).workers == []
    assert [each.sent for each in made] == [[], []]


def test_a_process_without_a_program_ends_with_its_server():
    """The real one: it hears that nobody speaks any more, and says nothing."""
    heard = Early().events
    worker = pool.LocalWorker(heard)
    worker._child.process.stdin.close()
    assert heard.get(timeout=60) == (worker, None)
    assert worker._child.process.returncode is not None


def test_a_warmed_process_that_ended_is_not_handed_out(local):
    """Nobody would hear that it did."""
    found, made = local
    early = Early()
    found.warm(early.events)
    made[1].ended = True
    assert found.start("/program", early.events) is made[0]
    assert found.start("/program", early.events) is made[2]
