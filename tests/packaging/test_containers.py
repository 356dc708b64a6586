"""The Containerfiles, read: no engine that could build them is part of the tests. A linter looks at them, and hadolint,
which is under the GPL, where somebody has installed it.
"""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from heclstm.cli.main import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = sorted(DEPLOY.glob("Containerfile.*"))
VERBS = typer.main.get_command(app).commands


def read(path):
    """Stages, each a list of (instruction, rest of the line)."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages = []
    for line in filter(str.strip, text.splitlines()):
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, " ".join(rest.split())))
    return stages


def of(stage, word):
    return [rest for found, rest in stage if found == word]


def test_both_sides_have_one():
    assert [path.name for path in FILES] == ["Containerfile.client", "Containerfile.server"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_runs_is_slim_and_not_root(path):
    """No compiler, source or Go in the last stage; its user is a number: Kubernetes sees that it is not root."""
    build, last = read(path)
    allowed = {
        "COPY",
        "ENTRYPOINT",
        "CMD",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "RUN",
        "STOPSIGNAL",
        "USER",
        "WORKDIR",
    }
    assert {word for stage in (build, last) for word, _ in stage} <= allowed
    assert of(build, "FROM") == [f"{of(last, 'FROM')[0]} AS build"]  # the environment finds its Python again
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-\w+", of(last, "FROM")[0])
    assert of(last, "COPY") == ["--from=build /opt/heclstm /opt/heclstm"]
    assert not re.search("apt-get|pip", " ".join(of(last, "RUN")))
    assert of(last, "USER") == ["10001:10001"]
    assert [word for word, _ in last].index("USER") > max(n for n, (word, _) in enumerate(last) if word == "RUN")
    assert f"install --directory --owner 10001 --group 10001 --mode 0700 {of(last, 'WORKDIR')[0]}" in of(last, "RUN")[0]
    assert len(of(last, "HEALTHCHECK")) == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_it_installs_and_starts_is_there(path):
    build, last = read(path)
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", " ".join(of(build, "RUN")))
    assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()
    assert not {"train", "test"} & set(extras.split(","))
    (program,) = json.loads(of(last, "ENTRYPOINT")[0])
    assert program in PROJECT["scripts"]
    verb = json.loads(of(last, "CMD")[0])[0]
    assert verb in VERBS or verb == "--help"


def test_the_client_says_how_it_is_called():
    image, verb = re.search(r"^#\s+(heclstm-client:\S+) (\w+)", FILES[0].read_text(), flags=re.MULTILINE).groups()
    assert image == f"heclstm-client:{PROJECT['version']}"
    assert verb in VERBS


def test_the_context_is_what_is_copied_and_no_more():
    """So no key and no environment of the folder that it is built in goes to the engine."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    for path in FILES:
        build, _ = read(path)
        copied = {source for line in of(build, "COPY") for source in line.split()[:-1]}
        assert copied == allowed
    assert all((ROOT / source).exists() for source in allowed)
    assert {"LICENSE", "README.md", "hatch_build.py", "native", "pyproject.toml", "src"} <= allowed


def test_the_servers_image_has_what_its_configuration_may_name():
    """All but Ray, which wants the same Python on all nodes."""
    build, _ = read(DEPLOY / "Containerfile.server")
    (command,) = [rest for rest in of(build, "RUN") if "pip install" in rest]
    extras = set(re.search(r"'\.\[(.*)\]'", command)[1].split(","))
    assert extras == {"server", "postgresql", "oidc", "s3"}
    assert extras | {"ray"} <= PROJECT["optional-dependencies"].keys()


def test_compose_and_kubernetes_run_what_is_built():
    """The same file, tag, user and question after its health."""
    image = f"heclstm-server:{PROJECT['version']}"
    _, last = read(DEPLOY / "Containerfile.server")
    assert f"--tag {image} " in (DEPLOY / "Containerfile.server").read_text()
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["server"]
    built = DEPLOY / compose["build"]["context"] / compose["build"]["dockerfile"]
    assert built.resolve() == DEPLOY / "Containerfile.server"
    assert compose["image"] == image
    assert compose["user"] == of(last, "USER")[0]
    assert compose["healthcheck"]["test"][1:] == json.loads(of(last, "HEALTHCHECK")[0].partition(" CMD ")[2])
    stateful, *_ = yaml.safe_load_all((DEPLOY / "kubernetes" / "server.yaml").read_text())
    pod = stateful["spec"]["template"]["spec"]
    assert [container["image"] for container in pod["containers"]] == [image]
    security = pod["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == of(last, "USER")[0]
    (port,) = of(last, "EXPOSE")
    assert {each["containerPort"] for each in pod["containers"][0]["ports"]} == {int(port)}
    for name in ("compose.toml", "kubernetes/service.toml"):
        config = tomllib.loads((DEPLOY / name).read_text())
        assert config["state"] == of(last, "WORKDIR")[0]
        assert config["listen"].endswith(f":{port}")


def linted(path):
    """Rules that a linter warns of. Without DD069, which takes the `*` of `rm … /var/lib/apt/lists/*` for a package."""
    command = [sys.executable, "-m", "dockerfile_doctor", "--severity", "warning", "--ignore", "DD069"]
    done = subprocess.run([*command, "--format", "json", str(path)], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return [issue["ruleId"] for file in json.loads(done.stdout)["files"] for issue in file["issues"]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_linter_finds_nothing(path, tmp_path):
    """And finds what is planted."""
    assert linted(path) == []
    for before, after, rule in (
        (" --yes", "", "DD023"),
        ("COPY src", "ADD src", "DD007"),
        ("python:3.11-slim-bookworm", "python:latest", "DD001"),
        ("\nUSER 10001:10001", "", "DD008"),
        ("\nENTRYPOINT [", "\nRUN curl https://example.org | sh\nENTRYPOINT [", "DD054"),
    ):
        assert before in path.read_text()
        planted = tmp_path / path.name
        planted.write_text(path.read_text().replace(before, after))
        assert rule in linted(planted)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path):
    done = subprocess.run(["hadolint", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_trial_of_the_images_is_skipped_without_buildah():
    """It is a script that any shell reads; what it names is there."""
    script = DEPLOY / "try-images.sh"
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    done = subprocess.run([script], env={"PATH": "/usr/bin:/bin", "BUILDAH": "no-such-buildah"}, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"try-images: buildah is not installed; skipped\n")
    for path in ("examples/adrenal/program", "examples/adrenal/volumes.npz"):
        assert path in script.read_text()
        assert (ROOT / path).exists()
