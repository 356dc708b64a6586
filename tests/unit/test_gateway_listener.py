"""Who may send to a gateway, over TLS too, and what it answers to what is no image; how it stores and asks in turn."""

import gc
import socket
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec import structs

from dicom_kit import data_set
from heclstm.errors import ConfigError, NetworkError
from heclstm.gateway import sender
from heclstm.gateway.arrivals import Answer
from heclstm.gateway.config import Config, Listen, Sender, Store
from heclstm.gateway.journal import Report
from heclstm.gateway.listener import listen

pynetdicom = pytest.importorskip("pynetdicom")
CT, COMMITMENT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.20.1"
FRAME = np.zeros((4, 4), np.uint8)
KNOWN = (Sender(title="US", address="127.0.0.1"),)


# pynetdicom leaves the socket of a connection that failed to the garbage collector.
LEFT = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.fixture
def started():
    """started(answer, …): a listener on a free port, what it took, what it heard of commitments."""
    servers = []

    def start(answer=Answer.TAKEN, senders=KNOWN, **changes):
        config = Config(
            state="",
            senders=senders,
            store=Store(title="PACS", address="127.0.0.1:1", commitment=False),
            listen=Listen(address="127.0.0.1:0", **changes),
        )
        found = SimpleNamespace(taken=[], heard=[], config=config)

        def take(image):
            found.taken.append(image)
            if isinstance(answer, Exception):
                raise answer
            return answer

        server = listen(config, take, lambda *told: found.heard.append(told) or True)
        servers.append(server)
        found.port = server.server_address[1]
        return found

    yield start
    for server in servers:
        server.shutdown()


def send(port, dataset=None, title="US", called="HECLSTM", tls=None):
    """The status of a C-STORE; None if the association was rejected."""
    entity = pynetdicom.AE(title)
    entity.acse_timeout = entity.dimse_timeout = entity.connection_timeout = 5
    entity.add_requested_context(CT)
    association = entity.associate("127.0.0.1", port, ae_title=called, tls_args=tls)
    if not association.is_established:
        return None
    try:
        return association.send_c_store(data_set(FRAME) if dataset is None else dataset).Status
    finally:
        association.release()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Answer.TAKEN, 0x0000),
        (Answer.KNOWN, 0x0000),
        (Answer.FULL, 0xA700),
        (Answer.OTHER, 0x0111),
        (OSError(28, "No space left on device"), 0xA700),
    ],
)
def test_a_sender_is_told_what_became_of_its_image(started, answer, status):
    """What was not kept is never a success."""
    found = started(answer)
    assert send(found.port) == status
    assert found.taken[0].whole[128:132] == b"DICM"


def test_strangers_are_rejected(started):
    found = started()
    assert send(found.port, title="THEM") is None
    assert send(found.port, called="OTHER") is None
    assert found.taken == []


def connections(port, count, sent=b""):
    lines = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(count)]
    for line in lines:
        line.sendall(sent)
    return lines


@LEFT
def test_who_connects_and_says_nothing_keeps_nobody_else_waiting(started):
    """More of them than there may be associations: each held a place for a minute, also when it had hung up."""
    found = started(associations=2)
    waiting = connections(found.port, 4) + connections(found.port, 4, b"\x01\x00\x00\x00\x01")
    assert send(found.port) == 0x0000
    for line in waiting:
        line.close()
    assert send(found.port) == 0x0000
    gc.collect()  # see LEFT


def test_no_more_associations_are_accepted_than_settings_say(started):
    found = started(associations=1)
    entity = pynetdicom.AE("US")
    entity.add_requested_context(CT)
    first = entity.associate("127.0.0.1", found.port, ae_title="HECLSTM")
    assert first.is_established
    assert send(found.port) is None
    first.release()
    assert send(found.port) == 0x0000


@pytest.mark.parametrize("tls", [False, True])
def test_who_connects_from_elsewhere_is_hung_up_on_at_once(started, tmp_path, tls):
    """Before a byte is read, and before hands are shaken over TLS, which all others would have to wait for."""
    import trustme

    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
    files = {"certificate": str(tmp_path / "own.pem"), "key": str(tmp_path / "own.pem")} if tls else {}
    found = started(senders=(Sender(title="US", address="10.1.2.0/24"),), **files)
    for line in connections(found.port, 3):
        assert line.recv(100) == b""
        line.close()


@LEFT
@pytest.mark.parametrize(
    "message",
    [b"\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00", b"\x00\x00\x00\x01\x02\x00\x00\x00\x77\x77", b""],
    ids=["without a command", "of an unknown command", "empty"],
)
def test_a_message_that_nobody_understands_ends_its_association_alone(started, capfd, message):
    """And no traceback is printed, which may quote it."""
    found = started()
    entity = pynetdicom.AE("US")
    entity.acse_timeout = entity.dimse_timeout = 5
    entity.add_requested_context(CT)
    association = entity.associate("127.0.0.1", found.port, ae_title="HECLSTM")
    part = (len(message) + 2).to_bytes(4, "big") + bytes([1, 3]) + message
    association.dul.socket.send(b"\x04\x00" + len(part).to_bytes(4, "big") + part)
    assert send(found.port) == 0x0000
    association.abort()
    assert "Traceback" not in capfd.readouterr().err
    del association, entity
    gc.collect()  # see LEFT


@LEFT
def test_a_stranger_who_announces_gigabytes_is_cut_off(started):
    """They were taken in, before anybody looked who it was."""
    with socket.create_connection(("127.0.0.1", started().port), timeout=5) as line:
        line.sendall(b"\x01\x00" + (1 << 31).to_bytes(4, "big"))
        assert line.recv(100) == b""
    gc.collect()  # see LEFT


