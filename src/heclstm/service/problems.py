"""Everything that the service refuses with: RFC 9457 problem details, each with a code that docs/errors.md explains.

A problem names place, got, expected, remedy, as our errors do, and never content. What a tenant may not see is
answered exactly like what does not exist.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from heclstm import errors

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Code:
    """status: of HTTP. title: the same for every problem of this code. headers: that it always comes with."""

    status: int
    title: str
    headers: tuple[str, ...] = ()


_RETRY = ("retry-after",)


CODES: dict[str, Code] = {
    # the request
    "bad-request": Code(400, "The request cannot be understood"),
    "no-such-route": Code(404, "There is no such route"),
    "method-not-allowed": Code(405, "This route does not have that method", ("allow",)),
    "request-timeout": Code(408, "The request came too slowly"),
    "too-large": Code(413, "The body is larger than it can be"),
    "headers-too-large": Code(431, "The head of the request is too large"),
    # who asks
    "unauthorized": Code(401, "No valid token", ("www-authenticate",)),
    "forbidden": Code(403, "The token does not allow this"),
    "not-found": Code(404, "There is no such thing, or not for this tenant"),
    "rate-limited": Code(429, "Too many requests", _RETRY),
    "quota-keys": Code(429, "No room for more keys of this tenant"),
    "quota-queued": Code(429, "Too many queries of this tenant are waiting", _RETRY),
    "quota-daily": Code(429, "The queries of this tenant are used up for today", _RETRY),
    # programs
    "unknown-program": Code(404, "This server does not serve that program"),
    "retired-program": Code(410, "This program has been retired"),
    # bodies
    "foreign-file": Code(422, "The body is no such heclstm file"),
    "damaged": Code(422, "The content does not fit its header or its checksum"),
    "wrong-sizes": Code(422, "The ciphertexts or keys are not those of the program"),
    "wrong-key": Code(422, "The content belongs to another key"),
    "secret-key": Code(422, "A secret key was sent"),
    "unknown-keys": Code(409, "The evaluation keys for this query are not stored"),
    "wrong-offset": Code(409, "The upload goes on at another offset", ("upload-offset",)),
    "upload-in-progress": Code(409, "Another connection is uploading these keys"),
    "idempotency-mismatch": Code(409, "This idempotency key was used for another body"),
    # jobs
    "job-not-done": Code(409, "The job has no result yet", _RETRY),
    "job-failed": Code(410, "The job failed and will have no result"),
    # the server
    "internal": Code(500, "The server made a mistake"),
    "database-unavailable": Code(503, "The database does not answer", _RETRY),
    "draining": Code(503, "The server is shutting down", _RETRY),
    "not-ready": Code(503, "No worker is ready yet", _RETRY),
    "overloaded": Code(503, "The server has too many connections", _RETRY),
    "storage-full": Code(507, "The disk of the server is full", _RETRY),
    # why an evaluation failed: found in a job, not as an answer
    "workers-died": Code(500, "Every worker that tried it died"),
    "evaluation-failed": Code(500, "The evaluation failed"),
    "too-large-for-server": Code(500, "The program does not fit into the memory of the server"),
}


class ProblemDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem as it is sent. detail: place, got, expected, remedy. code: see docs/errors.md."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    offset: int | UnsetType = UNSET
    successor: str | UnsetType = UNSET
    retry_after_seconds: int | UnsetType = UNSET
    request: str | UnsetType = UNSET


class Problem(Exception):
    """Raised anywhere below a route. members: further ones of the body."""

    def __init__(self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.code, self.detail, self.members = code, detail, members
        self.headers = dict(headers or {})
        if "retry_after_seconds" in members:
            self.headers["retry-after"] = str(members["retry_after_seconds"])

    @property
    def status(self) -> int:
        return CODES[self.code].status

    def details(self, **more: Any) -> ProblemDetails:
        return details(self.code, self.detail, **self.members, **more)


def details(code: str, detail: str = "", **members: Any) -> ProblemDetails:
    known = CODES[code]
    return ProblemDetails(
        type=f"urn:heclstm:problem:{code}",
        title=known.title,
        status=known.status,
        code=code,
        detail=detail,
        **members,
    )


def problem_of(error: Exception) -> Problem:
    """What a typed error means to who sent the body. Others are raised again by the caller, as mistakes of ours."""
    if isinstance(error, Problem):
        return error
    full = storage_full(error)
    if full is not None:
        return full
    text = str(error)
    match error:
        case errors.DigestError():
            return Problem("wrong-key", text)
        case errors.FileFormatError() | errors.LayoutError() | errors.LevelError() | errors.ScaleError():
            return Problem("damaged", text)
        case errors.MissingKeyError():
            return Problem("wrong-sizes", text)
        case _:
            raise error


def storage_full(error: BaseException) -> Problem | None:
    """The problem, if it is a full disk or quota that is behind an error."""
    found: BaseException | None = error
    while found is not None:
        full = isinstance(found, OSError) and found.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or getattr(found, "sqlite_errorname", "") == "SQLITE_FULL":  # also where the database is a file
            return Problem(
                "storage-full",
                "the server has no disk space left; nothing of this request was kept; try again later",
                retry_after_seconds=60,
            )
        found = found.__cause__
    return None


def not_found() -> Problem:
    """Anew each time: an exception that is raised again keeps the frames of every time before."""
    return Problem("not-found", "there is no such thing, or this tenant may not see it; check the id")
