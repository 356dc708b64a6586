"""A hospital and a running server for the tests: keys and queries on a small insecure ring, a client over real TLS."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil

from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE
from heclstm.program.files import load_card
from heclstm.service.config import load_config
from heclstm.service.database.connection import Database
from heclstm.service.database.migrate import upgrade
from heclstm.service.database.tenants import Tenants
from heclstm.storage.container import read_header
from service import described

START_SECONDS = 60
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
}  # the heclstm of these tests


@dataclass
class Hospital:
    """One secret key for one program, its files, and a few queries with what they should score."""

    folder: Path
    program: Path
    queries: list[bytes] = field(default_factory=list)

    def __post_init__(self):
        self.client = Client(load_card(self.program), allow_insecure=True, threads=1)
        self.folder.mkdir(parents=True)
        self.client.generate_keys(self.folder)
        self.keys = (self.folder / EVALUATION_KEYS_FILE).read_bytes()
        self.secret = self.folder / SECRET_KEY_FILE
        self.label = read_header(self.folder / EVALUATION_KEYS_FILE).key

    @property
    def digest(self):
        return self.client.card.digest

    def query(self, seed: int = 0) -> bytes:
        layout = self.client.card.input_layout
        shape = (layout.frames, layout.channels, layout.height, layout.width)
        frames = np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)
        path = self.folder / f"query-{seed}-{len(self.queries)}.he"
        self.client.encrypt(ImageSequence(frames, "patient"), path)
        self.queries.append(path.read_bytes())
        return self.queries[-1]

    def score(self, result: bytes, query: bytes | None = None) -> float:
        return self.client.decrypt(result, query=query).scores[0]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def write_config(folder: Path, programs: list[dict], **changes) -> Path:
    """A configuration for tests. changes: tables or values instead of the usual ones."""
    values = {
        "state": str(folder / "state"),
        "listen": f"127.0.0.1:{free_port()}",
        "allow_insecure_test": True,
        "workers": 1,
        **changes,
    }
    tables = {"evaluation": {"threads": 1, "memory_bytes": 4 << 30}}
    for name, table in list(values.items()):
        if table is None:
            del values[name]
        elif isinstance(table, dict):
            tables[name] = {**tables.get(name, {}), **values.pop(name)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    for program in programs:
        lines += ["[[programs]]", *(f"{name} = {json.dumps(value)}" for name, value in program.items())]
    for name, table in tables.items():
        lines += _table(name, table)
    path = folder / "service.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _table(name: str, table: dict) -> list[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in plain.items())]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += _table(f'{name}."{key}"', value)
    return lines


class Running:
    """`heclstm serve` in a process of its own, which can be killed and started again on what it left."""

    def __init__(self, config: Path, authority: Path | None) -> None:
        self.path, self.config = config, load_config(config)
        self.authority = authority
        self.log = config.parent / "server.log"
        self.process: subprocess.Popen | None = None
        self._clients: list[httpx.Client] = []
        described.ports[self.config.address[1]] = self.config.metrics_open  # so all that it answers is checked

    @property
    def url(self) -> str:
        return f"{'https' if self.config.tls else 'http'}://127.0.0.1:{self.config.address[1]}"

    def start(self, ready: bool = True) -> None:
        with self.log.open("ab") as log:
            self.process = self.spawn(log)
        with self.http() as client:
            wait_until(lambda: self._answers(client, "/readyz" if ready else "/healthz"), START_SECONDS, self.text)

    def spawn(self, log) -> subprocess.Popen:
        command = [sys.executable, "-m", "heclstm.cli", "serve", str(self.path)]
        return subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT)

    def _answers(self, client: httpx.Client, path: str) -> bool:
        assert self.process.poll() is None, self.text()
        try:
            return client.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """As if the power went."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = 60) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        described.ports.pop(self.config.address[1], None)
        if self.process and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
                return
            self.kill()

    def text(self) -> str:
        return self.log.read_text()

    def token(self, tenant: str = "hospital", **options) -> str:
        database = Database(self.config.database_url)
        try:
            upgrade(database)
            return Tenants(database).create_token(tenant, **options)[1]
        finally:
            database.close()

    def http(self, token: str | None = None, **options) -> httpx.Client:
        import ssl

        verify = bool(self.config.tls)
        if self.authority and self.config.tls:
            verify = ssl.create_default_context(cafile=str(self.authority))
        headers = {"authorization": f"Bearer {token}"} if token else {}
        common = {"base_url": self.url, "verify": verify, "headers": headers, "timeout": 60, "trust_env": False}
        self._clients.append(httpx.Client(**common | options))
        return self._clients[-1]

    def tenant(self, name: str = "hospital", **options) -> "Remote":
        return Remote(self.http(self.token(name, **options)))


class Remote:
    """The least that a hospital needs of the routes."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def put_keys(self, hospital: Hospital, offset: int = 0, content: bytes | None = None) -> httpx.Response:
        content = hospital.keys[offset:] if content is None else content
        headers = {"upload-offset": str(offset), "content-type": "application/octet-stream"}
        return self.http.put(f"/v1/keys/{hospital.label}", content=content, headers=headers)

    def post(self, body: bytes, key: str | None = None) -> httpx.Response:
        headers = {"content-type": "application/octet-stream", **({"idempotency-key": key} if key else {})}
        return self.http.post("/v1/jobs", content=body, headers=headers)

    def job(self, id: str, wait: float = 0) -> dict:
        return expect(self.http.get(f"/v1/jobs/{id}", params={"wait": wait}), 200).json()

    def ended(self, id: str, seconds: float = 60) -> dict:
        end = time.monotonic() + seconds
        while (status := self.job(id, wait=5))["state"] not in ("done", "failed"):
            assert time.monotonic() < end, status
        return status

    def result(self, id: str, **params) -> bytes:
        return expect(self.http.get(f"/v1/jobs/{id}/result", params=params), 200).content

    def diagnose(self, hospital: Hospital, query: bytes) -> float:
        id = expect(self.post(query), 202).json()["id"]
        assert self.ended(id)["state"] == "done", id
        return hospital.score(self.result(id), query)


def expect(response: httpx.Response, status: int, code: str | None = None) -> httpx.Response:
    """The response, if it is what should come; a problem of this code, perhaps."""
    assert response.status_code == status, (response.status_code, response.text)
    if code is not None:
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert problem["code"] == code, problem
        assert problem["detail"], problem
        assert problem["status"] == status
    return response


def plain_client(url: str, **options) -> httpx.Client:
    """For a server without TLS: to read all certificates of the system takes 40 ms, and tests ask often."""
    return httpx.Client(base_url=url, timeout=30, trust_env=False, verify=False, **options)


def wait_until(condition, seconds: float = 30, explain=lambda: "") -> None:
    """Asks less and less often, so that what it waits for has the processor."""
    end, pause = time.monotonic() + seconds, 0.01
    while not condition():
        assert time.monotonic() < end, explain()
        time.sleep(pause)
        pause = min(0.1, 1.2 * pause)


def mapping(processes, keys: str) -> list[psutil.Process]:
    """Those that have the file of a blob in their address space, erased or not."""
    name, found = keys.replace("/", "-"), []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if any(name in each.path for each in process.memory_maps(grouped=False)):
                found.append(process)
    return found
