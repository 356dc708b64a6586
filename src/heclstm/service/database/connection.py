"""A database by its URL. Reads and writes are blocks; a write begins with the write lock, so it never fails halfway."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from heclstm.errors import ConfigError
from heclstm.service.problems import storage_full

T = TypeVar("T")
BUSY_SECONDS = 30
Unavailable = (OperationalError, InterfaceError)


class Database:
    """Connections are pooled; one that a restarted server closed is noticed before it is used."""

    def __init__(self, url: str) -> None:
        self.sqlite = make_url(url).get_backend_name() == "sqlite"
        try:
            self.engine = self._sqlite(url) if self.sqlite else self._postgresql(url)
        except ImportError as error:
            raise ConfigError(f"database: needs the driver {error.name}; pip install 'heclstm[postgresql]'") from error

    def _sqlite(self, url: str) -> Engine:
        path = make_url(url).database
        if path and path != ":memory:":  # for its owner alone, whoever comes first: the server or `heclstm token`
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}, pool_size=32)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin)
        return engine

    def _postgresql(self, url: str) -> Engine:
        options = "-c timezone=utc -c lock_timeout=30000 -c statement_timeout=60000"
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=16,
            max_overflow=32,
            connect_args={"options": options, "connect_timeout": 5},
        )

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Committed, and on disk, when the block ends well."""
        with self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    def retried(self, action: Callable[[], T], seconds: float = 10.0) -> T:
        """Again while the database restarts. action: must do no harm twice, if its commit was lost on the way back."""
        end, pause = time.monotonic() + seconds, 0.05
        while True:
            try:
                return action()
            except DBAPIError as error:
                if not isinstance(error, Unavailable) or storage_full(error) or time.monotonic() > end:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def close(self) -> None:
        self.engine.dispose()


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin` does
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_SECONDS * 1000}"):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
