"""Key generation, encryption, evaluation in another process, decryption, report: by the command line alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from heclstm.backend.precision import predict_errors, run_clear
from heclstm.card.preparation import Preparation
from heclstm.deploy.wire import Kind, read_header
from heclstm.model.calibrate import calibrate
from heclstm.model.config import BlockConfig
from heclstm.model.weights import load_model, save_model
from heclstm.program.files import load_program
from random_models import random_frames, random_model, small_config

ROOT = Path(__file__).parents[2]


def python(*arguments, cwd):
    """Another process, which finds this source tree. Returns its stdout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_decrypted_result_is_the_clear_one(call, site, tmp_path):
    """Errors are at most 4 times what the simulator predicts, and half a step of rounding."""
    public = tmp_path / "server"
    public.mkdir()
    shutil.copytree(site.program, public / "program")
    shutil.copy(site.keys, public)
    shutil.copy(site.query, public)
    arguments = ("run", "program", "query.he", "--keys", "evaluation.keys", "-o", "result.he", "--json")
    answer = json.loads(python("-m", "heclstm.cli", *arguments, cwd=public))
    assert answer["bytes"] == (public / "result.he").stat().st_size
    assert set(answer["seconds"]) == {"prepare", "load_keys", "evaluate"}

    arguments = (
        "decrypt",
        site.program,
        public / "result.he",
        "--key",
        site.secret,
        "--insecure-test",
        "--json",
        "--case",
        site.query.with_suffix(".case"),
    )
    code, stdout, stderr = call(*arguments, "-o", tmp_path / "diagnosis.json", "--name", "case 7")
    assert code == 0, stderr
    found = json.loads(stdout)
    assert found == json.loads((tmp_path / "diagnosis.json").read_text())
    assert found["name"] == "case 7"
    assert (tmp_path / "diagnosis.json").stat().st_mode & 0o777 == 0o600

    circuit = load_program(site.program).circuit
    frames = np.load(site.images)[None]
    clear = run_clear(circuit, frames)[0]
    decrypted = np.array([*found["scores"], *(row[0] for row in found["contributions"])])
    error, predicted = decrypted - clear, predict_errors(circuit, frames, seeds=60)
    assert (decrypted == decrypted.round(3)).all()  # nothing finer leaves the client
    assert (np.abs(error) <= 0.5e-3 + 4 * predicted).all(), f"errors {error}, predicted {predicted}"
    assert found["decision"] == ("positive" if clear[0] >= 0.25 else "negative")

    page = tmp_path / "report.html"
    code, _, stderr = call("report", tmp_path / "diagnosis.json", "--input", site.images, "-o", page)
    assert code == 0, stderr
    text = page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600
    assert "data:image/png;base64," in text
    assert "case 7" in text
    assert not any(link in text for link in ("http:", "https:", "<script", "url("))


def test_secret_key_file_is_private(site):
    assert site.secret.stat().st_mode & 0o777 == 0o600


def test_shadow_finds_no_drift(call, site, tmp_path):
    extra = ("--shadow", site.secret, "--input", site.images, "--json")
    code, stdout, stderr = call("run", site.program, site.query, "--keys", site.keys, "-o", tmp_path / "r.he", *extra)
    assert code == 0, stderr
    found = json.loads(stdout)
    assert found["first_drift"] is None
    assert [row["layer"] for row in found["shadow"]][0] == "input"


def test_shadow_names_the_layer_that_drifts(call, site, tmp_path):
    """Other images than those in the query: everything drifts, from the first layer on."""
    np.save(tmp_path / "other.npy", random_frames(small_config(), 1, seed=9)[0].astype(np.float32))
    extra = ("--shadow", site.secret, "--input", tmp_path / "other.npy")
    code, stdout, _ = call("run", site.program, site.query, "--keys", site.keys, "-o", tmp_path / "r.he", *extra)
    assert code == 0
    assert "The first layer that drifts from clear is input." in stdout


