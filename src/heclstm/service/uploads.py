"""Uploads of evaluation keys: what arrives is appended to a file, and the intake expands it behind.

An upload can end at any byte and go on there, after days or after the server was killed: the file says how far it got.
It lives in the event loop; the intake's messages are brought there.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from heclstm.service import clock
from heclstm.service.audit import Audit
from heclstm.service.blobs import Blobs
from heclstm.service.config import Config
from heclstm.service.database.connection import Unavailable
from heclstm.service.database.key_sets import READY, RECEIVING, KeySetRow, KeySets
from heclstm.service.heads import read_head, require_keys_of, without_secret
from heclstm.service.logs import log
from heclstm.service.pieces import Pieces, write_pieces
from heclstm.service.problems import Problem, storage_full
from heclstm.service.programs import Programs
from heclstm.service.workers.channel import Child
from heclstm.service.workers.messages import Any, Begin, Drop, Expanded, More, Paused, Refused
from heclstm.storage.container import TRAILER_BYTES, Kind

WRITE_BYTES = 1 << 20
HELD_BYTES_MAX = 8 << 20  # in memory, while the disk is slower than the network
NICENESS = 10  # of the intake, more than the server has: receiving and evaluating come first
TOLD_SECONDS = 0.5  # between what the intake hears of an upload: it takes a core, and lines are slower than that core
DEATHS_MAX = 2  # of the intake under one upload, before it is to blame
_LOG = log("uploads")


@dataclass(eq=False)
class Upload:
    """size: bytes on disk. told: when the intake heard of them. active: a connection is sending. by: who sent last.
    begun: the intake knows it. ended: outcome is known.
    """

    row: KeySetRow
    path: Path
    size: int = 0
    told: float = 0.0
    active: bool = False
    by: str = ""
    begun: bool = False
    deaths: int = 0
    problem: Problem | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def whole(self) -> bool:
        return self.size == self.row.upload_bytes


class Uploads:
    def __init__(self, config: Config, key_sets: KeySets, blobs: Blobs, programs: Programs, audit: Audit) -> None:
        self._config, self._key_sets, self._blobs = config, key_sets, blobs
        self._programs, self._audit = programs, audit
        self._folder = config.folder / "uploads"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._uploads: dict[str, Upload] = {}
        self._child: Child | None = None
        self._stopping = False

    def start(self) -> None:
        """In the event loop. The intake is started by the first upload: workers have the cores to themselves."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        self._stopping = True
        if self._child:
            self._child.kill()

    async def size(self, row: KeySetRow) -> int:
        """Bytes that have arrived."""
        return (await self._known(row)).size if row.state != READY else row.upload_bytes

    async def receive(
        self, tenant: str, label: str, offset: int, body: AsyncIterator[bytes], *, by: str, wait: bool = True
    ) -> tuple[KeySetRow, int, bool]:
        """Take what comes, from `offset` on. Returns the row, how many bytes are there, and whether it is ready.

        by: whom the audit names. wait: until what arrived whole is expanded, and found to be right or not.
        Raises Problem. When the connection is cut, what came before stays.
        """
        body = without_secret(body)
        start = await anext(body, b"")  # even if nothing more is wanted: who sends a secret key must know
        row = await asyncio.to_thread(self._key_sets.get, tenant, label)
        if row is not None and row.state == READY:
            return row, row.upload_bytes, True
        there = (await self._known(row)).size if row else 0
        if there != offset:
            headers = {"upload-offset": str(there)}
            detail = f"keys: {there} bytes have arrived, the request begins at {offset}; go on at {there}"
            raise Problem("wrong-offset", detail, headers=headers, offset=there)
        if there == 0:
            row, start = await self._begin(tenant, label, start, body, by)
        assert row is not None
        upload = await self._known(row)
        if upload.active:
            raise Problem("upload-in-progress", "keys: another connection is sending them; wait until it ends")
        upload.active = True
        try:
            if upload.by != by:
                await asyncio.to_thread(self._key_sets.sent, row, by)
                upload.by = by
            await self._append(upload, start, body)
        finally:
            upload.active = False
        if not upload.whole or (not wait and not upload.ended.is_set()):
            return row, upload.size, False
        await upload.ended.wait()
        if upload.problem:
            raise upload.problem
        ready = await asyncio.to_thread(self._key_sets.get, tenant, label)
        if ready is None:
            raise Problem("not-found", "keys: were deleted while they arrived")
        return ready, ready.upload_bytes, ready.state == READY

    async def drop(self, row: KeySetRow) -> None:
        """Forget an upload and its files."""
        upload = self._uploads.pop(row.upload, None)
        if upload:
            self._send(Drop(row.upload))
            upload.problem = upload.problem or Problem("not-found", "keys: were deleted while they arrived")
            upload.ended.set()
        await asyncio.to_thread(self._path(row.upload).unlink, missing_ok=True)

    def files(self) -> list[Path]:
        return list(self._folder.iterdir())

    async def _begin(
        self, tenant: str, label: str, start: bytes, body: AsyncIterator[bytes], by: str
    ) -> tuple[KeySetRow, bytes]:
        """Read and check the header before anything is kept."""
        while (head := read_head(start, Kind.EVALUATION_KEYS) if start else None) is None:
            if not (piece := await anext(body, b"")):
                raise Problem("damaged", "keys: end before their header does; send all of it")
            start += piece
        header, total = head
        served = require_keys_of(header, label, self._programs)
        now = clock.now()
        new = KeySetRow(
            tenant=tenant,
            label=label,
            program=header.program,
            state=RECEIVING,
            upload=secrets.token_hex(16),
            upload_bytes=total,
            stored_bytes=served.stored_key_bytes,
            created=now,
            last_used=now,
            sent_by=by,
        )
        quota = self._config.quotas_of(tenant).key_bytes
        row = await asyncio.to_thread(self._key_sets.begin, new, quota)
        if row is None:
            raise Problem(
                "quota-keys",
                f"keys: take {new.stored_bytes} bytes here, and with those that are stored more than the {quota} of "
                "this tenant; delete old ones first",
            )
        if row.state == READY or row.upload_bytes != total or (await self._known(row)).size:
            raise Problem("upload-in-progress", "keys: another connection has begun to send them; wait until it ends")
        return row, start

    async def _append(self, upload: Upload, start: bytes, body: AsyncIterator[bytes]) -> None:
        file = await asyncio.to_thread(lambda: upload.path.open("ab", buffering=0))
        if self._uploads.get(upload.row.upload) is not upload:  # it ended meanwhile, and its file is made anew
            await asyncio.to_thread(file.close)
            await asyncio.to_thread(upload.path.unlink, missing_ok=True)
            if upload.problem:
                raise upload.problem
            return
        writing: asyncio.Task[None] | None = None
        pieces = Pieces()
        pieces.add(start)
        try:
            self._ensure_begun(upload)
            async for piece in body:
                pieces.add(piece)
                if upload.problem:
                    raise upload.problem
                if upload.size + pieces.size > upload.row.upload_bytes + WRITE_BYTES:
                    break  # too long: what is behind it need not be read
                if pieces.size >= WRITE_BYTES and (writing is None or writing.done() or pieces.size >= HELD_BYTES_MAX):
                    writing = await self._written(upload, writing, file, pieces)
        finally:
            try:  # also when the connection was cut: all that came is kept, so that it goes on there
                if pieces.size and not upload.problem:
                    writing = await self._written(upload, writing, file, pieces)
                if writing:
                    await writing
                if not upload.whole:  # else the intake knows
                    self._tell(upload)
            finally:
                await asyncio.to_thread(file.close)
        if upload.problem:
            raise upload.problem

    async def _written(
        self, upload: Upload, before: asyncio.Task[None] | None, file: IO[bytes], pieces: Pieces
    ) -> asyncio.Task[None]:
        """Write what there is while the next pieces arrive."""
        if before:
            await before
        size, taken = pieces.size, pieces.take()
        if upload.size + size > upload.row.upload_bytes:
            await self._refuse(
                upload,
                Problem("too-large", f"keys: are longer than the {upload.row.upload_bytes} bytes of their header"),
            )
            raise upload.problem or Problem("internal", "keys: refused")

        async def write() -> None:
            await asyncio.to_thread(write_pieces, file, taken, upload.size)
            upload.size += size
            if upload.whole or clock.steady() >= upload.told + TOLD_SECONDS:
                self._tell(upload)

        return asyncio.create_task(write())

    def _tell(self, upload: Upload) -> None:
        upload.told = clock.steady()
        self._send(More(upload.row.upload, upload.size, upload.whole))

    def _ensure_begun(self, upload: Upload) -> None:
        served = self._programs.all().get(upload.row.program)
        if served is None:
            raise Problem("unknown-program", f"program {upload.row.program[:12]}: is not served here any more")
        if upload.begun and not upload.ended.is_set():
            return
        upload.problem = None
        upload.ended.clear()
        target = self._blobs.staging(f"keys/{upload.row.upload}")
        self._send(Begin(upload.row.upload, served.folder, upload.row.label, str(upload.path), str(target)))
        upload.begun = True  # not before: the intake may not start
        self._tell(upload)

    async def _known(self, row: KeySetRow) -> Upload:
        """An upload of an earlier run is as long as its file."""
        if row.upload not in self._uploads:
            path = self._path(row.upload)
            size = await asyncio.to_thread(lambda: path.stat().st_size if path.exists() else 0)
            self._uploads.setdefault(row.upload, Upload(row, path, min(size, row.upload_bytes), by=row.sent_by))
        return self._uploads[row.upload]

    async def resume(self, rows: list[KeySetRow]) -> None:
        """After a restart: expand what had arrived whole."""
        for row in rows:
            upload = await self._known(row)
            if upload.whole:
                with suppress(Problem):  # its program is not served any more
                    self._ensure_begun(upload)

    # the intake

    def _start_child(self) -> None:
        count = str(self._config.evaluation.intakes)
        self._child = Child("heclstm.service.workers.intake", [count], self._heard, beside=True)
        if hasattr(os, "setpriority"):
            with suppress(OSError):  # it has ended already, which is heard
                own = os.getpriority(os.PRIO_PROCESS, 0)
                os.setpriority(os.PRIO_PROCESS, self._child.pid, min(19, own + NICENESS))  # while it imports, too

    def _heard(self, message: Any | None) -> None:
        """In the thread of the child."""
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._handle(message), self._loop)

    def _send(self, message: Any) -> None:
        if self._child is None and isinstance(message, Begin):
            self._start_child()
        if self._child:
            self._child.send(message)  # if it is gone, its end is heard, and all begins anew

    async def _handle(self, message: Any | None) -> None:
        match message:
            case None:
                await self._child_died()
            case Expanded(name) if upload := self._running(name):
                await self._expanded(upload)
            case Refused(name, code, detail) if upload := self._running(name):
                full = code == "storage-full"
                problem = Problem(code, detail, retry_after_seconds=60) if full else Problem(code, detail)
                await self._refuse(upload, problem, keep=full)
            case Paused(name) if upload := self._running(name):
                upload.begun = False
                if upload.active or upload.whole:
                    await self._begin_again(upload)

    def _running(self, name: str) -> Upload | None:
        """Nothing is heard any more of one that is being refused."""
        upload = self._uploads.get(name)
        return upload if upload and not upload.problem else None

    async def _begin_again(self, upload: Upload) -> None:
        """If it cannot be, who waits for it hears so."""
        try:
            self._ensure_begun(upload)
        except (OSError, Problem) as error:  # no process or file more for now; or its program is not served any more
            cannot = Problem("internal", "keys: cannot be taken in now; try again later")
            await self._refuse(upload, error if isinstance(error, Problem) else cannot, keep=True)

    async def _child_died(self) -> None:
        if self._stopping:
            return
        _LOG.error("the intake died; the next upload starts it anew")
        self._child = None
        begun = [each for each in self._uploads.values() if each.begun and not (each.problem or each.ended.is_set())]
        for upload in begun:
            upload.begun, upload.deaths = False, upload.deaths + 1
        for upload in begun:
            if upload.ended.is_set():
                continue  # while another was refused
            if upload.deaths >= DEATHS_MAX:
                await self._refuse(upload, Problem("internal", "keys: could not be taken in; make them again"))
            elif upload.active or upload.whole:
                await self._begin_again(upload)

    async def _expanded(self, upload: Upload) -> None:
        row, name = upload.row, f"keys/{upload.row.upload}"
        try:
            checksum = await asyncio.to_thread(_checksum, upload.path)
            await asyncio.to_thread(self._blobs.adopt, name)
            tell = partial(
                self._audit.write, "keys stored", row.tenant, key=row.label, program=row.program, upload=row.upload,
                bytes=row.upload_bytes, checksum=checksum, by=upload.by,
            )  # fmt: skip
            await asyncio.to_thread(self._key_sets.ready, row, tell)
        except Exception as error:
            if storage_full(error):
                with suppress(OSError):  # it is written over, or collected
                    await asyncio.to_thread(self._blobs.delete, name)
                detail = "keys: arrived, but the server has no disk space to note it; try again later"
                await self._refuse(upload, Problem("storage-full", detail, retry_after_seconds=60), keep=True)
                return
            _LOG.exception("expanded keys cannot be noted", error=type(error).__name__)
            detail = "keys: arrived, but cannot be noted now; try again later"
            upload.problem = Problem("database-unavailable", detail, retry_after_seconds=2)
            upload.begun = False
            upload.ended.set()
            return
        self._uploads.pop(row.upload, None)
        try:
            await asyncio.to_thread(upload.path.unlink, missing_ok=True)
        finally:
            upload.ended.set()

    async def _refuse(self, upload: Upload, problem: Problem, *, keep: bool = False) -> None:
        """Erase an upload that is no good. keep: it is, but there is no place for it now."""
        row = upload.row
        upload.problem, upload.begun = problem, True  # nobody begins it anew before this has ended
        try:
            if not keep:
                self._send(Drop(row.upload))
            told = await asyncio.to_thread(self._tell_refused, upload, problem.code)
            if not keep:
                await asyncio.to_thread(self._key_sets.remove, row.tenant, row.label, upload=row.upload)
                self._uploads.pop(row.upload, None)
                await asyncio.to_thread(upload.path.unlink, missing_ok=True)
                if not told:  # now there may be room
                    await asyncio.to_thread(self._tell_refused, upload, problem.code)
        except (OSError, *Unavailable) as error:
            _LOG.error("a refused upload cannot be erased now", upload=row.upload, error=type(error).__name__)
        finally:
            upload.begun = False
            upload.ended.set()

    def _tell_refused(self, upload: Upload, code: str) -> bool:
        """Whether it stands in the audit. What is no good is erased in any case."""
        row = upload.row
        try:
            self._audit.write(
                "keys refused", row.tenant, key=row.label, program=row.program, upload=row.upload, bytes=upload.size,
                code=code, by=upload.by,
            )  # fmt: skip
        except OSError as error:
            _LOG.error("a refusal cannot be noted", upload=row.upload, code=code, error=type(error).__name__)
            return False
        return True

    def _path(self, upload: str) -> Path:
        return self._folder / upload


def _checksum(path: Path) -> str:
    """That of the file itself, which stands at its end and was found to fit."""
    with path.open("rb") as file:
        file.seek(-TRAILER_BYTES, os.SEEK_END)
        return file.read().hex()
