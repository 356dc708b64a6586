"""What `benchmarks.service` measures with: a server on the shipped program, curl, nginx, memory by process."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import psutil

from service.kit import Hospital, Remote, Running, free_port, write_config

MIB = 1 << 20


@contextmanager
def serving(folder: Path, program: Path, tls=None, authority=None, **changes):
    """A production server on that program; its state stays in the folder."""
    settings = {"allow_insecure_test": False, "quotas": {"requests_per_second": 1e6, "key_bytes": 1 << 45}, **changes}
    config = write_config(folder, [{"folder": str(program)}], tls=tls, **settings)
    server = Running(config, authority)
    server.start()
    try:
        yield server
    finally:
        server.close()


def hospital_of(folder: Path, program: Path, images: Path) -> Hospital:
    """128-bit keys, and queries of the first images."""
    from heclstm.program.files import load_card
    from heclstm.usecases.images import read_sequence

    hospital = Hospital(folder / "hospital", program)
    card = load_card(program)
    for index in range(8):
        hospital.queries.append(_query(hospital, read_sequence(images, card, index)))
    return hospital


def _query(hospital: Hospital, sequence) -> bytes:
    path = hospital.folder / "query.he"
    hospital.client.encrypt(sequence, path, override_envelope="random")
    return path.read_bytes()


def requests_per_second(server: Running, path: str, token: str, seconds: float, connections: int = 4) -> float:
    """Over kept connections, without TLS, asked from threads of this process: client and server share the cores."""
    counts, end = [0] * connections, time.perf_counter() + seconds
    headers = {"authorization": f"Bearer {token}"}

    def ask(number: int) -> None:
        connection = HTTPConnection(*server.config.address)
        while time.perf_counter() < end:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            counts[number] += 1
        connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(connections)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


def memory_of(server: Running) -> dict[str, float]:
    """MiB by process: of its own (not shared), and proportional, so that mapped key sets count once.

    A prepared program counts by half where another server of this user has it mapped, too.
    """
    found = {}
    main = psutil.Process(server.process.pid)
    for process in [main, *main.children()]:
        command = " ".join(process.cmdline())
        name = next((part for part in ("intake", "process") if f"workers.{part}" in command), "server")
        memory = process.memory_full_info()
        entry = found.setdefault({"process": "workers"}.get(name, name), {"own": 0.0, "proportional": 0.0})
        entry["own"] += memory.uss / MIB - _mapped_files(process)
        entry["proportional"] += memory.pss / MIB
    return found


class Peak:
    """The most that all processes of a server took together while a block ran: proportional, of samples."""

    SECONDS = 0.05

    def __init__(self, server: Running) -> None:
        self.bytes, self._main, self._done = 0, psutil.Process(server.process.pid), threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def _sample(self) -> None:
        while not self._done.wait(self.SECONDS):
            found = []
            for process in [self._main, *self._main.children()]:
                with suppress(psutil.NoSuchProcess):
                    found.append(process.memory_full_info().pss)
            self.bytes = max(self.bytes, sum(found))

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()


def _mapped_files(process: psutil.Process) -> float:
    """MiB of key sets and programs that only this process has mapped: page cache, which the system may drop."""
    maps = [each for each in process.memory_maps() if "/keys/" in each.path or each.path.endswith(".prepared")]
    return sum(each.private_clean + each.private_dirty for each in maps) / MIB


def curl_put(url: str, file: Path, authority: Path, token: str = "") -> float:
    """Seconds of one upload, until all bytes were taken."""
    command = ["curl", "--silent", "--show-error", "--fail", "--cacert", str(authority), "-T", str(file)]
    command += [
        "-H",
        f"authorization: Bearer {token}",
        "-H",
        "prefer: respond-async",
        "-o",
        os.devnull,
        "-w",
        "%{time_total}",
        url,
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@contextmanager
def nginx(folder: Path, tls: dict):
    """A plain upload server (WebDAV) with the same certificates; gives its URL."""
    port, place = free_port(), folder / "nginx"
    for name in ("files", "body"):
        (place / name).mkdir(parents=True)
    place.chmod(0o755)
    (place / "nginx.conf").write_text(
        f"user root; worker_processes 1; daemon off; pid {place}/pid; events {{}}\n"
        f"http {{ access_log off; client_max_body_size 0; client_body_temp_path {place}/body;\n"
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {tls['certificate']};\n"
        f"ssl_certificate_key {tls['key']}; root {place}/files; location / {{ dav_methods PUT; }} }} }}\n"
    )
    process = subprocess.Popen(["nginx", "-p", str(place), "-c", str(place / "nginx.conf"), "-e", "stderr"])
    time.sleep(1)
    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def processor_seconds(server: Running) -> float:
    """Of the server and all its children so far: what it took, however busy the machine is."""
    main = psutil.Process(server.process.pid)
    return sum(sum(process.cpu_times()[:2]) for process in [main, *main.children()])


class Busy:
    """Which share of all cores others took while a block ran: its seconds are too many by about that."""

    def __enter__(self):
        self._before = time.perf_counter(), _busy(), _own()
        return self

    def __exit__(self, *_) -> None:
        begin, busy, own = self._before
        taken = _busy() - busy - (_own() - own)
        self.others = max(0.0, taken / ((time.perf_counter() - begin) * os.cpu_count()))


def _busy() -> float:
    """Seconds that all cores worked, or were taken from this machine."""
    times = psutil.cpu_times()
    return times.user + times.system + times.nice + times.irq + times.softirq + times.steal


def _own() -> float:
    """Of this process and all that it started."""
    me = psutil.Process()
    total = sum(me.cpu_times()[:4])
    for process in me.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def quiet_runs(run, wanted: int, others: float, tries: int = 8) -> tuple[list, float]:
    """run: gives (share of the cores that others took, what was measured). What was measured `wanted` times in which
    they took no more than that; and the median of what they took. After `wanted * tries` runs, the quietest count.
    """
    found = []
    while sum(taken <= others for taken, _ in found) < wanted and len(found) < wanted * tries:
        found.append(run())
    found.sort(key=lambda each: each[0])
    return [result for _, result in found[:wanted]], median(taken for taken, _ in found[:wanted])


class Bare:
    """Evaluations in a process that does nothing else, from expanded keys that are mapped, as a worker's are."""

    CODE = (
        "import json, sys, time, threading\n"
        "from pathlib import Path\n"
        "from heclstm.service.evaluation import Evaluator, expand\n"
        "from heclstm.program.files import load_card\n"
        "from heclstm.storage.container import Kind, received\n"
        "program, keys, query, threads = sys.argv[1:]\n"
        "place = Path(keys).with_suffix('.expanded')\n"
        "with received(keys, Kind.EVALUATION_KEYS) as message:\n"
        "    place.exists() or expand(load_card(Path(program)), message.header.key, message, place, 2)\n"
        "evaluator = Evaluator(Path(program), int(threads)); evaluator.prepare()\n"
        "opened, content = evaluator.open_keys(place), Path(query).read_bytes()\n"
        "for line in sys.stdin:\n"
        "    begin, processor = time.perf_counter(), time.process_time()\n"
        "    for _ in range(int(line)):\n"
        "        evaluator.evaluate(content, opened, lambda *_: None, threading.Event())\n"
        "    print(json.dumps([time.perf_counter() - begin, time.process_time() - processor]), flush=True)\n"
    )

    def __init__(self, program: Path, hospital: Hospital, threads: int) -> None:
        query, keys = hospital.folder / "bare.he", hospital.folder / "evaluation.keys"
        query.write_bytes(hospital.queries[0])
        command = [sys.executable, "-c", self.CODE, str(program), str(keys), str(query), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def evaluate(self, count: int) -> tuple[float, float]:
        """Seconds of one by the clock and of the processor: means of so many in turn."""
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        seconds, processor = json.loads(self._process.stdout.readline())
        return seconds / count, processor / count

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()


def tenants_of(server: Running, hospital: Hospital, count: int, expect) -> list[Remote]:
    """That many tenants with keys (the same, stored once for each)."""
    tenants = [server.tenant(f"tenant-{number}") for number in range(count)]
    for tenant in tenants:
        if tenant.http.get(f"/v1/keys/{hospital.label}").status_code != 200:
            expect(tenant.put_keys(hospital), 201)
    return tenants
