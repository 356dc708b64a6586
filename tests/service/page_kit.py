"""A program with all that the page shows, the workstation in a process of its own, and a patient's files."""

import os
import re
import subprocess
import sys

import numpy as np
from msgspec import structs

import dicom_kit
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.program.files import save_program
from heclstm.program.program import Program
from random_models import random_model, small_config
from service.kit import ENVIRONMENT, plain_client, wait_until
from tiny_program import PURPOSE

START_SECONDS = 120  # on a machine that is busy
CONFIG = small_config(frames=2, channels=1)
OPTIONS = Options(ring_degree=1024, special_count=2, security="INSECURE_TEST")


def save_page_program(folder):
    """Its model finds positives where frames are bright."""
    purpose = structs.replace(PURPOSE, ranges=(structs.replace(PURPOSE.ranges[0], limit=40.0),))
    save_program(Program.of(compile_circuit(random_model(CONFIG, seed=0), OPTIONS), purpose), folder)
    return folder


def picture(number, level=40):
    """A frame that is not of one grey, by which its place is seen."""
    frame = np.full((8, 8), level, np.uint8)
    frame[number % 8, :] = 220
    return frame


def series(folder, name="Doe^Jane", id="4711", day="20260131", count=2, level=40, **tags):
    """A study of DICOM files in one folder."""
    for number in range(count):
        facts = {"PatientName": name, "PatientID": id, "StudyDate": day, "InstanceNumber": number + 1}
        facts |= {"StudyDescription": "follow-up", "Modality": "US", "SeriesDescription": "cine"}
        facts |= {"PatientBirthDate": "19800517"}
        dicom_kit.save(folder / f"image{number}.dcm", picture(number, level), **(facts | tags))
    return sorted(folder.glob("*.dcm"))


class Workstation:
    """`heclstm workstation` as its user starts it."""

    def __init__(self, site, log):
        self.site, self.log = site, log
        command = [sys.executable, "-m", "heclstm.cli", "workstation", "--site", str(site), "--no-browser"]
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [*command, "--insecure-test", "--threads", "1", "--language", "en"],
                stdout=stream,
                stderr=stream,
                env={**os.environ, **ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
            )
        wait_until(lambda: re.search("^http://.*\n", log.read_text()), START_SECONDS, log.read_text)
        self.link = next(line for line in log.read_text().splitlines() if line.startswith("http://")).strip()
        self.origin = self.link.partition("/start")[0]
        self.host = self.origin.removeprefix("http://")
        self.port = int(self.host.rpartition(":")[2])

    def http(self, **headers):
        """As any program of this machine can ask; without a session."""
        return plain_client(f"http://127.0.0.1:{self.port}", headers={"host": self.host, **headers})

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)
