"""The child that reads uploads of keys: each blob is checked and expanded while the next ones are still on their way.

`python -m heclstm.service.workers.intake COUNT`, COUNT uploads at once. The native engine reads what strangers sent
here and not in the server's own process.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from heclstm.backend.machine import cores
from heclstm.errors import HeclstmError, OutputError, ResourceError
from heclstm.program.public import load_card
from heclstm.service.evaluation import expand
from heclstm.service.logs import log, set_up
from heclstm.service.problems import Problem, problem_of, storage_full
from heclstm.service.workers.channel import Channel, own_channel
from heclstm.service.workers.messages import Begin, Drop, Expanded, Message, More, Paused, Refused
from heclstm.storage.container import Kind, received

IDLE_SECONDS = 60.0
THREADS = cores()


class Idle(Exception):
    """Nothing came for a while, or the upload was dropped."""


class Growing:
    """A file that is still being written, as a stream that waits for what is not there yet."""

    def __init__(self, path: Path, idle_seconds: float = IDLE_SECONDS) -> None:
        self.name = "upload"
        self._file = path.open("rb")
        self._size, self._last, self._dropped = 0, False, False
        self._idle_seconds = idle_seconds
        self._changed = threading.Condition()

    def grown(self, size: int, last: bool) -> None:
        with self._changed:
            self._size, self._last = max(self._size, size), self._last or last
            self._changed.notify_all()

    def drop(self) -> None:
        with self._changed:
            self._dropped = True
            self._changed.notify_all()

    def read(self, count: int = -1, /) -> bytes:
        with self._changed:
            there = self._changed.wait_for(self._ready, self._idle_seconds)
            if self._dropped or not there:
                raise Idle
            free = self._size - self._file.tell()
        return self._file.read(min(count, free) if count >= 0 else free)

    @property
    def arriving(self) -> bool:
        return not self._last

    def close(self) -> None:
        self._file.close()

    def _ready(self) -> bool:
        return self._dropped or self._last or self._size > self._file.tell()


class Intake:
    """tell: sends to the server. slots: how many uploads are expanded at once; the others wait on disk."""

    def __init__(self, tell: Callable[[Message], object], count: int) -> None:
        self._tell = tell
        self._slots = threading.Semaphore(count)
        self._growing: dict[str, Growing] = {}

    def handle(self, message: Message) -> None:
        match message:
            case Begin():
                try:
                    begun = self._growing[message.upload] = Growing(Path(message.source))
                except OSError as error:
                    self._tell(Refused(message.upload, "internal", f"upload: cannot be read ({error.strerror})"))
                    return
                threading.Thread(target=self._work, args=(message, begun), daemon=True).start()
            case More(upload, size, last):
                if growing := self._growing.get(upload):
                    growing.grown(size, last)
            case Drop(upload):
                if growing := self._growing.get(upload):
                    growing.drop()

    def _work(self, begin: Begin, growing: Growing) -> None:
        with self._slots:
            answer = self._answer(begin, growing)
        if self._growing.get(begin.upload) is growing:  # it may have been begun anew
            del self._growing[begin.upload]
        growing.close()
        self._tell(answer)

    def _answer(self, begin: Begin, growing: Growing) -> Message:
        try:
            card = load_card(Path(begin.program))
            with received(growing, Kind.EVALUATION_KEYS) as message:  # type: ignore[arg-type]
                expand(card, begin.label, message, Path(begin.target), THREADS, lambda: growing.arriving)
            return Expanded(begin.upload)
        except Idle:
            return Paused(begin.upload)
        except (HeclstmError, OSError, MemoryError) as error:
            if storage_full(error) or isinstance(error, OutputError | MemoryError | ResourceError):
                return Refused(begin.upload, "storage-full", "keys: the server has no disk space or memory left")
            try:
                problem = problem_of(error)
            except Exception as unexpected:
                log("intake").exception("upload failed", upload=begin.upload, error=type(unexpected).__name__)
                problem = Problem("internal", "keys: could not be taken in; send them again")
            return Refused(begin.upload, problem.code, problem.detail)
        except Exception as unexpected:  # whatever it is, who waits must hear of it
            log("intake").exception("upload failed", upload=begin.upload, error=type(unexpected).__name__)
            return Refused(begin.upload, "internal", "keys: could not be taken in; send them again")


def main(count: str) -> None:
    channel: Channel = own_channel()
    set_up()
    intake = Intake(channel.send, int(count))
    while (message := channel.receive()) is not None:
        intake.handle(message)
    os._exit(0)  # the server is gone; threads may still be expanding


if __name__ == "__main__":
    main(*sys.argv[1:])
