"""Which evaluation keys are stored, and which are on the way."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update

from heclstm.service import clock
from heclstm.service.database.connection import Database
from heclstm.service.database.schema import evaluations, key_sets

RECEIVING, READY = "receiving", "ready"


class KeySetRow(Struct, frozen=True):
    """label: of the secret key. upload: random, names its files. stored_bytes: of the expanded file. sent_by: who sent
    the last of it, as the audit tells.
    """

    tenant: str
    label: str
    program: str
    state: str
    upload: str
    upload_bytes: int
    stored_bytes: int
    created: float
    last_used: float
    sent_by: str = ""


class KeySets:
    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant: str, label: str) -> KeySetRow | None:
        with self._database.read() as connection:
            row = connection.execute(select(key_sets).where(_is(tenant, label))).mappings().first()
        return KeySetRow(**row) if row else None

    def of(self, tenant: str) -> list[KeySetRow]:
        with self._database.read() as connection:
            rows = connection.execute(
                select(key_sets).where(key_sets.c.tenant == tenant).order_by(key_sets.c.created)
            ).mappings()
            return [KeySetRow(**row) for row in rows]

    def receiving(self) -> list[KeySetRow]:
        """All uploads that have begun, of every tenant."""
        with self._database.read() as connection:
            rows = connection.execute(select(key_sets).where(key_sets.c.state == RECEIVING)).mappings()
            return [KeySetRow(**row) for row in rows]

    def begin(self, row: KeySetRow, bytes_max: int) -> KeySetRow | None:
        """Note an upload that begins; the row that stands there already, if one does. None: over the quota."""
        with self._database.write() as connection:
            found = connection.execute(select(key_sets).where(_is(row.tenant, row.label))).mappings().first()
            if found:
                return KeySetRow(**found)
            used = connection.execute(
                select(func.coalesce(func.sum(key_sets.c.stored_bytes), 0)).where(key_sets.c.tenant == row.tenant)
            ).scalar_one()
            if used + row.stored_bytes > bytes_max:
                return None
            connection.execute(insert(key_sets).values(**{name: getattr(row, name) for name in row.__struct_fields__}))
        return row

    def sent(self, row: KeySetRow, by: str) -> None:
        """Who sends more of it."""
        with self._database.write() as connection:
            connection.execute(
                update(key_sets).where(_is(row.tenant, row.label), key_sets.c.upload == row.upload).values(sent_by=by)
            )

    def ready(self, row: KeySetRow, tell: Callable[[], object] = lambda: None) -> None:
        """tell: before they are, unless they are gone; what it raises leaves them as they were."""
        now = clock.now()
        with self._database.write() as connection:
            found = connection.execute(
                update(key_sets)
                .where(_is(row.tenant, row.label), key_sets.c.upload == row.upload)
                .values(state=READY, created=now, last_used=now)
            )
            if found.rowcount:
                tell()

    def used(self, tenant: str, label: str) -> None:
        with self._database.write() as connection:
            connection.execute(update(key_sets).where(_is(tenant, label)).values(last_used=clock.now()))

    def remove(
        self,
        tenant: str,
        label: str,
        *,
        upload: str | None = None,
        tell: Callable[[KeySetRow], object] = lambda row: None,
    ) -> KeySetRow | None:
        """Forget it, if it still is that upload; returns what was there. tell: before; what it raises keeps it."""
        with self._database.write() as connection:
            condition = _is(tenant, label)
            if upload is not None:
                condition = and_(condition, key_sets.c.upload == upload)
            # Locked, so that what is told of is what goes: two may ask at once, or keys be begun anew between the two.
            found = connection.execute(select(key_sets).where(condition).with_for_update()).mappings().first()
            if found is None:
                return None
            row = KeySetRow(**found)
            connection.execute(delete(key_sets).where(condition))
            tell(row)
        return row

    def expired(self, ready_before: float, receiving_before: float) -> list[KeySetRow]:
        """Key sets that nothing waits for and that were last used, or touched, before these moments."""
        waits = (
            select(evaluations.c.id)
            .where(
                evaluations.c.tenant == key_sets.c.tenant,
                evaluations.c.label == key_sets.c.label,
                evaluations.c.state.in_(("queued", "running")),
            )
            .exists()
        )
        old = ((key_sets.c.state == READY) & (key_sets.c.last_used < ready_before)) | (
            (key_sets.c.state == RECEIVING) & (key_sets.c.last_used < receiving_before)
        )
        with self._database.read() as connection:
            return [KeySetRow(**row) for row in connection.execute(select(key_sets).where(old, ~waits)).mappings()]

    def uploads(self) -> set[str]:
        """The names of all files that belong to a key set."""
        with self._database.read() as connection:
            return set(connection.execute(select(key_sets.c.upload)).scalars())


def _is(tenant: str, label: str) -> ColumnElement[bool]:
    return (key_sets.c.tenant == tenant) & (key_sets.c.label == label)
