"""The operator's page: who may see it, and that it shows numbers and nothing of what hospitals send."""

import base64

from service.kit import expect


def basic(token, name="anybody"):
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()}


def test_it_is_for_operators(server):
    tenant, operator = server.token("looks"), server.token("operator", scopes=("operator",))
    refused = expect(server.http().get("/operator"), 401, "unauthorized")
    assert refused.headers["www-authenticate"].startswith('Basic realm="heclstm operator')
    for headers in (basic("wrong"), {"authorization": "Basic !"}, {"authorization": "Basic " + "é"}, basic("")):
        encoded = {name: value.encode("utf-8") for name, value in headers.items()}
        expect(server.http().get("/operator", headers=encoded), 401, "unauthorized")
    expect(server.http(tenant).get("/operator"), 403, "forbidden")
    expect(server.http().get("/operator", headers=basic(tenant)), 403, "forbidden")
    expect(server.http().get("/operator", headers=basic(operator)), 200)
    expect(server.http(operator).get("/operator"), 200)
    expect(server.http(operator).get("/v1/jobs"), 403, "forbidden")
    expect(server.http().get("/v1/jobs", headers=basic(tenant)), 401, "unauthorized")  # passwords are for this page


def test_it_shows_numbers_and_no_content(server, hospital):
    remote = server.tenant("seen-by-operator")
    expect(remote.put_keys(hospital), 201)
    query = hospital.query(1)
    job = expect(remote.post(query), 202).json()["id"]
    remote.ended(job)
    answer = expect(server.http(server.token("operator", scopes=("operator",))).get("/operator"), 200)
    text = answer.text
    for shown in ("seen-by-operator", hospital.digest[:12], "idle", "Open key sets", "17.2 GB", ">1000<", ">100000<"):
        assert shown in text, shown
    for hidden in (job, hospital.label, hospital.digest, remote.http.headers["authorization"][7:]):
        assert hidden not in text
    policy = answer.headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert policy[0].startswith("default-src 'none'; style-src 'nonce-")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_failures_are_counted_by_their_code(tmp_path):
    """On a database with rows of every state: what no test can wait for."""
    from sqlalchemy import insert, update

    from heclstm.service.config import Quotas
    from heclstm.service.database.connection import Database
    from heclstm.service.database.jobs import Jobs, NewJob
    from heclstm.service.database.key_sets import READY, KeySetRow, KeySets
    from heclstm.service.database.migrate import upgrade
    from heclstm.service.database.overview import Overview
    from heclstm.service.database.schema import evaluations, tenants

    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    upgrade(database)
    program, label = "ab" * 32, "1" * 32
    with database.write() as connection:
        connection.execute(insert(tenants).values(name="quiet", created=0.0))
    keys = KeySets(database)
    keys.begin(KeySetRow("busy", label, program, READY, "u" * 32, 10, 20, 1000.0, 1000.0), 1 << 30)
    keys.ready(keys.get("busy", label))
    jobs = Jobs(database)
    for number in range(3):
        jobs.accept(NewJob(f"{number:032x}", "busy", str(number), program, program, label, 2), Quotas())
    with database.write() as connection:
        failed = evaluations.c.job.in_([f"{number:032x}" for number in (0, 1)])
        connection.execute(update(evaluations).where(failed).values(state="failed", problem="crashed"))
    overview = Overview(database)
    (failure,) = overview.failures()
    assert (failure.problem, failure.program, failure.count) == ("crashed", program, 4)
    busy, quiet = overview.tenants()
    assert (busy.name, busy.keys, busy.key_bytes, busy.queued, busy.running, busy.today) == ("busy", 1, 20, 2, 0, 6)
    assert (quiet.name, quiet.keys, quiet.oldest, quiet.tokens) == ("quiet", 0, None, 0)
    assert 0 <= overview.longest_wait() < 60
    database.close()
