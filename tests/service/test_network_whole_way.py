"""The hospital's side and the server over a real TLS socket: connect, diagnose, change keys, forget."""

import asyncio
import json

import numpy as np
import pytest

from heclstm.deploy.client import Client
from heclstm.errors import FileFormatError, InputError, RefusedError
from heclstm.network import calls
from heclstm.network.hospital import made_of
from heclstm.network.remote import AsyncRemote, Remote
from heclstm.network.site import Site

OPTIONS = {"allow_insecure": True, "threads": 1}


def frames(seed=3):
    return np.random.default_rng(seed).uniform(0, 1, (2, 1, 8, 8)).astype(np.float32)


@pytest.fixture
def connect(server, tmp_path):
    """Connects a new site as a tenant of its own; `made` counts them."""
    opened = []

    def connected(tenant, folder="site", **options):
        token = server.token(tenant)
        arguments = {"token": token, "ca": server.authority, **OPTIONS, **options}
        opened.append(Remote.connect(server.url, tmp_path / folder, **arguments))
        return opened[-1]

    yield connected
    for remote in opened:
        remote.close()


def expected(program, run_clear, seed=3):
    from heclstm.program.files import load_program

    circuit = load_program(program).circuit
    return float(circuit.result_layout.unpack(run_clear(circuit, frames(seed)[None].astype(float))).flat[0])


def test_from_an_array_to_a_diagnosis(connect, server, program, run_clear):
    """Nothing is left under way, here or at the server; noise as in test_service_whole_way."""
    seen = []
    remote = connect("network-array")
    diagnosis = remote.diagnose(frames(), name="case 7", on_status=seen.append)
    assert diagnosis.scores[0] == pytest.approx(expected(program, run_clear), abs=2**-8)
    assert diagnosis.name == "case 7"
    assert seen[-1].state == "done"
    assert remote.hospital.pending.all() == []
    assert server.tenant("network-array").http.get("/v1/jobs").json()["jobs"] == []


def test_an_event_loop_does_as_well(server, program, run_clear, tmp_path):
    async def way():
        site, token = tmp_path / "site", server.token("network-async")
        async with await AsyncRemote.connect(server.url, site, token=token, ca=server.authority, **OPTIONS) as remote:
            found = await asyncio.gather(*(remote.diagnose(frames(seed)) for seed in (3, 4)))
            label = await remote.rotate_keys()
            assert list(remote.hospital.site.state.keys) == [label]
            found.append(await remote.diagnose(frames(3)))
            await remote.forget()
        assert not site.exists()
        return [each.scores[0] for each in found]

    scores = asyncio.run(way())
    wanted = [expected(program, run_clear, seed) for seed in (3, 4, 3)]
    assert scores == pytest.approx(wanted, abs=2**-8)


def test_a_second_connect_finds_all_done(connect):
    first = connect("network-twice")
    assert first.connection.new_key
    again = connect("network-twice")
    assert (again.connection.key, again.connection.new_key) == (first.connection.key, False)
    assert not again.hospital.site.evaluation_keys(first.connection.key).exists()  # uploaded


