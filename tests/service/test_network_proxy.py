"""A hospital whose way out is a proxy: what goes through it, what it sees, what it refuses."""

import asyncio
import json

import numpy as np
import pytest
import trustme

from command_line import call
from heclstm.card.signature import new_pair
from heclstm.deploy.keys import evaluation_key_blobs
from heclstm.errors import NetworkError
from heclstm.network.patience import Patience
from heclstm.network.remote import AsyncRemote, Remote
from heclstm.program.public import load_card
from service.connect_proxy import ConnectProxy
from service.signed import signed_program

__all__ = ["call"]
NAME = "he.example.test"  # which only a proxy finds
ONCE = {"allow_insecure": True, "threads": 1, "patience": Patience(tries=1)}
FRAMES = np.random.default_rng(3).uniform(0, 1, (2, 1, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def serving(launch, tmp_path_factory):
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    issued = authority.issue_cert("127.0.0.1", NAME)
    issued.private_key_pem.write_to_path(str(folder / "server.key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    program = signed_program(folder / "program", new_pair())
    tls = {"certificate": str(folder / "server.pem"), "key": str(folder / "server.key")}
    with launch(programs=[{"folder": str(program)}], tls=tls, start=False) as running:
        running.authority = folder / "authority.pem"
        running.start()
        yield running


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setattr("heclstm.storage.sealed.LOG_N", 4)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy(serving):
    started = ConnectProxy({NAME: serving.config.address[1]})
    yield started
    started.close()


def test_all_that_a_hospital_sends_goes_through_its_proxy(call, serving, proxy, tmp_path):
    """Keys, query, result, by `connect --proxy` and whatever follows it. It sees a host, and nothing in clear."""
    token = serving.token("proxied")
    (tmp_path / "token").write_text(token)
    np.save(tmp_path / "patient.npy", FRAMES)
    site = ("--site", tmp_path / "site", "--insecure-test")
    files = ("--token-file", tmp_path / "token", "--ca", serving.authority)
    code, _, stderr = call("connect", serving.url, *files, "--proxy", proxy.url, *site)
    assert code == 0, stderr
    keys = sum(count for _, count in evaluation_key_blobs(load_card(serving.config.programs[0].folder)))
    assert len(proxy.passed) > keys
    before = proxy.answered
    code, stdout, stderr = call("diagnose", tmp_path / "patient.npy", *site, "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["each"][0]["score"] is not None
    assert len(proxy.passed) > keys + 1000  # the query
    assert proxy.answered > before + 1000  # the result
    assert {head.split(b"\r\n")[0] for head in proxy.asked} == {
        f"CONNECT 127.0.0.1:{serving.config.address[1]} HTTP/1.1".encode()
    }
    seen = b"".join(proxy.asked) + bytes(proxy.passed)
    for secret in (token.encode(), b"authorization", b"patient", b"/v1/", b"HECLSTM"):
        assert secret not in seen
    asked = len(proxy.asked)
    proxy.close()
    remote = Remote(tmp_path / "site", **ONCE)
    with pytest.raises(NetworkError, match="ConnectError"):
        remote.diagnose(FRAMES)  # by no other way
    remote.close()
    assert len(proxy.asked) == asked


def test_the_environment_names_a_proxy(serving, proxy, tmp_path, monkeypatch):
    """By threads and in an event loop. NO_PROXY excepts hosts, and this machine is reached directly always."""
    arguments = {"token": serving.token("environment"), "ca": serving.authority, **ONCE}
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    Remote.connect(serving.url, tmp_path / "direct", **arguments).close()
    assert proxy.asked == []
    with Remote.connect(f"https://{NAME}", tmp_path / "site", **arguments) as remote:
        assert remote.diagnose(FRAMES).scores
    assert {head.split(b" ")[1] for head in proxy.asked} == {f"{NAME}:443".encode()}

    async def way():
        async with AsyncRemote(tmp_path / "site", **ONCE) as remote:
            return await remote.diagnose(FRAMES)

    passed = len(proxy.passed)
    assert asyncio.run(way()).scores
    assert len(proxy.passed) > passed
    monkeypatch.setenv("NO_PROXY", NAME)
    asked = len(proxy.asked)
    with Remote(tmp_path / "site", **ONCE) as remote, pytest.raises(NetworkError):
        remote.diagnose(FRAMES)
    assert len(proxy.asked) == asked


def test_a_proxy_that_wants_a_password_or_refuses(serving, tmp_path):
    """Said at once and by its status, without the password."""
    proxy = ConnectProxy({NAME: serving.config.address[1]}, password="ward:geheim")
    arguments = {"token": serving.token("password"), "ca": serving.authority, **ONCE, "patience": Patience()}
    place = f"127.0.0.1:{proxy.port}"
    try:
        for number, given in enumerate(("", "ward:wrong@")):
            with pytest.raises(NetworkError, match="^proxy: .*407 Proxy Authentication Required.*--proxy") as refused:
                Remote.connect(serving.url, tmp_path / "site", proxy=f"http://{given}{place}", **arguments)
            assert "wrong" not in str(refused.value)
            assert len(proxy.asked) == number + 1  # not tried again
        with Remote.connect(serving.url, tmp_path / "site", proxy=f"http://ward:geheim@{place}", **arguments):
            assert b"Proxy-Authorization: Basic " in proxy.asked[-1]
        assert not [path for path in (tmp_path / "site").rglob("*") if path.stat().st_mode & 0o077]
        proxy.status = "403 Forbidden"
        with pytest.raises(NetworkError, match="^proxy: refuses the way to 127.0.0.1 .403 Forbidden"):
            Remote.connect(serving.url, tmp_path / "other", proxy=f"http://ward:geheim@{place}", **arguments)
        proxy.status = "503 Service Unavailable"  # may be otherwise in a moment
        with pytest.raises(NetworkError, match="no answer .ProxyError: 503"):
            Remote.connect(
                serving.url, tmp_path / "other", proxy=f"http://ward:geheim@{place}", **{**arguments, **ONCE}
            )
    finally:
        proxy.close()


def test_what_a_proxy_refuses_for_a_moment_is_tried_again(serving, proxy, tmp_path):
    proxy.once = ["429 Too Many Requests", "408 Request Timeout", "425 Too Early"]
    arguments = {"token": serving.token("patient"), "ca": serving.authority, **ONCE}
    arguments["patience"] = Patience(tries=4, first_seconds=0.01)
    with Remote.connect(serving.url, tmp_path / "site", proxy=proxy.url, **arguments) as remote:
        assert proxy.once == []
        assert remote.diagnose(FRAMES).scores
