"""Decoding by a library that a damaged file makes crash, in a process of its own: GDCM ends whoever it works for.

The process is started when it is first needed, stays for the next file, and ends with this one. It gets one file at a
time on its standard input, and gives back its frames, or what was wrong, on its standard output.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from heclstm.data.dicom.library import decoded, read_whole
from heclstm.data.sources import Source
from heclstm.errors import FileFormatError, HeclstmError

CRASHES = ("gdcm",)  # decoders that end their process
SECONDS_MAX = 300.0  # for one file
NAME = "file"


class Decoder:
    """One process for all threads, which wait for each other."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)

    def frames(self, source: Source, plugin: str, *, unused_bits: bool) -> list[NDArray[Any]]:
        """As `library.decoded`, all of them at once: nobody waits for who stops half-way. Raises FileFormatError also
        where the decoder broke.
        """
        with self._lock:
            process = self._started()
            timer = threading.Timer(SECONDS_MAX, process.kill)
            timer.start()
            done = False
            frames: list[NDArray[Any]] = []
            try:
                _send(process.stdin, {"plugin": plugin, "unused_bits": unused_bits}, source.read())
                while (told := _received(process.stdout)) is not None:
                    facts, content = told
                    if "error" in facts:
                        raise FileFormatError(f"{source}{facts['error']}")
                    if "shape" not in facts:
                        done = True
                        return frames
                    frames.append(np.frombuffer(content, facts["dtype"]).reshape(facts["shape"]))
                raise FileFormatError(f"{source}: no image: its pixels cannot be decoded: they break the decoder")
            except (OSError, ValueError) as error:
                raise FileFormatError(
                    f"{source}: no image: its pixels cannot be decoded: they break the decoder"
                ) from error
            finally:
                timer.cancel()
                if not done:
                    self._end()  # what it would still say belongs to no other file

    def close(self) -> None:
        self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            command = [sys.executable, "-m", "heclstm.data.dicom.apart"]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment
            )
        return self._process

    def _end(self) -> None:
        if (process := self._process) is None:
            return
        self._process = None
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):  # what was not flushed goes nowhere
                    stream.close()
        process.wait()


def _send(stream: IO[bytes] | None, facts: dict[str, Any], content: bytes | memoryview = b"") -> None:
    assert stream is not None
    stream.write(json.dumps({**facts, "bytes": len(content)}).encode() + b"\n")
    stream.write(content)
    stream.flush()


def _received(stream: IO[bytes] | None) -> tuple[dict[str, Any], bytes] | None:
    """None where nothing comes any more."""
    assert stream is not None
    if not (line := stream.readline()).endswith(b"\n"):
        return None
    facts: dict[str, Any] = json.loads(line)
    content = stream.read(facts["bytes"])
    return (facts, content) if len(content) == facts["bytes"] else None


def _serve(wanted: IO[bytes], given: IO[bytes]) -> None:
    """The other process: file after file, until there is none."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold pixels
    while (told := _received(wanted)) is not None:
        facts, content = told
        source = Source(Path(NAME), content=content)
        try:
            for frame in decoded(source, read_whole(source), facts["plugin"], unused_bits=facts["unused_bits"]):
                plain = np.ascontiguousarray(frame)
                _send(given, {"shape": plain.shape, "dtype": plain.dtype.str}, plain.tobytes())
            _send(given, {})
        except HeclstmError as error:
            _send(given, {"error": str(error).removeprefix(NAME)})


DECODER = Decoder()

if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
