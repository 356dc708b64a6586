"""The verbs of a connected hospital against a server: what they print, keep, refuse."""

import csv
import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from command_line import call, refused
from heclstm.card.signature import new_pair
from heclstm.program.files import load_program
from heclstm.report.findings import Findings
from heclstm.storage.atomic import sole_writer
from service.ring import Ring
from service.signed import signed_program

__all__ = ["call", "refused"]
INSECURE = "--insecure-test"


@pytest.fixture(scope="module")
def owner():
    return new_pair()


@pytest.fixture(scope="module")
def signed(owner, tmp_path_factory):
    return signed_program(tmp_path_factory.mktemp("signed") / "program", owner)


@pytest.fixture(scope="module")
def serving(launch, signed):
    with launch(programs=[{"folder": str(signed)}]) as running:
        yield running


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("heclstm.storage.sealed.LOG_N", 4)
    for name in ("HECLSTM_TOKEN", "HECLSTM_PASSPHRASE", "HECLSTM_SITE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def patients(tmp_path):
    """The second has too few frames."""
    paths = []
    for number, count in (1, 2), (2, 1), (3, 2):
        frames = np.random.default_rng(number).uniform(0, 1, (count, 1, 8, 8)).astype(np.float32)
        paths.append(tmp_path / f"Mustermann {number}.npy")
        np.save(paths[-1], frames)
    return paths


@pytest.fixture
def arguments(serving, owner, tmp_path, request):
    """Of a `connect` as a tenant of this test's own."""
    (tmp_path / "token").write_text(serving.token(request.node.name.replace("_", "-")[5:45].strip("-")) + "\n")
    (tmp_path / "owner.pub").write_bytes(owner.public)
    files = ("--token-file", tmp_path / "token", "--trust", tmp_path / "owner.pub", "--ca", serving.authority)
    return "connect", serving.url, "--site", tmp_path / "site", *files, INSECURE


@pytest.fixture
def site(call, arguments, tmp_path):
    code, _, stderr = call(*arguments)
    assert code == 0, stderr
    return tmp_path / "site"


def test_connect_says_what_it_checked(call, arguments, signed, owner, tmp_path):
    code, stdout, stderr = call(*arguments)
    assert code == 0, stderr
    for text in ("127.0.0.1", owner.fingerprint[:40], "INSECURE_TEST", "new; stays here", "ready at the server"):
        assert text in stdout
    assert "making keys" in stderr
    assert "uploading keys" in stderr
    found = json.loads(call(*arguments, "--json")[1])
    assert found["program"] == load_program(signed).digest
    assert (found["signed_by"], found["new_key"]) == (owner.fingerprint, False)
    assert "127.0.0.1" in found["certificate"]["names"]
    assert found["site"] == str(tmp_path / "site")


def test_two_connects_at_once(call, arguments, tmp_path):
    """The second is refused, so that no two keys are made for one site."""
    assert call(*arguments)[0] == 0
    with sole_writer(tmp_path / "site"):
        code, _, stderr = call(*arguments)
    assert (code, "another process is writing into it" in stderr) == (2, True)


def test_many_patients_and_one_of_them_wrong(call, site, patients, signed, run_clear, tmp_path):
    """The others have their diagnoses, in files for their owner only; the exit code says that one has none."""
    command = ("diagnose", *patients, "--site", site, "-o", tmp_path / "out", INSECURE)
    code, stdout, stderr = call(*command, "--json")
    assert code == 2
    assert "failed: Mustermann 2.npy: " in stderr
    assert "number of frames: got 1, expected 2" in stderr.replace("\n", " ")
    rows = json.loads(stdout)["each"]
    assert [row["input"] for row in rows] == ["Mustermann 1.npy", "Mustermann 2.npy", "Mustermann 3.npy"]
    circuit = load_program(signed).circuit
    for row, path in (rows[0], patients[0]), (rows[2], patients[2]):
        clear = circuit.result_layout.unpack(run_clear(circuit, np.load(path)[None].astype(float))).flat[0]
        assert row["score"] == pytest.approx(float(clear), abs=2**-8)  # see test_service_whole_way
        findings = Findings.load(row["file"])
        assert findings.diagnosis.scores[0] == row["score"]
        assert findings.diagnosis.decision == row["decision"]
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["Mustermann-1-npy.json", "Mustermann-3-npy.json"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "out").iterdir())


