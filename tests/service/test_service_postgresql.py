"""The same service on PostgreSQL: the whole way, two servers on one database, and a database that restarts."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from heclstm.service.database.connection import Database
from heclstm.service.database.key_sets import READY, KeySetRow, KeySets
from heclstm.service.database.migrate import _settings, newest, upgrade
from service.kit import Running, expect, free_port, wait_until, write_config


def _programs():
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "pg_ctl").exists():
            return folder
    found = shutil.which("pg_ctl")
    return Path(found).parent if found else None


PROGRAMS = _programs()
pytestmark = pytest.mark.skipif(
    PROGRAMS is None,
    reason="PostgreSQL is not installed; `make .venv/.test` installs it where it may (Debian, as root)",
)


class PostgreSql:
    """A cluster of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        folder.chmod(0o777)
        self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "heclstm", "-E", "UTF8", "--no-sync")
        self.start()
        self._run("createdb", "-h", str(folder), "-p", str(self.port), "-U", "heclstm", "heclstm")

    @property
    def url(self) -> str:
        return f"postgresql://heclstm@/heclstm?host={self.folder}&port={self.port}"

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -p {self.port}"
        self._run(
            "pg_ctl", "-D", str(self.folder / "data"), "-w", "-o", options, "-l", str(self.folder / "log"), "start"
        )  # fmt: skip

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def _run(self, name: str, *arguments: str) -> None:
        who = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        subprocess.run([*who, str(PROGRAMS / name), *arguments], check=True, capture_output=True, cwd="/")


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="heclstm-pg-", dir="/tmp"))  # a short path: sockets allow no long one
    found = PostgreSql(folder)
    yield found
    with contextlib.suppress(subprocess.CalledProcessError):
        found.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_servers_that_start_together_migrate_once(postgresql):
    """From the tables of the first release: one alters them, the other finds them altered."""
    from alembic import command

    subprocess.run(
        ["createdb", "-h", postgresql.folder, "-p", str(postgresql.port), "-U", "heclstm", "older"], check=True
    )
    databases = [Database(postgresql.url.replace("/heclstm?", "/older?")) for _ in range(4)]
    settings = _settings()
    with databases[0].write() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0001")
    at_once = threading.Barrier(len(databases))

    def start(database):
        at_once.wait()
        upgrade(database)

    with ThreadPoolExecutor(len(databases)) as pool:
        for each in [pool.submit(start, database) for database in databases]:
            each.result()
    with databases[0].read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == newest()
    for database in databases:
        database.close()


def test_keys_that_two_remove_at_once_are_told_of_once(postgresql):
    database = Database(postgresql.url)
    upgrade(database)
    keys, told, begun = KeySets(database), [], threading.Event()
    keys.begin(KeySetRow("twice", "label", "program", READY, "upload", 5, 6, 1.0, 2.0), 1 << 40)

    def tell(row):
        told.append(row.upload)
        begun.set()
        time.sleep(0.3)  # the other one asks meanwhile

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(keys.remove, "twice", "label", tell=tell)
        begun.wait()
        second = pool.submit(keys.remove, "twice", "label", tell=tell)
        assert [first.result().upload, second.result()] == ["upload", None]
    assert told == ["upload"]
    database.close()


def test_the_whole_way_on_postgresql(launch, postgresql, hospital):
    with launch(database=postgresql.url) as server:
        tenant = server.tenant("whole")
        expect(tenant.put_keys(hospital), 201)
        assert tenant.diagnose(hospital, hospital.query(seed=1)) is not None
        answers, query = [], hospital.query(seed=2)
        clients = [server.tenant("whole") for _ in range(6)]
        threads = [threading.Thread(target=lambda each=each: answers.append(each.post(query))) for each in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(each.status_code for each in answers) == [200] * 5 + [202]
        expect(tenant.http.delete(f"/v1/keys/{hospital.label}"), 204)


def test_the_database_is_restarted_while_jobs_run(launch, postgresql, hospital):
    with launch(database=postgresql.url) as server:
        tenant = server.tenant("restart")
        expect(tenant.put_keys(hospital), 201)
        job = expect(tenant.post(b"".join(hospital.query(seed) for seed in range(20))), 202).json()["id"]
        wait_until(lambda: tenant.job(job)["done"] > 1)
        postgresql.stop()
        unavailable = expect(tenant.http.get(f"/v1/jobs/{job}"), 503, "database-unavailable")
        assert unavailable.headers["retry-after"] == "2"
        expect(tenant.http.get("/readyz"), 503, "database-unavailable")
        expect(tenant.http.get("/healthz"), 200)
        postgresql.start()
        status = tenant.ended(job)
        assert (status["state"], status["done"]) == ("done", 20)
        assert tenant.diagnose(hospital, hospital.query(seed=30)) is not None


def test_two_servers_share_a_database_and_one_dies(launch, postgresql, hospital, program, certificates):
    """The other one takes over what it left, after a lease."""
    settings = {"database": postgresql.url, "evaluation": {"lease_seconds": 2}}
    with launch(**settings) as first:
        tenant = first.tenant("shared")
        expect(tenant.put_keys(hospital), 201)
        folder = first.path.parent / "second"
        folder.mkdir()
        config = write_config(
            folder, [{"folder": str(program)}], tls=certificates[0], state=str(first.config.folder), **settings
        )
        second = Running(config, certificates[1])
        second.start()
        try:
            import psutil

            for server in (first, second):
                for child in psutil.Process(server.process.pid).children():
                    if "heclstm.service.workers.process" in child.cmdline():
                        child.suspend()
            jobs = [expect(tenant.post(hospital.query(seed)), 202).json()["id"] for seed in range(4)]
            wait_until(lambda: sum(tenant.job(job)["state"] == "running" for job in jobs) >= 1)
            for child in psutil.Process(second.process.pid).children():
                child.resume()
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
            other = second.tenant("shared")
            assert {other.ended(job)["state"] for job in jobs} == {"done"}
            assert all(other.result(job) for job in jobs)
        finally:
            second.close()
