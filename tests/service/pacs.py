"""A real Orthanc, a gateway in a process of its own, and studies that `storescu` sends, for the tests."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np

from dicom_kit import save, uid
from service.kit import ENVIRONMENT, free_port, plain_client, wait_until

PATH = "/usr/local/bin:/usr/bin:/usr/sbin"  # pynetdicom has a storescu of its own, in the environment of the tests
TOOLS = {"Orthanc": "orthanc", "storescu": "dcmtk", "dciodvfy": "dicom3tools"}
DICOM_WEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
DEPLOY = Path(__file__).parents[2] / "deploy" / "gateway"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
REPORT, SUMMARY = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"
SECRETS = ("Mustermann", "4711-0815", "19700214", "ACC-77", "20260102", "Haus^Gregor")
START_SECONDS = 180  # it takes three where nothing else runs


def missing():
    """What apt-get would have to install; empty if all is here."""
    absent = [package for tool, package in TOOLS.items() if shutil.which(tool, path=PATH) is None]
    return absent + ([] if DICOM_WEB.exists() else ["orthanc-dicomweb"])


def study(folder, number, count=2, seed=None, **tags):
    """A patient's study of one ultrasound series of small images. Returns its UID."""
    noise = np.random.default_rng(number if seed is None else seed).integers(0, 255, (count, 8, 8), dtype=np.uint8)
    study_uid = uid(("study", number))
    about = {
        "SOPClassUID": ULTRASOUND, "Modality": "US", "PatientID": f"4711-0815-{number}",
        "PatientName": f"Mustermann^Eva {number}", "PatientBirthDate": "19700214", "PatientSex": "F",
        "AccessionNumber": f"ACC-77{number}", "StudyDate": "20260102", "StudyTime": "101112", "StudyID": "S1",
        "ReferringPhysicianName": "Haus^Gregor", "StudyInstanceUID": study_uid, "SeriesInstanceUID": uid(("s", number)),
    }  # fmt: skip
    for z in range(count):
        own = {"InstanceNumber": z + 1, "SOPInstanceUID": uid(("image", number, z))}
        save(folder / f"{number}-{z}.dcm", noise[z], **(about | tags | own))
    return study_uid


def storescu(address, folder, calling="MODALITY", called="HECLSTM", *, halt=True):
    """Send all files of a folder. halt: end with an error at the first that is not taken. Returns code and output."""
    host, port = address.rsplit(":", 1)
    command = [
        shutil.which("storescu", path=PATH),
        "-aet",
        calling,
        "-aec",
        called,
        "-v",
        "+sd",
        *([] if halt else ["-nh"]),
    ]
    told = subprocess.run([*command, host, port, str(folder)], capture_output=True, text=True, timeout=120)
    return told.returncode, told.stdout + told.stderr


class Orthanc:
    """A PACS. gateway: the port at which it finds the gateway; modality, changes: more settings, of it and of all.
    auth: by which the tests ask it.
    """

    def __init__(self, folder, gateway, modality=None, auth=None, **changes):
        folder.mkdir(parents=True)
        self.folder, self.dicom, self.port = folder, free_port(), free_port()
        config = json.loads((DEPLOY / "orthanc.json").read_text())
        config["DicomModalities"]["heclstm"] |= {"Port": gateway, **(modality or {})}
        config |= {
            "DicomPort": self.dicom, "HttpPort": self.port, "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"), "StableAge": 1, "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False, "HttpServerEnabled": True,
        }  # fmt: skip
        config |= changes
        (folder / "orthanc.json").write_text(json.dumps(config))
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [shutil.which("Orthanc", path=PATH), str(folder / "orthanc.json")], stdout=log, stderr=log
            )
        self.http = plain_client(f"http://127.0.0.1:{self.port}", auth=auth)
        wait_until(self._answers, START_SECONDS, (folder / "log").read_text)

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return self.http.get("/system").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def address(self):
        return f"127.0.0.1:{self.dicom}"

    def found(self, **query):
        """By QIDO-RS: the instances that match."""
        answer = self.http.get("/dicom-web/instances", params={"includefield": "all", **query})
        return answer.json() if answer.content else []

    def reports(self, study_uid=None, kind=REPORT):
        query = {"StudyInstanceUID": study_uid} if study_uid else {}
        return [each for each in self.found(**query) if each["00080016"]["Value"][0] == kind]

    def file(self, instance):
        """The DICOM file of what `found` told."""
        orthanc_id = self.http.post("/tools/lookup", content=instance["00080018"]["Value"][0]).json()[0]["ID"]
        return self.http.get(f"/instances/{orthanc_id}/file").content

    def close(self):
        self.http.close()
        self.process.terminate()
        self.process.wait(20)


class Gateway:
    """`heclstm gateway` in a process of its own, which can be killed and started again on what it left.

    store: the address of an Orthanc, or all of the table of that name.
    """

    def __init__(self, folder, site, store, **changes):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port, self.health = folder, changes.pop("port", None) or free_port(), free_port()
        self.path, self.process, self.starts = folder / "gateway.toml", None, 0
        self.http = plain_client(f"http://127.0.0.1:{self.health}")
        tables = {
            "listen": {"address": f"127.0.0.1:{self.port}"},
            "store": {"title": "ORTHANC", "address": store, "commitment_seconds": 3},
            "retry": {"first_seconds": 0.2, "longest_seconds": 2},
        }
        values = {
            "state": str(folder / "state"), "site": str(site), "quiet_seconds": 0.6, "threads": 1, "reserve_bytes": 0,
            "health": f"127.0.0.1:{self.health}", "allow_insecure_test": True,
        }  # fmt: skip
        if isinstance(store, dict):
            tables["store"] = store
        senders = changes.pop("senders", [("MODALITY", "127.0.0.1"), ("ORTHANC", "127.0.0.1")])
        for name, value in changes.items():
            if isinstance(value, dict):
                tables[name] = tables.get(name, {}) | value
            else:
                values[name] = value
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        for title, address in senders:
            lines += ["[[senders]]", f'title = "{title}"', f'address = "{address}"']
        for name, table in tables.items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        self.path.write_text("\n".join(lines) + "\n")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.starts += 1
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-m", "heclstm.cli", "gateway", str(self.path)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT)
        wait_until(lambda: self.state() is not None, START_SECONDS, self.text)
        wait_until(lambda: self.text().count('"started"') >= self.starts, START_SECONDS, self.text)
        return self

    def state(self):
        """What /healthz tells; None while nobody answers."""
        assert self.process.poll() is None, self.text()
        try:
            return self.http.get("/healthz").json()
        except httpx.TransportError:
            return None

    def text(self):
        return (self.folder / "log").read_text()

    def wait(self, seconds=120, **counts):
        """Until so many studies are in these states."""

        def reached():
            found = self.state()
            return found and all(found["studies"][state] == count for state, count in counts.items())

        wait_until(reached, seconds, lambda: f"{self.state()}\n{self.text()}")
        return self.state()

    def kill(self):
        """As if the power went."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        self.process.terminate()
        return self.process.wait(seconds)

    def close(self):
        self.http.close()
        if self.process and self.process.poll() is None:
            self.stop()

    def status(self):
        """What `--status` tells."""
        command = [sys.executable, "-m", "heclstm.cli", "gateway", str(self.path), "--status"]
        return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True).stdout


def pause(seconds):
    """For a process that is to be killed in the middle of something."""
    time.sleep(seconds)
