"""Faults, injected: processes killed at every stage, disks full. What was accepted is done. See docs/faults.md."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import httpx
import psutil
import pytest

from service.kit import expect, wait_until


def children(server, module):
    """Processes of the server that run this module."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [
            child
            for child in psutil.Process(server.process.pid).children(recursive=True)
            if f"heclstm.service.workers.{module}" in child.cmdline()
        ]
    return []


def test_workers_killed_in_mid_evaluation(launch, hospital):
    """Each time what it had begun is begun again, and a new worker comes."""
    with launch(workers=2) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        queries = [hospital.query(seed) for seed in range(12)]
        job = expect(tenant.post(b"".join(queries)), 202).json()["id"]
        for done in (1, 3):
            wait_until(lambda done=done: tenant.job(job)["done"] >= done and children(server, "process"))
            for worker in children(server, "process"):
                worker.kill()
        status = tenant.ended(job)
        assert (status["state"], status["done"]) == ("done", 12)
        for number, query in enumerate(queries):
            hospital.score(tenant.result(job, number=number), query)


def test_a_worker_that_hangs_is_ended_and_keeps_nobody_waiting(launch, hospital):
    with launch(workers=2, evaluation={"hang_seconds": 2, "lease_seconds": 1}) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        wait_until(lambda: len(children(server, "process")) == 2)
        children(server, "process")[0].suspend()
        jobs = [expect(tenant.post(hospital.query(seed)), 202).json()["id"] for seed in range(6)]
        assert {tenant.ended(job)["state"] for job in jobs} == {"done"}
        assert server.text().count("a worker hangs") <= 1  # none, if it never got one of them


def test_an_evaluation_that_kills_every_worker_fails_with_a_code(launch, hospital):
    with launch(workers=1, evaluation={"attempts": 2}) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        (worker,) = children(server, "process")
        worker.suspend()  # so that it is at work when it dies
        job = expect(tenant.post(hospital.query(seed=1)), 202).json()["id"]
        wait_until(lambda: tenant.job(job)["state"] == "running")
        worker.kill()

        def kill_the_next():
            for each in children(server, "process"):
                if each.pid != worker.pid:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.suspend()
                        if tenant.job(job)["state"] == "running":
                            each.kill()
                        else:
                            each.resume()
            return tenant.job(job)["state"] in ("failed", "done")

        wait_until(kill_the_next, 60)
        status = tenant.job(job)
        if status["state"] == "failed":  # else it was too fast for us: then it is done, which is as well
            assert status["failures"] == [{"number": 0, "code": "workers-died"}]
            expect(tenant.http.get(f"/v1/jobs/{job}/result"), 410, "job-failed")
        wait_until(lambda: tenant.http.get("/readyz").status_code == 200)
        assert tenant.diagnose(hospital, hospital.query(seed=2)) is not None


def test_server_killed_while_jobs_wait_and_run(launch, hospital):
    with launch(workers=1) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        jobs = [expect(tenant.post(hospital.query(seed)), 202).json()["id"] for seed in range(5)]
        jobs.append(expect(tenant.post(b"".join(hospital.query(seed) for seed in range(5))), 202).json()["id"])
        (worker,) = children(server, "process")
        server.kill()
        wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)  # orphans end
        server.start()
        assert {tenant.ended(job)["state"] for job in jobs} == {"done"}
        assert all(tenant.result(job) for job in jobs)


def test_server_killed_while_a_worker_is_in_mid_evaluation(launch, hospital):
    with launch(workers=1) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        (worker,) = children(server, "process")
        worker.suspend()
        job = expect(tenant.post(hospital.query(seed=3)), 202).json()["id"]
        wait_until(lambda: tenant.job(job)["state"] == "running")
        server.kill()
        worker.resume()
        server.start()
        assert tenant.ended(job)["state"] == "done"
        hospital.score(tenant.result(job))


def test_server_killed_during_uploads_of_keys_and_queries(launch, hospital):
    """Keys go on where they were; a query that was not answered is no job, and leaves nothing for ever."""
    with launch(workers=1) as server:
        tenant = server.tenant()
        most = len(hospital.keys) * 3 // 4  # more than the megabyte that is written at once
        begun, ended = threading.Event(), threading.Event()

        def slowly(content):
            yield content[:most]
            begun.set()
            ended.wait(60)
            yield content[most:]

        def send():
            with contextlib.suppress(httpx.TransportError):
                server.tenant().put_keys(hospital, content=slowly(hospital.keys))

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        assert begun.wait(30)
        wait_until(lambda: tenant.http.get(f"/v1/keys/{hospital.label}").json().get("received_bytes", 0) >= 1 << 20)
        server.kill()
        ended.set()
        thread.join(60)
        server.start()
        status = expect(tenant.http.get(f"/v1/keys/{hospital.label}"), 200).json()
        assert status["state"] == "receiving"
        assert 0 < status["received_bytes"] <= most
        expect(tenant.put_keys(hospital, status["received_bytes"]), 201)
        assert tenant.diagnose(hospital, hospital.query(seed=4)) is not None


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
        children(server, "intake")[0].kill()
        expect(tenant.put_keys(hospital, half), 201)
        assert tenant.diagnose(hospital, hospital.query(seed=6)) is not None


def test_server_killed_while_it_sends_a_result(launch, hospital):
    with launch(workers=1) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        job = expect(tenant.post(hospital.query(seed=7)), 202).json()["id"]
        tenant.ended(job)
        with contextlib.suppress(httpx.TransportError), tenant.http.stream("GET", f"/v1/jobs/{job}/result") as stream:
            server.kill()
            list(stream.iter_bytes())
        server.start()
        again = server.tenant()
        hospital.score(again.result(job))


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
