"""A diagnosis → the DICOM objects that go back to the PACS, a structured report and a picture of it; and FHIR."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from heclstm.data.handed_in import HandedIn
from heclstm.errors import FileFormatError
from heclstm.report.dicom.structured import structured_report
from heclstm.report.dicom.study import study_of
from heclstm.report.dicom.summary import summary
from heclstm.report.fhir import diagnostic_report
from heclstm.report.findings import Findings
from heclstm.storage.atomic import new_files, save_file
from heclstm.usecases.events import SILENT, Events

REPORT_FILE, SUMMARY_FILE, FHIR_FILE = "report.dcm", "summary.dcm", "report.fhir.json"


@dataclass(frozen=True, repr=False)
class Exported:
    """report: the structured report. summary: a secondary capture of the picture. fhir: a DiagnosticReport as JSON.
    The latter two are empty if they were not wanted.

    All are whole files, and hold the patient's name and study.
    """

    report: bytes
    summary: bytes = b""
    fhir: bytes = b""

    @property
    def files(self) -> dict[str, bytes]:
        found = {REPORT_FILE: self.report, SUMMARY_FILE: self.summary, FHIR_FILE: self.fhir}
        return {name: content for name, content in found.items() if content}

    def save(self, folder: Path) -> list[Path]:
        """All or none, for their owner only."""
        with new_files(folder) as partial:
            for name, content in self.files.items():
                save_file(partial / name, content, 0o600)
        return [folder / name for name in self.files]


def export(
    findings: Findings,
    images: HandedIn,
    made: datetime | None = None,
    *,
    with_summary: bool = True,
    with_fhir: bool = False,
    events: Events = SILENT,
) -> Exported:
    """images: the DICOM files that were encrypted, as `usecases.images.read_handed_in` reads them; their headers say
    whose study the report belongs to. made: when the diagnosis was, now by default. The same diagnosis with the same
    time is the same object, however often it is exported.

    Raises DigestError for other images than those of the case, FileFormatError for a diagnosis without a case,
    InputError for images that did not come as DICOM.
    """
    if findings.case is None:
        raise FileFormatError(
            "diagnosis: has no case, so nobody knows whose images it is about; a report of it belongs to no study"
        )
    findings.case.require_images(images.sequence, images.files)
    if other := findings.case.other_files(images.files):
        events.note(
            f"note: {other} of {len(images.files)} files are not those that were encrypted, but show the same "
            "images; the report belongs to the patient and study that they name"
        )
    if (preparation := findings.purpose.preparation) is None:
        raise FileFormatError("diagnosis: does not say how images were prepared, so no image can be named")
    made = made or datetime.now(UTC)
    identity = f"{findings.case.query} {made.astimezone(UTC).isoformat(timespec='seconds')}"
    with events.stage("exporting"):
        study = study_of(images, preparation)
        made = made.astimezone(study.zone)  # of this machine, where the study does not say
        report = structured_report(findings, study, made, identity)
        picture = summary(findings, images.sequence, study, made, identity) if with_summary else b""
        return Exported(report, picture, diagnostic_report(findings, study, made, identity) if with_fhir else b"")
