"""Who may be a hospital's server, and which program it takes: certificates, signatures, upgrades, changes."""

import datetime
import hashlib
import signal
import socket
import ssl
import threading

import numpy as np
import pytest
import trustme

from heclstm.card.operating_point import OperatingPoint
from heclstm.card.signature import new_pair
from heclstm.errors import CertificateError, DigestError, InputError, NetworkError, RefusedError, SignatureError
from heclstm.network.patience import Patience
from heclstm.network.remote import Remote
from heclstm.program.public import load_card
from service.kit import wait_until, write_config
from service.signed import signed_program

OPTIONS = {"allow_insecure": True, "threads": 1, "patience": Patience(tries=3, first_seconds=0.01)}
FRAMES = np.random.default_rng(3).uniform(0, 1, (2, 1, 8, 8)).astype(np.float32)
TOKEN = "heclstm_0123456789abcdef_" + "x" * 43


@pytest.fixture(scope="module")
def owner():
    return new_pair()


@pytest.fixture
def public(owner, tmp_path):
    (tmp_path / "owner.pub").write_bytes(owner.public)
    return tmp_path / "owner.pub"


@pytest.fixture(scope="module")
def programs(owner, tmp_path_factory):
    """Two that the owner signed, and the first with another threshold, which a stranger signed."""
    folder = tmp_path_factory.mktemp("programs")
    moved = (OperatingPoint(9.0, 0.95, 0.96, 0.5, 22, 76),)
    return (
        signed_program(folder / "old", owner),
        signed_program(folder / "new", owner, seed=1),
        signed_program(folder / "moved", new_pair(), operating_points=moved),
    )


@pytest.fixture
def serving(launch, programs, certificates):
    """A server with the first program, and a way to change what it serves."""
    with launch(programs=[{"folder": str(programs[0])}]) as server:

        def serve(*entries):
            write_config(
                server.path.parent, list(entries), tls=certificates[0], listen=server.config.listen,
                state=str(server.config.folder),
            )  # fmt: skip
            tenant = server.tenant("watch")
            server.process.send_signal(signal.SIGHUP)
            digests = {load_card(entry["folder"]).digest for entry in entries}
            shown = lambda: {each["digest"] for each in tenant.http.get("/v1/programs").json()["programs"]}  # noqa: E731 — read anew at each look
            wait_until(lambda: shown() == digests)

        server.serve = serve
        yield server


def test_a_program_is_replaced_only_as_its_owner_says(serving, programs, public, tmp_path):
    """Retired: queries are refused with the successor. Connecting again takes it, verified, with new keys. Moved by
    somebody else: it is refused, by the field that changed or by the signature.
    """
    old, new, moved = (load_card(folder) for folder in programs)
    arguments = {"token": serving.token("hospital"), "ca": serving.authority, **OPTIONS}
    first = Remote.connect(serving.url, tmp_path / "trusting", **arguments)
    second = Remote.connect(serving.url, tmp_path / "careful", trust=public, **arguments)

    serving.serve({"folder": str(programs[2])})
    with pytest.raises(DigestError, match=rf"changed: operating_points. If .* --program {moved.digest[:12]}"):
        Remote.connect(serving.url, tmp_path / "trusting", **arguments)
    with pytest.raises(SignatureError, match="is signed by"):
        Remote.connect(serving.url, tmp_path / "careful", **arguments)
    with pytest.raises(SignatureError, match="is signed by"):
        Remote.connect(serving.url, tmp_path / "careful", program=moved.digest, **arguments)
    with pytest.raises(RefusedError, match="unknown-program"):
        first.diagnose(FRAMES)
    assert first.hospital.site.card().digest == old.digest  # nothing of the other one was taken

    serving.serve({"folder": str(programs[0]), "retired": True, "successor": new.digest}, {"folder": str(programs[1])})
    with pytest.raises(RefusedError, match="run `heclstm connect` again") as raised:
        second.diagnose(FRAMES)
    assert (raised.value.code, raised.value.successor) == ("retired-program", new.digest)
    with pytest.raises(DigestError, match=rf"--program {new.digest[:12]}"):
        Remote.connect(serving.url, tmp_path / "trusting", **arguments)  # nobody vouches for the successor
    with Remote.connect(serving.url, tmp_path / "careful", **arguments) as upgraded:
        assert upgraded.connection.program == new.digest
        assert upgraded.connection.new_key
        assert upgraded.diagnose(FRAMES).scores
        assert upgraded.transport.run(upgraded.hospital.settle()) == ([second.connection.key], [])
    with Remote.connect(serving.url, tmp_path / "trusting", program=new.digest[:12], **arguments) as named:
        assert named.diagnose(FRAMES).scores
    first.close()
    second.close()


