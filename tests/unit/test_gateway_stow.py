"""Reports by STOW-RS: what is sent, and what each kind of answer means."""

import json
import ssl
import threading
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme
from msgspec import structs

from heclstm.errors import ConfigError, NetworkError
from heclstm.gateway import stow
from heclstm.gateway.config import Config, Listen, Sender, Store
from heclstm.gateway.journal import Report
from heclstm.gateway.sender import client_tls

FAILED, DUPLICATE = 0x0110, 0x0111


class Pacs:
    """A PACS that answers with one status and one body, and what it was sent."""

    def __init__(self):
        self.status, self.body, self.head, self.requests = 200, b"", {}, []
        pacs = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                pacs.requests.append((self.path, self.headers, content))
                self.send_response(pacs.status)
                for name, value in ({"Content-Length": str(len(pacs.body))} | pacs.head).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(pacs.body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def says(self, status, kept=(), failed=None):
        self.status = status
        taken = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in kept]
        refused = [
            {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [reason]}}
            for uid, reason in (failed or {}).items()
        ]
        self.body = json.dumps({"00081199": {"vr": "SQ", "Value": taken}, "00081198": {"Value": refused}}).encode()


@pytest.fixture
def pacs():
    found = Pacs()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def reports(tmp_path):
    contents = {"2.25.1": b"DICM\r\n--one\x00", "2.25.2": b"DICM two"}
    for uid, content in contents.items():
        (tmp_path / uid).write_bytes(content)
    return [Report(uid, "1.2", str(tmp_path / uid), False, "", False) for uid in contents]


def config(pacs, **changes):
    store = {"url": f"http://127.0.0.1:{pacs.port}/dicom-web"} | changes
    return Config(state="", senders=(Sender(title="PACS", address="127.0.0.1"),), store=Store(**store))


def test_all_reports_go_in_one_request(pacs, reports):
    pacs.says(200, ["2.25.1", "2.25.2"])
    stow.store(reports, config(pacs))
    stow.store(reports, config(pacs, token="t0"))
    (path, head, content), (_, other, _) = pacs.requests
    assert path == "/dicom-web/studies"
    assert (head["Authorization"], other["Authorization"]) == (None, "Bearer t0")
    assert head["Accept"] == "application/dicom+json"
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {head['Content-Type']}\r\n\r\n".encode() + content)
    assert message.get_content_type() == "multipart/related"
    assert message["Content-Type"].params["type"] == "application/dicom"
    parts = list(message.iter_parts())
    assert [part.get_content_type() for part in parts] == ["application/dicom"] * 2
    assert [part.get_payload(decode=True) for part in parts] == [b"DICM\r\n--one\x00", b"DICM two"]


@pytest.mark.parametrize(
    ("status", "kept", "failed"),
    [
        (200, ["2.25.1", "2.25.2"], {}),
        (202, ["2.25.1"], {"2.25.2": DUPLICATE}),
        (409, [], {"2.25.1": DUPLICATE, "2.25.2": DUPLICATE}),
    ],
    ids=["taken", "one was there", "both were there"],
)
def test_what_a_pacs_keeps_is_stored(pacs, reports, status, kept, failed):
    pacs.says(status, kept, failed)
    stow.store(reports, config(pacs))


@pytest.mark.parametrize(
    ("status", "kept", "failed", "said"),
    [
        (202, ["2.25.1"], {"2.25.2": FAILED}, "reason 0x0110"),
        (409, [], {"2.25.1": 0xA700, "2.25.2": 0xA700}, "reason 0xA700"),
        (409, [], {"2.25.1": 0, "2.25.2": 0}, "reason 0x0000"),
        (200, ["2.25.1"], {}, "reason 0x0000"),  # of the other one it says nothing
        (401, [], {}, "answered 401"),
        (503, [], {}, "answered 503"),
    ],
)
def test_what_a_pacs_does_not_keep_is_tried_again(pacs, reports, status, kept, failed, said):
    pacs.says(status, kept, failed)
    with pytest.raises(NetworkError, match=said):
        stow.store(reports, config(pacs))


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<xml/>", b"[]", b'{"00081199": {"Value": [{}]}}', b'{"00081199": 3}', b"\xff", b"[" * 100_000),
        *(
            b'{"00081198": {"Value": [{"00081155": {"Value": ["2.25.1"]}, "00081197": {"Value": [%s]}}]}}' % reason
            for reason in (b'"x"', b"null", b"1e999")
        ),
    ],
)
def test_an_answer_that_cannot_be_read_is_none(pacs, reports, body):
    pacs.body = body
    with pytest.raises(NetworkError, match="no answer to STOW-RS that can be read"):
        stow.store(reports, config(pacs))


def test_a_redirection_is_not_followed(pacs, reports):
    """A report, and a password, go where they were meant to."""
    pacs.says(307)
    pacs.head = {"Location": f"http://127.0.0.1:{pacs.port}/elsewhere"}
    with pytest.raises(NetworkError, match="answered 307"):
        stow.store(reports, config(pacs, user="u", password="p"))
    assert [(path, head["Authorization"]) for path, head, _ in pacs.requests] == [("/dicom-web/studies", "Basic dTpw")]


def test_nobody_there_is_tried_again(pacs, reports):
    with pytest.raises(NetworkError, match="ConnectionRefusedError"):
        stow.store(reports, config(pacs, url="http://127.0.0.1:1/dicom-web"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_over_tls_both_show_their_certificates(pacs, reports, tmp_path):
    authority, other = trustme.CA(), trustme.CA()
    for name, made in (("ca", authority), ("other", other)):
        made.cert_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    own = authority.issue_cert("gateway.example")
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    own.private_key_pem.write_to_path(str(tmp_path / "own.key"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("127.0.0.1").configure_cert(context)
    pacs.server.socket = context.wrap_socket(pacs.server.socket, server_side=True)
    pacs.says(200, ["2.25.1", "2.25.2"])
    url = f"https://127.0.0.1:{pacs.port}/dicom-web"
    listening = Listen(certificate=str(tmp_path / "own.pem"), key=str(tmp_path / "own.key"))
    known = structs.replace(config(pacs, url=url, authority=str(tmp_path / "ca.pem")), listen=listening)
    stow.store(reports, known)
    assert len(pacs.requests) == 1
    strangers = [config(pacs, url=url, authority=str(tmp_path / name)) for name in ("other.pem", "ca.pem")]
    for stranger in (*strangers, config(pacs, url=url)):  # another authority; no certificate; that of the system
        with pytest.raises(NetworkError, match="no answer"):
            stow.store(reports, stranger)
    assert len(pacs.requests) == 1
    with pytest.raises(ConfigError, match="authority.*cannot be used"):
        client_tls(config(pacs, url=url, authority=str(tmp_path / "absent.pem")))
