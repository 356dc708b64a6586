"""Faults, injected: processes killed at every stage, disks full. What was accepted is done. See docs/faults.md."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time

import httpx
import pytest

from service.faulty import attempts, children, ended, rows
from service.kit import expect, wait_until


def test_workers_killed_in_mid_evaluation(launch, hospital):
    """Each time what it had begun is begun again, and a new worker comes."""
    with launch(workers=2, faults=("stop-3", "stop-8")) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        queries = [hospital.query(seed) for seed in range(12)]
        job = expect(tenant.post(b"".join(queries)), 202).json()["id"]
        for number in (3, 8):
            server.stopped_worker(number).kill()
        status = tenant.ended(job)
        assert (status["state"], status["done"]) == ("done", 12)
        assert server.text().count("a worker died") == 2
        assert attempts(server) == [2 if number in (3, 8) else 1 for number in range(1, 13)]
        for number, query in enumerate(queries):
            hospital.score(tenant.result(job, number=number), query)


def test_a_worker_that_hangs_is_ended_and_keeps_nobody_waiting(launch, hospital):
    with launch(workers=2, evaluation={"hang_seconds": 4, "lease_seconds": 1}, faults=("stop-1",)) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        jobs = [expect(tenant.post(hospital.query(seed)), 202).json()["id"] for seed in range(6)]
        server.stopped_worker(1)
        assert {tenant.ended(job)["state"] for job in jobs[1:]} == {"done"}
        assert tenant.job(jobs[0])["state"] == "running"
        assert tenant.ended(jobs[0])["state"] == "done"
        assert server.text().count("a worker hangs") == 1
        assert attempts(server) == [2, 1, 1, 1, 1, 1]
        hospital.score(tenant.result(jobs[0]))


def test_an_evaluation_that_kills_every_worker_fails_with_a_code(launch, hospital):
    with launch(workers=1, evaluation={"attempts": 2}, faults=("die-2",)) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        job = expect(tenant.post(b"".join(hospital.query(seed) for seed in range(3))), 202).json()["id"]
        status = tenant.ended(job)
        assert (status["state"], status["done"]) == ("failed", 2)
        assert status["failures"] == [{"number": 1, "code": "workers-died"}]
        assert server.text().count("a worker died") == 2
        expect(tenant.http.get(f"/v1/jobs/{job}/result"), 410, "job-failed")
        hospital.score(tenant.result(job, number=2))
        wait_until(lambda: tenant.http.get("/readyz").status_code == 200)
        assert tenant.diagnose(hospital, hospital.query(seed=3)) is not None


def test_server_killed_while_jobs_wait_and_run(launch, hospital):
    with launch(workers=1, faults=("stop-2",)) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        jobs = [expect(tenant.post(hospital.query(seed)), 202).json()["id"] for seed in range(5)]
        jobs.append(expect(tenant.post(b"".join(hospital.query(seed) for seed in range(5))), 202).json()["id"])
        worker = server.stopped_worker(2)
        assert [tenant.job(job)["state"] for job in jobs] == ["done", "running", *["queued"] * 4]
        server.kill()
        worker.resume()
        wait_until(lambda: ended(worker))  # orphans end
        server.start()
        assert {tenant.ended(job)["state"] for job in jobs} == {"done"}
        assert all(tenant.result(job) for job in jobs)


def test_server_killed_while_a_worker_is_in_mid_evaluation(launch, hospital):
    """The next server evaluates anew, while the orphan still stands there; that one ends when it goes on."""
    with launch(workers=1, faults=("stop-1",)) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        job = expect(tenant.post(hospital.query(seed=3)), 202).json()["id"]
        worker = server.stopped_worker(1)
        assert tenant.job(job)["state"] == "running"
        server.kill()
        server.start()
        assert tenant.ended(job)["state"] == "done"
        assert attempts(server) == [2]
        worker.resume()
        wait_until(lambda: ended(worker))
        hospital.score(tenant.result(job))


def test_server_killed_during_an_upload_of_keys(launch, hospital):
    """They go on where they were."""
    with launch(workers=1) as server:
        tenant = server.tenant()
        most = len(hospital.keys) * 3 // 4  # more than the megabyte that is written at once
        with half_sent(lambda content: server.tenant().put_keys(hospital, content=content), hospital.keys, most):
            wait_until(lambda: tenant.http.get(f"/v1/keys/{hospital.label}").json().get("received_bytes", 0) >= 1 << 20)
            server.kill()
        server.start()
        status = expect(tenant.http.get(f"/v1/keys/{hospital.label}"), 200).json()
        assert status["state"] == "receiving"
        assert 1 << 20 <= status["received_bytes"] <= most
        expect(tenant.put_keys(hospital, status["received_bytes"]), 201)
        assert tenant.diagnose(hospital, hospital.query(seed=4)) is not None


def test_server_killed_while_a_query_is_half_sent(launch, hospital):
    """It is no job, since it was not answered; what of it was stored is erased when it is an hour old."""
    with launch(workers=1, retention={"sweep_seconds": 0.2}, faults=()) as server:
        tenant, blobs = server.tenant(), server.config.folder / "blobs" / "queries"
        expect(tenant.put_keys(hospital), 201)
        body = hospital.query(seed=4) + hospital.query(seed=5)
        with half_sent(lambda content: server.tenant().post(content), body, len(body) * 3 // 4):
            wait_until(lambda: os.listdir(blobs))  # the first is whole, the second a half
            assert rows(server)["jobs"] == []
            server.kill()
        assert len(os.listdir(blobs)) == 1
        server.start()
        assert tenant.http.get("/v1/jobs").json()["jobs"] == []
        assert rows(server)["evaluations"] == []
        assert len(os.listdir(blobs)) == 1
        (server.faults / "clock").write_text("3700")
        wait_until(lambda: os.listdir(blobs) == [])
        job = expect(tenant.post(body), 202).json()["id"]
        assert tenant.ended(job)["done"] == 2


@contextlib.contextmanager
def half_sent(request, content, most):
    """Within, the first `most` bytes were handed over, and the others are not sent before the server is gone."""
    begun, over, raised = threading.Event(), threading.Event(), []

    def slowly():
        yield content[:most]
        begun.set()
        over.wait(60)
        yield content[most:]

    def send():
        try:
            request(slowly())
        except httpx.TransportError as error:
            raised.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    assert begun.wait(30)
    yield
    over.set()
    thread.join(60)
    assert raised, "it was answered"


def test_server_killed_before_keys_that_arrived_were_expanded(launch, hospital):
    with launch(workers=1) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital, content=hospital.keys[:-1]), 202)
        (intake,) = children(server, "intake")
        intake.suspend()
        thread = threading.Thread(target=lambda: _ignore(tenant, hospital), daemon=True)
        thread.start()
        wait_until(lambda: server.tenant().http.get(f"/v1/keys/{hospital.label}").json()["state"] == "expanding")
        server.kill()
        intake.kill()
        server.start()
        other = server.tenant()
        wait_until(lambda: other.http.get(f"/v1/keys/{hospital.label}").json()["state"] == "ready")
        assert other.diagnose(hospital, hospital.query(seed=5)) is not None


def _ignore(tenant, hospital):
    with contextlib.suppress(httpx.TransportError):
        tenant.put_keys(hospital, len(hospital.keys) - 1)


def test_the_intake_killed_in_mid_upload(launch, hospital):
    with launch(workers=1) as server:
        tenant = server.tenant()
        half = len(hospital.keys) // 2
        expect(tenant.put_keys(hospital, content=hospital.keys[:half]), 202)
        (intake,) = children(server, "intake")
        intake.kill()
        expect(tenant.put_keys(hospital, half), 201)
        (other,) = children(server, "intake")
        assert other.pid != intake.pid
        assert tenant.diagnose(hospital, hospital.query(seed=6)) is not None


def test_server_killed_while_it_sends_a_result(launch, hospital):
    """After the first of two."""
    with launch(workers=1, faults=("stop-results",)) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        job = expect(tenant.post(hospital.query(seed=7) + hospital.query(seed=8)), 202).json()["id"]
        assert tenant.ended(job)["state"] == "done"
        with tenant.http.stream("GET", f"/v1/jobs/{job}/result") as stream:
            assert stream.status_code == 200
            pieces = stream.iter_raw()
            got = [next(pieces)]
            wait_until(lambda: not (server.faults / "stop-results").exists())
            server.kill()
            with pytest.raises(httpx.TransportError):
                got.extend(pieces)
        server.start()
        whole = server.tenant().result(job)
        assert len(whole) == 2 * len(b"".join(got))
        assert whole.startswith(b"".join(got))
        hospital.score(server.tenant().result(job, number=1))


def test_the_clock_of_a_running_server_is_set_back_an_hour_and_on_a_day(launch, hospital):
    """Leases, turns and results as before; tokens, keys and what is stored stay, and nothing is swept early."""
    with launch(
        workers=1, evaluation={"lease_seconds": 1}, retention={"sweep_seconds": 0.5}, faults=("stop-2",)
    ) as server:
        tenant = server.tenant(days=2)
        expect(tenant.put_keys(hospital), 201)
        jobs = [expect(tenant.post(hospital.query(seed=0)), 202).json()["id"]]
        before = tenant.ended(jobs[0])
        for seed in (1, 2):
            jobs.append(expect(tenant.post(hospital.query(seed)), 202).json()["id"])
        worker = server.stopped_worker(2)
        set_clock(server, -3600)
        assert tenant.job(jobs[0]) == before
        jobs.append(expect(tenant.post(hospital.query(seed=3)), 202).json()["id"])
        status = tenant.job(jobs[3])
        assert status["created"] < before["created"]
        worker.resume()
        assert [tenant.ended(job)["state"] for job in jobs] == ["done"] * 4
        set_clock(server, 86400)
        assert tenant.ended(expect(tenant.post(hospital.query(seed=4)), 202).json()["id"])["state"] == "done"
        set_clock(server, -3600)
        assert tenant.diagnose(hospital, hospital.query(seed=5)) is not None
        for job in jobs:
            hospital.score(tenant.result(job))
        assert set(attempts(server)) == {1}
        lines = [json.loads(line) for line in server.text().splitlines()]
        swept = [line for line in lines if line["event"] == "erased what was due"]
        assert len(swept) >= 3
        assert {(line["jobs"], line["keys"], line["audits"]) for line in swept} == {(0, 0, 0)}
        assert not [
            line for line in lines if line["event"].startswith(("took over", "requeued", "a worker", "a mistake"))
        ]


def set_clock(server, seconds):
    """And what is older than an hour and nobody's is still swept."""
    (server.faults / "clock").write_text(str(seconds))
    nobodys = server.config.folder / "blobs" / "results" / f"{'0' * 32}-0"
    nobodys.write_bytes(b"")
    os.utime(nobodys, (0, 0))
    wait_until(lambda: not nobodys.exists(), 30, server.text)


