"""What the hospital does when the line or the server fails: it goes on, and nothing is done twice."""

import random
import threading

import numpy as np
import pytest

from heclstm.deploy.keys import EVALUATION_KEYS_FILE
from heclstm.errors import NetworkError, RefusedError
from heclstm.network import calls
from heclstm.network.address import Address
from heclstm.network.hospital import made_of
from heclstm.network.patience import Patience
from heclstm.network.remote import Remote
from heclstm.network.transport import Route, Transport
from service.kit import expect
from service.line import Line

QUICK = Patience(tries=6, first_seconds=0.01, longest_seconds=0.2)
OPTIONS = {"allow_insecure": True, "threads": 1, "patience": QUICK}
FRAMES = np.random.default_rng(3).uniform(0, 1, (2, 1, 8, 8)).astype(np.float32)


def port_of(server):
    return server.config.address[1]


def transport(server, line, tenant):
    address = Address.of(f"https://127.0.0.1:{line.port}")
    return Transport(Route(address, server.token(tenant), server.authority))


@pytest.mark.parametrize("seed", range(4))
def test_an_upload_that_is_cut_at_random_bytes_goes_on_there(server, hospital, seed):
    """In the handshake, in heads, in the body, in answers. Bytes that had arrived are not sent again."""
    rng, tenant, size = random.Random(seed), f"cuts-{seed}", len(hospital.keys)
    cuts = []
    for _ in range(8):
        towards = rng.choice([rng.randrange(1, 3000), rng.randrange(1, size // 4)])
        cuts.append((towards, None) if rng.random() < 0.7 else (None, rng.randrange(1, 1800)))
    seen = []
    with Line(port_of(server), cuts) as line:
        http = transport(server, line, tenant)
        path = hospital.folder / EVALUATION_KEYS_FILE
        status = http.run(calls.upload(path, lambda done, total: seen.append((done, total)), QUICK))
        http.close()
    assert status.state == "ready"
    assert seen[-1] == (size, size)
    assert line.connections > 2
    remote = server.tenant(tenant)
    assert expect(remote.http.get(f"/v1/keys/{hospital.label}"), 200).json()["received_bytes"] == size
    assert remote.diagnose(hospital, hospital.query(seed)) is not None


def test_bytes_that_arrived_are_not_sent_again(server, hospital):
    size = len(hospital.keys)
    with Line(port_of(server), [(size // 2, None)] * 3) as line:
        http = transport(server, line, "cuts-once")
        http.run(calls.upload(hospital.folder / EVALUATION_KEYS_FILE, None, QUICK))
        http.close()
    # Once, with what lay in buffers when the line was cut: a socket's send buffer at the most, for each cut.
    assert len(line.sent) < size + 3 * size // 4


def test_a_line_that_brings_nothing_ends_it(server, hospital):
    with Line(port_of(server), [(100, None)] * 100) as line:
        http = transport(server, line, "cuts-all")
        with pytest.raises(NetworkError, match="no answer .* in 6 tries"):
            http.run(calls.upload(hospital.folder / EVALUATION_KEYS_FILE, None, QUICK))
        http.close()
    assert line.connections == 6


def test_a_query_whose_answer_was_lost_is_one_job(server, hospital):
    """The server took it; the hospital heard nothing, and sends it again."""
    tenant = server.tenant("cuts-query")
    expect(tenant.put_keys(hospital), 201)
    query = hospital.query(seed=70)
    for cut in range(1500, 3300, 300):  # somewhere in what comes back: the handshake takes about 1500 bytes
        with Line(port_of(server), [(None, cut)]) as line:
            http = transport(server, line, "cuts-query")
            job = http.run(calls.post(query, QUICK))
            http.close()
    assert [each["id"] for each in tenant.http.get("/v1/jobs").json()["jobs"]] == [job.id]


def test_a_server_that_is_killed_and_comes_back(launch, tmp_path):
    """Under way at that moment: an upload's end, a wait for a job. Both go on."""
    with launch(workers=1) as server:
        patient = Patience(tries=200, first_seconds=0.05, longest_seconds=0.2)
        options = {**OPTIONS, "patience": patient}
        token = server.token("killed")
        with Remote.connect(server.url, tmp_path / "site", token=token, ca=server.authority, **options) as remote:
            pending = remote.transport.run(remote.hospital.submit(made_of(FRAMES, "case", "")))
            server.kill()
            found = []
            steps = remote.hospital.collect(pending)
            waiting = threading.Thread(target=lambda: found.append(remote.transport.run(steps)))
            waiting.start()
            server.start()
            waiting.join(60)
            assert found[0].scores


def test_a_job_that_failed_is_told_and_not_waited_for(server, hospital, tmp_path, monkeypatch):
    token = server.token("failed")
    with Remote.connect(server.url, tmp_path / "site", token=token, ca=server.authority, **OPTIONS) as remote:
        real = calls.ended

        def failed(job, on_status=None, patience=QUICK):
            from msgspec import structs

            from heclstm.network.answers import Failure

            status = yield from real(job, on_status, patience)
            return structs.replace(status, state="failed", failures=(Failure(0, "workers-died"),))

        monkeypatch.setattr(calls, "ended", failed)
        with pytest.raises(RefusedError, match=r"failed at the server \(workers-died\)"):
            remote.diagnose(FRAMES)
        assert remote.hospital.pending.all() == []


def test_tokens_that_do_not_do(server, tmp_path):
    connect = {"site": tmp_path / "site", "ca": server.authority, **OPTIONS}
    with pytest.raises(RefusedError, match="unauthorized: .*; the token is wrong, expired or revoked") as raised:
        Remote.connect(server.url, token="heclstm_" + "0" * 16 + "_" + "x" * 43, **connect)
    assert raised.value.code == "unauthorized"
    with pytest.raises(RefusedError, match="forbidden: .*; ask the operator for a token with the scopes"):
        Remote.connect(server.url, token=server.token("narrow", scopes=("programs",)), **connect)
