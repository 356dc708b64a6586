"""The server's end of an actor, with a Ray that only pretends: when it begins, where there is no room, how it ends."""

import sys
import threading
from queue import Empty
from types import SimpleNamespace

import msgspec
import pytest

from heclstm.program.files import save_program
from heclstm.service.blobs import FsspecBlobs
from heclstm.service.workers import ray_pool
from heclstm.service.workers.messages import Any, CloseKeys, Failed, Loaded, Prepare, Ready, Task
from heclstm.service.workers.pool import Events
from heclstm.service.workers.ray_pool import Actor, RayPool, RayWorker
from tiny_program import tiny_program

ENCODE = msgspec.msgpack.encode


class Reference:
    """To what a method of an actor will return."""

    def __init__(self, value=None):
        self.value, self.there = value, threading.Event()
        if value is not None:
            self.there.set()

    def end(self, value):
        self.value = value
        self.there.set()


class Ray:
    def __init__(self):
        self.killed = []

    def wait(self, references, timeout):
        return (references, []) if references[0].there.wait(timeout) else ([], references)

    def get(self, reference):
        if isinstance(reference.value, Exception):
            raise reference.value
        return reference.value

    def kill(self, actor):
        self.killed.append(actor)


@pytest.fixture
def world(monkeypatch):
    """A worker and what it takes; actors that are started with the bytes asked for, and how they answer."""
    monkeypatch.setattr(ray_pool, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(ray_pool, "PLACE_SECONDS", 0.05)
    here = SimpleNamespace(ray=Ray(), needs=Reference(), started=[], called=[], events=Events())
    here.answers = {name: Reference() for name in ("placed", "prepare", "evaluate", "progress")}

    def method(name):
        def call(*arguments):
            here.called.append((name, *arguments))
            return here.answers.get(name)

        return SimpleNamespace(remote=call)

    here.actor = SimpleNamespace(**{name: method(name) for name in (*here.answers, "close_keys", "cancel")})

    def start(count):
        here.started.append(count)
        return here.actor

    here.worker = RayWorker(here.ray, here.needs, start, "one", here.events)
    here.heard = lambda: here.events.get(timeout=10)[1]
    return here


def test_an_actor_begins_when_its_memory_is_granted_and_asks_for_as_much(world):
    world.worker.send(CloseKeys(("k",), erased=True))  # nobody has them yet
    world.needs.end(ENCODE(Loaded(100, 10)))
    assert world.heard() == Loaded(100, 10)
    assert world.started == []
    world.answers["placed"].end("there")
    world.answers["prepare"].end(ENCODE(Ready(1.0)))
    world.worker.send(Prepare())
    assert world.heard() == Ready(1.0)
    assert world.started == [110]
    world.worker.send(CloseKeys(("k",), erased=True))
    assert ("close_keys", ("k",), True) in world.called
    world.worker.send(Task(1, "k", b"query"))
    world.answers["evaluate"].end(RuntimeError("its node died"))
    assert world.heard() is None
    world.worker.kill()
    assert world.events.empty()  # its end is told once


def test_a_program_that_takes_long_to_load_is_no_lack_of_room(world):
    """Its actor was there; it was ended and started for ever."""
    world.needs.end(ENCODE(Loaded(100, 10)))
    world.heard()
    world.answers["placed"].end("there")
    world.worker.send(Prepare())
    with pytest.raises(Empty):
        world.events.get(timeout=4 * ray_pool.PLACE_SECONDS)
    world.answers["prepare"].end(ENCODE(Ready(9.0)))
    assert world.heard() == Ready(9.0)


def test_an_actor_is_there_before_it_loads(tmp_path, monkeypatch):
    """And erases what others erase meanwhile."""
    save_program(tiny_program(), tmp_path / "program")
    blobs = FsspecBlobs(f"memory://{tmp_path.name}", tmp_path / "cache")
    monkeypatch.setattr(ray_pool, "open_blobs", lambda *_: blobs)
    made, real = [], ray_pool.EvaluatingWorker
    monkeypatch.setattr(ray_pool, "EvaluatingWorker", lambda *given: made.append(real(*given)) or made[-1])
    actor = Actor(str(tmp_path / "program"), 1, "folder", str(tmp_path), 3600.0)
    assert actor.placed() is None
    assert made == []
    blobs.put("keys/k", b"content")
    blobs.local("keys/k")
    actor.cancel(1)
    actor.close_keys(("k",), False)
    assert blobs.copies() == ["keys/k"]
    actor.close_keys(("k",), True)
    assert blobs.copies() == []
    ready = msgspec.msgpack.decode(actor.prepare(), type=Any)
    assert isinstance(ready, Ready)
    assert ready.shared_bytes == 0
    (worker,) = made
    closed = []
    monkeypatch.setattr(worker, "close_keys", lambda names, erased=False: closed.append((names, erased)))
    actor.close_keys(("k",), True)
    assert closed == [(("k",), True)]
    assert isinstance(msgspec.msgpack.decode(actor.evaluate(ENCODE(Task(1, "k", b""))), type=Any), Failed)


def test_where_no_node_has_room_somebody_hears_of_it(world):
    world.needs.end(ENCODE(Loaded(100, 10)))
    world.heard()
    world.worker.send(Prepare())
    message = world.heard()
    assert isinstance(message, Failed)
    assert message.again
    assert not [name for name, *_ in world.called if name == "prepare"]
    world.worker.kill()
    assert world.heard() is None
    assert world.ray.killed == [world.actor]


def test_one_that_is_not_wanted_any_more_starts_nothing(world):
    world.worker.kill()
    assert world.heard() is None
    assert world.started == world.ray.killed == []


def test_a_program_that_no_node_can_read_ends_it(world):
    world.needs.end(FileNotFoundError("circuit.json"))
    assert world.heard() is None


def test_a_ray_that_is_cut_off_is_nobodys_business_but_the_dispatchers(world):
    """Whoever deletes keys, or sweeps, sends to all workers: what Ray raised was theirs."""
    world.needs.end(ENCODE(Loaded(100, 10)))
    world.heard()
    world.worker.send(Prepare())

    def cut_off(*_):
        raise ConnectionError("Client is shutting down")

    world.actor.close_keys.remote = world.ray.kill = cut_off
    world.answers["placed"].end("there")
    world.answers["prepare"].end(ENCODE(Ready(1.0)))
    assert world.heard() == Ready(1.0)
    for _ in range(2):
        world.worker.send(CloseKeys(("k",), erased=True))
        world.worker.kill()
    assert world.heard() is None
    assert world.events.empty()


@pytest.mark.parametrize(("bound", "largest"), [(None, 64), (20, 20)])
def test_the_largest_node_counts_while_it_restarts(monkeypatch, bound, largest):
    """A query that came meanwhile failed for good."""
    nodes = [{"Resources": {"memory": size}, "Alive": True} for size in (8.0, 64.0, 8.0)]
    ray = SimpleNamespace(
        init=lambda **_: None, remote=lambda _: SimpleNamespace(options=lambda **_: None), nodes=lambda: nodes,
        cluster_resources=lambda: {"memory": sum(each["Resources"]["memory"] for each in nodes if each["Alive"])},
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "ray", ray)
    config = SimpleNamespace(
        evaluation=SimpleNamespace(threads=1, memory_bytes=bound), blobs="folder", state="/state",
        retention=SimpleNamespace(sweep_seconds=1.0),
    )  # fmt: skip
    pool = RayPool(config, "ray://auto")
    assert pool.largest_bytes == largest
    nodes[1]["Alive"] = False
    assert pool.largest_bytes == largest
    assert pool.memory_bytes == (bound or 16)
