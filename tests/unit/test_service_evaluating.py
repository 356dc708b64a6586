"""A worker's key sets, with an engine that only pretends: opened, closed and erased while it evaluates."""

import os
import threading
from types import SimpleNamespace

import pytest

from heclstm.errors import FileFormatError, HandleError
from heclstm.service.blobs import FsspecBlobs
from heclstm.service.workers import evaluating
from heclstm.service.workers.evaluating import EvaluatingWorker
from heclstm.service.workers.messages import Failed, Result, Task


class Keys:
    closed = False

    def rest(self):
        if self.closed:
            raise HandleError("KeySet: it is closed")

    def close(self):
        self.closed = True


class Engine:
    """opened: every key set that there was."""

    program_bytes, key_bytes, shared_bytes = 1, 1, 0

    def __init__(self):
        self.opened, self.meanwhile = [], lambda: None

    def open_keys(self, path):
        if path.read_bytes() != b"keys":
            raise FileFormatError(f"{path}: is no heclstm file")
        self.meanwhile()
        self.opened.append(Keys())
        return self.opened[-1]

    def evaluate(self, query, keys, on_progress, cancel):
        if keys.closed:
            raise HandleError("KeySet: it is closed")
        return b"result"


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """It keeps copies of two key sets, a and b."""
    engine = Engine()
    monkeypatch.setattr(evaluating, "Evaluator", lambda *_: engine)
    blobs = FsspecBlobs(f"memory://{tmp_path.name}", tmp_path / "cache")
    for name in "ab":
        blobs.put(f"keys/{name}", b"keys")
    made = EvaluatingWorker(tmp_path, 1, blobs)
    return SimpleNamespace(
        engine=engine,
        blobs=blobs,
        made=made,
        close=made.close_keys,
        evaluate=lambda name, close=(): made.evaluate(Task(1, name, b"query", close), lambda _: None),
    )


def test_what_makes_room_stays_at_hand_and_what_is_erased_does_not(worker):
    """Names of keys are the same in all messages: closing them did nothing while one had a prefix."""
    assert isinstance(worker.evaluate("a"), Result)
    assert isinstance(worker.evaluate("b", close=("a",)), Result)
    first, second = worker.engine.opened
    assert first.closed
    assert sorted(worker.blobs.copies()) == ["keys/a", "keys/b"]
    worker.close(("a", "b", "unknown"), erased=True)
    assert second.closed
    assert worker.blobs.copies() == []


def test_keys_that_are_erased_while_they_are_brought_here(worker):
    worker.engine.meanwhile = lambda: worker.close(("a",), erased=True)
    assert isinstance(worker.evaluate("a"), Failed)
    (opened,) = worker.engine.opened
    assert opened.closed
    assert worker.blobs.copies() == []


def test_a_copy_that_is_damaged_is_brought_anew_once(worker):
    """After a power cut: all queries of that tenant failed there, for good."""
    worker.blobs.local("keys/a").write_bytes(b"\0\0\0\0")
    assert isinstance(worker.evaluate("a"), Result)
    assert worker.blobs.local("keys/a").read_bytes() == b"keys"
    worker.blobs.put("keys/b", b"\0\0\0\0")
    answer = worker.evaluate("b")
    assert (type(answer), answer.code, answer.again) == (Failed, "damaged", False)


def test_a_copy_is_on_disk_before_it_has_its_name(worker, monkeypatch):
    synced = []

    def sync(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        assert worker.blobs.copies() == []

    monkeypatch.setattr(os, "fsync", sync)
    assert [worker.blobs.local("keys/a").stat().st_ino] == synced


class Raced(dict):
    """Whatever is found or kept in it, another thread closes it at once."""

    def __init__(self, close):
        self.close = close

    def __contains__(self, name):
        return self._then(name, super().__contains__(name))

    def get(self, name, default=None):
        return self._then(name, super().get(name, default))

    def __setitem__(self, name, keys):
        self._then(name, super().__setitem__(name, keys))

    def _then(self, name, found):
        thread = threading.Thread(target=self.close, args=((name,),))
        thread.start()
        thread.join()
        return found


def test_keys_that_another_thread_closes_at_the_worst_moment(worker):
    """The worker answers, and goes on: KeyError was none of its errors, and ended it."""
    worker.made._keys = Raced(worker.close)
    answer = worker.evaluate("a")
    assert (type(answer), answer.code, answer.again) == (Failed, "evaluation-failed", True)
    worker.made._keys = {}
    assert isinstance(worker.evaluate("a"), Result)
