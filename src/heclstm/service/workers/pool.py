"""Where workers run. A pool starts one for a program; what it says comes as events, and its end as None."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Protocol

from heclstm.backend.machine import cores, memory_bytes
from heclstm.service.config import Config
from heclstm.service.workers import messages
from heclstm.service.workers.channel import Child

MEMORY_UNKNOWN = 8 << 30  # of a system that does not tell


class Worker(Protocol):
    """shares_pages: whether it maps the same files as the other workers of its pool, on one machine."""

    name: str
    shares_pages: bool

    def send(self, message: messages.Message) -> None:
        """Does not wait. That it is gone comes as an event."""
        ...

    def kill(self) -> None: ...


Event = tuple[Worker, messages.Any | None]
Events = queue.SimpleQueue[Event | None]  # None only wakes the reader


class Pool(Protocol):
    @property
    def size(self) -> int:
        """How many workers may run at once."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Of all of them together."""
        ...

    @property
    def largest_bytes(self) -> int:
        """That one worker may take, with one key set."""
        ...

    def warm(self, events: Events) -> None:
        """Begin what takes the longest before it is known which program a worker shall load."""
        ...

    def start(self, folder: str, events: Events) -> Worker: ...

    def close(self) -> None: ...


class LocalWorker:
    shares_pages = True

    def __init__(self, events: Events) -> None:
        self._child = Child("heclstm.service.workers.process", [], lambda message: events.put((self, message)))
        self.name = str(self._child.pid)
        self.send: Callable[[messages.Message], None] = self._child.send
        self.kill = self._child.kill

    @property
    def ended(self) -> bool:
        return self._child.process.poll() is not None


class LocalPool:
    """Processes of this machine."""

    def __init__(self, config: Config, count: int) -> None:
        self.size = count
        self.memory_bytes = self.largest_bytes = config.evaluation.memory_bytes or int(0.8 * machine_memory())
        threads = config.evaluation.threads or max(1, cores() // count)
        self._threads, self._blobs, self._state = threads, config.blobs, config.state
        self._warm: list[LocalWorker] = []

    def warm(self, events: Events) -> None:
        self._warm = [LocalWorker(events) for _ in range(self.size)]

    def start(self, folder: str, events: Events) -> Worker:
        while self._warm and self._warm[-1].ended:  # nobody heard of it: it had no program yet
            self._warm.pop()
        at_once = self.memory_bytes // self.size if self._warm else 0  # nobody has anything yet who could share it
        worker = self._warm.pop() if self._warm else LocalWorker(events)
        worker.send(messages.Load(folder, self._threads, self._blobs, self._state, at_once))
        return worker

    def close(self) -> None:
        """Nothing is left: workers end with their server."""


@dataclass
class Early:
    """Workers that were started before there was a dispatcher: they load while the server still imports itself.

    workers: with the program of each.
    """

    events: Events = field(default_factory=Events)
    workers: list[tuple[str, Worker]] = field(default_factory=list)


def start_early(pool: Pool, folders: dict[str, str], early: Early | None = None) -> Early:
    """As many as there may be, the programs in turn. folders: of the programs that are offered, by digest.

    early: whose events the pool was warmed with.
    """
    early = early or Early()
    for program in islice(cycle(folders), pool.size if folders else 0):
        early.workers.append((program, pool.start(folders[program], early.events)))
    return early


def open_pool(config: Config) -> Pool:
    if isinstance(config.workers, int):
        return LocalPool(config, config.workers)
    from heclstm.service.workers.ray_pool import RayPool

    return RayPool(config, config.workers)


def machine_memory() -> int:
    """Of this machine, or of the container that this process is in, in bytes."""
    return memory_bytes() or MEMORY_UNKNOWN