@LEFT
def test_an_image_without_end_is_cut_off(started, monkeypatch):
    monkeypatch.setattr("heclstm.gateway.listener.FILE_BYTES_MAX", 100_000)
    found = started()
    entity = pynetdicom.AE("US")
    entity.acse_timeout = entity.dimse_timeout = 5
    entity.add_requested_context(CT)
    association = entity.associate("127.0.0.1", found.port, ae_title="HECLSTM")
    assert association.send_c_store(data_set(np.zeros((200, 200), np.uint8))).Status == 0x0000
    assert "Status" not in association.send_c_store(data_set(np.zeros((400, 400), np.uint8)))  # nobody answers any more
    assert len(found.taken) == 1
    association.abort()
    assert send(found.port) == 0x0000  # others are served
    del association, entity
    gc.collect()  # see LEFT


def test_deflated_data_sets_are_not_taken(started):
    found = started()
    entity = pynetdicom.AE("US")
    entity.add_requested_context(CT, "1.2.840.10008.1.2.1.99")
    association = entity.associate("127.0.0.1", found.port, ae_title="HECLSTM")
    assert association.accepted_contexts == []
    association.release()


def test_what_names_no_study_is_not_understood(started):
    found = started()
    assert send(found.port, data_set(FRAME, StudyInstanceUID=None)) == 0xC000
    assert found.taken == []


@LEFT
def test_over_tls_a_sender_has_to_show_a_certificate(started, tmp_path):
    import ssl

    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("us@hospital")
    server.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    server.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    files = {"certificate": tmp_path / "cert.pem", "key": tmp_path / "key.pem", "authority": tmp_path / "ca.pem"}
    found = started(**{name: str(path) for name, path in files.items()})
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    assert send(found.port) is None  # without TLS
    assert send(found.port, tls=(context, "127.0.0.1")) is None  # without a certificate
    client.configure_cert(context)
    assert send(found.port, tls=(context, "127.0.0.1")) == 0
    with pytest.raises(ConfigError, match="cannot be used; expected PEM files"):
        started(**{name: str(tmp_path / "absent.pem") for name in files})


def test_an_address_that_is_taken_is_said(started):
    found = started()
    with pytest.raises(ConfigError, match="cannot be used"):
        listen(structs.replace(found.config, listen=Listen(address=f"127.0.0.1:{found.port}")), None, None)


@pytest.fixture
def pacs(tmp_path):
    """pacs(status): a PACS that answers so; what it got; settings to reach it; a report in a file."""
    servers = []

    def start(status=0x0000, classes=(CT, COMMITMENT)):
        found = SimpleNamespace(stored=[], asked=[])

        def store(event):
            found.stored.append(event.dataset.SOPInstanceUID)
            return status

        def action(event):
            found.asked.append(event.action_information)
            return status, None

        entity = pynetdicom.AE("PACS")
        for each in classes:
            entity.add_supported_context(each)
        handlers = [(pynetdicom.evt.EVT_C_STORE, store), (pynetdicom.evt.EVT_N_ACTION, action)]
        servers.append(entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers))
        address = f"127.0.0.1:{servers[-1].server_address[1]}"
        found.config = Config(
            state="", senders=(Sender(title="PACS", address="127.0.0.1"),), store=Store(title="PACS", address=address)
        )
        made = data_set(FRAME)
        made.save_as(tmp_path / "report.dcm", enforce_file_format=True)
        found.report = Report(made.SOPInstanceUID, CT, str(tmp_path / "report.dcm"), False, "", False)
        return found

    yield start
    for server in servers:
        server.shutdown()


def test_a_report_is_stored_and_a_commitment_asked_for(pacs):
    found = pacs()
    sender.store([found.report], found.config)
    sender.ask([found.report], "2.25.5", found.config)
    assert found.stored == [found.report.uid]
    (asked,) = found.asked
    assert asked.TransactionUID == "2.25.5"
    assert [each.ReferencedSOPInstanceUID for each in asked.ReferencedSOPSequence] == [found.report.uid]


@LEFT
def test_a_pacs_that_does_not_take_a_report_is_asked_again_later(pacs):
    """Each is a NetworkError, which is tried again: nothing is lost."""
    full = pacs(0xA700)
    with pytest.raises(NetworkError, match="refused a report with status 0xA700"):
        sender.store([full.report], full.config)
    with pytest.raises(NetworkError, match="does not take a storage commitment"):
        sender.ask([full.report], "2.25.5", full.config)
    other = pacs(classes=[COMMITMENT])
    with pytest.raises(NetworkError, match="does not"):
        sender.store([other.report], other.config)
    gone = structs.replace(full.config, store=structs.replace(full.config.store, address="127.0.0.1:1"))
    with pytest.raises(NetworkError, match="cannot be reached"):
        sender.store([full.report], gone)


@pytest.mark.parametrize("status", [0xB000, 0x0111], ids=["a warning", "there already"])
def test_what_a_pacs_keeps_is_stored(pacs, status):
    found = pacs(status)
    sender.store([found.report], found.config)


def test_what_a_pacs_says_of_a_commitment_is_heard(started):
    found = started()
    entity = pynetdicom.AE("US")
    entity.add_requested_context(COMMITMENT)
    role = pynetdicom.build_role(COMMITMENT, scp_role=True)
    association = entity.associate("127.0.0.1", found.port, ae_title="HECLSTM", ext_neg=[role])
    told = data_set(FRAME)
    told.TransactionUID, told.ReferencedSOPSequence = "2.25.5", [told.__class__()]
    told.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.6"
    status, _ = association.send_n_event_report(told, 1, COMMITMENT, "1.2.840.10008.1.20.1.1")
    association.release()
    assert status.Status == 0
    assert found.heard == [("2.25.5", {"2.25.6"}, set())]