def test_a_table_and_comma_separated_values(call, site, patients, tmp_path):
    first = tmp_path / "=1+1.npy"  # a formula, to a spreadsheet
    patients[0].rename(first)
    code, stdout, _ = call("diagnose", first, patients[2], "--site", site, INSECURE, "--csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(stdout)))
    assert [row["input"] for row in rows] == ["'=1+1.npy", "Mustermann 3.npy"]
    assert {row["decision"] for row in rows} <= {"positive", "negative"}
    code, stdout, stderr = call("diagnose", first, "--site", site, INSECURE)
    assert code == 0, stderr
    assert "=1+1.npy" in stdout
    assert "probability" in stdout


def test_patients_of_one_file(call, site, tmp_path):
    many = np.random.default_rng(1).uniform(0, 1, (3, 2, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "volumes.npz", images=many)
    command = ("diagnose", tmp_path / "volumes.npz", "--site", site, INSECURE, "--json")
    rows = json.loads(call(*command)[1])["each"]
    assert [row["input"] for row in rows] == ["volumes.npz, 0", "volumes.npz, 1", "volumes.npz, 2"]
    rows = json.loads(call(*command, "-i", 0, "-i", 2)[1])["each"]
    assert [row["input"] for row in rows] == ["volumes.npz, 0", "volumes.npz, 2"]


def test_a_worklist_is_a_manifest(call, site, tmp_path):
    """All its sequences, by their names; one of them has too few frames."""
    lines = ["sequence,order,file"]
    for name, count in ("case-1", 2), ("case-2", 1), ("case-3", 2):
        for number in range(count):
            picture = Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8))
            picture.save(tmp_path / f"{name}-{number}.png")
            lines.append(f"{name},{number},{name}-{number}.png")
    (tmp_path / "worklist.csv").write_text("\n".join(lines))
    code, stdout, stderr = call("diagnose", tmp_path / "worklist.csv", "--site", site, INSECURE, "--json")
    assert code == 2
    assert "failed: case-2: " in stderr
    rows = json.loads(stdout)["each"]
    assert [(row["input"], "error" in row) for row in rows] == [("case-1", False), ("case-2", True), ("case-3", False)]


def test_jobs_that_were_left_behind_are_collected(call, site, patients, tmp_path):
    """As after a crash: two are under way, one is cancelled by its name."""
    from heclstm.network.hospital import made_of
    from heclstm.network.remote import Remote

    with Remote(site, allow_insecure=True) as remote:
        for path in patients[0], patients[2]:
            remote.transport.run(remote.hospital.submit(made_of(np.load(path), path.name, "")))
    rows = json.loads(call("jobs", "--site", site, INSECURE, "--json")[1])["jobs"]
    assert [row["name"] for row in rows] == [patients[0].name, patients[2].name]
    assert {row["state"] for row in rows} <= {"queued", "running", "done"}
    assert patients[2].name in call("jobs", "--site", site, INSECURE)[1]
    assert call("jobs", "--site", site, "--cancel", patients[2].name, INSECURE)[0] == 0
    code, stdout, stderr = call("jobs", "--site", site, "--collect", "-o", tmp_path / "out", INSECURE, "--json")
    assert code == 0, stderr
    assert [row["input"] for row in json.loads(stdout)["each"]] == [patients[0].name]
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert json.loads(call("jobs", "--site", site, INSECURE, "--json")[1]) == {"jobs": []}


