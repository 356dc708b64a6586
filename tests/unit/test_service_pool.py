"""Workers of this machine: warmed before it is known what they load, and each is told once."""

from types import SimpleNamespace

import pytest

from heclstm.program.files import save_program
from heclstm.service.workers import messages, pool
from heclstm.service.workers.pool import Early, LocalPool, start_early
from tiny_program import tiny_program


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
    assert all(each.sent == [messages.Load("/program", 3, "folder", "/state", 1 << 29)] for each in made)
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


@pytest.mark.parametrize("granted", [True, False])
def test_what_was_granted_at_once_is_prepared_without_being_told(tmp_path, granted):
    """The real one. It says once that it is ready, also where it is told afterwards, and maps what it kept."""
    save_program(tiny_program(), tmp_path / "program")
    heard = Early().events
    worker = pool.LocalWorker(heard)
    folder = str(tmp_path / "program")
    worker.send(messages.Load(folder, 1, "folder", str(tmp_path), 1 << 40 if granted else 1))
    assert isinstance(heard.get(timeout=60)[1], messages.Loaded)
    if not granted:
        worker.send(messages.Prepare())
    ready = heard.get(timeout=60)[1]
    assert isinstance(ready, messages.Ready)
    assert ready.shared_bytes > 0
    for _ in range(2):
        worker.send(messages.Prepare())
    worker.send(messages.Task(1, "keys/none", b""))
    assert isinstance(heard.get(timeout=60)[1], messages.Failed)
    worker._child.process.stdin.close()
    assert heard.get(timeout=60) == (worker, None)


def test_a_warmed_process_that_ended_is_not_handed_out(local):
    """Nobody would hear that it did."""
    found, made = local
    early = Early()
    found.warm(early.events)
    made[1].ended = True
    assert found.start("/program", early.events) is made[0]
    assert found.start("/program", early.events) is made[2]
