"""Tenants and their tokens.

A token is `heclstm_ID_SECRET`. The secret half has 256 random bits, of which the database holds an HMAC under a salt of
its own: with so many bits nobody guesses, so nothing slower is needed, and reading the database gives no token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import RowMapping, insert, select, update

from heclstm.errors import InputError
from heclstm.service import clock
from heclstm.service.database.connection import Database
from heclstm.service.database.schema import tenants, tokens

SCOPES = ("programs", "keys", "jobs", "metrics", "operator")
PREFIX = "heclstm"
TENANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TOKEN = re.compile(r"heclstm_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NOBODY = "0" * 32  # the salt for an unknown id: the same work is done, so the time tells nothing


class Token(Struct, frozen=True):
    """What is known of a token; not its secret half."""

    id: str
    tenant: str
    scopes: tuple[str, ...]
    created: float
    expires: float | None
    revoked: float | None
    note: str

    def valid(self, now: float) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)


class Tenants:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create_token(
        self, tenant: str, scopes: Sequence[str] = SCOPES[:3], *, days: float | None = None, note: str = ""
    ) -> tuple[Token, str]:
        """A new token, and its text, which is shown this once. The tenant is made if there is none."""
        if not TENANT.fullmatch(tenant):
            raise InputError(f"tenant: expected up to 63 of a-z, 0-9, '.', '_' and '-', got {len(tenant)} characters")
        if unknown := set(scopes) - set(SCOPES) or (not scopes and {"none"}):
            raise InputError(f"scopes: got {', '.join(sorted(unknown))}, expected some of {', '.join(SCOPES)}")
        if not note.isprintable() or len(note) > 200:
            raise InputError("note: expected at most 200 printable characters")
        now, secret, salt = clock.now(), secrets.token_urlsafe(32), secrets.token_hex(16)
        token = Token(
            secrets.token_hex(8),
            tenant,
            tuple(scopes),
            now,
            now + 86400 * days if days is not None else None,
            None,
            note,
        )
        with self._database.write() as connection:
            if connection.execute(select(tenants).where(tenants.c.name == tenant)).first() is None:
                connection.execute(insert(tenants).values(name=tenant, created=now))
            connection.execute(
                insert(tokens).values(
                    id=token.id,
                    tenant=tenant,
                    salt=salt,
                    digest=_digest(salt, secret),
                    scopes=" ".join(scopes),
                    created=now,
                    expires=token.expires,
                    note=note,
                )
            )
        return token, f"{PREFIX}_{token.id}_{secret}"

    def tokens(self, tenant: str | None = None) -> list[Token]:
        query = select(tokens).order_by(tokens.c.created)
        if tenant is not None:
            query = query.where(tokens.c.tenant == tenant)
        with self._database.read() as connection:
            return [_token(row) for row in connection.execute(query).mappings()]

    def revoke(self, id: str) -> Token:
        """Raises InputError if there is no such token. Twice is once."""
        with self._database.write() as connection:
            connection.execute(
                update(tokens).where(tokens.c.id == id, tokens.c.revoked.is_(None)).values(revoked=clock.now())
            )
            row = connection.execute(select(tokens).where(tokens.c.id == id)).mappings().first()
        if row is None:
            raise InputError(f"token: no token has the id {id[:16]!r}; `heclstm token list` shows them")
        return _token(row)

    def find(self, text: str) -> Token | None:
        """The valid token that this text is. Takes the same time for a wrong secret, an unknown id and no token."""
        found = _TOKEN.fullmatch(text)
        id, secret = found.groups() if found else ("", "")
        with self._database.read() as connection:
            row = connection.execute(select(tokens).where(tokens.c.id == id)).mappings().first()
        right = hmac.compare_digest(_digest(row["salt"] if row else _NOBODY, secret), row["digest"] if row else _NOBODY)
        token = _token(row) if row else None
        return token if token and right and token.valid(clock.now()) else None


def _digest(salt: str, secret: str) -> str:
    return hmac.new(bytes.fromhex(salt), secret.encode(), hashlib.sha256).hexdigest()


def _token(row: RowMapping) -> Token:
    fields = {name: row[name] for name in ("id", "tenant", "created", "expires", "revoked", "note")}
    return Token(**fields, scopes=tuple(row["scopes"].split()))