def test_query_and_result_hold_no_identifier(call, site, tmp_path):
    named = tmp_path / "Jane-Doe-19710423-f"
    named.mkdir()
    shutil.copy(site.images, named / "MRN-4711.npy")
    query, result = named / "query.he", named / "result.he"
    arguments = ("encrypt", site.program, named / "MRN-4711.npy", "--key", site.secret, "-o", query)
    assert call(*arguments, "--insecure-test")[0] == 0
    assert call("run", site.program, query, "--keys", site.keys, "-o", result)[0] == 0
    for content in (query.read_bytes(), result.read_bytes()):
        # All longer than five letters, so that ciphertexts do not hold them by chance.
        for identifier in ("Jane-Doe", "19710423-", "MRN-4711", "images.npy", str(tmp_path)):
            assert identifier.encode() not in content
    for path, kind in ((query, Kind.QUERY), (result, Kind.RESULT)):
        header = read_header(path, kind)
        assert {name.split()[0] for name, _ in header.blobs} <= {"ciphertext", "result"}


def test_run_imports_nothing_secret(site, tmp_path):
    script = (
        "import sys; from heclstm.cli.main import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(sorted(name for name in sys.modules if name.startswith(('heclstm', 'torch'))))"
    )
    arguments = ("run", site.program, site.query, "--keys", site.keys, "-o", tmp_path / "r.he", "--json")
    modules = python("-c", script, *arguments, cwd=tmp_path).splitlines()[-1]
    assert "heclstm.backend.cpu.evaluator'" in modules
    for forbidden in ("secret", "deploy.client", "torch", "devtools", "heclstm.data."):
        assert forbidden not in modules


def test_the_command_line_starts_without_heavy_imports():
    script = (
        "import sys; import heclstm.cli.main\n"
        "heavy = {'numpy', 'scipy', 'torch', 'matplotlib', 'safetensors'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    python("-c", script, cwd=ROOT)


def test_a_verb_that_is_named_is_imported_alone():
    """All of them would take a fifth of a second."""
    script = (
        "import sys; from heclstm.cli.application import application; application('serve')\n"
        "assert not {'rich', 'numpy', 'heclstm.cli.run'} & set(sys.modules)"
    )
    python("-c", script, cwd=ROOT)


def test_a_server_starts_its_workers_before_anything_that_takes_long(tmp_path):
    """Neither a library for the command line, nor what serves, stands between."""
    config = tmp_path / "service.toml"
    config.write_text(f'state = "{tmp_path}/state"\n[[programs]]\nfolder = "program"\n')
    script = (
        "import sys; from heclstm.cli.start import main; from heclstm.service.workers.pool import LocalPool\n"
        "def warm(self, events):\n"
        "    slow = {'typer', 'pydantic', 'rich', 'numpy', 'sqlalchemy', 'litestar', 'uvicorn'} & set(sys.modules)\n"
        "    print('warmed', slow); raise SystemExit(0)\n"
        "LocalPool.warm = warm; sys.argv = ['heclstm', 'serve', sys.argv[1]]; main()"
    )
    assert python("-c", script, config, cwd=ROOT).splitlines() == ["warmed set()"]


@pytest.mark.parametrize("content", [None, "listen = 1", "nothing = true"])
def test_serve_ends_as_every_verb_does(tmp_path, content):
    """With options, which Typer reads, and without: the same line and exit code."""
    config = tmp_path / "service.toml"
    if content is not None:
        config.write_text(content)
    ends = []
    for options in ([], ["--check"]):
        command = [sys.executable, "-m", "heclstm.cli", "serve", str(config), *options]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        ends.append((ended.returncode, ended.stdout, ended.stderr))
    assert ends[0] == ends[1]
    assert ends[0][:2] == (2, "")
    assert len(ends[0][2].splitlines()) == 1


def test_estimate_agrees_with_the_files(call, site):
    code, stdout, stderr = call("estimate", site.program, "--input", site.images, "--json")
    assert code == 0, stderr
    found = json.loads(stdout)
    # The estimate counts blobs; a file adds a header of at most 1 kB and 25 bytes a blob, and a checksum.
    for name, path in (("evaluation_key", site.keys), ("query", site.query), ("result", site.result)):
        assert 0 < path.stat().st_size - found[f"{name}_bytes"] < 4096
    assert found["precision_bits"] > 10
    assert call("estimate", site.program)[0] == 0


def test_measured_seconds_are_kept(call, site, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ("estimate", site.program, "--threads", 1, "--json")
    assert json.loads(call(*arguments)[1])["seconds"] is None
    code, stdout, stderr = call(*arguments, "--measure")
    assert code == 0, stderr
    measured = json.loads(stdout)["seconds"]
    assert measured > 0
    assert json.loads(call(*arguments)[1])["seconds"] == measured


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("program", "program"),
        ("secret", "secret key"),
        ("keys", "evaluation keys"),
        ("query", "query"),
        ("result", "result"),
    ],
)
def test_inspect_knows_every_file(call, site, name, kind):
    code, stdout, stderr = call("inspect", getattr(site, name), "--json")
    assert code == 0, stderr
    found = json.loads(stdout)
    assert found["kind"] == kind
    digest = json.loads((site.program / "program.json").read_text())["digest"]
    assert digest in (found.get("digest"), found.get("program"))
    assert call("inspect", getattr(site, name))[0] == 0