def test_a_lost_job_stays_until_it_is_cancelled(call, site, patients):
    from heclstm.network import calls
    from heclstm.network.hospital import made_of
    from heclstm.network.remote import Remote

    with Remote(site, allow_insecure=True) as remote:
        sent = remote.transport.run(remote.hospital.submit(made_of(np.load(patients[0]), "anna", "")))
        remote.transport.run(calls.delete_job(sent.job, remote.hospital.patience))
    told = " ".join(" ".join(call("jobs", "--site", site, INSECURE)[1:]).split())
    assert "lost: the server does not have it any more (anna); send the images again" in told
    assert call("jobs", "--site", site, "--cancel", "anna", INSECURE)[0] == 0


def test_a_call_that_was_stopped_is_resumed(call, refused, site, patients, tmp_path):
    """One has its diagnosis, one is under way, one was never sent: none is sent twice."""
    from heclstm.network.hospital import made_of
    from heclstm.network.remote import Remote

    third = tmp_path / "third.npy"
    np.save(third, np.load(patients[0]))
    command = ("diagnose", "--site", site, "-o", tmp_path / "out", INSECURE, "--json")
    assert call(*command, patients[0])[0] == 0
    with Remote(site, allow_insecure=True) as remote:
        remote.transport.run(remote.hospital.submit(made_of(np.load(patients[2]), patients[2].name, "")))
    code, stdout, stderr = call(*command, patients[0], patients[2], third, "--resume")
    assert code == 0, stderr
    rows = json.loads(stdout)["each"]
    assert ["kept" in row for row in rows] == [True, True, False]
    assert len(list((tmp_path / "out").iterdir())) == 3
    lines = call(*command[:-1], third, "--resume", "--csv")[1].splitlines()
    assert lines[1:] == [f"third.npy,,,,{tmp_path / 'out' / 'third-npy.json'},,"]
    assert "give their folder by -o" in refused("diagnose", third, "--site", site, "--resume", INSECURE)


def test_resuming_takes_nobody_for_another(call, refused, site, patients, tmp_path):
    """Files of one name in two folders, and names that become one file: each patient has a diagnosis of its own."""
    paths = [tmp_path / "a" / "scan.npy", tmp_path / "b" / "scan.npy", tmp_path / "x 1.npy", tmp_path / "x-1.npy"]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.random.default_rng(number).uniform(0, 1, (2, 1, 8, 8)).astype(np.float32))
    command = ("diagnose", "--site", site, "-o", tmp_path / "out", INSECURE, "--json")
    assert call(*command, paths[0])[0] == 0
    assert call(*command, paths[2])[0] == 0
    for kept in ([False, False, True, False], [True] * 4):
        code, stdout, stderr = call(*command, *paths, "--resume")
        assert code == 0, stderr
        rows = json.loads(stdout)["each"]
        assert ["kept" in row for row in rows] == kept
        assert [row["input"] for row in rows] == ["a/scan.npy", "b/scan.npy", "x 1.npy", "x-1.npy"]
    assert len({row["kept"] for row in rows}) == 4
    for row in rows:
        assert Findings.load(row["kept"]).diagnosis.name == row["input"]
    assert "are both called 'a/scan.npy'" in refused(*command[:-1], paths[0], paths[0], "--resume")


def test_rotate_backup_restore_forget(call, site, patients, tmp_path):
    """A backup made after the keys changed reads what is encrypted under the new ones, elsewhere."""
    before = json.loads((site / "site.json").read_text())["key"]
    made = json.loads(call("rotate-keys", "--site", site, INSECURE, "--json")[1])
    assert made["erased"] == [before]
    (tmp_path / "words").write_text("correct horse battery\n")
    words = ("--passphrase-file", tmp_path / "words")
    code, _, stderr = call("backup", "--site", site, "-o", tmp_path / "site.backup", *words)
    assert (code, "holds 1 secret key, sealed" in stderr) == (0, True)
    secret = (site / "keys" / made["key"] / "secret.key").read_bytes()
    assert secret[-64:] not in (tmp_path / "site.backup").read_bytes()
    code, _, stderr = call("restore", tmp_path / "site.backup", "--site", tmp_path / "new", *words)
    assert code == 0, stderr
    left = {path.relative_to(site) for path in site.rglob("*")}
    assert {path.relative_to(tmp_path / "new") for path in (tmp_path / "new").rglob("*")} == left - {
        path.relative_to(site) for path in (site / "jobs", *(site / "jobs").rglob("*"))
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "new").rglob("*"))
    assert call("diagnose", patients[0], "--site", tmp_path / "new", INSECURE)[0] == 0
    code, _, stderr = call("forget", "--site", tmp_path / "new", "--yes", INSECURE)
    assert code == 0, stderr
    assert not (tmp_path / "new").exists()
    code, _, stderr = call("diagnose", patients[0], "--site", site, INSECURE)  # makes its keys again at the server
    assert code == 0, stderr


