"""The codes of a report: those of SNOMED CT, UCUM and DICOM where they fit, ours where none does."""

from __future__ import annotations

from highdicom.sr import CodedConcept

SCHEME, SCHEME_NAME = "99HECLSTM", "heclstm"


def ours(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, SCHEME, meaning)


PROCEDURE = CodedConcept("363679005", "SCT", "Imaging procedure")
COMMENT = CodedConcept("121106", "DCM", "Comment")
ONE = CodedConcept("1", "UCUM", "no units")

SCORE = ours("score", "Score")
PROBABILITY = ours("probability", "Calibrated probability of a positive")
OPERATING_POINT = ours("operating-point", "Score from which a sequence counts as positive")
CONTRIBUTION = ours("contribution", "Contribution of these images to the score")
DECISION = ours("decision", "Decision at the operating point")
DECISIONS = {
    "positive": CodedConcept("10828004", "SCT", "Positive"),
    "negative": CodedConcept("260385009", "SCT", "Negative"),
    "not assessable": ours("not-assessable", "Not assessable"),
    "no decision": ours("no-decision", "No decision"),
}
