"""heclstm report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import AsJson, Index
from heclstm.cli.terminal import emit, out, progress


def report(
    diagnosis: Annotated[
        Path, typer.Argument(metavar="DIAGNOSIS.JSON", help="A diagnosis, from `heclstm decrypt -o`.")
    ],
    images: Annotated[Path, typer.Option("--input", metavar="INPUT", help="The images that were encrypted.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="REPORT.HTML", help="The page; .png for the picture alone."),
    ],
    index: Index = None,
    as_json: AsJson = False,
) -> None:
    """Hospital: show a diagnosis beside its images.

    One page without any outside link: the frames, what each contributed to the vote, the score against the
    operating point. It shows a patient's images, so it is written for its owner only (mode 0600).

    Example:

        heclstm report diagnosis.json --input volume.npy -o report.html
    """
    from heclstm.cli.images import read_sequence
    from heclstm.deploy.wire import new_file
    from heclstm.report.figure import draw
    from heclstm.report.findings import Findings
    from heclstm.report.page import page

    findings = Findings.load(diagnosis)
    sequence = read_sequence(images, findings.purpose, index)
    with progress("drawing"):
        picture = draw(findings, sequence)
        content = picture if output.suffix.lower() == ".png" else page(findings, picture).encode()
        with new_file(output, 0o600) as stream:
            stream.write(content)
    if as_json:
        emit({"report": str(output), "bytes": len(content)})
        return
    out().print(f"report: {output}", soft_wrap=True)
