"""heclstm report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from heclstm.cli.options import AsGiven, AsJson, Index, Prevalence, Select, Sequence, Series
from heclstm.cli.terminal import TERMINAL, emit, out
from heclstm.cli.verb import verb
from heclstm.errors import InputError


@verb(after="decrypt")
def report(
    subject: Annotated[
        Path,
        typer.Argument(
            metavar="DIAGNOSIS.JSON", help="A diagnosis, from `heclstm decrypt -o`; or a model or program folder."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="REPORT.HTML", help="The page; .pdf or .png for its picture alone."),
    ],
    images: Annotated[
        list[Path] | None,
        typer.Option(
            "--input", metavar="INPUT", help="The images that were encrypted; once for each of several files."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="For a model or program: the data set to show it on.")
    ] = None,
    index: Index = None,
    sequence: Sequence = "",
    as_given: AsGiven = False,
    select: Select = None,
    series: Series = 0,
    unchecked_images: Annotated[
        bool,
        typer.Option("--unchecked-images", help="Of a diagnosis without a case: show these, and say so on the page."),
    ] = False,
    prevalence: Prevalence = None,
    as_json: AsJson = False,
) -> None:
    """Hospital: show a diagnosis beside its images.

    One page without any outside link: the frames, what each contributed to the vote, the score against the
    operating point. Only the images that were encrypted are shown: others than the case knows are refused. The page
    shows a patient's images, so it is written for its owner only (mode 0600).

    Of a model or program folder: the page of `heclstm evaluate`, in clear, with ROC curve, confusion matrix,
    calibration, vote weights, range margins and example sequences of the test part in --data.

    Example:

        heclstm report diagnosis.json --input volume.npy -o report.html
    """
    from heclstm.usecases.images import selection_of

    if subject.is_dir():
        _of_model(subject, data, images, output)
    elif images is None or data:
        raise InputError(f"--input: {subject} is a diagnosis; give the images that it is about, and no --data")
    else:
        which = {"index": index, "sequence": sequence, "as_given": as_given}
        _of_diagnosis(subject, images, output, which, selection_of(select, series), unchecked_images, prevalence)
    if as_json:
        emit({"report": str(output), "bytes": output.stat().st_size})
        return
    out().print(f"report: {output}", soft_wrap=True)


def _of_model(subject: Path, data: Path | None, images: list[Path] | None, output: Path) -> None:
    from heclstm.usecases.evaluate import evaluate

    if images:
        raise InputError(f"--input: belongs to a diagnosis; {subject} is a folder, show it on --data")
    if output.suffix.lower() != ".html":
        raise InputError(f"{output}: got the ending {output.suffix or 'none'}, expected .html")
    evaluate([subject], data, events=TERMINAL).save(output, TERMINAL)


def _of_diagnosis(
    subject: Path,
    images: list[Path],
    output: Path,
    which: dict[str, Any],
    selection: Any,
    unchecked_images: bool,
    prevalence: float | None,
) -> None:
    from heclstm.usecases import report as usecase
    from heclstm.usecases.images import read_handed_in

    findings = usecase.Findings.load(subject)
    handed = read_handed_in(images, findings.purpose, **which, selection=selection, events=TERMINAL)
    options: dict[str, Any] = {"unchecked_images": unchecked_images, "prevalence": prevalence, "events": TERMINAL}
    made = usecase.report(findings, handed.sequence, files=handed.files, **options)
    made.save(output)
