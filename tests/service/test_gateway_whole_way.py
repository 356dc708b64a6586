"""storescu → gateway → encrypted diagnosis over TLS → structured report in a real Orthanc, found with its study.

HECLSTM_GATEWAY_KILLS, HECLSTM_GATEWAY_STUDIES: how often the gateway is killed and how many studies come, in place of
the few of every run.
"""

import contextlib
import json
import os
import random
import subprocess
import threading
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread

from dicom_kit import uid
from heclstm.card.signature import new_pair
from heclstm.network.remote import Remote
from service.line import Line
from service.pacs import REPORT, SECRETS, SUMMARY, Gateway, Orthanc, missing, pause, storescu, study
from service.signed import signed_program

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not here: apt-get install {' '.join(missing())}")
KILLS = int(os.environ.get("HECLSTM_GATEWAY_KILLS", "3"))
STUDIES = int(os.environ.get("HECLSTM_GATEWAY_STUDIES", "6"))


@pytest.fixture(scope="module")
def owned(tmp_path_factory):
    return signed_program(tmp_path_factory.mktemp("gateway-program") / "program", new_pair())


@pytest.fixture(scope="module")
def served(launch, owned):
    with launch(programs=[{"folder": str(owned)}]) as server:
        yield server


@pytest.fixture(scope="module")
def pacs(served, tmp_path_factory):
    """A gateway and an Orthanc that know each other."""
    folder = tmp_path_factory.mktemp("pacs")
    token = served.token("gateway")
    Remote.connect(served.url, folder / "site", token=token, ca=served.authority, allow_insecure=True).close()
    with contextlib.ExitStack() as stack:
        port = Gateway(folder / "gateway", folder / "site", "127.0.0.1:1").port
        orthanc = Orthanc(folder / "orthanc", port)
        stack.callback(orthanc.close)
        settings = {"select": {"modality": ["US"]}}
        settings |= {"orthanc": {"url": f"http://127.0.0.1:{orthanc.port}", "every_seconds": 0.3}}
        gateway = Gateway(folder / "gateway", folder / "site", orthanc.address, port=port, **settings)
        stack.callback(gateway.close)
        yield orthanc, gateway.start()


