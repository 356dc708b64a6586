"""What a verb leaves alone: files that are not its own, names with brackets, and nothing behind when it is ended."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import heclstm
from heclstm.cli import ending
from heclstm.deploy.client import Client
from heclstm.usecases.demo import MARKER
from random_models import random_frames, small_config

INSECURE = "--insecure-test"
NAME = "A [/b] x :warning: [red]"


@pytest.fixture
def example(site, tmp_path_factory):
    """What `demo --example` takes, but without security: it is refused once everything was read."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(site.program.parent / "model", folder, dirs_exist_ok=True)
    shutil.copytree(site.program, folder / "program")
    frames = random_frames(small_config(), 2, seed=0).astype(np.float32)
    np.savez(folder / "volumes.npz", images=frames, labels=np.array([0, 1]))
    return folder


@pytest.mark.parametrize("name", ["hospital/secret.key", "server/data.bin", "report.html"])
def test_the_demo_deletes_nothing_that_it_did_not_make(refused, example, tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    line = refused("demo", "-o", tmp_path, "--example", example, "--volume", 1)
    assert f"{tmp_path / name.split('/')[0]}: exists, and no demo made it" in line
    assert path.read_text() == "mine"


def test_the_demo_reads_everything_before_it_deletes(refused, call, example, tmp_path):
    (tmp_path / "hospital").mkdir()
    (tmp_path / "hospital" / "diagnosis.json").write_text("of an earlier demo")
    (tmp_path / MARKER).touch()
    arguments = ("demo", "-o", tmp_path, "--example", example, "--volume")
    assert "got row 2, expected 0 to 1" in refused(*arguments, 2)
    assert (tmp_path / "hospital" / "diagnosis.json").exists()
    code, _, stderr = call(*arguments, 1)
    assert code == 2
    assert "expected 128-bit security" in stderr
    assert not (tmp_path / "hospital" / "diagnosis.json").exists()


def test_names_and_paths_with_brackets_are_printed_as_they_are(call, site, tmp_path):
    folder = tmp_path / "[bold]Jane[" / "x]"
    query, result, diagnosis = (folder / name for name in ("[/b] q.he", "[red]r.he", "d[/].json"))
    key = ("--key", site.secret)

    def printed(*arguments):
        code, stdout, stderr = call(*arguments)
        assert code == 0, stderr
        return "".join(stdout.split())  # a long path takes several lines of a table

    assert "".join(str(query).split()) in printed("encrypt", site.program, site.images, *key, "-o", query, INSECURE)
    assert "".join(str(result).split()) in printed("run", site.program, query, "--keys", site.keys, "-o", result)
    named = ("--name", NAME, "--query", query, "-o", diagnosis)
    assert "".join(NAME.split()) in printed("decrypt", site.program, result, *key, *named, INSECURE)
    page = folder / "[dim]r.html"
    assert "".join(f"report: {page}".split()) in printed("report", diagnosis, "--input", site.images, "-o", page)
    assert NAME in page.read_text()
    code, _, stderr = call("inspect", folder / "[/b]")
    assert code == 2
    assert str(folder / "[/b]") in stderr


def test_a_hospitals_report_credits_the_model_not_the_images(call, site, tmp_path):
    diagnosis, page = tmp_path / "d.json", tmp_path / "r.html"
    assert call("decrypt", site.program, site.result, "--key", site.secret, "-o", diagnosis, INSECURE)[0] == 0
    assert call("report", diagnosis, "--input", site.images, "-o", page)[0] == 0
    assert "Model trained on: Random numbers" in page.read_text()
    assert "Images:" not in page.read_text()


def test_a_result_of_another_query_is_refused(refused, call, site, tmp_path):
    key, other = ("--key", site.secret), tmp_path / "other.he"
    assert call("encrypt", site.program, site.images, *key, "-o", other, INSECURE)[0] == 0
    arguments = ("decrypt", site.program, site.result, *key, INSECURE, "--query")
    assert call(*arguments, site.query)[0] == 0
    assert str(site.result) in refused(*arguments, other)


def test_run_looks_at_the_query_first(refused, site, tmp_path, monkeypatch):
    monkeypatch.setattr("heclstm.deploy.server.Server.__init__", lambda *_, **__: pytest.fail("prepared a program"))
    arguments = ("run", site.program, site.keys, "--keys", site.keys, "-o", tmp_path / "r.he")
    assert "holds: evaluation keys; expected: query" in refused(*arguments)


@pytest.mark.parametrize("output", ["", ".", "folder", "/dev/null"])
def test_outputs_that_are_no_file_are_refused_first(refused, site, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for arguments in (
        ("encrypt", "absent", "absent", "--key", "absent"),
        ("run", "absent", "absent", "--keys", "absent"),
        ("decrypt", "absent", "absent", "--key", "absent"),
        ("report", "absent", "--input", "absent"),
        ("evaluate", "absent"),
    ):
        line = refused(*arguments, "-o", output)
        assert "is a folder, expected" in line or "is no regular file" in line


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_terminals_of_other_alphabets(site, encoding):
    """A letter that cannot be shown must not end a verb after its work."""
    environment = os.environ | {"PYTHONPATH": str(Path(heclstm.__file__).parents[1]), "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "heclstm.cli", "inspect", str(site.program)]
    done = subprocess.run(command, env=environment, capture_output=True, encoding=encoding, check=False)
    assert done.returncode == 0, done.stderr
    assert "\\u2192" in done.stdout  # the arrow between two levels


def test_outputs_that_are_no_folder_are_refused_first(refused, tmp_path):
    (tmp_path / "file").touch()
    for arguments in (("keygen", "absent"), ("compile", "absent"), ("train", "absent"), ("demo",), ("calibrate", "x")):
        assert "is no folder; choose another" in refused(*arguments, "-o", tmp_path / "file")
        assert "is no folder; choose another" in refused(*arguments, "-o", tmp_path / "file" / "keys")


@pytest.mark.parametrize("number", ["EROFS", "EFBIG", "ENOENT", "EBUSY", "EISDIR", "ENOSPC", "EDQUOT", "EIO"])
def test_what_the_system_refuses_is_one_line(refused, site, tmp_path, monkeypatch, number):
    code = getattr(errno, number)

    def refuse(*_, **__):
        raise OSError(code, os.strerror(code), str(tmp_path / "keys" / ".keys-abc" / "secret.key"))

    monkeypatch.setattr(Client, "generate_keys", refuse)
    (tmp_path / "keys").mkdir()
    line = refused("keygen", site.program, "-o", tmp_path / "keys", INSECURE)
    assert line == f"heclstm: {tmp_path / 'keys'}: {os.strerror(code)}; choose another output"


def test_keygen_names_no_temporary_folder(refused, site, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield

    monkeypatch.setattr(Client, "_evaluation_keys", full)
    (tmp_path / "keys").mkdir()
    line = refused("keygen", site.program, "-o", tmp_path / "keys", INSECURE)
    assert f"{tmp_path / 'keys' / 'evaluation.keys'}: cannot be written (No space left" in line


def test_an_error_names_the_path_that_the_user_knows(tmp_path):
    output = tmp_path / "model"

    def text(*names):
        return ending.describe(OSError(errno.EIO, "broken", *names), output)

    assert text() == f"{output}: broken; choose another output"
    assert text(str(output / "model.json.part")) == f"{output}: broken; choose another output"
    assert text(str(output / "x"), None, str(output / "y")) == f"{output / 'y'}: broken; choose another output"
    assert text(str(tmp_path)) == f"{tmp_path}: broken; choose another output"
    assert text("elsewhere/.hidden") == "elsewhere/.hidden: broken"
    assert ending.describe(OSError("odd"), None) == "output: odd"


def test_keygen_ended_by_sigterm_leaves_no_secret(call, site, tmp_path, monkeypatch):
    found = []

    def interrupted(*_):
        found.extend(path.name for path in tmp_path.rglob("*") if path.is_file())
        os.kill(os.getpid(), signal.SIGTERM)
        yield b""

    monkeypatch.setattr(Client, "_evaluation_keys", interrupted)
    assert call("keygen", site.program, "-o", tmp_path / "keys", INSECURE)[0] == 143
    assert found
    assert "secret.key" not in found  # it is written last
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_keygen_keeps_existing_evaluation_keys(refused, call, site, tmp_path):
    shutil.copy(site.keys, tmp_path / "evaluation.keys")
    line = refused("keygen", site.program, "-o", tmp_path, INSECURE)
    assert "evaluation.keys: exists" in line
    assert "add --force" in line
    assert call("keygen", site.program, "-o", tmp_path, INSECURE, "--force")[0] == 0
    assert (tmp_path / "evaluation.keys").read_bytes() != site.keys.read_bytes()


def test_a_secret_key_that_others_can_read_is_warned_of(call, site, tmp_path):
    shutil.copy(site.secret, tmp_path / "secret.key")
    arguments = ("decrypt", site.program, site.result, INSECURE, "--json", "--key", tmp_path / "secret.key")
    for mode, warned in ((0o600, False), (0o640, True), (0o604, True)):
        (tmp_path / "secret.key").chmod(mode)
        code, stdout, stderr = call(*arguments)
        assert code == 0
        assert ("readable by others than its owner" in stderr) is warned
        assert json.loads(stdout)["scores"]


@pytest.fixture
def own(site, tmp_path):
    """Copies of a site's files, which a test may lose."""
    shutil.copytree(site.program, tmp_path / "program")
    (tmp_path / "keys").mkdir()
    for path, name in (
        (site.images, "images.npy"), (site.query, "q.he"), (site.query.with_suffix(".case"), "q.case"),
        (site.result, "r.he"), (site.keys, "keys/evaluation.keys"), (site.secret, "keys/secret.key"),
    ):  # fmt: skip
        shutil.copy2(path, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("verb", "output"),
    [
        ("encrypt {0}/program {0}/images.npy --key {0}/keys/secret.key --insecure-test", "images.npy"),
        ("encrypt {0}/program {0}/images.npy --key {0}/keys/secret.key --insecure-test", "program/program.json"),
        ("encrypt {0}/program {0}/images.npy --key {0}/keys/secret.key --insecure-test", "link"),
        ("encrypt {0}/program {0}/pictures --key {0}/keys/secret.key --insecure-test", "pictures/1.png"),
        ("encrypt {0}/program {0}/pictures/list.csv --key {0}/keys/secret.key --insecure-test", "pictures/1.png"),
        ("run {0}/program {0}/q.he --keys {0}/keys/evaluation.keys", "q.he"),
        ("run {0}/program {0}/q.he --keys {0}/keys/evaluation.keys", "keys/evaluation.keys"),
        ("run {0}/program {0}/q.he --keys {0}/keys", "keys/evaluation.keys"),
        ("decrypt {0}/program {0}/r.he --key {0}/keys/secret.key --case {0}/q.case --insecure-test", "q.case"),
        ("decrypt {0}/program {0}/r.he --key {0}/keys/secret.key --insecure-test", "r.he"),
    ],
)
def test_what_a_verb_reads_it_does_not_overwrite(refused, own, verb, output):
    """A patient's images, keys, a case and a query were gone, with exit code 0."""
    (own / "pictures").mkdir()
    (own / "pictures" / "1.png").write_bytes(b"a picture")
    (own / "pictures" / "list.csv").write_text("sequence,file,order\ns,1.png,1\n")
    (own / "link").hardlink_to(own / "images.npy")
    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    assert "choose another output" in refused(*verb.format(own).split(), "-o", own / output)
    assert {path: path.read_bytes() for path in own.rglob("*") if path.is_file()} == before


def test_an_earlier_output_beside_what_is_read_is_replaced(call, own):
    for _ in range(2):
        case = ("--case", own / "q.case", "-o", own / "program" / "d.json", INSECURE)
        assert call("decrypt", own / "program", own / "r.he", "--key", own / "keys" / "secret.key", *case)[0] == 0