def test_a_site_belongs_to_one_server(server, tmp_path):
    arguments = {"ca": server.authority, **OPTIONS}
    Remote.connect(server.url, tmp_path / "site", token=server.token("one-server"), **arguments).close()
    with pytest.raises(InputError, match="is connected to https://127.0.0.1:.*; choose another --site"):
        Remote.connect("https://elsewhere.example", tmp_path / "site", **arguments)


# ── certificates ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def pretender(tmp_path):
    """Starts servers of TLS with a certificate, which count the bytes that they were told: (url, heard)."""
    listeners = []

    def started(certificate=None):
        listener, heard = socket.create_server(("127.0.0.1", 0)), []
        listeners.append(listener)
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    connection.settimeout(5)
                    if context is None:
                        connection.recv(100)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                    else:
                        with context.wrap_socket(connection, server_side=True) as wrapped:
                            heard.append(wrapped.recv(1000))
                except OSError:
                    continue
                finally:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return f"https://127.0.0.1:{listener.getsockname()[1]}", heard

    yield started
    for listener in listeners:
        listener.close()


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return made


LONG_AGO = datetime.datetime(2020, 1, 1), datetime.datetime(2021, 1, 1)


@pytest.mark.parametrize(
    ("certificate", "ca", "match"),
    [
        (lambda ca: ca.issue_cert("127.0.0.1", not_before=LONG_AGO[0], not_after=LONG_AGO[1]), True, "expired"),
        (lambda ca: ca.issue_cert("he.example.org"), True, "IP address mismatch"),
        (lambda ca: trustme.CA().issue_cert("127.0.0.1"), True, "unable to get local issuer|self.signed"),
        (lambda ca: ca.issue_cert("127.0.0.1"), False, "unable to get local issuer|self.signed"),
    ],
    ids=["expired", "of another host", "of a stranger", "of an authority that the system does not know"],
)
def test_certificates_that_are_refused(pretender, authority, tmp_path, certificate, ca, match):
    """At once, and the token was not sent."""
    url, heard = pretender(certificate(authority))
    chosen = {"ca": tmp_path / "authority.pem"} if ca else {}
    with pytest.raises(CertificateError, match=f"its certificate is refused .*({match})"):
        Remote.connect(url, tmp_path / "site", token=TOKEN, **chosen, **OPTIONS)
    assert b"".join(heard) == b""
    assert not (tmp_path / "site").exists()


def test_a_certificate_of_the_hospital_stands_for_a_token(launch, certificates, authority, tmp_path):
    issued = authority.issue_cert("hospital@example.org")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "hospital.pem"))
    shown = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    tenants = {"certified": {"certificates": [hashlib.sha256(shown).hexdigest()]}}
    tls = {**certificates[0], "client_authority": str(tmp_path / "authority.pem")}
    with launch(tls=tls, tenants=tenants) as server:
        arguments = {"ca": server.authority, "certificate": tmp_path / "hospital.pem", **OPTIONS}
        with Remote.connect(server.url, tmp_path / "site", **arguments) as remote:
            assert remote.diagnose(FRAMES).scores
        with Remote(tmp_path / "site", **OPTIONS) as later:
            assert later.diagnose(FRAMES).scores
        with pytest.raises(InputError, match="token: is missing"):
            Remote.connect(server.url, tmp_path / "other", ca=server.authority, **OPTIONS)


def test_a_port_without_tls(pretender, tmp_path):
    url, _ = pretender()
    with pytest.raises(NetworkError, match="speaks no TLS at this port; check the URL"):
        Remote.connect(url, tmp_path / "site", token=TOKEN, **OPTIONS)


def test_nobody_at_the_port(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NetworkError, match="no answer .*ConnectError.* in 3 tries"):
        Remote.connect(f"https://127.0.0.1:{port}", tmp_path / "site", token=TOKEN, **OPTIONS)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"ca": "no.pem"}, "no.pem: cannot be read as certificates"),
        ({"proxy": "nonsense"}, "proxy: is no URL"),
        ({"token": "two words"}, "token: holds blanks"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path, arguments, match, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no.pem").write_text("nothing")
    with pytest.raises(InputError, match=match):
        Remote.connect("https://he.example.org", tmp_path / "site", **{"token": TOKEN, **arguments}, **OPTIONS)
