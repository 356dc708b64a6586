"""A diagnosis, a model or a program → a page to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from heclstm.data.sequence import ImageSequence
from heclstm.errors import FileFormatError
from heclstm.report.figure import draw
from heclstm.report.findings import Findings
from heclstm.report.page import page, technical_page
from heclstm.storage.atomic import save_file
from heclstm.usecases.events import SILENT, Events

__all__ = ["Findings", "Report", "report"]


@dataclass(frozen=True, repr=False)
class Report:
    """page: for clinicians, without any outside link. technical: a page of seconds, layers and errors; empty if nothing
    of that is known. drawn: the picture, as "png" or "pdf". All but the technical page show a patient's images.
    """

    page: str
    technical: str
    drawn: Callable[[Literal["png", "pdf"]], bytes]

    def save(self, output: Path) -> None:
        """The page, or with the ending .png or .pdf the picture; for its owner only."""
        kind = output.suffix.lower()
        content = self.drawn("pdf") if kind == ".pdf" else self.drawn("png") if kind == ".png" else self.page
        save_file(output, content, 0o600)


def report(
    findings: Findings,
    images: ImageSequence,
    *,
    of_data_set: bool = False,
    unchecked_images: bool = False,
    files: Sequence[str] = (),
    prevalence: float | None = None,
    events: Events = SILENT,
) -> Report:
    """images: those that were encrypted, or DigestError. of_data_set: they are of the model's data set, not a
    hospital's own. files: SHA-256 of each file that they came from. unchecked_images: for a diagnosis that has no case;
    the page then says that nobody compared them. prevalence: share of positives among patients like this one, for
    predictive values; that of validation by default.

    Raises InputError if the diagnosis speaks of another number of frames.
    """
    if findings.case is not None:
        findings.case.require_images(images, files)
        if other := findings.case.other_files(files):
            events.note(
                f"note: {other} of {len(files)} files are not those that were encrypted, but show the same images"
            )
    elif not unchecked_images:
        raise FileFormatError(
            "diagnosis: has no case, so nobody knows whose images it is about; decrypt its result again with the "
            "case of its query, or report with --unchecked-images"
        )
    if not findings.digested:
        events.note("note: this diagnosis is of an earlier release, without a digest: a change of it cannot be noticed")
    with events.stage("drawing"):
        shown = page(findings, images, of_data_set=of_data_set, prevalence=prevalence)

    def drawn(kind: Literal["png", "pdf"]) -> bytes:
        return draw(findings, images, kind=kind, of_data_set=of_data_set, prevalence=prevalence)

    return Report(shown, technical_page(findings), drawn)