def test_inspect_knows_models_and_tells_no_secret(call, site):
    code, stdout, _ = call("inspect", site.program.parent / "model", "--json")
    assert code == 0
    assert json.loads(stdout)["kind"] == "model"
    secret = site.secret.read_bytes()
    shown = call("inspect", site.secret, "--json")[1].encode()
    # No 8 bytes of the key itself (it follows the header, which is public) are shown.
    assert not any(secret[start : start + 8] in shown for start in range(400, len(secret) - 8))


def test_calibrate_stores_ranges(call, site, tmp_path):
    np.savez(tmp_path / "volumes.npz", images=random_frames(small_config(), 5, seed=2).astype(np.float32))
    model = site.program.parent / "model"
    arguments = ("calibrate", model, "--data", tmp_path / "volumes.npz", "-o", tmp_path / "model", "--json")
    code, stdout, stderr = call(*arguments)
    assert code == 0, stderr
    assert json.loads(stdout)["ranges"] == load_model(tmp_path / "model").metadata["ranges"]


def test_demo(call, tmp_path, monkeypatch):
    """The demo as it is, at 128 bits, on a model so shallow that ring degree 2^14 holds it."""
    config = small_config(frames=2, blocks=(BlockConfig(out_channels=4),))
    frames = random_frames(config, 4, seed=0).astype(np.float32)
    preparation = Preparation("frames", (2, 2, 8, 8), frames=2, channels=2, height=8, width=8).to_json()
    model = random_model(config, seed=3).with_metadata(preparation=preparation, operating_point={"threshold": 0.0})
    example = tmp_path / "example"
    save_model(calibrate(model, frames), example)
    np.savez(example / "volumes.npz", images=frames, labels=np.array([0, 1, 0, 1]))
    code, _, stderr = call("compile", example, "-o", example / "program")
    assert code == 0, stderr
    monkeypatch.chdir(tmp_path)
    code, stdout, stderr = call("demo", "--example", "example", "--volume", 1, "--json")
    assert code == 0, stderr
    found = json.loads(stdout)
    assert found["truth"] is True
    assert abs(found["error"]) < 0.01  # of a score near 1; the exact bound is tested above
    assert found["decision"] == found["clear"]["decision"]
    names = ["make keys", "upload keys", "encrypt and send", "evaluate", "fetch and decrypt"]
    assert [stage["name"] for stage in found["stages"]] == names
    assert found["server_memory"] > 1 << 27
    secret = next((tmp_path / "demo" / "hospital" / "site" / "keys").rglob("secret.key")).read_bytes()
    server = [path for path in (tmp_path / "demo" / "server").rglob("*") if path.is_file()]
    connected = json.loads((tmp_path / "demo" / "hospital" / "site" / "site.json").read_text())
    assert connected["url"].startswith("https://")
    assert {"program.json", "service.toml", "server.pem", "service.db"} <= {path.name for path in server}
    assert not any(secret[-64:-32] in path.read_bytes() for path in server)
    assert (tmp_path / "demo" / "report.html").exists()
    assert (tmp_path / "demo" / "report.png").read_bytes().startswith(b"\x89PNG")
