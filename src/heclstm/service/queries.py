"""A body of queries as it arrives: each checked whole, then stored, so that one query at most is in memory."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

from heclstm.card.program_card import ProgramCard
from heclstm.circuit.sizes import HEADER_BYTES
from heclstm.errors import FileFormatError
from heclstm.service.blobs import Blobs
from heclstm.service.database.jobs import NewJob, query_blob, unknown_keys
from heclstm.service.database.key_sets import READY, KeySets
from heclstm.service.heads import read_head, require_ciphertexts_of, require_query_of
from heclstm.service.problems import Problem
from heclstm.service.programs import Programs
from heclstm.storage.container import HEADER_BYTES_MAX, PREFIX, Header, Kind, received

HEAD_BYTES_MAX = PREFIX.size + HEADER_BYTES_MAX


class Receiver:
    """in_flight: names of blobs whose job is not noted yet; they are no rubbish."""

    def __init__(self, programs: Programs, key_sets: KeySets, blobs: Blobs, batch: int) -> None:
        self._programs, self._key_sets, self._blobs, self._batch = programs, key_sets, blobs, batch
        self.in_flight: set[str] = set()

    async def receive(self, tenant: str, idempotency: str | None, body: AsyncIterator[bytes]) -> NewJob:
        """Store all queries. Raises Problem, and then keeps nothing. End with `forget` or `settle`."""
        job, digest, headers = secrets.token_hex(16), hashlib.sha256(), list[Header]()
        buffer = bytearray()
        total = 0
        wanted = 0  # bytes, before which nothing more can be said
        try:
            async for piece in body:
                digest.update(piece)
                total += len(piece)
                buffer += piece
                if len(buffer) >= wanted:
                    wanted = await self._take(job, tenant, headers, buffer)
            if buffer or not headers:
                raise Problem("damaged", f"query {len(headers)}: is truncated after {len(buffer)} bytes; send it again")
        except BaseException:
            await self.forget(job, len(headers) + 1)
            raise
        first = headers[0]
        body_digest = digest.hexdigest()
        return NewJob(
            id=job,
            tenant=tenant,
            idempotency=idempotency or f"body {body_digest}",
            body=body_digest,
            program=first.program,
            label=first.key,
            queries=len(headers),
            bytes=total,
        )

    async def forget(self, job: str, queries: int) -> None:
        """Erase what was stored for a job that was not accepted."""
        for number in range(queries):
            name = query_blob(job, number)
            with suppress(OSError):
                await asyncio.to_thread(self._blobs.delete, name)
            self.in_flight.discard(name)

    def settle(self, job: NewJob) -> None:
        """The job is noted, so its blobs belong to something."""
        self.in_flight -= {query_blob(job.id, number) for number in range(job.queries)}

    async def _take(self, job: str, tenant: str, headers: list[Header], buffer: bytearray) -> int:
        """Move the queries that are whole out of the buffer; returns how many bytes the next one needs."""
        while buffer and (head := read_head(bytes(buffer[:HEAD_BYTES_MAX]), Kind.QUERY)):
            header, size = head
            card = await self._require(header, headers, tenant)
            if len(buffer) < size:
                return size
            content = bytes(buffer[:size])
            del buffer[:size]
            await asyncio.to_thread(_check, content, card)
            name = query_blob(job, len(headers))
            self.in_flight.add(name)
            await asyncio.to_thread(self._blobs.put, name, content)
            headers.append(header)
        return 0

    async def _require(self, header: Header, before: list[Header], tenant: str) -> ProgramCard:
        """The card of its program. Raises Problem."""
        if len(before) >= self._batch:
            raise Problem(
                "too-large", f"query {len(before)}: a job has at most {self._batch} queries; send several jobs"
            )
        served = self._programs.get(header.program)
        require_query_of(header, served.card)
        if before:
            if (header.program, header.key) != (before[0].program, before[0].key):
                raise Problem(
                    "wrong-key", f"query {len(before)}: is for other keys than the first; send a job for each"
                )
            return served.card
        row = await asyncio.to_thread(self._key_sets.get, tenant, header.key)
        if row is None or row.state != READY or row.program != header.program:
            raise unknown_keys(header.key)
        return served.card


def _check(content: bytes, card: ProgramCard) -> None:
    try:
        with received(content, Kind.QUERY) as message:
            heads = {name: blob[:HEADER_BYTES] for name, blob in message.blobs()}
    except FileFormatError as error:
        raise Problem("damaged", str(error)) from error
    require_ciphertexts_of(heads, card)  # only now: before, they may have been altered on the way
