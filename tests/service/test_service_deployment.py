"""What `deploy/` holds is read by the tools that will read it, where they are here, and says what the code needs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from heclstm.circuit.cost import estimate
from heclstm.program.files import load_program
from heclstm.service.config import load_config
from service.kit import Running, expect, free_port, write_config

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


def test_manifests_ask_for_what_the_estimate_says():
    costs = estimate(load_program(ROOT / "examples" / "adrenal" / "program").circuit)
    one = costs.peak_memory
    config = load_config(DEPLOY / "kubernetes" / "service.toml")
    server, *_ = yaml.safe_load_all((DEPLOY / "kubernetes" / "server.yaml").read_text())
    container = server["spec"]["template"]["spec"]["containers"][0]
    request, limit = (_bytes(container["resources"][kind]["memory"]) for kind in ("requests", "limits"))
    assert one <= config.evaluation.memory_bytes <= request
    # Beside the workers: the server, and one upload that is being expanded.
    assert config.evaluation.memory_bytes + costs.key_memory + (400 << 20) <= limit
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


def load_config_port():
    return re.search(r'listen = "\S+:(\d+)"', (DEPLOY / "compose.toml").read_text())[1]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_is_right_and_well_confined(tmp_path):
    unit = tmp_path / "heclstm.service"
    unit.write_text((DEPLOY / "heclstm.service").read_text().replace("/opt/heclstm/bin/heclstm", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "heclstm" in line]
    assert not ours
    security = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)]
    done = subprocess.run(security, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-600:]


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_the_whole_way_through_the_proxy(launch, hospital, certificates, tmp_path):
    """The shipped nginx.conf before a service without TLS of its own: keys, a resumed upload, events, a result."""
    tls, authority = certificates
    with launch(tls=None, proxy={"trusted": ["127.0.0.1"]}) as server:
        port = free_port()
        text = (DEPLOY / "nginx.conf").read_text()
        for old, new in {
            "/tmp/": f"{tmp_path}/",  # first: the others bring such paths along
            "server server:8080;": f"server 127.0.0.1:{server.config.address[1]};",
            "listen 8443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "/etc/nginx/tls/server.pem": tls["certificate"],
            "/etc/nginx/tls/server.key": tls["key"],
            "worker_processes auto;": f"worker_processes 1; {'user root;' if os.geteuid() == 0 else ''}",
        }.items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "nginx.conf").write_text(text)
        nginx = ["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
        checked = subprocess.run([*nginx, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        process = subprocess.Popen([*nginx, "-g", "daemon off;"], stderr=subprocess.DEVNULL)
        try:
            through = Running(
                write_config(
                    tmp_path, [{"folder": str(hospital.program)}], tls=tls, listen=f"127.0.0.1:{port}",
                    state=server.config.state,
                ),
                authority,
            )  # fmt: skip
            tenant, half = through.tenant(), len(hospital.keys) // 2
            expect(tenant.put_keys(hospital, content=hospital.keys[:half]), 202)
            expect(tenant.put_keys(hospital, half), 201)
            assert tenant.diagnose(hospital, hospital.query(seed=1)) is not None
            job = expect(tenant.post(hospital.query(seed=2)), 202).json()["id"]
            with tenant.http.stream("GET", f"/v1/jobs/{job}/events") as stream:
                assert '"state":"done"' in "".join(stream.iter_text())
            through.close()
        finally:
            process.terminate()
            process.wait(20)
