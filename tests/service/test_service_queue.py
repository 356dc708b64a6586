"""Leases, turns, quotas and erasing, on a database without a server around it."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from heclstm.service import clock
from heclstm.service.audit import Audit
from heclstm.service.blobs import FolderBlobs
from heclstm.service.config import Quotas, Retention
from heclstm.service.database.connection import Database
from heclstm.service.database.jobs import Jobs, NewJob
from heclstm.service.database.key_sets import READY, KeySetRow, KeySets
from heclstm.service.database.migrate import upgrade
from heclstm.service.database.queue import Queue, fair
from heclstm.service.problems import Problem
from heclstm.service.retention import sweep

PROGRAM, LABEL = "a" * 64, "b" * 32


@pytest.fixture
def database(tmp_path):
    found = Database(f"sqlite:///{tmp_path / 'service.db'}")
    upgrade(found)
    yield found
    found.close()


@pytest.fixture
def accept(database):
    """accept(tenant, name, queries) → id of the job; the keys are there."""
    jobs, key_sets = Jobs(database), KeySets(database)

    def new(tenant, name, queries=1, quotas=None):
        row = KeySetRow(tenant, LABEL, PROGRAM, READY, os.urandom(16).hex(), 10, 20, clock.now(), clock.now())
        key_sets.begin(row, 1 << 40)
        return jobs.accept(
            NewJob(os.urandom(16).hex(), tenant, name, "c" * 64, PROGRAM, LABEL, queries), quotas or Quotas()
        )[0]

    return new


def test_a_query_is_leased_once(database, accept):
    accept("one", "x")
    first, second = Queue(database, "first"), Queue(database, "second")
    (row,) = first.heads()
    assert second.heads() == [row]
    assert (first.claim(row.id), second.claim(row.id)) == (True, False)
    assert second.heads() == []
    assert not second.finish(row, 1.0)
    assert first.finish(row, 1.0)
    assert first.finish(row, 1.0)  # again, if the database's answer was lost
    assert Jobs(database).get("one", row.job).state == "done"


def test_what_a_dead_server_left_is_taken_over_after_a_lease(database, accept, monkeypatch):
    accept("one", "x")
    steady = [0.0]
    monkeypatch.setattr(clock, "steady", lambda: steady[0])
    dead, other = Queue(database, "dead"), Queue(database, "other")
    (row,) = dead.heads()
    dead.claim(row.id)
    for moment in (0.0, 8.0):  # it lives
        steady[0] = moment
        assert dead.beat([row.id]) == {row.id}
        assert other.take_over(lease_seconds=10) == 0
    steady[0] = 17.9
    assert other.take_over(lease_seconds=10) == 0
    steady[0] = 18.1
    assert other.take_over(lease_seconds=10) == 1
    assert dead.beat([row.id]) == set()  # it hears that it has lost it
    assert other.claim(row.id)
    assert not dead.finish(row, 1.0)


def test_a_clock_that_jumps_takes_no_lease_and_loses_no_job(database, accept, monkeypatch):
    """The wall's clock is set back an hour, then forward a day, while a query runs and others wait."""
    now = [1e9]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    jobs, mine, other = Jobs(database), Queue(database, "mine"), Queue(database, "other")
    first = accept("one", "first")
    (row,) = mine.heads()
    mine.claim(row.id)
    now[0] -= 3600
    second = accept("one", "second")
    assert other.take_over(30) == 0
    assert mine.finish(row, 1.0)
    (row,) = mine.heads()
    assert row.job == second
    now[0] += 86400
    assert other.take_over(30) == 0
    mine.claim(row.id)
    now[0] -= 3600
    assert mine.finish(row, 1.0)
    assert {jobs.get("one", id).state for id in (first, second)} == {"done"}
    assert jobs.expired(now[0] - 86400 * 7) == []


def test_an_earlier_run_of_the_same_server_is_recovered_at_once(database, accept):
    accept("one", "x", queries=2)
    before = Queue(database, "me")
    (row,) = before.heads()
    before.claim(row.id)
    after = Queue(database, "me")
    assert after.recover() == 1
    assert after.recover() == 0
    (again,) = after.heads()
    assert (again.id, again.attempts) == (row.id, 1)
    assert Queue(database, "another").recover() == 0


def test_a_lease_whose_answer_was_lost_goes_back(database, accept):
    accept("one", "x", queries=3)
    queue, other = Queue(database, "me"), Queue(database, "other")
    rows = []
    for owner in (queue, queue, other):
        (row,) = owner.heads()
        assert owner.claim(row.id)
        rows.append(row)
    assert queue.requeue_strays([rows[0].id]) == 1
    (again,) = queue.heads()
    assert (again.id, again.attempts) == (rows[1].id, 0)
    assert queue.requeue_strays([rows[0].id]) == 0


def test_tenants_take_turns_whoever_came_first(database, accept):
    for number in range(4):
        accept("early", f"{number}")
    accept("late", "x")
    accept("later", "x")
    queue, turns, served = Queue(database, "me"), {}, []
    for turn in range(6):
        row = fair(queue.heads(), turns)[0]
        queue.claim(row.id)
        turns[row.tenant] = turn
        served.append(row.tenant)
    assert served == ["early", "late", "later", "early", "early", "early"]


def test_the_position_counts_turns(database, accept):
    for number in range(3):
        accept("one", f"{number}")
    for number in range(2):
        accept("two", f"{number}")
    queue, jobs = Queue(database, "me"), Jobs(database)
    last = jobs.get("two", accept("two", "last")).evaluations[0]
    assert queue.ahead_of(last) == 2 + 3
    assert queue.ahead_of(queue.heads()[0]) <= 1


