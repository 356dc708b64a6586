"""heclstm export"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import AsGiven, AsJson, Select, Series
from heclstm.cli.terminal import TERMINAL, emit, out
from heclstm.cli.verb import verb


@verb(after="report")
def export(
    diagnosis: Annotated[
        Path, typer.Argument(metavar="DIAGNOSIS.JSON", help="From `heclstm decrypt -o` or `heclstm diagnose -o`.")
    ],
    images: Annotated[
        list[Path],
        typer.Option("--input", metavar="INPUT", help="The DICOM files that were encrypted; once for each of several."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER/", help="For report.dcm and summary.dcm (mode 0600).")
    ],
    as_given: AsGiven = False,
    select: Select = None,
    series: Series = 0,
    summary: Annotated[
        bool, typer.Option("--summary/--no-summary", help="Whether the picture is written too, as a secondary capture.")
    ] = True,
    fhir: Annotated[
        bool, typer.Option("--fhir", help="Also report.fhir.json: a DiagnosticReport of FHIR R4, for other systems.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Hospital: a diagnosis as DICOM, for the PACS.

    Writes a structured report (Comprehensive 3D SR after TID 1500): score, operating point, probability, decision, what
    each step contributed and which source frames it saw, model and program. Beside it, the picture as a
    secondary capture. Patient and study are those of the source files; other images than those that were encrypted
    are refused. Both stay in the hospital. Export the same diagnosis twice, and it is the same report.

    Example:

        heclstm export diagnosis.json --input series/ -o dicom/
    """
    from heclstm.report.findings import Findings
    from heclstm.usecases.export import export as usecase
    from heclstm.usecases.images import read_handed_in, selection_of

    findings = Findings.load(diagnosis)
    handed = read_handed_in(
        images, findings.purpose, as_given=as_given, selection=selection_of(select, series), events=TERMINAL
    )
    made = datetime.fromtimestamp(int(diagnosis.stat().st_mtime), UTC)
    written = usecase(findings, handed, made, with_summary=summary, with_fhir=fhir, events=TERMINAL).save(output)
    if as_json:
        emit({"files": [str(path) for path in written]})
        return
    for path in written:
        out().print(f"{path.name.partition('.')[0]}: {path}", soft_wrap=True)
