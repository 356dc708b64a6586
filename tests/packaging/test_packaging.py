"""What people install: a wheel that runs where there is neither compiler nor Go, and an sdist that makes wheels."""

import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

import heclstm
from heclstm.program.files import save_program
from random_models import random_frames
from tiny_program import CONFIG, tiny_program

ROOT = Path(__file__).parents[2]
GLIBC = 17
PLATFORM = f"manylinux_2_{GLIBC}_{platform.machine()}"
OFFLINE = re.compile(
    r"Could not find a version|Temporary failure in name resolution|Connection|timed out", re.IGNORECASE
)
# What a role does not install: PyTorch is for training, SciPy for compiling, Matplotlib for reports.
HEAVY = {"torch", "lightning", "monai", "scipy", "matplotlib", "safetensors"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="manylinux wheels are made on Linux"),
]


def build(*arguments, cwd=ROOT, **environment):
    command = [sys.executable, "-m", "build", "--no-isolation", "--skip-dependency-check", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    build("--sdist", "--outdir", folder)
    (found,) = folder.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        archive.extractall(folder, filter="data")
    return folder / found.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """As `make wheel` builds it, for this processor, but from the sdist: one build shows that both are whole."""
    folder = tmp_path_factory.mktemp("dist")
    build("--wheel", "--outdir", folder, sdist, cwd=sdist, HECLSTM_PLATFORM=PLATFORM)
    (found,) = folder.glob("*.whl")
    return found


class Bare:
    """A virtual environment with the wheel alone, and a PATH that leads nowhere."""

    def __init__(self, folder):
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.bin = folder / "venv" / "bin"
        (folder / "nothing").mkdir()
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "HTTP", "http", "SSL", "HOME"))
        }
        self.environment = kept | {"PATH": str(folder / "nothing")}

    def run(self, program, *arguments):
        command = [str(self.bin / program), *map(str, arguments)]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=600)

    def pip(self, *arguments):
        """By the pip of the tests: to install another one takes longer than what it installs."""
        pip = [sys.executable, "-m", "pip", "--python", self.bin / "python", "--disable-pip-version-check"]
        command = [*map(str, pip), "install", "--quiet", *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode and OFFLINE.search(done.stderr):
            pytest.skip(f"pip finds no packages here: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def heclstm(self, *arguments):
        done = self.run("heclstm", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    environment = Bare(tmp_path_factory.mktemp("bare"))
    environment.pip(wheel)
    return environment


def test_the_tag_says_what_auditwheel_finds(wheel):
    """No newer glibc, no library that is not everywhere."""
    assert wheel.name == f"heclstm-{heclstm.__version__}-py3-none-{PLATFORM}.whl"
    done = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", wheel], capture_output=True, text=True, check=True
    )
    words = " ".join(done.stdout.split())
    assert int(re.search(r'following platform tag: "manylinux_2_(\d+)_\w+"', words)[1]) <= GLIBC
    assert "requires no external shared libraries" in words


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    sources = {path.relative_to(ROOT / "src"): path for path in (ROOT / "src").rglob("*.py")}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        engine = {f"heclstm/backend/cpu/{name}" for name in ("libheclstm.so", "LICENSES.native.txt")}
        assert engine | {"heclstm/py.typed"} <= names
        assert {name for name in names if name.endswith(".py")} == {path.as_posix() for path in sources}
        for name, path in sources.items():
            assert archive.read(name.as_posix()) == path.read_bytes()
        licences = archive.read("heclstm/backend/cpu/LICENSES.native.txt").decode()
    for module in ("Go go1.", "github.com/tuneinsight/lattigo/v6 v6.", "golang.org/x/crypto v0."):
        assert f"{'=' * 80}\n{module}" in licences
    assert "Apache License" in licences


def test_a_whole_way_where_nothing_else_is_installed(bare, tmp_path):
    """Keys, query, result, diagnosis, by the base alone; what needs more says what to install."""
    program, keys = tmp_path / "program", tmp_path / "keys"
    save_program(tiny_program(), program)
    np.save(tmp_path / "images.npy", random_frames(CONFIG, 1, 3)[0].astype(np.float32))
    insecure, key = "--insecure-test", ("--key", keys / "secret.key")
    query, result = tmp_path / "query.he", tmp_path / "result.he"
    bare.heclstm("keygen", program / "program.json", "-o", keys, insecure)
    bare.heclstm("encrypt", program / "program.json", tmp_path / "images.npy", *key, "-o", query, insecure)
    bare.heclstm("run", program, query, "--keys", keys / "evaluation.keys", "-o", result)
    found = bare.heclstm("decrypt", program / "program.json", result, *key, "--query", query, "--json", insecure)
    assert json.loads(found)["decision"] in ("positive", "negative")
    assert "secret key" in bare.heclstm("inspect", keys / "secret.key")
    done = bare.run("heclstm", "compile", tmp_path, "-o", tmp_path / "other")
    assert done.returncode == 2
    assert "compile: needs " in done.stderr
    assert "pip install 'heclstm[compile]'" in done.stderr


def test_installed_it_is_typed_and_light(bare):
    """Type checkers read it; importing it is quick; the base brings nothing heavy."""
    code = (
        "import json, sys, time; start = time.process_time(); import heclstm; seconds = time.process_time() - start;"
        "from importlib.metadata import distributions; from importlib.resources import files;"
        "names = sorted(each.name.lower() for each in distributions());"
        "print(json.dumps([seconds, names, (files(heclstm) / 'py.typed').is_file()]))"
    )
    done = bare.run("python", "-c", code)
    assert done.returncode == 0, done.stderr
    seconds, names, typed = json.loads(done.stdout)
    assert typed
    assert seconds < 0.2
    assert {"numpy", "msgspec"} <= set(names)
    assert not set(names) & HEAVY


def test_a_server_installs_neither_pytorch_nor_matplotlib():
    """By what the packages here say that they need; pip's own resolver says the same, and takes a minute."""
    names = required({"server", "postgresql", "oidc"})
    assert {"litestar", "uvicorn", "numpy", "psycopg", "joserfc"} <= names
    assert not names & HEAVY


def required(extras):
    """The names of all that heclstm with these extras needs, directly or not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    waiting, seen = [(Requirement(line), "") for line in lines], set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) not in seen:
                seen.add((requirement.name, extra))
                waiting += [(Requirement(line), extra) for line in requires(requirement.name) or ()]
    return {name.lower() for name, _ in seen}
