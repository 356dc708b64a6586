"""A diagnosis of DICOM images that were made from nothing, without any encryption: for reports and exports."""

from heclstm.data.handed_in import read_handed_in
from heclstm.deploy.case import Case, images_digest
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.report.findings import Findings
from tiny_program import PURPOSE

PATIENT = {
    "PatientID": "4711-0815",
    "PatientName": "Mustermann^Eva",
    "PatientBirthDate": "19700214",
    "PatientSex": "F",
    "AccessionNumber": "ACC77",
    "StudyDate": "20260102",
    "StudyTime": "101112",
    "StudyID": "S1",
    "ReferringPhysicianName": "Haus^Gregor",
}


def findings_of(folder, purpose=PURPOSE, **facts):
    """(findings, images): of the DICOM files in a folder. facts: other fields of the case."""
    images = read_handed_in(folder, purpose.preparation)
    steps, real = len(images.sequence), images.sequence.real_frames or len(images.sequence)
    case = Case(
        program="ab" * 32, key="cd" * 16, query="ef" * 16, images=images_digest(images.sequence), frames=real,
        **{"order": images.order, "envelope": "inside", **facts},
    )  # fmt: skip
    shares = tuple((0.25 * (step + 1) if step < real else 0.0,) for step in range(steps))
    score = (sum(share for (share,) in shares),)
    diagnosis = Diagnosis(score, shares, 0.25, temperature=0.75, offset=-1.5, frames=real)
    if case.withheld:
        diagnosis = diagnosis.without_decision()
    return Findings(diagnosis, purpose, case.program, case=case), images
