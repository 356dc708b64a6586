"""Which images of a study are meant, by the rules of the configuration; and by which print they are known again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from heclstm.data.dicom import Selection, header_of
from heclstm.data.dicom.header import Header
from heclstm.data.sources import Source


def chosen(paths: Sequence[Path], selection: Selection) -> list[Path]:
    """The files of all series that fit the rules; none where no series does. Files without pixels are no images.

    Raises FileFormatError for a file that cannot be read.
    """
    groups: dict[str, list[Header]] = defaultdict(list)
    for path in paths:
        header = header_of(Source(path))
        if header.form is not None:
            groups[header.identity.series].append(header)
    return sorted(header.source.path for found in groups.values() if _fits(found, selection) for header in found)


def print_of(digests: Sequence[str]) -> str:
    """Of a set of images, in any order."""
    return sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _fits(found: Sequence[Header], selection: Selection) -> bool:
    series = found[0].series
    frames = sum(header.form.frames for header in found if header.form)
    return selection.takes(series.modality, series.description, series.body_part, frames)
