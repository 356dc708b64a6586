"""The audit: who, what, when, which digest, how many bytes, before it happens; and never content."""

import asyncio
import base64
import hashlib
import json
import os
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from sqlalchemy.exc import OperationalError

from heclstm.service import audit as module
from heclstm.service.audit import Audit
from heclstm.service.config import Quotas
from heclstm.service.database.connection import Database
from heclstm.service.database.jobs import Jobs, NewJob
from heclstm.service.database.key_sets import READY, RECEIVING, KeySetRow, KeySets
from heclstm.service.database.migrate import upgrade
from heclstm.service.http import jobs as routes
from heclstm.service.uploads import Uploads
from service.kit import Remote, expect

FULL = OSError(28, "No space left on device")


def lines(server, tenant):
    days = sorted((server.config.folder / "audit").glob("*.jsonl"))
    found = [json.loads(line) for day in days for line in day.read_text().splitlines()]
    return [line for line in found if line["tenant"] == tenant]


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_a_whole_way_stands_in_the_audit_and_no_content(server, hospital):
    begin = datetime.now(UTC) - timedelta(seconds=1)  # times are told by the second
    token = server.token("audited")
    tenant = Remote(server.http(token))
    by = f"token {token.split('_')[1]}"
    query, other, damaged = hospital.query(21), hospital.query(22), hospital.keys[:-1] + bytes([hospital.keys[-1] ^ 1])
    expect(tenant.put_keys(hospital, content=damaged), 422, "damaged")
    expect(tenant.put_keys(hospital), 201)
    expect(tenant.put_keys(hospital), 201)  # again, which stores nothing
    job = expect(tenant.post(query + other), 202).json()["id"]
    expect(tenant.post(query + other), 200)
    expect(tenant.post(query[:-1]), 422, "damaged")
    tenant.ended(job)
    both, second = tenant.result(job), tenant.result(job, number=1)
    expect(tenant.http.delete(f"/v1/jobs/{job}"), 204)
    expect(tenant.http.delete(f"/v1/jobs/{job}"), 404)
    expect(tenant.http.delete(f"/v1/keys/{hospital.label}"), 204)
    expect(tenant.http.delete(f"/v1/keys/{hospital.label}"), 404)
    expect(tenant.put_keys(hospital, content=hospital.secret.read_bytes()), 422, "secret-key")

    found = lines(server, "audited")
    times = [datetime.fromisoformat(line.pop("time")) for line in found]
    assert begin <= times[0]
    assert times == sorted(times)
    assert times[-1] <= datetime.now(UTC)
    uploads = [line.pop("upload") for line in found if "upload" in line]
    assert uploads[1] == uploads[2] != uploads[0]
    assert all(re.fullmatch("[0-9a-f]{32}", upload) for upload in uploads)
    keys = {
        "tenant": "audited",
        "key": hospital.label,
        "program": hospital.digest,
        "bytes": len(hospital.keys),
        "by": by,
    }
    accepted = {**keys, "job": job, "queries": 2, "bytes": len(query + other), "body": sha256(query + other)}
    sent = {**keys, "action": "result sent", "job": job}
    assert found == [
        {**keys, "action": "keys refused", "code": "damaged"},
        {**keys, "action": "keys stored", "checksum": hospital.keys[-32:].hex()},
        {**accepted, "action": "job accepted"},
        {**sent, "number": None, "results": 2, "bytes": len(both), "body": sha256(both)},
        {**sent, "number": 1, "results": 1, "bytes": len(second), "body": sha256(second)},
        {**accepted, "action": "job deleted", "state": "done"},
        {**keys, "action": "keys deleted", "state": "ready"},
        {"action": "secret key sent", "tenant": "audited", "key": hospital.label, "by": by},
    ]
    text = b"".join(path.read_bytes() for path in (server.config.folder / "audit").iterdir())
    assert token.encode() not in text
    for content in (query, other, both, hospital.keys, hospital.secret.read_bytes()):
        piece = content[-300:-270]  # of a ciphertext or a key
        for written in (piece, piece.hex().encode(), base64.b64encode(piece)):
            assert written not in text


