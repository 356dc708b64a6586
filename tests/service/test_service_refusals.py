"""Bad input: each a 4xx with a helpful body, and no effect."""

import asyncio
import contextlib
import gc
import socket
import ssl
import time
import weakref
from dataclasses import fields
from types import SimpleNamespace

import pytest

from heclstm.service.app_state import App
from heclstm.service.config import Config
from heclstm.service.http.app import make_app
from heclstm.service.identity import USER_SCOPES, Identity
from heclstm.service.limits import Rates
from heclstm.service.metrics import Metrics
from heclstm.storage.container import Kind, Message, received
from service import described
from service.faulty import rows
from service.kit import Remote, expect

OTHER_LABEL = "0" * 32


@pytest.fixture(scope="module")
def tenant(server, hospital):
    remote = server.tenant("refused")
    expect(remote.put_keys(hospital), 201)
    return remote


def changed(query, contents=None, **fields):
    """The query with another header or other blobs, and a checksum that fits."""
    from io import BytesIO

    from msgspec.structs import replace

    with received(query, Kind.QUERY) as message:
        header, content = message.header, [blob for _, blob in message.blobs()]
    stream = BytesIO()
    Message(replace(header, **fields), contents or content).write(stream)
    return stream.getvalue()


REFUSED = {
    "nothing": (lambda query: b"", 422, "damaged"),
    "truncated": (lambda query: query[:-1], 422, "damaged"),
    "truncated in its header": (lambda query: query[:20], 422, "damaged"),
    "oversized": (lambda query: query + b"x", 422, "foreign-file"),
    "foreign": (lambda query: b"PK\x03\x04" + query[4:], 422, "foreign-file"),
    "bit flipped": (lambda query: query[:-2000] + bytes([query[-2000] ^ 1]) + query[-1999:], 422, "damaged"),
    "another version": (lambda query: query[:8] + b"\x02" + query[9:], 422, "foreign-file"),
    "unknown program": (lambda query: changed(query, program="ab" * 32), 404, "unknown-program"),
    "keys that are not stored": (lambda query: changed(query, key="cd" * 16), 409, "unknown-keys"),
    "a second query for other keys": (lambda query: query + changed(query, key="cd" * 16), 422, "wrong-key"),
    "a second query cut": (lambda query: query + query[:5000], 422, "damaged"),
}


def stored(server):
    """Rows of the database, files with their size and when they were changed, lines of the audit: all that lasts."""
    folder, files = server.config.folder, {}
    for path in (*(folder / "blobs").rglob("*"), *(folder / "uploads").rglob("*")):
        files[path.relative_to(folder)] = path.is_file() and (path.stat().st_size, path.stat().st_mtime_ns)
    return rows(server), files, [path.read_text() for path in sorted((folder / "audit").iterdir())]


@contextlib.contextmanager
def no_effect(server):
    before = stored(server)
    assert before[0]["key_sets"]  # there is something that could be changed
    assert before[2]
    yield
    assert stored(server) == before


@pytest.mark.parametrize("name", REFUSED)
def test_a_query_that_is_none_makes_no_job(server, tenant, hospital, name):
    change, status, code = REFUSED[name]
    body = change(hospital.query(seed=1))
    with no_effect(server):
        expect(tenant.post(body), status, code)


def test_keys_that_are_none_are_refused_and_leave_nothing(server, tenant, hospital, second):
    """Queries, other keys under this label, and keys that this tenant has already: no row, file or line is changed."""
    for content, status, code in (
        (hospital.query(seed=1), 422, "foreign-file"),
        (second.keys, 422, "wrong-key"),
        (b"PK\x03\x04" + hospital.keys[4:5000], 422, "foreign-file"),
    ):
        with no_effect(server):
            response = tenant.http.put(f"/v1/keys/{OTHER_LABEL}", content=content, headers={"upload-offset": "0"})
            expect(response, status, code)
    with no_effect(server):
        expect(tenant.http.put(f"/v1/keys/{OTHER_LABEL}", content=b"x", headers={"upload-offset": "7"}), 409)
        expect(tenant.http.delete(f"/v1/keys/{OTHER_LABEL}"), 404, "not-found")


def test_who_may_not_ask_changes_nothing(server, tenant, hospital):
    """No token, a wrong one, one of a narrower scope, and another tenant's."""
    body, watch, other = hospital.query(seed=1), server.tenant("watch", scopes=("metrics",)), server.tenant("other")
    with no_effect(server):
        for remote, status, code in (
            (Remote(server.http()), 401, "unauthorized"),
            (Remote(server.http("heclstm_" + "0" * 16 + "_" + "x" * 43)), 401, "unauthorized"),
            (watch, 403, "forbidden"),
        ):
            expect(remote.post(body), status, code)
            expect(remote.put_keys(hospital, content=b"x"), status, code)
            expect(remote.http.delete(f"/v1/keys/{hospital.label}"), status, code)
        expect(other.post(body), 409, "unknown-keys")
        expect(other.http.delete(f"/v1/keys/{hospital.label}"), 404, "not-found")


