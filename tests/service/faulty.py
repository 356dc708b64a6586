"""A server with faults where a test says, and a look at what it has stored."""

import subprocess
import sys
from contextlib import suppress

import psutil
from sqlalchemy import select

from heclstm.service.database.connection import Database
from heclstm.service.database.schema import metadata
from service.kit import ENVIRONMENT, Running, wait_until


class Faulty(Running):
    """faults: names of files that `service.faulty_server` and `service.faulty_process` look for."""

    def __init__(self, config, authority, faults) -> None:
        super().__init__(config, authority)
        self.faults, self._stopped = config.parent / "faults", []
        self.faults.mkdir()
        for name in faults:
            (self.faults / name).touch()

    def spawn(self, log):
        command = [sys.executable, "-m", "service.faulty_server", str(self.path), str(self.faults)]
        return subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT)

    def stopped_worker(self, evaluation) -> psutil.Process:
        """The worker that has stopped in the middle of this evaluation, once it has."""
        found = []

        def look():
            found[:] = [each for each in children(self, "process") if each.status() == psutil.STATUS_STOPPED]
            return found and not (self.faults / f"stop-{evaluation}").exists()

        wait_until(look, 60, self.text)
        (worker,) = found
        self._stopped.append(worker)
        return worker

    def close(self) -> None:
        """One that is stopped does not hear that its server has ended."""
        super().close()
        for worker in self._stopped:
            with suppress(psutil.NoSuchProcess):
                worker.kill()


def children(server, module):
    """Processes of the server that run this module."""
    found = []
    try:
        for child in psutil.Process(server.process.pid).children(recursive=True):
            if {f"heclstm.service.workers.{module}", f"service.faulty_{module}"} & set(child.cmdline()):
                found.append(child)
    except psutil.NoSuchProcess:
        pass
    return found


def ended(process):
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def rows(server) -> dict[str, list[dict]]:
    """All of the database, by table."""
    database = Database(server.config.database_url)
    try:
        with database.read() as connection:
            return {
                table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
                for table in metadata.sorted_tables
            }
    finally:
        database.close()


def attempts(server) -> list[int]:
    """How often each evaluation was begun, in their order of arrival."""
    return [row["attempts"] for row in sorted(rows(server)["evaluations"], key=lambda row: row["id"])]
