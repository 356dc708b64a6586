"""From keys to diagnosis over a real TLS socket: one query, a batch, waiting for it in three ways, and the end."""

import json
import signal
import time

import httpx
import pytest

from service.kit import expect, wait_until


@pytest.fixture(scope="module")
def tenant(server, hospital):
    remote = server.tenant("whole-way")
    expect(remote.put_keys(hospital), 201)
    return remote


def test_a_diagnosis_over_the_network_is_that_of_the_program(tenant, hospital, program, run_clear):
    """The encrypted score is the clear circuit's, within four times what the simulator predicts, and then rounded."""
    import numpy as np

    from heclstm.backend.precision import predict_errors
    from heclstm.deploy.rounding import decimals
    from heclstm.program.files import load_program

    query = hospital.query(seed=3)
    loaded = load_program(program)
    circuit = loaded.circuit
    frames = np.random.default_rng(3).uniform(0, 1, (1, 2, 1, 8, 8)).astype(np.float32).astype(float)
    expected = circuit.result_layout.unpack(run_clear(circuit, frames)).flat[0]
    allowed = 4 * predict_errors(circuit, frames).max() + 0.5 * 10 ** -decimals(loaded.card)
    assert tenant.diagnose(hospital, query) == pytest.approx(float(expected), abs=allowed)


def test_a_batch_is_one_job_and_its_results_come_in_order(tenant, hospital):
    queries = [hospital.query(seed) for seed in range(3)]
    job = expect(tenant.post(b"".join(queries)), 202).json()
    assert job["queries"] == 3
    status = tenant.ended(job["id"])
    assert (status["state"], status["done"], status["failures"], status["progress"]) == ("done", 3, [], 1.0)
    results = tenant.result(job["id"])
    size = len(results) // 3
    for number, query in enumerate(queries):
        one = tenant.result(job["id"], number=number)
        assert one == results[number * size : (number + 1) * size]
        assert hospital.score(one, query)  # the query's label is in the result: another one is refused


def test_the_same_body_twice_is_one_job(tenant, hospital):
    query = hospital.query(seed=5)
    first, again = tenant.post(query), tenant.post(query)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"] == f"/v1/jobs/{first.json()['id']}"


def test_an_idempotency_key_names_one_job(tenant, hospital):
    one, other = hospital.query(seed=6), hospital.query(seed=7)
    job = expect(tenant.post(one, key="patient list 1".replace(" ", "-")), 202).json()
    assert expect(tenant.post(one, key="patient-list-1"), 200).json()["id"] == job["id"]
    expect(tenant.post(other, key="patient-list-1"), 409, "idempotency-mismatch")
    assert expect(tenant.post(one, key="another"), 202).json()["id"] != job["id"]


def test_a_long_poll_answers_at_the_change_and_not_before(tenant, hospital):
    job = expect(tenant.post(hospital.query(seed=8)), 202).json()
    begin = time.monotonic()
    status = tenant.job(job["id"], wait=30)
    while status["state"] != "done":
        status = tenant.job(job["id"], wait=30)
    assert time.monotonic() - begin < 20
    begin = time.monotonic()
    tenant.job(job["id"], wait=30)  # it has ended: nothing to wait for
    assert time.monotonic() - begin < 5


def test_events_tell_the_way_of_a_job(tenant, hospital):
    job = expect(tenant.post(b"".join(hospital.query(seed) for seed in (9, 10))), 202).json()["id"]
    with tenant.http.stream("GET", f"/v1/jobs/{job}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in stream.iter_lines() if line]
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert {line for line in lines if line.startswith("event:")} == {"event: job"}
    assert events[-1]["state"] == "done"
    done = [event["done"] for event in events]
    assert done == sorted(done)


def test_lists_show_what_there_is_and_deleting_erases_it(tenant, hospital, server):
    job = expect(tenant.post(hospital.query(seed=11)), 202).json()["id"]
    tenant.ended(job)
    assert job in [each["id"] for each in tenant.http.get("/v1/jobs").json()["jobs"]]
    blobs = server.config.folder / "blobs"
    assert list(blobs.glob(f"results/{job}-*"))
    assert not list(blobs.glob(f"queries/{job}-*"))  # a query goes as soon as its result is there
    expect(tenant.http.delete(f"/v1/jobs/{job}"), 204)
    expect(tenant.http.get(f"/v1/jobs/{job}"), 404, "not-found")
    expect(tenant.http.get(f"/v1/jobs/{job}/result"), 404, "not-found")
    assert not list(blobs.glob(f"*/{job}-*"))


def test_deleting_keys_takes_waiting_jobs_along(server, second):
    tenant = server.tenant("goes")
    expect(tenant.put_keys(second), 201)
    job = expect(tenant.post(b"".join(second.query(seed) for seed in range(8))), 202).json()["id"]
    expect(tenant.http.delete(f"/v1/keys/{second.label}"), 204)
    expect(tenant.http.get(f"/v1/keys/{second.label}"), 404, "not-found")
    expect(tenant.http.get(f"/v1/jobs/{job}"), 404, "not-found")
    expect(tenant.post(second.query(20)), 409, "unknown-keys")
    expect(tenant.put_keys(second), 201)  # and may come again


def test_health_and_metrics(server, tenant):
    with server.http() as anybody:
        assert anybody.get("/healthz").json() == {"status": "ok"}
        assert anybody.get("/readyz").json() == {"status": "ok"}
        expect(anybody.get("/metrics"), 401, "unauthorized")
    expect(tenant.http.get("/metrics"), 403, "forbidden")
    text = expect(server.tenant("watch", scopes=("metrics",)).http.get("/metrics"), 200).text
    for name in ("heclstm_requests_total", "heclstm_evaluation_seconds_bucket", "heclstm_queries", "heclstm_workers"):
        assert name in text


def test_sigterm_lets_what_runs_end_and_keeps_what_waits(launch, hospital):
    with launch(workers=1) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        job = expect(tenant.post(b"".join(hospital.query(seed) for seed in range(20))), 202).json()["id"]
        wait_until(lambda: tenant.job(job)["done"] > 0)
        server.process.send_signal(signal.SIGTERM)
        with server.http(server.token("late")) as late:
            for _ in range(100):
                try:
                    if late.post("/v1/jobs", content=b"x").status_code == 503:
                        break
                except httpx.TransportError:
                    break  # it has gone already
        assert server.process.wait(60) == 0, server.text()
        server.start()
        status = tenant.ended(job, 120)
        assert (status["state"], status["done"]) == ("done", 20)
