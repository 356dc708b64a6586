"""Frames of MessagePack on a pair of streams: no pickle, even between our own processes."""

from __future__ import annotations

import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO

import msgspec

from heclstm.service.workers import messages

_LENGTH = struct.Struct("<I")
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[messages.Any] = msgspec.msgpack.Decoder(messages.Any)


class Channel:
    """Any thread may send; one receives."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self._reader, self._writer = reader, writer
        self._lock = threading.Lock()

    def send(self, message: messages.Message) -> bool:
        """False if the other side is gone."""
        frame = _ENCODER.encode(message)
        try:
            with self._lock:
                self._writer.write(_LENGTH.pack(len(frame)) + frame)
                self._writer.flush()
        except (OSError, ValueError):  # a ValueError is a closed stream
            return False
        return True

    def receive(self) -> messages.Any | None:
        """The next message; None when the other side is gone."""
        try:
            head = self._reader.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                return None
            (length,) = _LENGTH.unpack(head)
            frame = self._reader.read(length)
        except (OSError, ValueError):
            return None
        return _DECODER.decode(frame) if len(frame) == length else None


class Child:
    """A child process that runs a module of ours, and the thread that hears it.

    on_message gets its messages, and None when it has ended; both in that thread. beside: in the server's session, as
    Linux weighs niceness within a session only.
    """

    def __init__(
        self,
        module: str,
        arguments: list[str],
        on_message: Callable[[messages.Any | None], None],
        *,
        beside: bool = False,
    ) -> None:
        command = [sys.executable, "-m", module, *arguments]
        # Of another process group: Ctrl-C in the terminal is for the server, which then drains its workers.
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=not beside,
            process_group=0 if beside else None,
            env=_environment(),
        )
        assert self.process.stdin
        assert self.process.stdout
        self.channel = Channel(self.process.stdout, self.process.stdin)
        self._on_message = on_message
        self._outbox: queue.SimpleQueue[messages.Message | None] = queue.SimpleQueue()
        threading.Thread(target=self._hear, name=f"hears {self.process.pid}", daemon=True).start()
        threading.Thread(target=self._tell, name=f"tells {self.process.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, message: messages.Message) -> None:
        """Never waits, even for a child that does not listen. Whether it is gone is heard, not told here."""
        self._outbox.put(message)

    def kill(self) -> None:
        self.process.kill()

    def _tell(self) -> None:
        while (message := self._outbox.get()) is not None and self.channel.send(message):
            continue

    def _hear(self) -> None:
        while (message := self.channel.receive()) is not None:
            self._on_message(message)
        self.process.kill()  # it closed its output: whatever it still does, nobody hears it
        self.process.wait()
        self._outbox.put(None)
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                try:
                    stream.close()
                except OSError:
                    continue  # what was still to be sent has no reader any more
        self._on_message(None)


def own_channel() -> Channel:
    """In a child: the channel to the server. What is printed by mistake goes to stderr from now on."""
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return Channel(reader, writer)


def _environment() -> dict[str, str]:
    """A child finds this very heclstm, and keeps its numerical libraries from starting threads of their own."""
    path = os.pathsep.join(each for each in sys.path if each)
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**single, **os.environ, "PYTHONPATH": path}
