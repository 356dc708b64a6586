"""A diagnosis, a model or a program → a page to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heclstm.data.sequence import ImageSequence
from heclstm.report.figure import draw
from heclstm.report.findings import Findings
from heclstm.report.page import page, technical_page
from heclstm.storage.atomic import save_file
from heclstm.usecases.events import SILENT, Events

__all__ = ["Findings", "Report", "report"]


@dataclass(frozen=True, repr=False)
class Report:
    """page: for clinicians, without any outside link. picture: all of it as a PNG. Both show a patient's images.

    technical: a page of seconds, layers and errors; empty if nothing of that is known.
    """

    picture: bytes
    page: str
    technical: str

    def save(self, output: Path) -> None:
        """The page, or with the ending .png the picture alone; for its owner only."""
        save_file(output, self.picture if output.suffix.lower() == ".png" else self.page, 0o600)


def report(findings: Findings, images: ImageSequence, *, of_data_set: bool = False, events: Events = SILENT) -> Report:
    """images: those that were encrypted. of_data_set: they are of the model's data set, not a hospital's own.

    Raises InputError if the diagnosis speaks of another number of frames.
    """
    with events.stage("drawing"):
        shown = page(findings, images, of_data_set=of_data_set)
        return Report(draw(findings, images, of_data_set=of_data_set), shown, technical_page(findings))
