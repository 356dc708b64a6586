"""A diagnosis → a Comprehensive 3D SR after TID 1500: the decision, what it was made of, and by which algorithm.

Imaging Measurement Report
├── decision      score, operating point, probability; positive, negative or not assessable; all images; comments
├── step 1        contribution to the score; the images, or frames, that it saw
└── step 2 …
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)

from heclstm.data.dicom.library import Dataset
from heclstm.report.dicom import concepts
from heclstm.report.dicom.study import Image, SourceStudy, building, uid_of
from heclstm.report.figure import DISCLAIMER
from heclstm.report.findings import Findings
from heclstm.report.words import chance, meaning, noted, rates, unusual

DEVICE, SERIES_NUMBER, UNICODE = CodedConcept("121007", "DCM", "Device"), 9301, "ISO_IR 192"
NAME, DESCRIPTION = "heclstm", "Diagnosis of an encrypted image sequence"
TEXT_MAX = 1024


def structured_report(findings: Findings, study: SourceStudy, made: datetime, identity: str) -> bytes:
    """A DICOM file. made: when the diagnosis was. identity: what makes its identifiers unique, and the same if it is
    made again.
    """
    with building("structured report"):
        root = MeasurementReport(_context(findings), concepts.PROCEDURE, _groups(findings, study, identity))
        report = Comprehensive3DSR(
            evidence=study.headers,
            content=root,
            series_instance_uid=uid_of(identity, "series of structured reports"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=uid_of(identity, "structured report"),
            instance_number=1,
            manufacturer=NAME,
            manufacturer_model_name=model_name(findings),
            software_versions=version(),
            device_serial_number=findings.program[:16],
            series_description=DESCRIPTION,
            is_complete=True,
            is_final=False,  # a person has to read it
            content_date=made.date(),
            content_time=made.time(),
            series_date=made.date(),
            series_time=made.time(),
            specific_character_set=UNICODE,
            coding_schemes=[CodingSchemeIdentificationItem(concepts.SCHEME, concepts.SCHEME_NAME)],
        )
        study.repeat(report)
        return written(report, made)


def version() -> str:
    from importlib.metadata import version as installed

    return installed("heclstm")


def written(report: Dataset, made: datetime) -> bytes:
    """As a file. All that highdicom calls now is when the diagnosis was made: the same object is the same bytes."""
    report.ContentDate = report.InstanceCreationDate = made.strftime("%Y%m%d")
    report.ContentTime = report.InstanceCreationTime = made.strftime("%H%M%S")
    # The last is highdicom's own; that of the scanner before it keeps the time of the acquisition.
    report.ContributingEquipmentSequence[-1].ContributionDateTime = made.strftime("%Y%m%d%H%M%S")
    stream = BytesIO()
    report.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _context(findings: Findings) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=uid_of(findings.program, "device"), name=NAME, manufacturer_name=NAME, model_name=model_name(findings)
    )
    return ObservationContext(observer_device_context=ObserverContext(DEVICE, device))


def _groups(findings: Findings, study: SourceStudy, identity: str) -> Sequence[MeasurementsAndQualitativeEvaluations]:
    algorithm = AlgorithmIdentification(
        model_name(findings),
        version(),
        [f"program {findings.program}", f"model {findings.purpose.model.digest or 'unknown'}"],
        manufacturer=NAME,
    )
    decision = MeasurementsAndQualitativeEvaluations(
        _tracking(identity, "decision"),
        algorithm_id=algorithm,
        measurements=[_measured(name, value) for name, value in _values(findings)],
        qualitative_evaluations=[
            QualitativeEvaluation(concepts.DECISION, concepts.DECISIONS[findings.diagnosis.decision])
        ],
        source_images=[_referenced(image) for image in study.images],
    )
    for sentence in said(findings):
        decision[0].ContentSequence.append(
            TextContentItem(concepts.COMMENT, sentence[:TEXT_MAX], RelationshipTypeValues.CONTAINS)
        )
    contributions = findings.diagnosis.contributions[: findings.frames]
    steps = [
        MeasurementsAndQualitativeEvaluations(
            _tracking(identity, f"step {number}"),
            algorithm_id=algorithm,
            measurements=[_measured(concepts.CONTRIBUTION, row[0])],
            source_images=[_referenced(image) for image in images],
        )
        for number, (row, images) in enumerate(zip(contributions, study.steps, strict=True), start=1)
    ]
    return [decision, *steps]


def _values(findings: Findings) -> list[tuple[CodedConcept, float]]:
    """What is known of score, operating point and probability: no probability where no decision is made."""
    diagnosis = findings.diagnosis
    known = [
        (concepts.SCORE, diagnosis.score),
        (concepts.OPERATING_POINT, diagnosis.threshold),
        (concepts.PROBABILITY, chance(findings) if diagnosis.decided else None),
    ]
    return [(name, value) for name, value in known if value is not None]


def said(findings: Findings) -> list[str]:
    """What stands on the page too, so that no number is read without it."""
    point = rates(findings.operating_point)
    chosen = point and f"Where the operating point was chosen: {point}."
    sentences = [*unusual(findings), *meaning(findings), *noted(findings), chosen]
    return [text for text in (*sentences, *findings.purpose.warnings, DISCLAIMER) if text]


def _measured(name: CodedConcept, value: float) -> Measurement:
    return Measurement(name, value, concepts.ONE)


def _tracking(identity: str, what: str) -> TrackingIdentifier:
    return TrackingIdentifier(uid_of(identity, what), what)


def _referenced(image: Image) -> SourceImageForMeasurementGroup:
    return SourceImageForMeasurementGroup(image.sop_class, image.instance, list(image.frames) or None)


def model_name(findings: Findings) -> str:
    """As its card calls it."""
    return (findings.purpose.model.name or NAME)[:64]
