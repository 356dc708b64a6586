"""Every route that a hospital uses, as a conversation. docs/http.md tells what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from heclstm.deploy.wire import Kind, read_header
from heclstm.errors import NetworkError
from heclstm.network.answers import Jobs, JobStatus, Keys, KeyStatus, Offered, Programs, read
from heclstm.network.patience import DEFAULT, Patience, ask, refused, retry_after
from heclstm.network.steps import TIMEOUT_SECONDS, Answer, Ask, Body, Cut, OnProgress, Steps, Wait

PIECE_BYTES = 1 << 20
EXPANDING_SECONDS = 300.0  # a server may need so long to read keys once they are there
POLL_SECONDS = 10
BYTES = {"content-type": "application/octet-stream"}
JOBS_MAX = 100_000  # that a hospital may have at a server
HEAD_BYTES_MAX = 1 << 16  # of a result, beside its ciphertexts


def list_programs(patience: Patience = DEFAULT) -> Steps[tuple[Offered, ...]]:
    answer = yield from ask(Ask("GET", "/v1/programs"), patience)
    return read(answer, Programs).programs


def program(digest: str, patience: Patience = DEFAULT) -> Steps[bytes]:
    """program.json, as it came: nobody has verified it yet."""
    answer = yield from ask(Ask("GET", f"/v1/programs/{digest}"), patience)
    return answer.content


def list_keys(patience: Patience = DEFAULT) -> Steps[tuple[KeyStatus, ...]]:
    answer = yield from ask(Ask("GET", "/v1/keys"), patience)
    return read(answer, Keys).keys


def key_status(label: str, patience: Patience = DEFAULT) -> Steps[KeyStatus | None]:
    """None if the server has nothing of these keys."""
    answer = yield from ask(Ask("GET", f"/v1/keys/{label}"), patience, also=(404,))
    return None if answer.status == 404 else read(answer, KeyStatus)


def delete_keys(label: str, patience: Patience = DEFAULT) -> Steps[None]:
    """Gone afterwards, whether or not they were there."""
    yield from ask(Ask("DELETE", f"/v1/keys/{label}"), patience, also=(404,))


def upload(path: Path, on_progress: OnProgress | None = None, patience: Patience = DEFAULT) -> Steps[KeyStatus]:
    """Send evaluation keys, or what the server has not got of them yet, until they are ready to be used.

    However often the line is cut, it goes on where it ended: patience is for tries that bring nothing. Raises
    FileFormatError for any other file, a secret key above all: nothing of it is sent.
    """
    label, size = read_header(path, Kind.EVALUATION_KEYS).key, path.stat().st_size
    told = on_progress or (lambda done, total: None)
    status = yield from key_status(label, patience)
    if status is not None and status.upload_bytes != size:
        yield from delete_keys(label, patience)  # of keys that were made anew since
        status = None
    best, pauses = -1, patience.pauses()
    while status is None or status.state != "ready":
        offset = 0 if status is None else status.received_bytes
        if offset > best:
            best, pauses = offset, patience.pauses()
        answer, reason = yield from _send(label, path, offset, size, told)
        if answer is not None and answer.status < 300:
            status = read(answer, KeyStatus)
            if status.state == "ready" or status.received_bytes > offset:
                continue
            answer, reason = None, f"they are {status.state}, with {status.received_bytes} bytes"
        if (pause := next(pauses, None)) is None:
            raise refused(answer) if answer else NetworkError(f"server: takes no keys any more ({reason}); try later")
        yield Wait(max(pause, retry_after(answer, patience.longest_seconds)) if answer else pause)
        status = yield from key_status(label, patience)
    told(size, size)
    return status


def _send(label: str, path: Path, offset: int, size: int, told: OnProgress) -> Steps[tuple[Answer | None, str]]:
    """One try. (answer, "") where there was one, of success or that may be another next time; else (None, reason)."""
    body = Body(lambda: _pieces(path, offset, size, told), size - offset)
    headers = {**BYTES, "upload-offset": str(offset)}
    request = Ask("PUT", f"/v1/keys/{label}", body, headers, timeout_seconds=EXPANDING_SECONDS)
    try:
        answer: Answer = yield request
    except Cut as cut:
        return None, str(cut)
    refusal = refused(answer) if answer.status >= 300 else None
    if refusal and not refusal.passing and refusal.code not in ("wrong-offset", "upload-in-progress"):
        raise refusal
    return answer, ""


def _pieces(path: Path, offset: int, size: int, told: OnProgress) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(offset)
        while piece := stream.read(PIECE_BYTES):
            yield piece
            offset += len(piece)
            told(offset, size)


def post(query: bytes, patience: Patience = DEFAULT) -> Steps[JobStatus]:
    """Have one query evaluated; the same query is the same job, however often it is sent."""
    header = read_header(query, Kind.QUERY)  # nothing else is ever sent
    headers = {**BYTES, "idempotency-key": header.query}
    answer = yield from ask(Ask("POST", "/v1/jobs", Body.of(query), headers), patience)
    return read(answer, JobStatus)


def ended(
    job: str, on_status: Callable[[JobStatus], None] | None = None, patience: Patience = DEFAULT
) -> Steps[JobStatus]:
    """Wait until a job is done or has failed."""
    before = None
    while True:
        request = Ask(
            "GET", f"/v1/jobs/{job}", params={"wait": str(POLL_SECONDS)}, timeout_seconds=POLL_SECONDS + TIMEOUT_SECONDS
        )
        answer = yield from ask(request, patience)
        status = read(answer, JobStatus)
        if on_status:
            on_status(status)
        if status.ended:
            return status
        if status == before:
            yield Wait(1.0)  # a server that is being stopped answers at once
        before = status


def list_jobs(patience: Patience = DEFAULT) -> Steps[list[JobStatus]]:
    """All of this tenant's, newest first."""
    found: dict[str, JobStatus] = {}
    after: str | None = None
    while True:
        params = {} if after is None else {"after": after}
        answer = yield from ask(Ask("GET", "/v1/jobs", params=params), patience)
        page, known = read(answer, Jobs), len(found)
        found |= {job.id: job for job in page.jobs}
        if page.next is None or len(found) == known:
            return list(found.values())
        if len(found) > JOBS_MAX:
            raise NetworkError(f"server: lists more than {JOBS_MAX} jobs of this hospital; ask the operator")
        after = page.next


def result(job: str, result_bytes: int, patience: Patience = DEFAULT) -> Steps[bytes]:
    """The encrypted result of a job of one query. result_bytes: of its ciphertexts; no more is taken in."""
    request = Ask("GET", f"/v1/jobs/{job}/result", answer_bytes_max=result_bytes + HEAD_BYTES_MAX)
    answer = yield from ask(request, patience)
    return answer.content


def delete_job(job: str, patience: Patience = DEFAULT) -> Steps[None]:
    """Gone afterwards, whether or not it was there."""
    yield from ask(Ask("DELETE", f"/v1/jobs/{job}"), patience, also=(404,))
