"""How reports reach a real Orthanc: by C-STORE over TLS, with certificates of both sides, and by STOW-RS."""

import contextlib
import gc
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import trustme
from msgspec import structs

from dicom_kit import data_set, save, uid
from heclstm.errors import NetworkError
from heclstm.gateway import sender, stow
from heclstm.gateway.config import Config, Listen, Sender, Store
from heclstm.gateway.journal import Report
from heclstm.gateway.listener import listen
from service.kit import free_port
from service.pacs import Orthanc, missing

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"not here: apt-get install {' '.join(missing())}"),
    # pynetdicom leaves the socket of a connection that failed to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture(autouse=True)
def collected():
    """Here, where that is no failure, and not in the middle of another test."""
    yield
    gc.collect()


def certified(folder, name, authority, host="127.0.0.1"):
    """A certificate and its key. Returns their paths."""
    made = authority.issue_cert(host)
    paths = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
    made.cert_chain_pems[0].write_to_path(paths[0])
    made.private_key_pem.write_to_path(paths[1])
    return paths


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """An Orthanc that speaks TLS and asks for certificates, and a gateway that hears what it says of commitments."""
    folder = tmp_path_factory.mktemp("house")
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    stranger.cert_pem.write_to_path(str(folder / "other-ca.pem"))
    own, others = certified(folder, "gateway", authority), certified(folder, "stranger", stranger)
    certificate, key = certified(folder, "orthanc", authority)
    tls = {
        "DicomTlsEnabled": True, "DicomTlsCertificate": certificate, "DicomTlsPrivateKey": key,
        "DicomTlsTrustedCertificates": str(folder / "ca.pem"), "DicomTlsRemoteCertificateRequired": True,
        "AuthenticationEnabled": True, "RegisteredUsers": {"gateway": "word"},
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        port = free_port()
        orthanc = Orthanc(folder / "orthanc", port, {"UseDicomTls": True}, auth=("gateway", "word"), **tls)
        stack.callback(orthanc.close)
        listening = Listen(
            address=f"127.0.0.1:{port}", certificate=own[0], key=own[1], authority=str(folder / "ca.pem")
        )
        store = Store(title="ORTHANC", address=orthanc.address, authority=str(folder / "ca.pem"))
        known = (Sender(title="ORTHANC", address="127.0.0.1"),)
        config = Config(state="", senders=known, store=store, listen=listening)
        told, answered = [], threading.Event()

        def committed(*answer):
            told.append(answer)
            answered.set()
            return True

        stack.callback(listen(config, None, committed).shutdown)
        yield SimpleNamespace(
            orthanc=orthanc, config=config, folder=folder, others=others, told=told, answered=answered
        )


@pytest.fixture
def reports(tmp_path, request):
    """Two objects of one study, as files."""
    made = []
    for number in range(2):
        own = uid((request.node.name, number))
        path = save(
            tmp_path / f"{number}.dcm", np.full((4, 4), number, np.uint8), SOPClassUID=CAPTURE, SOPInstanceUID=own
        )
        made.append(Report(own, CAPTURE, str(path), False, "", False))
    return made


def there(house, reports):
    """How often each is in Orthanc, by QIDO-RS."""
    return [len(house.orthanc.found(SOPInstanceUID=report.uid)) for report in reports]


def test_reports_and_their_commitment_go_over_tls(house, reports):
    """In both directions: the PACS, too, has to be shown a certificate, and shows its own when it confirms."""
    sender.store(reports, house.config)
    sender.store(reports, house.config)  # a crash came between its storing and our knowing
    assert there(house, reports) == [1, 1]
    sender.ask(reports, "2.25.77", house.config)
    assert house.answered.wait(60)
    assert house.told == [("2.25.77", {report.uid for report in reports}, set())]


@pytest.mark.parametrize("wrong", ["no TLS", "authority", "host", "no certificate", "certificate"])
def test_who_shows_no_right_certificate_gets_nothing(house, reports, wrong):
    config, store, listening = house.config, house.config.store, house.config.listen
    if wrong == "no TLS":
        store = structs.replace(store, authority=None)
    elif wrong == "authority":
        store = structs.replace(store, authority=str(house.folder / "other-ca.pem"))
    elif wrong == "host":
        store = structs.replace(store, address=store.address.replace("127.0.0.1", "127.0.0.2"))
    elif wrong == "no certificate":
        listening = structs.replace(listening, certificate=None, key=None)
    else:
        listening = structs.replace(listening, certificate=house.others[0], key=house.others[1])
    with pytest.raises(NetworkError, match="cannot be reached" if wrong == "no TLS" else "other's certificate"):
        sender.store(reports, structs.replace(config, store=store, listen=listening))
    assert there(house, reports) == [0, 0]


def test_reports_go_by_stow_rs(house, reports):
    url = f"http://127.0.0.1:{house.orthanc.port}/dicom-web/"
    store = Store(url=url, user="gateway", password="word")
    config = structs.replace(house.config, store=store)
    with pytest.raises(NetworkError, match="answered 401"):
        stow.store(reports, structs.replace(config, store=structs.replace(store, password="other")))
    assert there(house, reports) == [0, 0]
    stow.store(reports[:1], config)
    stow.store(reports, config)  # one of them is there already
    assert there(house, reports) == [1, 1]
    for report in reports:
        (found,) = house.orthanc.found(SOPInstanceUID=report.uid)
        assert data_set(np.zeros((4, 4), np.uint8)).StudyInstanceUID == found["0020000D"]["Value"][0]


def test_what_a_pacs_cannot_read_is_not_stored(house, reports, tmp_path):
    (tmp_path / "1.dcm").write_bytes(b"nothing of DICOM")
    store = Store(url=f"http://127.0.0.1:{house.orthanc.port}/dicom-web", user="gateway", password="word")
    with pytest.raises(NetworkError, match="STOW-RS|refused"):
        stow.store(reports, structs.replace(house.config, store=store))