def test_jobs_that_go_with_their_keys_are_told_of(server, hospital):
    tenant = server.tenant("waits")
    expect(tenant.put_keys(hospital), 201)
    children = psutil.Process(server.process.pid).children()
    (worker,) = [each for each in children if "heclstm.service.workers.process" in each.cmdline()]
    worker.suspend()
    try:
        job = expect(tenant.post(hospital.query(23)), 202).json()["id"]
        expect(tenant.http.delete(f"/v1/keys/{hospital.label}"), 204)
    finally:
        worker.resume()
    told = [(line["action"], line.get("job")) for line in lines(server, "waits")]
    assert told[-2:] == [("job deleted", job), ("keys deleted", None)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk here is always full")
def test_what_cannot_be_audited_does_not_happen(launch, hospital):
    """Where its disk is full: 507, and all is as before."""
    with launch(workers=1) as server:
        tenant, folder = server.tenant(), server.config.folder
        audit = folder / "audit"
        days = [audit / f"{datetime.now(UTC) + timedelta(days=day):%Y-%m-%d}.jsonl" for day in (0, 1)]
        kept = [audit / f"{day.stem}.kept" for day in days]

        def fill():
            for day, there in zip(days, kept, strict=True):
                if day.exists():
                    day.rename(there)
                day.symlink_to("/dev/full")

        def empty():
            for day, there in zip(days, kept, strict=True):
                day.unlink()
                if there.exists():
                    there.rename(day)

        def actions():
            return [line["action"] for line in lines(server, "hospital")]

        fill()
        expect(tenant.put_keys(hospital), 507, "storage-full")
        assert tenant.http.get("/v1/keys").json()["keys"][0]["state"] == "expanding"
        assert os.listdir(folder / "blobs" / "keys") == []
        empty()
        assert actions() == []
        expect(tenant.put_keys(hospital, len(hospital.keys), b""), 201)  # it had arrived, and is not sent again
        assert actions() == ["keys stored"]

        fill()
        expect(tenant.post(hospital.query(24)), 507, "storage-full")
        assert os.listdir(folder / "blobs" / "queries") == []
        assert tenant.http.get("/v1/jobs").json() == {"jobs": [], "next": None}
        empty()
        job = expect(tenant.post(hospital.queries[-1]), 202).json()["id"]
        tenant.ended(job)

        fill()
        for method, path in (
            ("GET", f"jobs/{job}/result"),
            ("DELETE", f"jobs/{job}"),
            ("DELETE", f"keys/{hospital.label}"),
        ):
            expect(tenant.http.request(method, f"/v1/{path}"), 507, "storage-full")
        answer = expect(tenant.post(hospital.secret.read_bytes()), 422, "secret-key")  # that is told in any case
        assert "do not use this one again" in answer.json()["detail"]
        expect(tenant.put_keys(hospital, content=hospital.keys), 201)
        empty()
        assert tenant.job(job)["state"] == "done"
        hospital.score(tenant.result(job))
        assert actions() == ["keys stored", "job accepted", "result sent"]


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    upgrade(database)
    yield database
    database.close()


JOB = NewJob("1" * 32, "one", "name", "b" * 64, "p" * 64, "l" * 32, 2, 77)
KEYS = KeySetRow("one", JOB.label, JOB.program, READY, "u" * 32, 10, 20, 1.0, 2.0, "token x")


def failing(*_):
    raise FULL


def test_nothing_is_there_before_it_is_told_and_nothing_if_it_cannot_be(database):
    jobs, key_sets, seen = Jobs(database), KeySets(database), []
    key_sets.begin(KEYS, 100)

    def look(*_):
        seen.append(jobs.get("one", JOB.id) is not None)

    for tell in (failing, lambda: look() or failing()):
        with pytest.raises(OSError, match="No space"):
            jobs.accept(JOB, Quotas(daily=2), tell)
        assert jobs.get("one", JOB.id) is None
    assert jobs.accept(JOB, Quotas(daily=2), look) == (JOB.id, True)  # nor were those counted against the quota
    assert jobs.accept(JOB, Quotas(daily=2), failing) == (JOB.id, False)  # which is no news
    assert seen == [False, False]

    with pytest.raises(OSError, match="No space"):
        jobs.remove("one", JOB.id, failing)
    assert jobs.get("one", JOB.id).bytes == 77
    jobs.remove("one", JOB.id, look)
    assert seen == [False, False, True]
    assert jobs.remove("one", JOB.id, failing) is None

    with pytest.raises(OSError, match="No space"):
        key_sets.remove("one", JOB.label, tell=failing)
    assert key_sets.get("one", JOB.label) == KEYS
    assert key_sets.remove("one", JOB.label) == KEYS
    assert key_sets.remove("one", JOB.label, tell=failing) is None


def test_keys_are_ready_once_that_is_told(database):
    key_sets = KeySets(database)
    arriving = KeySetRow(**{name: getattr(KEYS, name) for name in KEYS.__struct_fields__} | {"state": RECEIVING})
    key_sets.ready(arriving, failing)  # they are gone
    key_sets.begin(arriving, 100)
    with pytest.raises(OSError, match="No space"):
        key_sets.ready(arriving, failing)
    assert key_sets.get("one", JOB.label).state == RECEIVING
    key_sets.ready(arriving)
    assert key_sets.get("one", JOB.label).state == READY


def test_who_sent_keys_is_known_after_a_restart(database, tmp_path):
    key_sets = KeySets(database)
    key_sets.begin(KEYS, 100)
    key_sets.sent(KEYS, "token y")
    row = key_sets.get("one", JOB.label)
    uploads = Uploads(SimpleNamespace(folder=tmp_path), key_sets, None, None, None)
    assert asyncio.run(uploads._known(row)).by == "token y"


def test_a_job_is_told_of_once_if_the_answer_of_the_database_is_lost(database, monkeypatch):
    KeySets(database).begin(KEYS, 100)
    jobs = Jobs(database)
    accept = jobs.accept

    def lost(*arguments):
        accept(*arguments)
        monkeypatch.setattr(jobs, "accept", accept)
        raise OperationalError("COMMIT", {}, Exception("the server closed the connection"))

    monkeypatch.setattr(jobs, "accept", lost)
    app, told, settled, forgotten = accepting(database, jobs)
    assert asyncio.run(routes._accepted(app, JOB, "token x")) == (JOB.id, True)
    assert told == [("job accepted", "one")]
    assert settled == [JOB]
    assert forgotten == []


def accepting(database, jobs):
    """An app that accepts jobs; what was told, whose queries are settled, and whose were erased."""
    told, settled, forgotten = [], [], []

    async def forget(job, queries):
        forgotten.append(job)

    app = SimpleNamespace(
        config=SimpleNamespace(quotas_of=lambda tenant: Quotas()), database=database, jobs=jobs,
        audit=SimpleNamespace(write=lambda *facts, **more: told.append(facts)),
        queries=SimpleNamespace(settle=settled.append, forget=forget),
    )  # fmt: skip
    return app, told, settled, forgotten


@pytest.mark.parametrize("commits", [False, True])
@pytest.mark.parametrize("sqlite", [False, True])
def test_a_job_that_may_stand_keeps_its_queries(database, monkeypatch, commits, sqlite):
    """The database ends with the answer to a commit, and does not come again in time. In SQLite, no answer is lost."""
    KeySets(database).begin(KEYS, 100)
    jobs = Jobs(database)
    accept = jobs.accept

    def gone(*_):
        raise OperationalError("BEGIN", {}, Exception("connection refused"))

    def lost(*arguments):
        if commits:
            accept(*arguments)
        monkeypatch.setattr(jobs, "accept", gone)
        gone()

    monkeypatch.setattr(jobs, "accept", lost)
    known = SimpleNamespace(sqlite=sqlite, retried=partial(database.retried, seconds=0.1))
    app, told, settled, forgotten = accepting(known, jobs)
    with pytest.raises(OperationalError):
        asyncio.run(routes._accepted(app, JOB, "token x"))
    assert told == [("job accepted", "one")] * commits
    kept = commits and not sqlite
    assert (settled, forgotten) == (([JOB], []) if kept else ([], [JOB.id]))


def test_a_job_that_is_accepted_after_its_request_was_cut_keeps_its_queries(database):
    """As when a server that is stopped waits for the database no longer."""
    KeySets(database).begin(KEYS, 100)
    jobs = Jobs(database)
    app, told, settled, forgotten = accepting(database, jobs)

    async def cut():
        with database.write():  # which others wait for
            request = asyncio.create_task(routes._accepted(app, JOB, "token x"))
            await asyncio.sleep(0.1)
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request

    asyncio.run(cut())  # and the thread ends
    assert jobs.get("one", JOB.id) is not None
    assert told == [("job accepted", "one")]
    assert (settled, forgotten) == ([JOB], [])


def test_half_a_line_is_none(tmp_path, monkeypatch):
    """Neither where the disk was full in the middle of one, nor after a power cut."""
    audit = Audit(tmp_path)
    audit.write("one", "tenant")
    (path,) = tmp_path.iterdir()
    before, write = path.read_bytes(), os.write
    monkeypatch.setattr(module.os, "write", lambda descriptor, content: write(descriptor, content[:10]))
    with pytest.raises(OSError, match="No space"):
        audit.write("two", "tenant")
    assert path.read_bytes() == before
    monkeypatch.undo()
    with path.open("ab") as file:
        file.write(b'{"time":"2001')
    audit.write("three", "tenant")
    assert [json.loads(line)["action"] for line in path.read_text().splitlines() if line.endswith("}")] == [
        "one",
        "three",
    ]
