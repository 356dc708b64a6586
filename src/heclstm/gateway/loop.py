"""The gateway as a whole: listens, works, sweeps, until it is stopped; killed at any point, it goes on where it was."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from heclstm.gateway.arrivals import Answer, Image, Places, take
from heclstm.gateway.config import Config
from heclstm.gateway.health import serve_health
from heclstm.gateway.journal import Journal
from heclstm.gateway.listener import listen
from heclstm.gateway.logs import log
from heclstm.gateway.orthanc import Orthanc
from heclstm.gateway.sender import client_tls
from heclstm.gateway.work import Work
from heclstm.network.remote import Remote
from heclstm.storage.atomic import sole_writer

TURN_SECONDS = 0.2
SWEEP_SECONDS = 60.0
DAY = 86400.0


def run(config: Config, passphrase: Callable[[], str] | None, stop: threading.Event) -> None:
    """Until `stop` is set. Raises ConfigError for what cannot be used, FileFormatError for a site without keys."""
    os.umask(0o077)
    places = Places(config.folder, config.reserve_bytes)
    places.make()
    with ExitStack() as stack:
        stack.enter_context(sole_writer(config.folder))
        journal = stack.enter_context(closing(Journal(config.folder)))
        places.tidy(journal)
        remote = stack.enter_context(opened(config, passphrase))
        pool = ThreadPoolExecutor(config.at_once, "study")
        stack.callback(pool.shutdown, cancel_futures=True)
        stack.callback(stop.set)  # what waits for a server ends at its next word

        def committed(transaction: str, kept: set[str], failed: set[str]) -> bool:
            return journal.answered(transaction, kept, failed) is not None

        health = serve_health(config.health, journal, places)
        stack.callback(health.server_close)
        stack.callback(health.shutdown)
        listener = listen(config, lambda image: _taken(image, journal, places), committed)
        stack.callback(listener.shutdown)
        if config.orthanc:
            watching = threading.Thread(target=Orthanc(config.orthanc, journal).watch, args=[stop], daemon=True)
            watching.start()
            stack.callback(watching.join, 5.0)
        log("started", title=config.listen.title)
        _turn(config, journal, Work(config, journal, places, remote, stop), pool, places, stop)
    log("stopped")


@contextmanager
def opened(config: Config, passphrase: Callable[[], str] | None) -> Iterator[Remote]:
    """The site, with its secret key in memory: a passphrase is asked for now, and not in the night.

    Raises ConfigError for certificates that cannot be used.
    """
    client_tls(config)
    options = {"passphrase": passphrase, "threads": config.threads, "allow_insecure": config.allow_insecure_test}
    with Remote(Path(config.site), **options) as remote:  # type: ignore[arg-type]
        remote.hospital.open()
        yield remote


def _taken(image: Image, journal: Journal, places: Places) -> Answer:
    return take(image, journal, places)


def _turn(
    config: Config, journal: Journal, work: Work, pool: ThreadPoolExecutor, places: Places, stop: threading.Event
) -> None:
    under_way: dict[str, Future[None]] = {}
    swept = 0.0
    while not stop.wait(TURN_SECONDS):
        try:
            under_way = {label: future for label, future in under_way.items() if not future.done()}
            for study in journal.due(config.quiet_seconds):
                if study.label not in under_way and len(under_way) < config.at_once:
                    under_way[study.label] = pool.submit(work.go_on, study)
            if time.monotonic() - swept > SWEEP_SECONDS:
                swept = time.monotonic()
                sweep(config, journal, places)
        except Exception as error:  # a full disk, for one: it may have room in a moment
            log("failed", kind=type(error).__name__)


def sweep(config: Config, journal: Journal, places: Places) -> None:
    """Erase what was kept long enough."""
    now, keep = time.time(), config.keep
    for state, days in (("done", keep.done_days), ("ignored", keep.done_days), ("aside", keep.aside_days)):
        for study in journal.all(state):  # type: ignore[arg-type]
            if now - study.changed > days * DAY and places.images(study.label).is_dir():
                places.erase_images(study.label, journal.forget_images(study))
                places.erase_results(study.label)
                journal.forget_reports(study)
            if now - study.changed > keep.known_days * DAY and not places.images(study.label).is_dir():
                journal.forget(study)
