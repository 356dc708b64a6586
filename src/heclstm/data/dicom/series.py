"""Files → the frames of one series of one patient, in their order and in their greys."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heclstm.data.budget import Budget
from heclstm.data.dicom.decode import stored_frames, take
from heclstm.data.dicom.directory import listed_in
from heclstm.data.dicom.greys import Array, Greys, Span, Window, own_range
from heclstm.data.dicom.header import EVEN, PALETTE, Form, Header, header_of
from heclstm.data.dicom.library import coloured, guarded
from heclstm.data.dicom.mapping import Mapping
from heclstm.data.dicom.places import order_of, require_whole
from heclstm.data.dicom.selection import Selection
from heclstm.data.dicom.traits import OTHERWISE, differing
from heclstm.data.order import Order
from heclstm.data.pictures import resized
from heclstm.data.sources import Origin, Source, where_are
from heclstm.errors import FileFormatError, SequenceError

RANGE_SAMPLES = 1 << 22  # values that decide about the data's own range, of all frames together
RATIO_MAX = 8.0  # of a pixel's sides
SERIES_SHOWN = 12
OTHER_WINDOWS = "windows differ from frame to frame, so that one grey is not one value in all of them"
OTHER_COUNT = "a file describes more frames than it holds: what it says first is taken for what it holds"
OTHER_SPACINGS = "pixels are of several sizes in millimetres, so that one thing is not equally large in all frames"
Frame = NDArray[np.uint8]
Draft = tuple[Array, Greys | None]


@dataclass(frozen=True, repr=False)
class Shown:
    """frames: each (1 or 3, height, width). origins: the file of each frame, and which of its frames it is."""

    frames: list[Frame]
    order: Order
    origins: tuple[Origin, ...]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The file of each frame."""
        return tuple(origin.source.name for origin in self.origins)


def headers_of(sources: Sequence[Source]) -> tuple[list[Header], list[str]]:
    """Those with pixels, and a note on the others. Raises FileFormatError if none has."""
    headers = [header_of(source) for source in sources]
    if len(headers) == 1 and headers[0].directory:
        headers = [header_of(source) for source in listed_in(sources[0])]
    headers = [header for header in headers if not header.directory]
    images = [header for header in headers if header.form]
    if not images:
        raise FileFormatError(f"{where_are(sources)}: no image: a DICOM file without pixels")
    others = len(headers) - len(images)
    return images, [f"{others} DICOM files beside hold no pixels (such as reports)"] if others else []


def patients_of(headers: Sequence[Header]) -> int:
    """How many persons files name at least: those of one ID, such as "ANON", may differ in who gave it, in name, …"""
    identities = [header.identity for header in headers]
    persons = [(each.patient, each.issuer, each.birth, each.name, each.sex, each.authority) for each in identities]
    return max(len(set(filter(None, column))) for column in zip(*persons, strict=True))


def grouped(headers: Sequence[Header]) -> list[list[Header]]:
    """The files of each series, in the order in which a refusal numbers them."""
    groups: dict[tuple[str, str], list[Header]] = defaultdict(list)
    for header in headers:
        groups[header.identity.study, header.identity.series].append(header)
    return [groups[key] for key in sorted(groups, key=lambda key: (groups[key][0].series.number, key))]


def one_series(headers: Sequence[Header], selection: Selection, where: str) -> tuple[list[Header], list[str]]:
    """The files of the only series that is meant, each image once. Raises SequenceError with the choice to make."""
    if (count := patients_of(headers)) > 1:
        raise SequenceError(f"{where}: holds images of {count} patients; give the folder or the files of one")
    known = grouped(headers)
    meant = [found for number, found in enumerate(known, start=1) if _is_meant(found, number, selection)]
    if len(meant) != 1:
        studies = len({found[0].identity.study for found in known})
        got = f"holds {len(known)} series" + (f" of {studies} studies" if studies > 1 else "")
        fits = f"{len(meant)} of them fit" if meant else "none of them fits"
        wanted = "expected one" if selection == Selection() else f"of which {fits} the rules"
        raise SequenceError(
            f"{where}: {got}, {wanted}: {_listed(known)}; choose one by --series, by the rules of --select, or by its "
            "folder"
        )
    notes = _require_alike(meant[0], where)
    kept, copies = _once(meant[0])
    return kept, [*copies, *notes]