def jobs(server, tenant="gateway"):
    """How many were ever accepted at the server."""
    lines = [
        line for path in (server.config.folder / "audit").glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    return sum(each["action"] == "job accepted" and each["tenant"] == tenant for each in map(json.loads, lines))


def more(gateway, seconds=120, before=None, **counts):
    """Wait for so many studies more than before in these states."""
    return gateway.wait(seconds, **{state: before["studies"][state] + count for state, count in counts.items()})


def test_a_study_comes_back_with_its_report(pacs, served, tmp_path):
    """The modality sends to Orthanc, which is asked for the stable study: once, though it is told of it again."""
    orthanc, gateway = pacs
    before, asked = gateway.state(), jobs(served)
    study_uid = study(tmp_path / "in", 1)
    code, told = storescu(orthanc.address, tmp_path / "in", called="ORTHANC")
    assert code == 0, told
    more(gateway, before=before, done=1)
    (series,) = orthanc.http.get(f"/dicom-web/studies/{study_uid}/series", params={"Modality": "SR"}).json()
    assert series["0020000D"]["Value"] == [study_uid]
    (report,) = orthanc.reports(study_uid)
    assert len(orthanc.reports(study_uid, SUMMARY)) == 1
    path = tmp_path / "report.dcm"
    path.write_bytes(orthanc.file(report))
    checked = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    found = dcmread(BytesIO(path.read_bytes()))
    assert str(found.PatientName) == "Mustermann^Eva 1"
    assert found.SOPClassUID == REPORT
    assert {each.ReferencedSOPInstanceUID for each in found.CurrentRequestedProcedureEvidenceSequence[0]
            .ReferencedSeriesSequence[0].ReferencedSOPSequence} == {uid(("image", 1, z)) for z in range(2)}  # fmt: skip
    assert storescu(gateway.address, tmp_path / "in")[0] == 0  # told once more, and by another sender
    pause(1.5)  # longer than a study has to be quiet
    assert more(gateway, before=before, done=1, collecting=0)["state"] == "ok"
    assert jobs(served) == asked + 1
    assert len(orthanc.reports(study_uid)) == 1


def test_who_is_not_known_is_turned_away(pacs, tmp_path):
    """By title, or by the title that is called; a known one is answered."""
    _, gateway = pacs
    study(tmp_path / "in", 2)
    before = gateway.state()
    for calling, called in (("STRANGER", "HECLSTM"), ("MODALITY", "OTHER")):
        code, told = storescu(gateway.address, tmp_path / "in", calling, called)
        assert code != 0
        assert "Reject" in told, told
    host, port = gateway.address.split(":")
    echo = ["echoscu", "-aet", "MODALITY", "-aec", "HECLSTM", host, port]
    assert subprocess.run(echo, capture_output=True).returncode == 0
    assert gateway.state()["studies"] == before["studies"]


def test_what_is_not_meant_passes_by_and_what_cannot_be_diagnosed_is_put_aside(pacs, served, tmp_path):
    orthanc, gateway = pacs
    before, asked = gateway.state(), jobs(served)
    study(tmp_path / "in", 3, Modality="CT")
    study(tmp_path / "in", 4, count=1)
    study(tmp_path / "in", 5, BurnedInAnnotation="YES")
    study(tmp_path / "in", 6)
    study(tmp_path / "more", 6, SeriesInstanceUID=uid("other series"))
    (tmp_path / "more" / "6-0.dcm").rename(tmp_path / "in" / "6-0-other.dcm")  # the same UID, another content
    study(tmp_path / "in", 7, Rows=9)
    _, told = storescu(gateway.address, tmp_path / "in", halt=False)
    assert "0x111" in told, told
    more(gateway, before=before, ignored=1, aside=4)
    reasons = gateway.status()
    for said in ("expected 2", "writing is burnt", "two different images came under one UID", "cannot be decoded"):
        assert said in reasons, reasons
    assert "Mustermann" not in reasons
    assert jobs(served) == asked
    assert not [each for number in range(3, 8) for each in orthanc.reports(uid(("study", number)))]


def test_killed_at_random_points_it_loses_nothing_and_sends_nothing_twice(pacs, served, tmp_path):
    """Two senders: a modality that tries again until it is answered, and Orthanc, which is asked again."""
    orthanc, gateway = pacs
    before, asked, numbers = gateway.state(), jobs(served), range(100, 100 + STUDIES)
    uids = {number: study(tmp_path / str(number), number) for number in numbers}

    def send():
        for number in numbers:
            address, called = ((gateway.address, "HECLSTM"), (orthanc.address, "ORTHANC"))[number % 2]
            while storescu(address, tmp_path / str(number), called=called)[0] != 0:
                pause(0.3)

    sending = threading.Thread(target=send)
    sending.start()
    chance = random.Random(KILLS)
    for _ in range(KILLS):
        pause(chance.uniform(0, 3))
        gateway.kill()
        gateway.start()
    sending.join()
    more(gateway, 300 + 3 * STUDIES, before=before, done=STUDIES)
    assert jobs(served) == asked + STUDIES
    for number in numbers:
        assert len(orthanc.reports(uids[number])) == 1, number
        assert len(orthanc.reports(uids[number], SUMMARY)) == 1, number
    assert not list((gateway.folder.parent / "site" / "jobs").glob("*.json"))


def test_logs_name_no_patient(pacs):
    """After all that was done above."""
    _, gateway = pacs
    text = gateway.text()
    assert '"state": "done"' in text
    assert not [secret for secret in (*SECRETS, "1.2.826", "2.25.", "MODALITY", "10111") if secret in text]
    assert all(json.loads(line).keys() >= {"time", "event"} for line in text.splitlines())


def test_nothing_of_a_patient_leaves_the_hospital(launch, owned, pacs, tmp_path):
    """All that goes to the server, read off a line without TLS; the report goes to the PACS beside it, by STOW-RS."""
    orthanc, _ = pacs
    with launch(programs=[{"folder": str(owned)}], tls=None) as server, Line(server.config.address[1]) as line:
        token = server.token("captured")
        url = f"http://127.0.0.1:{line.port}"
        Remote.connect(url, tmp_path / "site", token=token, allow_insecure=True).close()
        store = {"url": f"http://127.0.0.1:{orthanc.port}/dicom-web"}
        gateway = Gateway(tmp_path / "gateway", tmp_path / "site", store).start()
        study_uid = study(tmp_path / "in", 50, seed=50)
        try:
            assert storescu(gateway.address, tmp_path / "in")[0] == 0
            gateway.wait(done=1)
        finally:
            gateway.close()
        sent = bytes(line.sent)
    assert len(orthanc.reports(study_uid)) == len(orthanc.reports(study_uid, SUMMARY)) == 1
    assert b"POST /v1/jobs" in sent
    image = dcmread(tmp_path / "in" / "50-0.dcm")
    pixels = image.pixel_array
    identifiers = [*SECRETS, study_uid, image.SOPInstanceUID, image.SeriesInstanceUID, "1.2.826", "MODALITY", "ORTHANC"]
    assert not [each for each in identifiers if each.encode() in sent]
    for values in (pixels, pixels / np.float32(255), pixels / 255.0):
        assert values.tobytes()[:32] not in sent
    labels = {path.name.split("-")[0] for path in (gateway.folder / "state" / "diagnoses").iterdir()}
    assert labels
    assert not [label for label in labels if label.encode() in sent]  # not even what the gateway calls a study
