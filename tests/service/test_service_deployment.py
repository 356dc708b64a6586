"""What `deploy/` holds is read by the tools that will read it, where they are here, and says what the code needs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from heclstm.circuit.cost import estimate
from heclstm.program.files import load_program
from heclstm.service.config import load_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")


@pytest.mark.parametrize("path", ["service.toml", "compose.toml", "kubernetes/service.toml"])
def test_configurations_can_be_read(path, monkeypatch):
    monkeypatch.setenv("HECLSTM_DB_PASSWORD", "secret")
    config = load_config(DEPLOY / path)
    assert not config.allow_insecure_test
    assert "${" not in config.database


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_those_of_kubernetes(path):
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for document in yaml.safe_load_all(path.read_text()):
        validate.validate(document, "1.30", strict=True)


SERVER_BYTES = 400 << 20  # of the server and its intake


def test_manifests_ask_for_what_the_estimate_says():
    """Enough, and not much more; and the figures that they tell are those of today."""
    costs = estimate(load_program(ROOT / "examples" / "adrenal" / "program").circuit)
    one, keys = costs.peak_memory, costs.key_memory
    config = load_config(DEPLOY / "kubernetes" / "service.toml")
    text = (DEPLOY / "kubernetes" / "server.yaml").read_text()
    server, *_ = yaml.safe_load_all(text)
    container = server["spec"]["template"]["spec"]["containers"][0]
    request, limit = (_bytes(container["resources"][kind]["memory"]) for kind in ("requests", "limits"))
    assert config.workers == 1
    # Beside the one that is in use, room for two or three key sets.
    assert one + 2 * keys <= config.evaluation.memory_bytes < one + 4 * keys
    assert config.evaluation.memory_bytes + SERVER_BYTES < request
    # Beside the workers: the server, and as many uploads as may be expanded at once.
    all_together = config.evaluation.memory_bytes + SERVER_BYTES + config.evaluation.intakes * keys
    assert request <= all_together < limit < all_together + (1 << 30)
    told = re.findall(r"[\d.]+(?= GB)", text.partition("apiVersion")[0])
    assert told == [f"{count / 1e9:.2f}" for count in (one - keys, keys, SERVER_BYTES)]
    assert server["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > config.evaluation.drain_seconds
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert server["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]
    names = [path.name for path in MANIFESTS]
    assert sorted(yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"]) == names


def _bytes(text):
    return int(text.removesuffix("Gi")) << 30


def test_compose_file_fits_together():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert set(service["networks"]) <= set(compose["networks"])
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source.startswith("./") or source in compose["volumes"]
        assert service.get("read_only") or "postgres" in service["image"]
    assert "ports" not in services["server"]  # the proxy alone is reached from outside
    assert "ports" not in services["database"]
    assert Path(DEPLOY / "compose.toml").exists()
    assert f":{load_config_port()}/healthz" in str(services["server"]["healthcheck"]["test"])


def test_compose_file_is_one_by_the_specification():
    pytest.importorskip("check_jsonschema", reason="check-jsonschema, which brings the schema, is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(DEPLOY / "compose.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_puts_the_manifests_together():
    """All of them, in one namespace, and the configuration under the name that the server mounts."""
    done = subprocess.run(["kubectl", "kustomize", str(DEPLOY / "kubernetes")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout)}
    written = [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())]
    assert len(made) == len(written) + 1
    assert {each["metadata"].get("namespace", "heclstm") for each in made.values()} == {"heclstm"}
    (config,) = [name for kind, name in made if kind == "ConfigMap"]
    pod = made["StatefulSet", "heclstm"]["spec"]["template"]["spec"]
    assert {"name": "config", "configMap": {"name": config}} in pod["volumes"]
    assert list(made["ConfigMap", config]["data"]) == ["service.toml"]


def load_config_port():
    return re.search(r'listen = "\S+:(\d+)"', (DEPLOY / "compose.toml").read_text())[1]


@pytest.mark.parametrize("path", ["heclstm.service", "gateway/heclstm-gateway.service"])
def test_no_unit_lets_a_handler_have_the_memory_of_a_crash(path):
    """LimitCORE was 0: a hard limit, above which `never_dump` cannot set the 1 byte at which Linux starts no handler
    (fs/coredump.c). No other limit holds for what is piped to one (core(5)); it may keep what it gets, or not.
    """
    limits = [line for line in (DEPLOY / path).read_text().splitlines() if line.startswith("LimitCORE")]
    assert limits == ["LimitCORE=1"]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert compose["services"]["server"]["ulimits"] == {"core": 1}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("path", ["heclstm.service", "gateway/heclstm-gateway.service"])
def test_the_unit_is_right_and_well_confined(tmp_path, path):
    """The gateway's too: it holds the secret key."""
    unit = tmp_path / Path(path).name
    unit.write_text((DEPLOY / path).read_text().replace("/opt/heclstm/bin/heclstm", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "heclstm" in line]
    assert not ours
    security = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)]
    done = subprocess.run(security, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-600:]