def _require_alike(headers: Sequence[Header], where: str) -> list[str]:
    """A note on what differs. Raises SequenceError for files that no sequence holds together, whatever their series
    says.
    """
    traits = [header.series.traits for header in headers]
    for what, count in differing(traits, told=False).items():
        raise SequenceError(
            f"{where}: one series, but images of {count} {what}; give the files of one, or all of them in "
            "their order with --as-given"
        )
    names = ", ".join(differing(traits, told=True))
    return [OTHERWISE.format(names=names)] if names else []


def order_in_series(headers: Sequence[Header], where: str) -> Order:
    """Rows are frames in the order of the files. Raises SequenceError where the files do not fix it, or where some of
    those that one object was cut into are missing.
    """
    places = [place for header in headers for place in header.places]
    require_whole(places, where)
    return order_of(places, where)


def order_as_given(headers: Sequence[Header], reason: str, where: str) -> Order:
    """File after file as they stand, and inside of each its own order."""
    rows: list[int] = []
    for header in headers:
        first = len(rows)
        rows += [first + row for row in order_of(header.places, where).rows]
    return Order(tuple(rows), reason)


def show(headers: Sequence[Header], order: Order, selection: Selection, budget: Budget) -> Shown:
    """Decode files and bring all their frames to greys that a person would see, in an order that is known."""
    said: set[str] = set()
    forms = [take(budget, header) for header in headers]  # all of them, before the first is decoded
    windows: set[object] = set()
    drafts = [
        draft
        for header, form in zip(headers, forms, strict=True)
        for draft in _drafts(header, form, selection, said, windows)
    ]
    if len(windows) > 1:
        said.add(OTHER_WINDOWS)
    if any(form.described > form.frames for form in forms):
        said.add(OTHER_COUNT)
    sizes = [spacing[0] for form in forms for spacing in form.spacings]
    if sizes and max(sizes) > EVEN * min(sizes):
        said.add(OTHER_SPACINGS)
    low, high = _common_range(drafts)
    span = _common_span(drafts)
    places = [(number, frame) for number, form in enumerate(forms) for frame in range(form.frames)]
    frames: list[Frame] = []
    for row in order.rows:
        values, greys = drafts[row]
        number, _ = places[row]
        form = forms[number]
        shown = greys.spread(low, high, span).show(values) if greys else values
        drafts[row] = (shown, None)  # lets go of the stored values
        frame = _masked(shown[None] if shown.ndim == 2 else shown.transpose(2, 0, 1), selection)
        frames.append(_square(headers[number].source, frame, form, said))
    origins = [Origin(headers[number].source, frame) for number, frame in (places[row] for row in order.rows)]
    return Shown(frames, order, tuple(origins), tuple(sorted(said)))


def _drafts(header: Header, form: Form, selection: Selection, said: set[str], windows: set[object]) -> Iterator[Draft]:
    """Each frame in its greys or colours; or as it is stored, with the `Greys` that wait for a range."""
    if form.burnt_in and selection.burnt_in == "refuse":
        raise FileFormatError(
            f"{header.source}: says that writing is burnt into its pixels; allow it by --select with "
            'burnt_in = "accept", or "mask" and the boxes of the writing'
        )
    dataset, frames = stored_frames(header, form)
    mapping = Mapping(header.source, dataset, form, said)
    palette, bits = None, form.bits_stored
    if form.photometric == PALETTE:
        with guarded(header.source):
            palette = coloured(header.source, dataset)
            bits = mapping.palette_bits(palette)
    for number, stored in enumerate(frames):
        if palette:
            yield _eight_bits(palette(stored), bits), None
        elif form.samples == 3:
            yield _eight_bits(stored, bits), None
        else:
            with guarded(header.source):
                greys = mapping.greys(number)
            windows.add(greys.voi if isinstance(greys.voi, Window) else type(greys.voi))
            waits = greys.voi is None or isinstance(greys.voi, Span)
            yield (stored, greys) if waits else (greys.show(stored), None)