def test_restores_that_are_refused(call, refused, site, tmp_path):
    (tmp_path / "words").write_text("correct horse battery\n")
    (tmp_path / "wrong").write_text("correct horse batterie\n")
    (tmp_path / "short").write_text("short\n")
    backup = tmp_path / "site.backup"
    assert "expected at least 8" in refused(
        "backup", "--site", site, "-o", backup, "--passphrase-file", tmp_path / "short"
    )
    assert call("backup", "--site", site, "-o", backup, "--passphrase-file", tmp_path / "words")[0] == 0
    new = ("--site", tmp_path / "new", "--passphrase-file")
    assert "the passphrase is wrong" in refused("restore", backup, *new, tmp_path / "wrong")
    damaged = bytearray(backup.read_bytes())
    damaged[-30] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    assert "or the file was altered" in refused("restore", tmp_path / "damaged", *new, tmp_path / "words")
    assert "is not empty" in refused("restore", backup, "--site", site, "--passphrase-file", tmp_path / "words")
    assert "holds a secret key" in refused(
        "backup", "--site", site, "-o", backup, "--passphrase-file", tmp_path / "words"
    )
    assert "give --passphrase-file or set HECLSTM_PASSPHRASE" in refused("restore", backup, "--site", tmp_path / "new")


def test_a_sealed_site_asks_for_its_passphrase(call, refused, arguments, patients, tmp_path):
    (tmp_path / "words").write_text("correct horse battery\n")
    words = ("--passphrase-file", tmp_path / "words")
    assert call(*arguments, *words)[0] == 0
    command = ("diagnose", patients[0], "--site", tmp_path / "site", INSECURE)
    assert "give --passphrase-file or set HECLSTM_PASSPHRASE" in refused(*command)
    code, _, stderr = call(*command, *words)
    assert code == 0, stderr
    assert call("rotate-keys", "--site", tmp_path / "site", *words, INSECURE)[0] == 0
    (secret,) = (tmp_path / "site" / "keys").glob("*/secret.key")
    assert b"HECLSEAL" in secret.read_bytes()


@pytest.fixture
def ring(monkeypatch):
    monkeypatch.setattr("keyring.core._keyring_backend", ring := Ring())
    return ring


def test_a_keyring_holds_the_passphrase(call, refused, arguments, patients, ring, tmp_path):
    """Asked for once, by `connect`; never again while the keyring answers. A restored site needs it typed."""
    (tmp_path / "words").write_text("correct horse battery\n")
    words, site = ("--passphrase-file", tmp_path / "words"), tmp_path / "site"
    code, stdout, stderr = call(*arguments, *words, "--keyring")
    assert code == 0, stderr
    assert "held by the system's keyring" in stdout
    account = json.loads((site / "site.json").read_text())["keyring"]
    assert ring.kept == {("heclstm", account): "correct horse battery"}
    assert not any(b"correct horse" in path.read_bytes() for path in site.rglob("*") if path.is_file())
    assert call("diagnose", patients[0], "--site", site, INSECURE)[0] == 0
    assert call("rotate-keys", "--site", site, INSECURE)[0] == 0
    assert call(*arguments)[0] == 0
    ring.locked = True
    command = ("diagnose", patients[0], "--site", site, INSECURE)
    told = refused(*command)
    assert "keyring: did not answer (KeyringLocked); unlock it, or give --passphrase-file" in told
    assert "hunter2" not in told
    assert call(*command, *words)[0] == 0
    ring.locked = False
    entry = ring.kept.popitem()
    assert "keyring: holds no passphrase of this site" in refused(*command)
    assert call(*arguments, *words, "--keyring")[0] == 0
    assert ring.kept == dict([entry])
    (tmp_path / "wrong").write_text("another horse\n")
    assert "passphrase is wrong" in refused(*arguments, "--passphrase-file", tmp_path / "wrong", "--keyring")
    assert ring.kept == dict([entry])
    assert call("forget", "--site", site, "--yes", INSECURE)[0] == 0
    assert ring.kept == {}


