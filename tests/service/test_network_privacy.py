"""All that leaves a hospital, read off the wire: no name, pixel, score or secret; and nothing that tells of them."""

import json
import re

import numpy as np
import pytest

from command_line import call
from heclstm.card.signature import new_pair
from heclstm.deploy.client import Client
from heclstm.errors import RangeError
from heclstm.network.remote import Remote
from heclstm.report.findings import Findings
from service.line import Line
from service.signed import signed_program

__all__ = ["call"]
PATIENT = "Eva-Mustermann-1970"
INSECURE = "--insecure-test"


@pytest.fixture(scope="module")
def plain(launch, tmp_path_factory):
    """A server without TLS, which only this machine can reach, so that what is sent can be read."""
    program = signed_program(tmp_path_factory.mktemp("program") / "program", new_pair())
    with launch(programs=[{"folder": str(program)}], tls=None) as server:
        yield server


def test_nothing_of_a_patient_leaves(call, plain, tmp_path):
    """Of every verb: whatever a site holds, but for its token, queries and evaluation keys, is not in the capture."""
    frames = np.random.default_rng(1).uniform(0, 1, (2, 1, 8, 8)).astype(np.float32)
    (tmp_path / PATIENT).mkdir()
    images = tmp_path / PATIENT / f"{PATIENT}.npy"
    np.save(images, frames)
    (tmp_path / "token").write_text(plain.token("captured"))
    site, words = tmp_path / PATIENT / "site", tmp_path / "words"
    words.write_text("correct horse battery")
    with Line(plain.config.address[1]) as line:
        url, secrets = f"http://127.0.0.1:{line.port}", []
        commands = [
            ("connect", url, "--token-file", tmp_path / "token", INSECURE),
            ("diagnose", images, "-o", tmp_path / "out", INSECURE),
            ("jobs", INSECURE),
            ("rotate-keys", INSECURE),
            ("share", tmp_path / "out" / f"{PATIENT}-npy.json"),
            ("backup", "-o", tmp_path / "backup", "--passphrase-file", words),
            ("forget", "--yes", INSECURE),
        ]
        for command in commands:
            code, _, stderr = call(*command, "--site", site)
            assert code == 0, stderr
            secrets += [path.read_bytes() for path in site.rglob("secret.key")]
        sent = bytes(line.sent)
    findings = Findings.load(tmp_path / "out" / f"{PATIENT}-npy.json")
    assert len(sent) > 500_000  # the keys, twice, and a query
    assert len(set(secrets)) == 2
    score = findings.diagnosis.scores[0]
    for text in (
        "Mustermann",
        str(tmp_path),
        "correct horse",
        f"{score:+.4f}",
    ):  # so long that chance does not make them
        assert text.encode() not in sent, text
    for content in (
        frames.tobytes(),
        frames.astype(np.float64).tobytes(),
        np.float64(findings.diagnosis.scores[0]).tobytes(),
    ):
        assert content[:32] not in sent
    for secret in secrets:
        assert all(secret[at : at + 32] not in sent for at in range(len(secret) - 96, len(secret) - 32))
    _require_plain_heads(sent)


def _require_plain_heads(sent):
    """Every request is one of these routes, with these headers and nothing else."""
    heads = re.findall(rb"(?m)^((?:GET|PUT|POST|DELETE) [^\r]*) HTTP/1.1\r\n((?:[^\r\n]+\r\n)+)\r\n", sent)
    assert len(heads) > 12
    label = rb"[0-9a-f]{32}"
    routes = (
        rb"GET /v1/programs(/[0-9a-f]{64})?", rb"(GET|PUT|DELETE) /v1/keys/" + label, rb"(GET|POST) /v1/jobs",
        rb"GET /v1/jobs/" + label + rb"(/result|\?wait=\d+)", rb"DELETE /v1/jobs/" + label,
    )  # fmt: skip
    known = {
        b"host", b"accept", b"accept-encoding", b"connection", b"user-agent", b"authorization", b"content-type",
        b"content-length", b"upload-offset", b"idempotency-key",
    }  # fmt: skip
    for first, headers in heads:
        assert any(re.fullmatch(route, first) for route in routes), first
        fields = dict(line.split(b": ", 1) for line in headers.lower().splitlines())
        assert fields.keys() <= known
        assert re.fullmatch(rb"heclstm/[0-9.]+", fields[b"user-agent"])
        assert re.fullmatch(label, fields.get(b"idempotency-key", b"0" * 32))


def test_the_server_cannot_see_how_decryption_went(plain, tmp_path, monkeypatch):
    """A reaction that depends on decrypted values would be an oracle: the same is asked, in the same order."""
    frames = np.random.default_rng(1).uniform(0, 1, (2, 1, 8, 8)).astype(np.float32)
    asked = {}
    with Line(plain.config.address[1]) as line:
        options = {"token": plain.token("oracle"), "allow_insecure": True}
        with Remote.connect(f"http://127.0.0.1:{line.port}", tmp_path / "site", **options) as remote:
            remote.diagnose(frames)  # the worker has its program and keys: the next two wait as long
            for outcome in ("good", "refused"):
                if outcome == "refused":
                    monkeypatch.setattr(
                        Client, "decrypt", lambda *_, **__: (_ for _ in ()).throw(RangeError("outside"))
                    )
                before = len(line.sent)
                if outcome == "good":
                    remote.diagnose(frames)
                else:
                    with pytest.raises(RangeError):
                        remote.diagnose(frames)
                found = re.findall(rb"(GET|PUT|POST|DELETE) (/v1/\w+)", bytes(line.sent[before:]))
                asked[outcome] = [each for number, each in enumerate(found) if each not in found[:number]]
            assert asked["refused"] == asked["good"]
            assert [method for method, _ in asked["good"]] == [b"POST", b"GET", b"DELETE"]
            assert remote.hospital.pending.all() == []


def test_tokens_and_secrets_are_in_no_repr_and_no_json(plain, tmp_path):
    token = plain.token("repr")
    with Remote.connect(plain.url, tmp_path / "site", token=token, allow_insecure=True) as remote:
        told = [repr(remote), repr(remote.hospital), repr(remote.transport), repr(remote.hospital.site.route())]
        told += [repr(remote.connection), (tmp_path / "site" / "site.json").read_text()]
    assert token[-20:] not in " ".join(told)
    assert json.loads(told[-1])["key"] == remote.connection.key