def test_the_folder_is_for_its_owner_alone(connect, tmp_path):
    connect("network-modes")
    for path in (tmp_path / "site", *(tmp_path / "site").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_keys_change_while_a_job_is_under_way(connect, server):
    remote = connect("network-rotate")
    old = remote.connection.key
    hospital, run = remote.hospital, remote.transport.run
    pending = run(hospital.submit(made_of(frames(5), "before", "")))
    new = remote.rotate_keys()
    assert list(hospital.site.state.keys) == [old, new]  # the old key waits for its job
    assert run(hospital.submit(made_of(frames(6), "after", ""))).key == new
    scores = {each.name: run(hospital.collect(each)).scores[0] for each in hospital.pending.all()}
    assert pending.key == old
    assert scores.keys() == {"before", "after"}
    assert run(hospital.settle()) == ([old], [])
    assert not hospital.site.key_folder(old).exists()
    assert [each["key"] for each in server.tenant("network-rotate").http.get("/v1/keys").json()["keys"]] == [new]


def test_a_crash_between_query_and_result_loses_nothing(connect, tmp_path):
    """Before it was sent, before it was collected, before it was decrypted: the next process goes on."""
    remote = connect("network-crash")
    hospital, run = remote.hospital, remote.transport.run
    hospital._encrypted(made_of(frames(7), "never sent", ""))
    run(hospital.submit(made_of(frames(8), "never collected", "")))
    third = run(hospital.submit(made_of(frames(9), "never decrypted", "")))
    run(hospital._fetched(third, None))
    remote.close()
    with Remote(tmp_path / "site", **OPTIONS) as later:
        left = later.hospital.pending.all()
        assert {each.name for each in left} == {"never sent", "never collected", "never decrypted"}
        found = {each.name: later.transport.run(later.hospital.collect(each)).scores[0] for each in left}
        wanted = later.diagnose(frames(7)).scores[0]
        assert found["never sent"] == pytest.approx(wanted, abs=2**-8)
        assert later.hospital.pending.all() == []


def test_keys_that_the_server_lost_are_made_and_sent_again(connect, server):
    remote = connect("network-lost")
    label = remote.connection.key
    assert server.tenant("network-lost").http.delete(f"/v1/keys/{label}").status_code == 204
    assert remote.diagnose(frames()).scores
    assert remote.hospital.site.state.key == label
    assert not remote.hospital.site.evaluation_keys(label).exists()


def test_a_job_that_is_not_at_the_server_any_more(connect):
    """Another process here has read it, or it expired: nothing that lies here is lost."""
    remote = connect("network-gone")
    hospital, run = remote.hospital, remote.transport.run
    read, lost = (run(hospital.submit(made_of(frames(seed), "", ""))) for seed in (8, 9))
    result = run(hospital._fetched(read, None))
    assert run(hospital._fetched(read, None)) == result
    run(calls.delete_job(lost.job))
    with pytest.raises(RefusedError, match="is not at the server any more.*jobs --cancel"):
        run(hospital.collect(lost))
    assert {each.query for each in hospital.pending.all()} == {read.query, lost.query}


def test_sealed_keys_need_their_passphrase(connect, tmp_path, monkeypatch):
    monkeypatch.setattr("heclstm.storage.sealed.LOG_N", 4)
    remote = connect("network-sealed", passphrase="correct horse")
    label = remote.connection.key
    assert remote.hospital.site.is_sealed(label)
    assert remote.diagnose(frames()).scores
    remote.close()
    with (
        Remote(tmp_path / "site", **OPTIONS) as other,
        pytest.raises(InputError, match="is sealed by a passphrase, and none was given"),
    ):
        other.diagnose(frames())
    with (
        Remote(tmp_path / "site", passphrase="wrong horse", **OPTIONS) as other,
        pytest.raises(InputError, match="the passphrase is wrong"),
    ):
        other.diagnose(frames())


def test_forget_erases_both_sides(connect, server, tmp_path):
    remote = connect("network-forget")
    remote.transport.run(remote.hospital.submit(made_of(frames(), "", "")))
    (tmp_path / "site" / "notes.txt").write_text("somebody's own")
    remote.forget()
    http = server.tenant("network-forget").http
    assert http.get("/v1/keys").json() == {"keys": []}
    assert http.get("/v1/jobs").json()["jobs"] == []
    assert [path.name for path in (tmp_path / "site").rglob("*")] == ["notes.txt"]
    with pytest.raises(FileFormatError, match="is not connected to a server"):
        Site.load(tmp_path / "site")


def test_a_key_upload_that_was_never_begun_goes_on(connect, server, tmp_path, monkeypatch):
    """Stopped after the secret key was made: the next connect uses the same one."""
    monkeypatch.setattr(Client, "evaluation_keys", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        connect("network-stopped")
    monkeypatch.undo()
    (label,) = json.loads((tmp_path / "site" / "site.json").read_text())["keys"]
    remote = connect("network-stopped")
    assert (remote.connection.key, remote.connection.new_key) == (label, False)
    assert remote.diagnose(frames()).scores