def test_keyrings_that_do_not_do(refused, arguments, site, ring, tmp_path, monkeypatch):
    """Files in clear, a key that is not sealed, no library: refused before a key is made or kept."""
    (tmp_path / "words").write_text("correct horse battery\n")
    more = (*arguments, "--keyring", "--passphrase-file", tmp_path / "words")
    assert "its secret key is not sealed" in refused(*more)
    monkeypatch.setattr(type(ring), "priority", 0.5)
    assert "none here that encrypts what it keeps" in refused(*more)
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "pip install 'heclstm[keyring]'" in refused(*more)
    assert ring.kept == {}


def test_what_is_shared_is_rounded_and_counted(call, refused, site, patients, tmp_path, monkeypatch):
    assert call("diagnose", patients[0], patients[2], "--site", site, "-o", tmp_path / "out", INSECURE)[0] == 0
    first, second = sorted((tmp_path / "out").iterdir())
    shared = json.loads(call("share", first, "--site", site, "--json")[1])
    exact = Findings.load(first).diagnosis
    assert shared.keys() == {"format", "version", "program", "decision", "score", "step"}
    assert shared["score"] == pytest.approx(exact.scores[0], abs=0.05)
    assert shared["score"] == round(shared["score"], 1)
    assert "1 of" in call("share", first, "--site", site)[1]  # the same again is no new release
    assert "would tell more; use that" in refused("share", first, "--site", site, "--step", 0.25)
    assert "a finer score would show the noise" in refused("share", second, "--site", site, "--step", 0.01)
    monkeypatch.setattr("heclstm.usecases.share.BUDGET", 0.0)
    assert "`heclstm rotate-keys` first" in refused("share", second, "--site", site)
    monkeypatch.undo()
    assert "2 of" in call("share", second, "--site", site)[1]


def test_refusals_before_anything_is_sent(refused, arguments, serving, patients, tmp_path):
    plain = ("connect", "http://he.example.org", "--site", tmp_path / "site")
    assert "the token would travel in clear" in refused(*plain)
    assert "expected https://HOST" in refused("connect", "ftp://x", "--site", tmp_path / "site")
    assert "holds a name or password" in refused("connect", "https://me:secret@x", "--site", tmp_path / "site")
    assert "token: is missing" in refused("connect", serving.url, "--site", tmp_path / "site")
    assert "is not connected to a server" in refused("diagnose", patients[0], "--site", tmp_path / "site")
    assert "is not connected to a server" in refused("jobs", "--site", tmp_path / "site")
    assert "expected 128-bit security" in refused(*arguments[:-1])  # without --insecure-test
    (tmp_path / "empty").write_text("\n")
    assert "its first line is empty" in refused(*arguments[:4], "--token-file", tmp_path / "empty")


def test_forget_wants_to_be_sure(refused, call, site):
    assert "would be erased, and nothing under them could be read; add --yes" in refused("forget", "--site", site)
    label = json.loads((site / "site.json").read_text())["key"]
    assert "new queries are encrypted under it" in refused("forget", "--site", site, "--key", label, "--yes", INSECURE)
    assert "0 keys of this site begin" in refused("forget", "--site", site, "--key", "ffffffff", "--yes", INSECURE)
    assert call("forget", "--site", site, "--here-only", "--yes")[0] == 0
    assert not site.exists()