# Where a blob's own head says it → what it says there, the code, and what the detail tells.
HEADS = {
    "a file of something else": (0, b"PK\x03\x04", "foreign-file", "no ciphertext of version 1"),
    "another version": (4, b"\x02", "foreign-file", "no ciphertext of version 1"),
    "not seeded": (6, b"\x05", "wrong-sizes", "kind 5, expected 4"),
    "another ring degree": (8, (2048).to_bytes(4, "little"), "wrong-sizes", "ring degree 2048, expected 1024"),
    "another level": (12, b"\x01\x00\x00\x00", "wrong-sizes", "level 1, expected "),
    "a rotation": (16, b"\x03", "wrong-sizes", "step 3, expected 0"),
    "reserved bytes": (20, b"\x01", "wrong-sizes", "reserved 1, expected 0"),
    "other parameters": (24, bytes(16), "wrong-sizes", "other parameters"),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("last", [False, True])
def test_ciphertexts_that_say_they_are_others_make_no_job(server, tenant, hospital, name, last):
    """In a container that fits them. last: in the second query of a batch, the first of which is as it should be."""
    place, bytes_there, code, told = HEADS[name]
    query = hospital.query(seed=2)
    with received(query, Kind.QUERY) as message:
        blobs = [blob for _, blob in message.blobs()]
    blobs[-1] = blobs[-1][:place] + bytes_there + blobs[-1][place + len(bytes_there) :]
    folder = server.config.folder / "blobs" / "queries"
    before = tenant.http.get("/v1/jobs").json(), set(folder.iterdir())
    answer = expect(tenant.post(query * last + changed(query, blobs)), 422, code)
    assert told in answer.json()["detail"]
    after = tenant.http.get("/v1/jobs").json(), set(folder.iterdir())
    assert after[0] == before[0]
    assert after[1] <= before[1]


def test_ciphertexts_of_another_level_have_other_sizes(tenant, hospital):
    query = hospital.query(seed=2)
    with received(query, Kind.QUERY) as message:
        header, blobs = message.header, [blob for _, blob in message.blobs()]
    names = tuple((name, size - 512) for name, size in header.blobs)
    expect(tenant.post(changed(query, [blob[:-512] for blob in blobs], blobs=names)), 422, "wrong-sizes")


def test_what_only_the_engine_can_tell_fails_its_job(tenant, hospital):
    """Numbers above their prime, in a ciphertext whose head is right."""
    query = hospital.query(seed=2)
    with received(query, Kind.QUERY) as message:
        blobs = [blob[:-8] + b"\xff" * 8 for _, blob in message.blobs()]
    job = expect(tenant.post(changed(query, blobs)), 202).json()["id"]
    status = tenant.ended(job)
    assert (status["state"], status["failures"]) == ("failed", [{"number": 0, "code": "damaged"}])
    expect(tenant.http.get(f"/v1/jobs/{job}/result"), 410, "job-failed")


def test_more_queries_than_a_batch_may_have(launch, hospital):
    with launch(limits={"batch": 2, "header_bytes": 4096, "header_seconds": 1.5, "stall_seconds": 1.5}) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        body = b"".join(hospital.query(seed) for seed in range(3))
        with no_effect(server):
            expect(tenant.post(body), 413, "too-large")
        with no_effect(server):
            heads(server, tenant)
        with no_effect(server):
            slow_clients(server, tenant, hospital)


def heads(server, tenant):
    """Floods of headers, and what is no HTTP."""
    expect(tenant.http.get("/v1/programs", headers={"x-flood": "a" * 5000}), 431, "headers-too-large")
    expect(tenant.http.get("/v1/programs?" + "a" * 5000), 431, "headers-too-large")
    flood = b"GET /v1/programs HTTP/1.1\r\n" + b"".join(b"x-%d: y\r\n" % i for i in range(100_000))
    assert b" 431 " in raw(server, flood)
    assert b" 400 " in raw(server, b"\x16\x03\x01 nonsense\r\n\r\n")
    assert b'"code":"bad-request"' in raw(server, b"GET / HTTP/9.9\r\n\r\n")
    expect(tenant.http.get("/healthz"), 200)


def slow_clients(server, tenant, hospital):
    token = tenant.http.headers["authorization"]
    begin = time.monotonic()
    assert b'"code":"request-timeout"' in raw(server, b"GET /v1/programs HTT")
    assert b'"code":"request-timeout"' in raw(server, b"")
    head = f"POST /v1/jobs HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-length: 100000\r\n\r\n"
    answer = raw(server, head.encode() + hospital.query(seed=4)[:1000])
    assert b" 408 " in answer
    assert b'"code":"request-timeout"' in answer
    assert time.monotonic() - begin < 15


def raw(server, content):
    """What the server answers to these bytes, until it hangs up."""
    context = ssl.create_default_context(cafile=str(server.authority))
    with (
        socket.create_connection(("127.0.0.1", server.config.address[1]), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        answer = b""
        try:
            connection.sendall(content)
            while piece := connection.recv(1 << 16):
                answer += piece
                if content.endswith(b"\r\n\r\n") and b"\r\n\r\n" in answer and answer.endswith(b"}"):
                    break
        except (ConnectionError, ssl.SSLError):
            pass  # it hung up while we were still sending
        described.check_bytes(content, answer)
        return answer


PATHS = (
    "/v1/jobs/../../etc/passwd",
    "/v1/jobs/..%2f..%2fetc%2fpasswd",
    "/v1/keys/%2e%2e%2fservice.db",
    f"/v1/keys/{OTHER_LABEL[:-1]}%00",
    f"/v1/keys/{OTHER_LABEL[:-1]}Ä",
    f"/v1/keys/{OTHER_LABEL}{OTHER_LABEL}",
    f"/v1/jobs/{OTHER_LABEL[:-1]}\u202e",
    "/v1/programs/" + "A" * 64,
    "/v1/keys/;drop table jobs",
    "//v1//jobs//x",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_tricks_in_paths_find_nothing(server, tenant, path, method):
    with no_effect(server):
        response = tenant.http.request(method, path, content=b"x" if method == "PUT" else None)
    assert response.status_code in (400, 404, 405), response.text
    assert response.json()["code"] in ("bad-request", "no-such-route", "method-not-allowed", "not-found")


def test_bodies_where_none_belong_are_not_read_for_ever(server, tenant):
    expect(tenant.http.request("GET", "/v1/programs", content=b"x" * 100_000), 200)
    expect(tenant.http.patch("/v1/jobs"), 405, "method-not-allowed")
    assert "POST" in tenant.http.patch("/v1/jobs").headers["allow"]
    expect(tenant.http.options("/v1/jobs"), 204)
    expect(server.http().options("/v1/jobs"), 401, "unauthorized")
    for method, path in (
        ("GET", "/nothing"),
        ("GET", "/"),
        ("GET", "/v1/nothing"),
        ("POST", "/v1/nothing"),
    ):
        expect(tenant.http.request(method, path), 404, "no-such-route")
    expect(tenant.http.get(f"/v1/jobs/{OTHER_LABEL}?wait=soon"), 400, "bad-request")
    expect(tenant.http.get(f"/v1/jobs/{OTHER_LABEL}?wait=-1"), 400, "bad-request")
    expect(tenant.post(b"x", key="a" * 200), 400, "bad-request")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer Litestars want other classes than older ones have
@pytest.mark.parametrize(("method", "path"), [("GET", "jobs"), ("GET", "keys"), ("DELETE", "jobs"), ("DELETE", "keys")])
def test_what_is_not_found_leaves_nothing_in_memory(method, path):
    """An exception that is raised again and again keeps the frames of every request that it answered."""
    nothing = SimpleNamespace(get=lambda *_: None, remove=lambda *_, **__: None, remove_of_keys=lambda *_: [])
    identities = SimpleNamespace(identify=lambda *_: Identity("one", USER_SCOPES, "token x"))
    parts = {"config": Config(state="", programs=()), "metrics": Metrics(), "rates": Rates(), "identities": identities}
    app = App(**dict.fromkeys(each.name for each in fields(App)) | parts | {"jobs": nothing, "key_sets": nothing})
    asgi, requests, statuses = make_app(app), [], []

    async def ask():
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            statuses.append(message.get("status"))

        requests.append(weakref.ref(receive))
        place = f"/v1/{path}/{'1' * 32}"
        scope = {
            "type": "http", "method": method, "path": place, "raw_path": place.encode(), "query_string": b"",
            "headers": [], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "scheme": "http", "root_path": "",
            "http_version": "1.1", "asgi": {"version": "3.0"}, "extensions": {},
        }  # fmt: skip
        await asgi(scope, receive, send)

    for _ in range(3):
        asyncio.run(ask())
    gc.collect()
    assert statuses[::2] == [404, 404, 404]
    assert [request() for request in requests] == [None, None, None]