def test_quotas_count_what_waits_and_the_day(database, accept, monkeypatch):
    now = [1e9]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    small = Quotas(queued=3, daily=4)
    accept("one", "x", 3, small)
    with pytest.raises(Problem) as full:
        accept("one", "y", 1, small)
    assert full.value.code == "quota-queued"
    queue = Queue(database, "me")
    for _ in range(3):
        (row,) = queue.heads()
        queue.claim(row.id)
        queue.fail(row, "damaged")
    with pytest.raises(Problem) as used:
        accept("one", "y", 2, small)
    assert used.value.code == "quota-daily"
    accept("two", "y", 2, small)
    now[0] += 86400
    accept("one", "y", 2, small)


def test_sweeping_erases_what_is_due_and_nothing_else(database, accept, tmp_path, monkeypatch):
    now = [clock.now()]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    blobs, audit = FolderBlobs(tmp_path / "blobs"), Audit(tmp_path / "audit")
    jobs, key_sets, queue = Jobs(database), KeySets(database), Queue(database, "me")
    done, waiting = accept("one", "done"), accept("two", "waiting")
    (row, _) = queue.heads()
    queue.claim(row.id)
    blobs.put(row.result_blob, b"result")
    queue.finish(row, 1.0)
    blobs.put(f"queries/{waiting}-0", b"query")
    used = {each.tenant: each for each in key_sets.of("one") + key_sets.of("two")}
    for each in used.values():
        blobs.put(f"keys/{each.upload}", b"keys")
    orphans = ("queries/" + "d" * 32 + "-0", "results/" + "d" * 32 + "-7", "keys/" + "d" * 32)
    in_flight = "queries/" + "e" * 32 + "-0"
    for name in (*orphans, in_flight):
        blobs.put(name, b"?")
    dropped = []

    async def drop(row):
        dropped.append(row.upload)

    app = SimpleNamespace(
        config=SimpleNamespace(retention=Retention(results_days=7, keys_days=30)),
        jobs=jobs, key_sets=key_sets, blobs=blobs, audit=audit, hub=SimpleNamespace(changed=lambda job: None),
        queries=SimpleNamespace(in_flight={in_flight}),
        uploads=SimpleNamespace(drop=drop, files=list),
        dispatcher=SimpleNamespace(cancel=lambda job: None, close_keys=lambda upload: None, slots=list),
    )  # fmt: skip
    assert asyncio.run(sweep(app)) == {"jobs": 0, "keys": 0, "orphans": 0, "audits": 0}  # too young, all of it
    assert asyncio.run(sweep(app, orphan_seconds=0))["orphans"] == 3
    assert blobs.read(in_flight)
    now[0] += 8 * 86400
    assert asyncio.run(sweep(app))["jobs"] == 1
    assert jobs.get("one", done) is None
    assert jobs.get("two", waiting).state == "queued"
    now[0] += 30 * 86400
    assert asyncio.run(sweep(app))["keys"] == 1  # the other's are waited for, however old
    assert dropped == [used["one"].upload]
    left = {
        path.relative_to(tmp_path / "blobs").as_posix() for path in (tmp_path / "blobs").rglob("*") if path.is_file()
    }
    assert left == {f"queries/{waiting}-0", f"keys/{used['two'].upload}", in_flight}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk here is always full")
def test_sweeping_makes_room_where_the_disk_is_full(database, accept, tmp_path, monkeypatch):
    """What is not told of goes, though the audit has no room for what is."""
    now = [clock.now()]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    blobs, audit = FolderBlobs(tmp_path / "blobs"), Audit(tmp_path / "audit")
    jobs, queue = Jobs(database), Queue(database, "me")
    done = accept("one", "done")
    (row,) = queue.heads()
    queue.claim(row.id)
    blobs.put(row.result_blob, b"result")
    queue.finish(row, 1.0)
    blobs.put("queries/" + "d" * 32 + "-0", b"?")
    audit.write("long ago", "one")
    now[0] += 9 * 86400
    full = tmp_path / "audit" / f"{clock.day(now[0])}.jsonl"
    full.symlink_to("/dev/full")
    app = SimpleNamespace(
        config=SimpleNamespace(retention=Retention(results_days=7, audit_days=7)),
        jobs=jobs, key_sets=KeySets(database), blobs=blobs, audit=audit, queries=SimpleNamespace(in_flight=set()),
        uploads=SimpleNamespace(files=list), dispatcher=SimpleNamespace(slots=list),
    )  # fmt: skip
    with pytest.raises(OSError, match="No space"):
        asyncio.run(sweep(app, orphan_seconds=0))
    assert jobs.get("one", done) is not None
    assert list(blobs.names("queries", 0)) == []
    assert list(blobs.names("results", 0)) == [row.result_blob]
    assert list((tmp_path / "audit").iterdir()) == [full]
    full.unlink()
    assert asyncio.run(sweep(app))["jobs"] == 1
    assert list(blobs.names("results", 0)) == []


def test_audit_lines_are_appended_and_erased_by_day(tmp_path, monkeypatch):
    now = [1e9]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    audit = Audit(tmp_path)
    audit.write("one", "tenant", bytes=3)
    now[0] += 86400
    Audit(tmp_path).write("two", "tenant")
    Audit(tmp_path).write("three", "tenant")
    (first, second) = sorted(tmp_path.iterdir())
    assert first.read_text() == '{"time":"2001-09-09T01:46:40+00:00","action":"one","tenant":"tenant","bytes":3}\n'
    assert len(second.read_text().splitlines()) == 2
    assert audit.erase("2001-09-10") == 1
    assert sorted(tmp_path.iterdir()) == [second]
