"""A service from its configuration: what is opened first, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn

from heclstm.errors import ConfigError
from heclstm.service.app_state import App
from heclstm.service.audit import Audit
from heclstm.service.blobs import open_blobs
from heclstm.service.config import Config, load_config
from heclstm.service.database.connection import Database
from heclstm.service.database.jobs import Jobs
from heclstm.service.database.key_sets import KeySets
from heclstm.service.database.migrate import upgrade
from heclstm.service.database.queue import Queue
from heclstm.service.database.tenants import Tenants
from heclstm.service.dispatcher import Dispatcher
from heclstm.service.http.protocol import protocol
from heclstm.service.hub import Hub
from heclstm.service.identity import Identities
from heclstm.service.limits import Rates
from heclstm.service.logs import log
from heclstm.service.memory import keep_memory
from heclstm.service.metrics import Metrics
from heclstm.service.programs import Programs
from heclstm.service.queries import Receiver
from heclstm.service.retention import keep_sweeping
from heclstm.service.uploads import Uploads
from heclstm.service.workers.pool import Early, Pool

THREADS = 32  # that wait for disk and database
_LOG = log("service")


def build(config: Config, programs: Programs, pool: Pool, early: Early) -> App:
    """All parts, opened and migrated; only the early workers run yet. Raises ConfigError."""
    config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(config.database_url)
    database.retried(lambda: upgrade(database), seconds=30)
    blobs, audit, metrics, hub = (
        open_blobs(config.blobs, config.folder),
        Audit(config.folder / "audit"),
        Metrics(),
        Hub(),
    )
    key_sets, queue = KeySets(database), Queue(database, f"{socket.gethostname()}:{config.listen}"[:80])
    metrics.collect_from(queue.counts)
    dispatcher = Dispatcher(pool, queue, key_sets, blobs, programs, config.evaluation, metrics, hub.changed, early)
    return App(
        config=config,
        database=database,
        programs=programs,
        key_sets=key_sets,
        jobs=Jobs(database),
        queue=queue,
        blobs=blobs,
        uploads=Uploads(config, key_sets, blobs, programs, audit),
        queries=Receiver(programs, key_sets, blobs, config.limits.batch),
        dispatcher=dispatcher,
        identities=Identities(config, Tenants(database)),
        rates=Rates(),
        hub=hub,
        audit=audit,
        metrics=metrics,
    )


@asynccontextmanager
async def running(app: App) -> AsyncIterator[None]:
    """Intake and sweeper, around the time that routes are served. Workers were started before."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "waits"))
    app.hub.start()
    app.uploads.start()
    await app.uploads.resume(await asyncio.to_thread(app.key_sets.receiving))
    sweeper = asyncio.create_task(keep_sweeping(app))
    try:
        yield
    finally:
        sweeper.cancel()
        app.uploads.stop()
        app.database.close()


class Server(uvicorn.Server):
    """On the first SIGTERM or Ctrl-C: nothing new begins, what runs ends, then the server; on the second at once."""

    def __init__(self, settings: uvicorn.Config, app: App, reload: str | None) -> None:
        super().__init__(settings)
        self._app, self._reload = app, reload

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        async with running(self._app):
            if self._reload and hasattr(signal, "SIGHUP"):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._programs_anew)
            await super().serve(sockets)
            if not self._app.draining:  # it could not even begin, or ended by itself
                await asyncio.to_thread(self._app.dispatcher.drain)

    def handle_exit(self, sig: int, frame: object) -> None:
        if self._app.draining:
            self._app.dispatcher.hurry()
            return
        self._app.draining = True
        _LOG.info("stopping: what runs is finished first")
        asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        await asyncio.to_thread(self._app.dispatcher.drain)
        self._app.hub.close()
        self.should_exit = True

    def _programs_anew(self) -> None:
        """SIGHUP: the programs of the configuration file, as it is now. What was accepted goes on."""
        try:
            self._app.programs.reload(load_config(Path(self._reload or "")).programs)
        except Exception as error:
            _LOG.error("the configuration was not taken over", error=str(error))
        else:
            _LOG.info("programs taken over", programs=[digest[:12] for digest in self._app.programs.all()])
            _tell_unsigned(self._app.programs)


def serve(config: Config, path: str | None, programs: Programs, pool: Pool, early: Early) -> None:
    """Until a signal ends it. path: of the configuration, read anew on SIGHUP."""
    keep_memory()
    http = protocol(config.limits)  # before anything is opened: it may refuse
    app = build(config, programs, pool, early)
    app.dispatcher.start()
    from heclstm.service.http.app import make_app  # half a second, in which workers prepare

    if config.allow_insecure_test:
        _LOG.warning("INSECURE TEST: programs WITHOUT SECURITY are served; no patient's images may be sent here")
    _tell_unsigned(programs)
    host, port = config.address
    tls = config.tls
    settings = uvicorn.Config(
        make_app(app),
        host=host,
        port=port,
        http=http,  # type: ignore[arg-type]  # any class of protocol: it is only called
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=config.proxy is not None,
        forwarded_allow_ips=",".join(config.proxy.trusted) if config.proxy else "",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        backlog=512,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
        ssl_ca_certs=tls.client_authority if tls else None,
        ssl_cert_reqs=_certificates(config),
    )
    server = Server(settings, app, path)
    gc.freeze()  # what is there now stays
    gc.enable()
    try:
        server.run()
    except SystemExit as error:
        if server.started:
            raise
        raise ConfigError(f"listen: {host}:{port} cannot be listened at; the log above says why") from error


def _tell_unsigned(programs: Programs) -> None:
    if unsigned := [each.digest[:12] for each in programs.unsigned()]:
        _LOG.warning("not signed by a model owner: hospitals that trust a key refuse it", programs=unsigned)


def _certificates(config: Config) -> int:
    """A client may show one, if there is an authority to check it with; a token does as well."""
    return ssl.CERT_OPTIONAL if config.tls and config.tls.client_authority else ssl.CERT_NONE
