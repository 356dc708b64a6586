"""hospital → nginx with the shipped configuration, over TLS → a service without TLS of its own."""

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import trustme

from heclstm.network.remote import Remote
from service.kit import Remote as Tenant
from service.kit import expect, free_port, wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


class Proxied:
    def __init__(self, server, port, authority, known, stranger):
        self.server, self.port, self.authority, self.known, self.stranger = server, port, authority, known, stranger
        self.url = f"https://127.0.0.1:{port}"

    def http(self, token=None, shown=None, port=None, **headers):
        context = ssl.create_default_context(cafile=str(self.authority))
        if shown:
            shown.configure_cert(context)
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        url = f"https://127.0.0.1:{port or self.port}"
        return httpx.Client(base_url=url, verify=context, headers=headers, timeout=60, trust_env=False)


@pytest.fixture(scope="module")
def proxied(launch, certificates, tmp_path_factory):
    """With client certificates, as the comments of nginx.conf tell to switch them on."""
    place, (tls, authority) = tmp_path_factory.mktemp("nginx"), certificates
    clients = trustme.CA()
    clients.cert_pem.write_to_path(str(place / "hospitals.pem"))
    known, stranger = (clients.issue_cert(f"{name}@example.org") for name in ("known", "stranger"))
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(known.cert_chain_pems[0].bytes().decode())).hexdigest()
    proxy = {"trusted": ["127.0.0.1"], "certificate_header": "x-client-cert"}
    with launch(tls=None, proxy=proxy, tenants={"certified": {"certificates": [digest]}}) as server:
        port = free_port()
        text = (DEPLOY / "nginx.conf").read_text()
        for old, new in {
            "/tmp/": f"{place}/",  # first: the others bring such paths along
            "server server:8080;": f"server 127.0.0.1:{server.config.address[1]};",
            "listen 8443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "/etc/nginx/tls/server.pem": tls["certificate"],
            "/etc/nginx/tls/server.key": tls["key"],
            "# ssl_client_certificate /etc/nginx/tls": f"ssl_client_certificate {place}",
            "# ssl_verify_client": "ssl_verify_client",
            "worker_processes auto;": f"worker_processes 1; {'user root;' if os.geteuid() == 0 else ''}",
        }.items():
            assert old in text
            text = text.replace(old, new)
        (place / "nginx.conf").write_text(text)
        nginx = ["nginx", "-p", str(place), "-c", str(place / "nginx.conf"), "-e", "stderr"]
        checked = subprocess.run([*nginx, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        process = subprocess.Popen([*nginx, "-g", "daemon off;"], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: _listens(port))
            yield Proxied(server, port, authority, known, stranger)
        finally:
            process.terminate()
            process.wait(20)


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_hospitals_own_commands_go_through(proxied, tmp_path):
    """connect and diagnose, and nothing in the way of either knows of the other."""
    options = {"token": proxied.server.token("remote"), "ca": proxied.authority, "allow_insecure": True, "threads": 1}
    with Remote.connect(proxied.url, tmp_path / "site", **options) as remote:
        frames = np.random.default_rng(3).uniform(0, 1, (2, 1, 8, 8)).astype(np.float32)
        assert np.isfinite(remote.diagnose(frames).scores).all()


def test_an_upload_that_is_cut_goes_on_where_it_was(proxied, hospital):
    """What was sent has gone through when the line is cut: the proxy keeps no bodies back, and none on its disk."""
    token, path = proxied.server.token("cut"), f"/v1/keys/{hospital.label}"
    most = len(hospital.keys) * 3 // 4  # more than the megabyte that is written at once
    with proxied.http(token) as http, proxied.http(token) as cut:
        tenant = Tenant(http)

        def offset():
            found = http.get(path)  # 404 until the service has seen the first of it
            return 0 if found.status_code == 404 else expect(found, 200).json()["received_bytes"]

        def pieces():
            yield hospital.keys[:most]
            wait_until(lambda: offset() >= 1 << 20)
            raise ConnectionAbortedError

        with pytest.raises(ConnectionAbortedError):
            cut.put(path, content=pieces(), headers={"content-length": str(len(hospital.keys))})
        answer = tenant.put_keys(hospital, there := offset())
        while answer.status_code == 409:  # the first connection is not yet seen to be dead
            time.sleep(0.1)
            answer = tenant.put_keys(hospital, there := offset())
        expect(answer, 201)
        assert there >= 1 << 20
        assert tenant.diagnose(hospital, hospital.query(seed=1)) is not None


def test_waiting_and_events_pass(proxied, hospital):
    """A long poll lasts as long as was asked; events come one by one, while the job still runs."""
    with proxied.http(proxied.server.token("waits")) as http:
        tenant = Tenant(http)
        expect(tenant.put_keys(hospital), 201)
        from service.faulty import children

        worker = children(proxied.server, "process")[0]
        worker.suspend()
        try:
            job = expect(tenant.post(hospital.query(seed=2)), 202).json()["id"]
            wait_until(lambda: tenant.job(job)["state"] == "running")
            begin = time.monotonic()
            assert tenant.job(job, wait=1)["state"] == "running"
            assert time.monotonic() - begin >= 1
            with http.stream("GET", f"/v1/jobs/{job}/events") as stream:
                lines = stream.iter_lines()
                assert next(lines) == "event: job"  # before the job goes on
                worker.resume()
                assert any('"state":"done"' in line for line in lines)
        finally:
            worker.resume()
        hospital.score(tenant.result(job))


def test_bodies_of_any_size_are_the_services_to_judge(proxied, hospital):
    """nginx would refuse more than a megabyte by itself, by a page of its own."""
    with proxied.http(proxied.server.token("sizes")) as http:
        expect(http.put(f"/v1/keys/{hospital.label}", content=bytes(3 << 20)), 422, "foreign-file")
        expect(http.post("/v1/jobs", content=bytes(3 << 20)), 422, "foreign-file")


def test_certificates_are_checked_by_the_proxy_and_known_by_the_service(proxied):
    """What a client types into the header itself is overwritten."""
    shown = proxied.known.cert_chain_pems[0].bytes().decode().replace("\n", "%0A").replace(" ", "%20")
    with proxied.http(shown=proxied.known) as http:
        expect(http.get("/v1/keys"), 200)
    for options in ({}, {"shown": proxied.stranger}, {"x-client-cert": shown}):
        with proxied.http(**options) as http:
            expect(http.get("/v1/keys"), 401, "unauthorized")
