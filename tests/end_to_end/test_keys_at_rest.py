"""Secret keys on the disk: never half made, never replaced unseen, sealed where asked for, in no core dump."""

import json
import subprocess
import sys

import pytest

from heclstm.cli.passphrase import VARIABLE
from heclstm.storage import sealed
from heclstm.storage.atomic import sole_writer

INSECURE = "--insecure-test"
WORDS = "correct horse battery stäple"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """A guess costs less, so that the tests do."""
    monkeypatch.setattr(sealed, "LOG_N", 4)
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def sealed_key(call, site, tmp_path):
    (tmp_path / "words").write_text(f"{WORDS}\nnot this line\n")
    options = ("--passphrase-file", tmp_path / "words")
    code, _, stderr = call("keygen", site.program, "-o", tmp_path / "keys", INSECURE, *options)
    assert code == 0, stderr
    return tmp_path / "keys" / "secret.key"


def test_a_key_under_a_passphrase_is_used_with_it(call, refused, site, sealed_key, tmp_path, monkeypatch):
    encrypt = ("encrypt", site.program, site.images, "--key", sealed_key, "-o", tmp_path / "q.he", INSECURE)
    line = refused(*encrypt)
    assert "no terminal to ask at; give --passphrase-file or set HECLSTM_PASSPHRASE" in line
    assert call(*encrypt, "--passphrase-file", tmp_path / "words")[0] == 0
    result = tmp_path / "r.he"
    assert (
        call("run", site.program, tmp_path / "q.he", "--keys", sealed_key.with_name("evaluation.keys"), "-o", result)[0]
        == 0
    )
    monkeypatch.setenv(VARIABLE, WORDS)
    code, stdout, _ = call("decrypt", site.program, result, "--key", sealed_key, "--json", INSECURE)
    assert code == 0
    assert json.loads(stdout)["scores"]
    monkeypatch.setenv(VARIABLE, "wrong horse")
    line = refused("decrypt", site.program, result, "--key", sealed_key, INSECURE)
    assert "secret.key: the passphrase is wrong, or the file was altered" in line
    assert "horse" not in line


def test_a_passphrase_is_typed_twice_and_asked_for_once(call, site, sealed_key, tmp_path, monkeypatch):
    asked = []

    def prompt(text, **options):
        asked.append(options["confirmation_prompt"])
        assert options["hide_input"]
        return WORDS

    monkeypatch.setattr("heclstm.cli.passphrase.typer.prompt", prompt)
    monkeypatch.setattr("heclstm.cli.passphrase._terminal", lambda: True)
    assert call("keygen", site.program, "-o", tmp_path / "k", "--passphrase", INSECURE)[0] == 0
    key = tmp_path / "k" / "secret.key"
    assert call("encrypt", site.program, site.images, "--key", key, "-o", tmp_path / "q", INSECURE)[0] == 0
    assert asked == [True, False]


def test_inspect_tells_whether_a_passphrase_is_needed(call, site, sealed_key):
    for path, needed in ((sealed_key, "needed"), (site.secret, "none")):
        told = json.loads(call("inspect", path, "--json")[1])
        assert (told["passphrase"], told["mode"]) == (needed, "0600")


@pytest.mark.parametrize("words", ["", "\n", "short\n"])
def test_a_passphrase_that_is_none(refused, site, tmp_path, words):
    (tmp_path / "words").write_text(words)
    (tmp_path / "keys").mkdir()
    options = ("--passphrase-file", tmp_path / "words")
    assert "expected at least 8" in refused("keygen", site.program, "-o", tmp_path / "keys", INSECURE, *options)


def test_killed_key_generation_leaves_no_secret_and_is_cleaned_up(call, site, tmp_path):
    """SIGKILL runs no handler: what it leaves are evaluation keys, which are public, until the next start."""
    script = (
        "import os, signal, sys; from heclstm.cli.main import app; from heclstm.storage.container import Message\n"
        "save = Message.save\n"
        "def killed(self, path, *rest):\n"
        "    if path.name == 'secret.key': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return save(self, path, *rest)\n"
        "Message.save = killed; app(sys.argv[1:])"
    )
    keys = tmp_path / "keys"
    arguments = ("keygen", str(site.program), "-o", str(keys), INSECURE)
    assert subprocess.run([sys.executable, "-c", script, *arguments], check=False).returncode == -9
    left = [path for path in keys.rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["evaluation.keys"]
    assert not (keys / "evaluation.keys").exists()  # it is in a folder of its own
    assert call(*arguments)[0] == 0
    assert sorted(path.name for path in keys.iterdir()) == ["evaluation.keys", "secret.key"]


def test_two_key_generations_at_once(refused, call, site, tmp_path):
    with sole_writer(tmp_path / "keys"):
        line = refused("keygen", site.program, "-o", tmp_path / "keys", INSECURE)
    assert "keys: another process is writing into it; wait for its end" in line
    assert call("keygen", site.program, "-o", tmp_path / "keys", INSECURE)[0] == 0


@pytest.mark.parametrize("readable", [True, False])
def test_force_keeps_the_former_key(call, site, tmp_path, readable):
    former = site.secret.read_bytes() if readable else b"what was a key"
    (tmp_path / "secret.key").write_bytes(former)
    code, stdout, stderr = call("keygen", site.program, "-o", tmp_path, INSECURE, "--force", "--json")
    assert code == 0
    kept = tmp_path / json.loads(stdout)["kept"]
    assert kept.read_bytes() == former
    assert kept.name in stderr
    assert kept.name == ("secret-old-1.key" if not readable else kept.name)
    assert (tmp_path / "secret.key").read_bytes() != former
    if readable:
        arguments = ("decrypt", site.program, site.result, "--key", kept, INSECURE)
        assert call(*arguments)[0] == 0


def test_no_core_dump_holds_a_secret(site):
    """Whatever the limit was: 1 byte also keeps Linux from handing dumps to a program."""
    script = (
        "import resource, sys; from pathlib import Path; from heclstm.deploy.client import Client\n"
        "from heclstm.program.public import load_card\n"
        "before = resource.getrlimit(resource.RLIMIT_CORE)\n"
        "client = Client(load_card(Path(sys.argv[1])), allow_insecure=True)\n"
        "client.load_secret_key(Path(sys.argv[2]))\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0] in (0, 1), before[1])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, site.program, site.secret], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("True")