def test_identical_requests_at_once_are_one_job(server, hospital):
    tenant = server.tenant("twice")
    expect(tenant.put_keys(hospital), 201)
    query, answers = hospital.query(seed=8), []
    clients = [server.tenant("twice") for _ in range(6)]
    threads = [threading.Thread(target=lambda each=each: answers.append(each.post(query))) for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(tenant.http.get("/v1/jobs").json()["jobs"]) == 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_disk(launch, hospital, second, small_disk, tmp_path_factory):
    """Keys, queries and results that find no place: said so, nothing half, and all goes on once there is room."""
    database = tmp_path_factory.mktemp("database") / "service.db"
    with launch(
        state=str(small_disk / "state"), database=f"sqlite:///{database}", evaluation={"retry_seconds": 0.2}
    ) as server:
        tenant = server.tenant()
        ballast = small_disk / "ballast"

        def fill(left=0):
            free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
            ballast.write_bytes(bytes(max(0, free - left)))

        fill(left=2 << 20)  # room for a part of an upload
        refused = expect(tenant.put_keys(hospital), 507, "storage-full")
        assert int(refused.headers["retry-after"]) > 0
        ballast.unlink()
        held = [link for link in os.scandir(f"/proc/{server.process.pid}/fd") if "uploads" in os.readlink(link.path)]
        assert not held  # an open file would keep its place on the disk after it is erased
        offset = tenant.http.get(f"/v1/keys/{hospital.label}").json()["received_bytes"]
        expect(tenant.put_keys(hospital, offset), 201)

        fill(left=20_000)
        expect(tenant.post(hospital.query(seed=9)), 507, "storage-full")
        assert os.listdir(small_disk / "state" / "blobs" / "queries") == []
        ballast.unlink()

        worker = children(server, "process")[0]
        worker.suspend()
        job = expect(tenant.post(hospital.query(seed=10)), 202).json()["id"]
        wait_until(lambda: tenant.job(job)["state"] == "running")
        fill()
        worker.resume()
        wait_until(lambda: "no disk space for a result" in server.text(), 30, server.text)
        assert tenant.job(job)["state"] in ("queued", "running")
        ballast.unlink()
        assert tenant.ended(job)["state"] == "done"
        hospital.score(tenant.result(job))


def test_the_second_signal_ends_at_once(launch, hospital):
    with launch(workers=1) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        children(server, "process")[0].suspend()
        job = expect(tenant.post(hospital.query(seed=11)), 202).json()["id"]
        wait_until(lambda: tenant.job(job)["state"] == "running")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: tenant.http.get("/readyz").status_code == 503)
        begin = time.monotonic()
        assert server.stop(30) == 0
        assert time.monotonic() - begin < 20  # the drain would last a minute
        server.start()
        assert tenant.ended(job)["state"] == "done"
