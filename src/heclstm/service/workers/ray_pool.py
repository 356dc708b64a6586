"""Workers on a Ray cluster: one actor each, wherever Ray has room. Queries and results travel through Ray's store; the
expanded keys are read from the blob store, which every node must reach. Ray lives here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from heclstm.errors import ConfigError
from heclstm.service.blobs import open_blobs
from heclstm.service.config import Config
from heclstm.service.evaluation import Evaluator
from heclstm.service.logs import log
from heclstm.service.workers import messages
from heclstm.service.workers.evaluating import EvaluatingWorker
from heclstm.service.workers.messages import Cancel, CloseKeys, Failed, Loaded, Prepare, Progress, Task
from heclstm.service.workers.pool import Events, machine_memory

POLL_SECONDS = 0.25
PLACE_SECONDS = 60.0  # after which a node with room is not waited for: another worker may make way
_ENCODE = msgspec.msgpack.encode
_DECODER: msgspec.msgpack.Decoder[messages.Any] = msgspec.msgpack.Decoder(messages.Any)


class Actor:
    """On a node of the cluster. Messages travel as bytes, so that nothing of ours is pickled but those.

    It is there as soon as a node has room for it, and loads its program when it is told to prepare.
    """

    def __init__(self, folder: str, threads: int, blobs: str, state: str, sweep_seconds: float) -> None:
        self._blobs, self._sweep_seconds = open_blobs(blobs, Path(state)), sweep_seconds
        self._folder, self._threads = Path(folder), threads
        self._worker: EvaluatingWorker | None = None
        self._progress: Progress | None = None
        threading.Thread(target=self._keep_sweeping, name="sweeps", daemon=True).start()

    def placed(self) -> None:
        """A node has room for it."""

    def prepare(self) -> bytes:
        self._worker = EvaluatingWorker(self._folder, self._threads, self._blobs)
        return _ENCODE(structs.replace(self._worker.prepare(), shared_bytes=0))  # actors may be on several machines

    def evaluate(self, task: bytes) -> bytes:
        message = _DECODER.decode(task)
        assert isinstance(message, Task)
        assert self._worker
        return _ENCODE(self._worker.evaluate(message, self._tell))

    def progress(self) -> bytes | None:
        told, self._progress = self._progress, None
        return _ENCODE(told) if told else None

    def cancel(self, evaluation: int) -> None:
        if self._worker:
            self._worker.cancel(evaluation)

    def close_keys(self, names: tuple[str, ...], erased: bool) -> None:
        if self._worker:
            self._worker.close_keys(names, erased=erased)
        elif erased:  # it has opened none
            for name in names:
                self._blobs.forget(f"keys/{name}")

    def _tell(self, progress: Progress) -> None:
        self._progress = progress

    def _keep_sweeping(self) -> None:
        """Copies of keys that were erased while no actor of this node could hear of it."""
        while True:
            try:
                self._blobs.forget_erased()
            except OSError as error:
                log("ray").warning("the cache was not swept; it is tried again", error=type(error).__name__)
            time.sleep(self._sweep_seconds)


def needs(folder: str, threads: int) -> bytes:
    """What a worker of this program will say that it takes; on a node, which has the folder."""
    evaluator = Evaluator(Path(folder), threads)
    return _ENCODE(Loaded(evaluator.program_bytes, evaluator.key_bytes))


class RayWorker:
    """The server's end of an actor, which there is once its memory is granted: Ray finds a node with so much free.

    needs: will be a Loaded. start: makes the actor, for which it is told the bytes.
    """

    shares_pages = False  # which actors are on one node is Ray's business

    def __init__(self, ray: Any, needs: Any, start: Callable[[int], Any], name: str, events: Events) -> None:
        self._ray, self._start, self.name, self._events = ray, start, name, events
        self._actor: Any = None
        self._bytes, self._ended, self._lock = 0, False, threading.Lock()
        self._watch(needs)

    def send(self, message: messages.Message) -> None:
        try:
            self._send(message)
        except Exception as error:  # Ray itself is gone; who sends need not know
            self._end(error)

    def _send(self, message: messages.Message) -> None:
        match message:
            case Prepare():
                self._actor = self._start(self._bytes)
                self._thread(self._place)
            case _ if self._actor is None:
                return  # nothing is open yet
            case Task():
                self._watch(self._actor.evaluate.remote(_ENCODE(message)))
            case Cancel(evaluation):
                self._actor.cancel.remote(evaluation)
            case CloseKeys(keys, erased):
                self._actor.close_keys.remote(keys, erased)

    def kill(self) -> None:
        if self._actor is not None:
            with suppress(Exception):  # it ends with Ray
                self._ray.kill(self._actor)
        self._end()

    def _place(self) -> None:
        """Ray waits for a node with room as long as it takes; whoever waits for us does not."""
        try:
            if self._ray.wait([self._actor.placed.remote()], timeout=PLACE_SECONDS)[0]:
                self._watch(self._actor.prepare.remote())
                return
        except Exception as error:
            self._end(error)
            return
        log("ray").warning("no node has room for a worker", worker=self.name, needed_bytes=self._bytes)
        self._events.put((self, Failed(0, "too-large-for-server", "no node has room for a worker", again=True)))

    def _watch(self, reference: Any) -> None:
        self._thread(self._wait, reference)

    def _thread(self, work: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, name=f"waits for {self.name}", daemon=True).start()

    def _wait(self, reference: Any) -> None:
        try:
            while not self._ray.wait([reference], timeout=POLL_SECONDS)[0]:
                if self._actor is None:
                    continue
                progress = self._actor.progress.remote()
                if self._ray.wait([progress], timeout=POLL_SECONDS)[0] and (told := self._ray.get(progress)):
                    self._events.put((self, _DECODER.decode(told)))
            message = _DECODER.decode(self._ray.get(reference))
        except Exception as error:  # its node or process is gone, or Ray itself: the same to us
            self._end(error)
            return
        if isinstance(message, Loaded):
            self._bytes = message.program_bytes + message.key_bytes
        self._events.put((self, message))

    def _end(self, error: Exception | None = None) -> None:
        if error:
            log("ray").error("an actor is gone", worker=self.name, error=type(error).__name__)
        with self._lock:
            ended, self._ended = self._ended, True
        if not ended:
            self._events.put((self, None))


class RayPool:
    """address: ray://HOST:PORT of a cluster's head, ray://auto for the cluster of this machine."""

    def __init__(self, config: Config, address: str) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError("workers: a ray:// address needs Ray; pip install 'heclstm[ray]'") from error
        self._ray: Any = ray
        where = "auto" if address == "ray://auto" else address
        ray.init(
            address=where,
            ignore_reinit_error=True,
            log_to_driver=False,
            namespace="heclstm",
            logging_level=logging.ERROR,
        )
        self._threads = config.evaluation.threads or 1
        self._actor, self._needs = ray.remote(Actor), ray.remote(needs).options(num_cpus=0)
        self._arguments = (self._threads, config.blobs, config.state, config.retention.sweep_seconds)
        self._count = 0
        self._memory = config.evaluation.memory_bytes
        self._largest = 0

    @property
    def size(self) -> int:
        """As many as the nodes that live have cores for."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)) // self._threads)

    @property
    def memory_bytes(self) -> int:
        return self._memory or int(self._ray.cluster_resources().get("memory", machine_memory()))

    @property
    def largest_bytes(self) -> int:
        """Of the largest node that there was: one that restarts comes back, and what needs it waits meanwhile."""
        nodes = [node["Resources"].get("memory", 0) for node in self._ray.nodes() if node["Alive"]]
        self._largest = max(self._largest, int(max(nodes, default=0)))
        return min(self._memory or self._largest, self._largest) or self.memory_bytes

    def warm(self, events: Events) -> None:
        """Nothing to begin: an actor starts where Ray has room, with its program."""

    def start(self, folder: str, events: Events) -> RayWorker:
        self._count += 1
        arguments, options = self._arguments, {"num_cpus": self._threads, "max_concurrency": 4, "max_restarts": 0}

        def start(count: int) -> Any:
            return self._actor.options(**options, memory=count).remote(folder, *arguments)

        return RayWorker(self._ray, self._needs.remote(folder, self._threads), start, f"ray {self._count}", events)

    def close(self) -> None:
        self._ray.shutdown()
