"""storescu → gateway → encrypted diagnosis over TLS → structured report in a real Orthanc, found with its study."""

import contextlib
import subprocess
from io import BytesIO

import pytest
from pydicom import dcmread

from heclstm.card.signature import new_pair
from heclstm.network.remote import Remote
from service.pacs import REPORT, SUMMARY, Gateway, Orthanc, missing, storescu, study
from service.signed import signed_program

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not here: apt-get install {' '.join(missing())}")


@pytest.fixture(scope="module")
def served(launch, tmp_path_factory):
    program = signed_program(tmp_path_factory.mktemp("gateway-program") / "program", new_pair())
    with launch(programs=[{"folder": str(program)}]) as server:
        yield server


@pytest.fixture(scope="module")
def site(served, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway-site") / "site"
    token = served.token("gateway")
    Remote.connect(served.url, folder, token=token, ca=served.authority, allow_insecure=True).close()
    return folder


@pytest.fixture(scope="module")
def pacs(site, tmp_path_factory):
    """A gateway and an Orthanc that know each other."""
    folder = tmp_path_factory.mktemp("pacs")
    with contextlib.ExitStack() as stack:
        gateway = Gateway(folder / "gateway", site, "127.0.0.1:1")
        orthanc = Orthanc(folder / "orthanc", gateway.port, hook=True)
        stack.callback(orthanc.close)
        gateway = Gateway(folder / "gateway", site, orthanc.address, port=gateway.port)
        stack.callback(gateway.close)
        yield orthanc, gateway.start()


def test_a_study_comes_back_with_its_report(pacs, tmp_path):
    """The modality sends to Orthanc, whose hook hands the stable study on: once, though it is told again and again."""
    orthanc, gateway = pacs
    study_uid = study(tmp_path / "in", 1)
    code, told = storescu(orthanc.address, tmp_path / "in", called="ORTHANC")
    assert code == 0, told
    gateway.wait(done=1)
    (report,) = orthanc.reports(study_uid)
    (summary,) = orthanc.reports(study_uid, SUMMARY)
    path = tmp_path / "report.dcm"
    path.write_bytes(orthanc.file(report))
    checked = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    found = dcmread(BytesIO(orthanc.file(report)))
    assert str(found.PatientName) == "Mustermann^Eva 1"
    assert found.SOPClassUID == REPORT
    assert storescu(gateway.address, tmp_path / "in")[0] == 0  # told once more
    assert gateway.wait(done=1)["state"] == "ok"
