"""A server on this machine, as an operator sets one up: certificates, a configuration, a token, `heclstm serve`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import heclstm
from heclstm.errors import HeclstmError
from heclstm.storage.atomic import save_file
from heclstm.usecases.certificates import AUTHORITY, SERVER, SERVER_KEY, make_certificates
from heclstm.usecases.memory import peak_memory_below

HOST = "127.0.0.1"
CONFIG, LOG = "service.toml", "server.log"
STOP_SECONDS = 30
LOG_LINES = 5  # of its end, in an error


@dataclass(repr=False)
class LocalServer:
    """folder: all that the server has; `program` lies there before it starts. peak_memory: once it has
    ended, of its largest process, where the system tells."""

    folder: Path
    url: str
    token: str
    authority: Path
    process: subprocess.Popen[bytes]
    peak_memory: int | None = None

    def require_alive(self) -> None:
        """Raise HeclstmError if it has ended, with the end of its log."""
        if self.process.poll() is not None:
            raise HeclstmError(f"demo: the server stopped with exit code {self.process.returncode}: {self._told()}")

    def _told(self) -> str:
        return " | ".join((self.folder / LOG).read_text(errors="replace").splitlines()[-LOG_LINES:])


@contextmanager
def local_server(folder: Path, tenant: str, threads: int | None) -> Iterator[LocalServer]:
    """Runs while the block does. Raises HeclstmError if the server's extra is not installed."""
    make_certificates(folder, [HOST, "localhost"])
    port = _free_port()
    save_file(folder / CONFIG, _config(port, threads))
    token = json.loads(_verb(folder, "token", "create", CONFIG, tenant, "--json"))["token"]
    with (folder / LOG).open("wb") as log:
        command = [sys.executable, "-m", "heclstm.cli", "serve", CONFIG]
        process = subprocess.Popen(command, cwd=folder, env=_environment(), stdout=log, stderr=log)
    server = LocalServer(folder, f"https://{HOST}:{port}", token, folder / AUTHORITY, process)
    try:
        yield server
    except HeclstmError:
        server.require_alive()  # that it died is the better explanation
        raise
    finally:
        server.peak_memory = peak_memory_below(process.pid)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _config(port: int, threads: int | None) -> str:
    lines = ['state = "state"', f'listen = "{HOST}:{port}"', "", "[[programs]]", 'folder = "program"', ""]
    lines += ["[tls]", f'certificate = "{SERVER}"', f'key = "{SERVER_KEY}"']
    return "\n".join(lines + (["", "[evaluation]", f"threads = {threads}"] if threads else [])) + "\n"


def _verb(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "heclstm.cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise HeclstmError(f"demo: {done.stderr.strip().removeprefix('heclstm: ') or 'the server cannot be set up'}")
    return done.stdout


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(heclstm.__file__).resolve().parents[1])}


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as found:
        port: int = found.getsockname()[1]
        return port
