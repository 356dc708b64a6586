"""A diagnosis → a FHIR R4 DiagnosticReport, for systems that read no DICOM.

DiagnosticReport       partial: nobody has verified it; whose study, and what was found, in words
├── decision           positive, negative, not assessable, no decision
├── score              with the operating point and what each frame contributed
├── probability        calibrated; none where no decision is made
└── device             model, program and version

It stands alone: Observations and Device are contained; patient, study and order are named by their identifiers. Codes
are those of SNOMED CT and UCUM that the structured report has, and of the lists of HL7; what has none is text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from heclstm.data.dicom.values import text, whole_text
from heclstm.report.dicom.structured import DESCRIPTION, NAME, model_name, said, version
from heclstm.report.dicom.study import SourceStudy, uid_of
from heclstm.report.findings import Findings
from heclstm.report.words import chance, decision_of

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
SNOMED, UCUM = "http://snomed.info/sct", "http://unitsofmeasure.org"
DECISIONS = {"positive": ("10828004", "Positive"), "negative": ("260385009", "Negative")}
DEVICE = "device"


def diagnostic_report(findings: Findings, study: SourceStudy, made: datetime, identity: str) -> bytes:
    """JSON. The arguments are those of `structured_report`; made twice, it is the same."""
    shared = _shared(study)
    observations = _observations(findings, shared, made)
    report = {
        "resourceType": "DiagnosticReport",
        "contained": [_device(findings), *observations],
        "identifier": [_uid(uid_of(identity, "diagnostic report"), "urn:ietf:rfc3986")],
        "basedOn": _order(study),
        "status": "partial",  # "may be incomplete or unverified"; Observations call that preliminary
        "category": [_coded(f"{TERMINOLOGY}v2-0074", "IMG", "Diagnostic Imaging")],
        "code": {"text": DESCRIPTION},
        **shared,
        "issued": made.isoformat(timespec="seconds"),
        "result": [{"reference": f"#{each['id']}"} for each in observations],
        "imagingStudy": [_of_study(study)],
        "conclusion": "\n".join(_conclusion(findings)),
        "conclusionCode": [_decided(findings)],
    }
    return json.dumps(_without_empty(report), indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _observations(findings: Findings, shared: Mapping[str, Any], made: datetime) -> list[dict[str, Any]]:
    diagnosis = findings.diagnosis
    contributions = diagnosis.contributions[: findings.frames]
    parts = [("Score from which a sequence counts as positive", diagnosis.threshold)] + [
        (f"Contribution of frame {number} to the score", row[0]) for number, row in enumerate(contributions, 1)
    ]
    found: dict[str, tuple[str, dict[str, Any]]] = {
        "decision": ("Decision at the operating point", {"valueCodeableConcept": _decided(findings)}),
        "score": ("Score", {"valueQuantity": _number(diagnosis.score), "component": _components(parts)}),
    }
    if diagnosis.decided and (probability := chance(findings)) is not None:
        found["probability"] = ("Calibrated probability of a positive", {"valueQuantity": _number(probability)})
    return [
        _without_empty(
            {
                "resourceType": "Observation",
                "id": name,
                "status": "preliminary",
                "category": [_coded(f"{TERMINOLOGY}observation-category", "imaging", "Imaging")],
                "code": {"text": words},
                **shared,
                "issued": made.isoformat(timespec="seconds"),
                **value,
                "device": {"reference": f"#{DEVICE}"},
            }
        )
        for name, (words, value) in found.items()
    ]


def _components(parts: list[tuple[str, float | None]]) -> list[dict[str, Any]]:
    return [{"code": {"text": words}, "valueQuantity": _number(value)} for words, value in parts if value is not None]


def _conclusion(findings: Findings) -> list[str]:
    """What was decided, or that nothing was, before all that stands beside it."""
    decided = decision_of(findings) or (f"{findings.diagnosis.decision.capitalize()}.",)
    return [*decided, *said(findings)]


def _decided(findings: Findings) -> dict[str, Any]:
    decision = findings.diagnosis.decision
    known = DECISIONS.get(decision)
    coded = _coded(SNOMED, *known) if known else {}
    return coded | {"text": decision.capitalize()}


def _device(findings: Findings) -> dict[str, Any]:
    versions = {"heclstm": version(), "program": findings.program, "model": findings.purpose.model.digest}
    return {
        "resourceType": "Device",
        "id": DEVICE,
        "manufacturer": NAME,
        "deviceName": [{"name": model_name(findings), "type": "model-name"}],
        "version": [{"type": {"text": name}, "value": value} for name, value in versions.items() if value],
    }


def _shared(study: SourceStudy) -> dict[str, Any]:
    """What report and Observations both say: about whom, and of which day."""
    header = study.first
    number = {
        "type": _coded(f"{TERMINOLOGY}v2-0203", "MR", "Medical record number"),
        "value": whole_text(header, "PatientID"),
    }
    number["assigner"] = {"display": whole_text(header, "IssuerOfPatientID")}
    subject: dict[str, Any] = {"type": "Patient", "display": _name(whole_text(header, "PatientName"))}
    subject |= {"identifier": number if number["value"] else {}}
    return {
        "subject": subject if subject["display"] or number["value"] else {},
        "effectiveDateTime": _day(text(header, "StudyDate")),
    }


def _day(written: str) -> str:
    """As FHIR writes it; empty where the study says none."""
    try:
        return datetime.strptime(written, "%Y%m%d").date().isoformat()
    except ValueError:
        return ""


def _name(written: str) -> str:
    """Of PatientName: its first group of letters, family before given names."""
    return ", ".join(part.strip() for part in written.partition("=")[0].split("^")[:2] if part.strip())


def _of_study(study: SourceStudy) -> dict[str, Any]:
    return {"type": "ImagingStudy", "identifier": _uid(text(study.first, "StudyInstanceUID"), "urn:dicom:uid")}


def _order(study: SourceStudy) -> list[dict[str, Any]]:
    if not (number := whole_text(study.first, "AccessionNumber")):
        return []
    kind = _coded(f"{TERMINOLOGY}v2-0203", "ACSN", "Accession ID")
    return [{"type": "ServiceRequest", "identifier": {"type": kind, "value": number}}]


def _uid(uid: str, system: str) -> dict[str, str]:
    return {"system": system, "value": f"urn:oid:{uid}"}


def _number(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "1", "system": UCUM, "code": "1"}


def _coded(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _without_empty(node: Any) -> Any:
    """FHIR knows no empty values: what nobody said is absent."""
    if isinstance(node, dict):
        kept = {name: _without_empty(value) for name, value in node.items()}
        return {name: value for name, value in kept.items() if value not in ("", None, [], {})}
    return [_without_empty(each) for each in node] if isinstance(node, list) else node
