"""Uploads of keys: cut at any byte, resumed there, one at a time, refused with nothing left."""

import contextlib
import io
import os
import socket
import ssl
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from heclstm.backend.cpu.keyset import KeySet
from heclstm.program.public import load_card
from heclstm.service.evaluation import expand
from heclstm.storage.container import Kind, Message
from heclstm.storage.container import received as container
from service.kit import Hospital, expect, wait_until


@contextlib.contextmanager
def connected(server):
    context = ssl.create_default_context(cafile=str(server.authority))
    with (
        socket.create_connection(("127.0.0.1", server.config.address[1]), timeout=60) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        yield connection


def cut_upload(server, token, hospital, offset, end):
    """Send bytes offset … end of the keys, announce all of them, and hang up."""
    with connected(server) as connection:
        head = (
            f"PUT /v1/keys/{hospital.label} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n"
            f"upload-offset: {offset}\r\ncontent-length: {len(hospital.keys) - offset}\r\n\r\n"
        )
        connection.sendall(head.encode() + hospital.keys[offset:end])
        time.sleep(0.3)  # until most of it has been read: hanging up at once may throw away what is in the network


def received(tenant, hospital):
    response = tenant.http.get(f"/v1/keys/{hospital.label}")
    return expect(response, 200).json()["received_bytes"] if response.status_code != 404 else 0


def test_keys_that_come_in_chunks_of_a_byte_are_keys_all_the_same(server, hospital):
    """100,000 of them, for which the connection is paused and read again several times, and one of all that is left."""
    tenant, tiny = server.tenant("chunks"), 100_000
    chunks = [hospital.keys[at : at + 1] for at in range(tiny)] + [hospital.keys[tiny:], b""]
    head = (
        f"PUT /v1/keys/{hospital.label} HTTP/1.1\r\nhost: localhost\r\nupload-offset: 0\r\nconnection: close\r\n"
        f"authorization: {tenant.http.headers['authorization']}\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    with connected(server) as connection:
        connection.sendall(head.encode() + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks))
        with connection.makefile("rb") as answer:
            assert answer.readline().split()[1] == b"201"
    assert received(tenant, hospital) == len(hospital.keys)
    assert isinstance(tenant.diagnose(hospital, hospital.query()), float)


@pytest.mark.parametrize("seed", range(3))
def test_an_upload_that_is_cut_at_random_bytes_goes_on_there(server, hospital, seed):
    tenant = server.tenant(f"cut-{seed}")
    token = tenant.http.headers["authorization"].partition(" ")[2]
    random, offset, sent = np.random.default_rng(seed), 0, 0
    for _ in range(4):
        end = min(offset + int(random.integers(1, len(hospital.keys) // 3)), len(hospital.keys) - 1)
        cut_upload(server, token, hospital, offset, end)
        # What was still in the network when it was cut is lost, and before the header is whole nothing is kept.
        wait_until(lambda: tenant.put_keys(hospital, received(tenant, hospital), b"").status_code in (202, 422))
        # A slow server may have begun with the cut connection only after that, and refused the next one meanwhile.
        before, offset, sent = offset, received(tenant, hospital), max(sent, end)
        assert before <= offset <= sent
    assert offset > 0
    status = expect(tenant.put_keys(hospital, offset), 201).json()
    assert (status["state"], status["received_bytes"]) == ("ready", len(hospital.keys))
    assert isinstance(tenant.diagnose(hospital, hospital.query(seed)), float)


def test_pieces_may_be_sent_one_by_one_with_content_ranges(server, hospital):
    tenant, keys = server.tenant("pieces"), hospital.keys
    path, half = f"/v1/keys/{hospital.label}", len(keys) // 2
    first = tenant.http.put(path, content=keys[:half], headers={"content-range": f"bytes 0-{half - 1}/{len(keys)}"})
    assert expect(first, 202).headers["upload-offset"] == str(half)
    wrong = tenant.http.put(path, content=keys[5:9], headers={"upload-offset": "5"})
    assert expect(wrong, 409, "wrong-offset").json()["offset"] == half
    rest = {"content-range": f"bytes {half}-{len(keys) - 1}/{len(keys)}"}
    expect(tenant.http.put(path, content=keys[half:], headers=rest), 201)
    again = tenant.put_keys(hospital)  # the answer may have been lost: then it is sent again
    assert expect(again, 201).json()["state"] == "ready"
    for wrong_range in ("bytes */5", "pieces 1-2/3", f"bytes {half}-9/9"):
        response = tenant.http.put(path, content=b"", headers={"content-range": wrong_range, "upload-offset": "7"})
        expect(response, 400, "bad-request")


def test_who_does_not_wait_asks_for_the_status(server, hospital):
    tenant = server.tenant("does-not-wait")
    path, prefer = f"/v1/keys/{hospital.label}", {"prefer": "respond-async"}
    answer = tenant.http.put(path, content=hospital.keys, headers=prefer)
    assert (answer.status_code, answer.json()["state"]) in ((202, "expanding"), (201, "ready"))
    wait_until(lambda: tenant.http.get(path).json()["state"] == "ready")
    tenant.http.delete(path)
    assert tenant.http.put(path, content=hospital.keys[:-1] + b"x", headers=prefer).status_code in (202, 422)
    wait_until(lambda: tenant.http.get(path).status_code == 404)


def test_one_connection_sends_at_a_time(server, hospital):
    tenant, begun, go_on = server.tenant("two"), threading.Event(), threading.Event()

    def slowly():
        yield hospital.keys[: 1 << 20]
        begun.set()
        assert go_on.wait(30)
        yield hospital.keys[1 << 20 :]

    answers = []
    thread = threading.Thread(target=lambda: answers.append(tenant.put_keys(hospital, content=slowly())))
    thread.start()
    assert begun.wait(30)
    other = server.tenant("two")
    wait_until(lambda: received(other, hospital) > 0)
    offset = received(other, hospital)
    expect(other.put_keys(hospital, offset, b"x"), 409, "upload-in-progress")
    go_on.set()
    thread.join(60)
    expect(answers[0], 201)


DAMAGE = {
    "truncated inside of the header": (lambda keys: keys[:100], 422, "damaged"),
    "bit flipped in the last checksum": (lambda keys: keys[:-1] + bytes([keys[-1] ^ 1]), 422, "damaged"),
    "bit flipped in a key": (lambda keys: keys[:-5000] + bytes([keys[-5000] ^ 64]) + keys[-4999:], 422, "damaged"),
    "longer than its header says": (lambda keys: keys + b"x" * (3 << 20), 413, "too-large"),
    "no heclstm file": (lambda keys: b"%PDF-1.7" + keys[8:], 422, "foreign-file"),
    "another version": (lambda keys: keys[:8] + b"\x09\x00" + keys[10:], 422, "foreign-file"),
    "a header without end": (lambda keys: keys[:12] + b"\xff\xff\xff\x7f" + keys[16:], 422, "foreign-file"),
    "nothing": (lambda keys: b"", 422, "damaged"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_keys_are_refused_and_nothing_of_them_stays(server, hospital, name):
    damage, status, code = DAMAGE[name]
    tenant = server.tenant("damage")
    expect(tenant.put_keys(hospital, content=damage(hospital.keys)), status, code)
    expect(tenant.http.get(f"/v1/keys/{hospital.label}"), 404, "not-found")
    assert tenant.http.get("/v1/keys").json() == {"keys": []}


# Where a key's own head says it → what it says there.
HEADS = {
    "another version": (4, b"\x02"),
    "another kind": (6, b"\x04"),
    "another ring degree": (8, (2048).to_bytes(4, "little")),
    "another level": (12, b"\x01\x00\x00\x00"),
    "another step": (16, (77).to_bytes(4, "little")),
    "other parameters": (24, bytes(16)),
}


@pytest.mark.parametrize("name", HEADS)
def test_keys_that_say_they_are_others_are_refused_and_nothing_of_them_stays(server, hospital, name):
    """In a container that fits them."""
    place, there = HEADS[name]
    with container(io.BytesIO(hospital.keys), Kind.EVALUATION_KEYS) as message:
        header, blobs = message.header, [blob for _, blob in message.blobs()]
    blobs[1] = blobs[1][:place] + there + blobs[1][place + len(there) :]
    folders = [server.config.folder / "uploads", server.config.folder / "blobs" / "keys"]
    before = {path for folder in folders for path in folder.iterdir()}
    tenant = server.tenant("heads")
    answer = tenant.put_keys(hospital, content=bytes(Message(header, blobs)))
    expect(answer, 422, "wrong-key" if name == "other parameters" else "damaged")
    assert tenant.http.get("/v1/keys").json() == {"keys": []}
    assert {path for folder in folders for path in folder.iterdir()} == before


def test_keys_of_another_label_program_or_size_are_refused_by_their_header(
    server, hospital, second, other_program, tmp_path
):
    before = os.listdir(server.config.folder / "uploads")
    tenant = server.tenant("headers")
    expect(tenant.http.put(f"/v1/keys/{second.label}", content=hospital.keys), 422, "wrong-key")
    foreign = Hospital(tmp_path / "keys", other_program)
    expect(tenant.http.put(f"/v1/keys/{foreign.label}", content=foreign.keys), 404, "unknown-program")
    sizes = hospital.keys.replace(b'["relinearization",', b'["relinearizatiom",', 1)
    expect(tenant.put_keys(hospital, content=sizes), 422, "wrong-sizes")
    query = hospital.query()
    expect(tenant.put_keys(hospital, content=query), 422, "foreign-file")
    assert os.listdir(server.config.folder / "uploads") == before


def test_a_secret_key_is_refused_and_nowhere_on_the_disk(server, hospital):
    tenant, secret = server.tenant("secret"), hospital.secret.read_bytes()
    pem = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n"
    for content in (secret, pem):
        for response in (tenant.put_keys(hospital, content=content), tenant.post(content)):
            assert "do not use this one again" in expect(response, 422, "secret-key").json()["detail"]
    expect(tenant.http.get(f"/v1/keys/{hospital.label}"), 404, "not-found")
    audit = "".join(path.read_text() for path in (server.config.folder / "audit").iterdir())
    assert audit.count('"action":"secret key sent","tenant":"secret"') == 4
    # Nor as the rest of an upload that has begun.
    expect(tenant.put_keys(hospital, content=hospital.keys[:5000]), 202)
    expect(tenant.put_keys(hospital, 5000, secret), 422, "secret-key")
    expect(tenant.put_keys(hospital, 5000), 201)
    expect(tenant.put_keys(hospital, content=secret), 422, "secret-key")  # nor where nothing more is wanted
    part = secret[-200:-40]
    for path in server.config.folder.rglob("*"):
        assert not path.is_file() or part not in path.read_bytes(), path


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives threads a niceness of their own")
def test_expanding_gives_way_until_all_has_arrived(hospital, program, tmp_path, monkeypatch):
    """The keys that are expanded meanwhile run when nobody else wants to, those afterwards as their process does."""
    own, found, left = os.getpriority(os.PRIO_PROCESS, 0), [], 3
    load = KeySet.load

    def watched(self, blob, *rest):
        found.append((os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), os.sched_getscheduler(0)))
        return load(self, blob, *rest)

    def arriving():
        nonlocal left
        left -= 1
        return left >= 0

    monkeypatch.setattr(KeySet, "load", watched)
    with container(io.BytesIO(hospital.keys), Kind.EVALUATION_KEYS) as message:
        expand(load_card(program), hospital.label, message, tmp_path / "keys", 1, arriving)
    assert sorted(found) == sorted([(19, os.SCHED_IDLE)] * 3 + [(own, os.SCHED_OTHER)] * (len(found) - 3))
    assert len(found) > 3
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
    assert (tmp_path / "keys").stat().st_size > len(hospital.keys)


def test_where_no_priority_can_be_set_keys_are_expanded_nevertheless(hospital, program, tmp_path, monkeypatch):
    """As under systemd's filter of system calls."""

    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refused)
    monkeypatch.setattr(os, "sched_setscheduler", refused, raising=False)
    with container(io.BytesIO(hospital.keys), Kind.EVALUATION_KEYS) as message:
        expand(load_card(program), hospital.label, message, tmp_path / "keys", 1, lambda: True)
    assert (tmp_path / "keys").stat().st_size > len(hospital.keys)


def test_whatever_goes_wrong_with_an_upload_is_answered(hospital, program, tmp_path, monkeypatch):
    """Who waited for it waited for ever."""
    from heclstm.service.workers import intake, messages

    def broken(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(intake, "expand", broken)
    begin = messages.Begin("u", str(program), hospital.label, "", str(tmp_path / "target"))
    stream = io.BytesIO(hospital.keys)
    assert intake.Intake(lambda _: None, 1)._answer(begin, stream).code == "internal"


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="no niceness here")
def test_the_intake_gives_way_to_its_server(server, hospital):
    expect(server.tenant("gives-way").put_keys(hospital), 201)
    own = psutil.Process(server.process.pid)
    (intake,) = [each for each in own.children() if "heclstm.service.workers.intake" in each.cmdline()]
    assert intake.nice() == min(19, own.nice() + 10)