def _eight_bits(values: Array, bits: int) -> Frame:
    if bits == 8 and values.dtype == np.uint8:
        return values
    return np.stack(
        [np.rint(np.clip(row.astype(np.float64) * (255 / (2**bits - 1)), 0, 255)) for row in values]
    ).astype(np.uint8)


def _common_range(drafts: Sequence[Draft]) -> tuple[float, float]:
    """Of all frames without a window together: their greys stay comparable."""
    waiting = [(values, greys) for values, greys in drafts if greys and greys.voi is None]
    if not waiting:
        return 0.0, 1.0
    return own_range(np.concatenate([greys.values(values, RANGE_SAMPLES // len(waiting)) for values, greys in waiting]))


def _common_span(drafts: Sequence[Draft]) -> Span | None:
    """From the lowest to the highest value that any frame can say: slopes may differ from slice to slice."""
    spans = [greys.voi for _, greys in drafts if greys and isinstance(greys.voi, Span)]
    return Span(min(span.low for span in spans), max(span.high for span in spans)) if spans else None


def _masked(frame: Frame, selection: Selection) -> Frame:
    if selection.mask:
        frame = frame.copy()
        for top, left, bottom, right in selection.mask:
            frame[:, top:bottom, left:right] = 0
    return frame


def _square(source: Source, frame: Frame, form: Form, said: set[str]) -> Frame:
    """With pixels as wide as high: the coarser direction is resampled to the finer one."""
    height, width = form.rows, form.columns
    if not 1 / RATIO_MAX <= form.ratio <= RATIO_MAX:
        raise FileFormatError(
            f"{source}: no image: the sides of its pixels differ by more than a factor of {RATIO_MAX}"
        )
    if form.ratio > 1:
        height = round(height * form.ratio)
    else:
        width = round(width / form.ratio)
    if (height, width) == (form.rows, form.columns):
        return frame
    said.add("pixels are not square: resampled by their spacing")
    square: Frame = resized(frame, height, width, "stretch")
    return square


def _is_meant(found: Sequence[Header], number: int, selection: Selection) -> bool:
    series = found[0].series
    frames = sum(header.form.frames for header in found if header.form)
    return selection.series in (0, number) and selection.takes(
        series.modality, series.description, series.body_part, frames
    )


def _once(headers: Sequence[Header]) -> tuple[list[Header], list[str]]:
    """Each image once. Raises SequenceError where two different files claim to be the same image."""
    kept: dict[str, Header] = {}
    copies = 0
    for header in headers:
        key = header.identity.instance or str(header.source)
        other = kept.setdefault(key, header)
        if other is not header:
            if _digest(other.source) != _digest(header.source):
                raise SequenceError(
                    f"{other.source} and {header.source}: differ, and say that they are the same image; remove one"
                )
            copies += 1
    return list(kept.values()), [f"{copies} files are copies of others, and count once"] if copies else []


def _digest(source: Source) -> bytes:
    return hashlib.sha256(source.read()).digest()


def _listed(known: Sequence[Sequence[Header]]) -> str:
    """By number, modality, description and number of frames: nothing that names a patient."""
    lines = []
    for number, found in enumerate(known[:SERIES_SHOWN], start=1):
        series = found[0].series
        frames = sum(header.form.frames for header in found if header.form)
        words = " ".join(
            filter(None, (series.modality, series.body_part, series.description and f"“{series.description}”"))
        )
        lines.append(f"{number}: {words or 'without description'}, {frames} frames")
    if (more := len(known) - SERIES_SHOWN) > 0:
        lines.append(f"and {more} more")
    return "; ".join(lines)
