"""What a file asks for → the `Greys` of each of its frames, and what is to be said about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np

from heclstm.data.dicom.greys import Array, Function, Greys, Rescale, Span, Table, Window
from heclstm.data.dicom.header import Form
from heclstm.data.dicom.library import Dataset
from heclstm.data.dicom.values import checked_floats, floats, given, groups, items, of_frame, text, whole
from heclstm.data.sources import Source
from heclstm.errors import FileFormatError

PLAIN_BITS = 8  # up to here values are greys already, and their whole range is shown
NO_WINDOW = "no window: greys are spread over the data's own range, without the outermost half per cent"
FIRST_WINDOW = "several windows: the first is used"
EMPTY_WINDOW = "a window without center or width is passed over"
NARROW_WINDOW = "a window narrower than 1 is read as LINEAR_EXACT"
FIRST_TABLE = "several look-up tables: the first is used"
ENTRIES_MAX = 1 << 16
# What a file says of itself that its greys alone do not show: keyword, value, what is told.
SAID = (
    (
        "PresentationIntentType",
        "FOR PROCESSING",
        "images are stored for processing, and not as they are meant to be seen",
    ),
    (
        "RecommendedViewingMode",
        "SUB",
        "frames are meant to be seen after a mask was subtracted; they are shown as they are",
    ),
    ("StereoPairsPresent", "YES", "frames are seen by two eyes in turn"),
    ("PixelPresentation", "COLOR", "colours that are laid over greys are left out"),
    ("PixelPresentation", "MIXED", "colours that are laid over greys are left out"),
)


@dataclass
class Mapping:
    """Reads one file's frames; `notes` grows."""

    source: Source
    dataset: Dataset
    form: Form
    notes: set[str]

    def greys(self, frame: int) -> Greys:
        """Raises FileFormatError where a value that decides about greys is none."""
        if frame == 0:
            self._tell()
        modality = self._modality(frame)
        return Greys(modality, self._voi(frame, modality), self._inverted(), self._padding())

    def palette_bits(self, palette: Callable[[Array], Array]) -> int:
        """How many bits its colours have: those that its descriptor says, but some files say 16 and write 8."""
        described = floats(self.dataset, "RedPaletteColorLookupTableDescriptor")
        if described is None or len(described) != 3 or described[2] not in (8, 16):
            raise FileFormatError(f"{self.source}: no image: its palette has no descriptor of three numbers")
        count, first, bits = (int(number) for number in described)
        entries = np.arange(max(0, first), max(0, first) + (count or ENTRIES_MAX))
        return bits if palette(entries).max() >= 1 << PLAIN_BITS else PLAIN_BITS

    def _tell(self) -> None:
        """What a reader should know. Raises FileFormatError for a presentation that is not done."""
        if items(self.dataset, "PresentationLUTSequence"):
            raise FileFormatError(
                f"{self.source}: no image: asks for a look-up table of its presentation; export it as it is shown"
            )
        self.notes |= {told for name, value, told in SAID if text(self.dataset, name).upper() == value}
        if self.form.photometric == "MONOCHROME1" and text(self.dataset, "PresentationLUTShape") == "IDENTITY":
            self.notes.add("whether black is shown white is told in two ways; it is, as MONOCHROME1 says")

    def _modality(self, frame: int) -> Rescale | Table:
        if tables := items(self.dataset, "ModalityLUTSequence"):
            return self._table(self._first(tables), signed=self.form.signed)
        group = "PixelValueTransformationSequence"
        slope, intercept = (
            self._only(checked_floats(self.source, of_frame(self.dataset, frame, group, name), name), name, default)
            for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
        )
        if slope == 0:
            raise FileFormatError(f"{self.source}: no image: its RescaleSlope is 0, which makes all values one")
        return Rescale(slope, intercept)

    def _first(self, tables: list[Dataset]) -> Dataset:
        if len(tables) > 1:
            self.notes.add(FIRST_TABLE)
        return tables[0]

    def _only(self, values: tuple[float, ...], name: str, default: float) -> float:
        if len(values) > 1:
            raise FileFormatError(f"{self.source}: no image: {name} holds {len(values)} numbers, expected one")
        return values[0] if values else default

    def _voi(self, frame: int, modality: Rescale | Table) -> Window | Table | Span | None:
        for holder in [*groups(self.dataset, frame, "FrameVOILUTSequence"), self.dataset]:
            if tables := items(holder, "VOILUTSequence"):
                return self._table_of_greys(self._first(tables), signed=self._whole(modality).low < 0)
            if window := self._window(holder):
                return window
        if self.form.bits_stored <= PLAIN_BITS:
            return self._whole(modality)
        self.notes.add(NO_WINDOW)
        return None

    def _window(self, holder: Dataset) -> Window | None:
        centers, widths = (checked_floats(self.source, holder, name) for name in ("WindowCenter", "WindowWidth"))
        if not centers or not widths or widths[0] <= 0:
            if centers or widths:
                self.notes.add(EMPTY_WINDOW)
            return None
        if len(centers) > 1 or len(widths) > 1:
            self.notes.add(FIRST_WINDOW)
        name = text(holder, "VOILUTFunction").upper() or "LINEAR"
        if name not in get_args(Function):
            raise FileFormatError(
                f"{self.source}: no image: its VOILUTFunction is none of {', '.join(get_args(Function))}"
            )
        if name == "LINEAR" and widths[0] < 1:
            self.notes.add(NARROW_WINDOW)
            name = "LINEAR_EXACT"
        return Window(centers[0], widths[0], cast(Function, name))

    def _whole(self, modality: Rescale | Table) -> Span:
        """All that the stored bits, or the table of the modality, can say."""
        if isinstance(modality, Table):
            return Span(0.0, 2.0**modality.bits - 1)
        bits = self.form.bits_stored
        ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if self.form.signed else (0, 2**bits - 1)
        low, high = sorted(modality(np.array(ends)).tolist())
        return Span(low, high)

    def _inverted(self) -> bool:
        return self.form.photometric == "MONOCHROME1" or text(self.dataset, "PresentationLUTShape") == "INVERSE"

    def _padding(self) -> tuple[int, int] | None:
        """As pixels are stored: some files write the same bits with the other sign."""
        value = whole(self.dataset, "PixelPaddingValue")
        limit = whole(self.dataset, "PixelPaddingRangeLimit")
        if value is None:
            return None
        ends = [self._as_stored(end) for end in (value, value if limit is None else limit)]
        return min(ends), max(ends)

    def _as_stored(self, value: int) -> int:
        if self.form.signed:
            return value - ENTRIES_MAX if value >= ENTRIES_MAX // 2 else value
        return value + ENTRIES_MAX if value < 0 else value

    def _table(self, item: Dataset, *, signed: bool) -> Table:
        """signed: whether the table's input may lie below 0, and so its first value."""
        described = floats(item, "LUTDescriptor")
        if described is None or len(described) != 3:
            raise FileFormatError(f"{self.source}: no image: a look-up table has no descriptor of three numbers")
        count, first, bits = (int(number) for number in described)
        count = count or ENTRIES_MAX
        if signed and first >= ENTRIES_MAX // 2:
            first -= ENTRIES_MAX  # written as unsigned, since the same element type serves both
        entries = self._entries(item, count)
        if not (1 <= count <= ENTRIES_MAX and 1 <= bits <= 16 and len(entries) == count):
            raise FileFormatError(
                f"{self.source}: no image: a look-up table has other entries than its descriptor says"
            )
        return Table(first, bits, entries)

    def _table_of_greys(self, item: Dataset, *, signed: bool) -> Table:
        table = self._table(item, signed=signed)
        if table.bits > PLAIN_BITS and table.entries.max() < 2 ** (table.bits - 2):
            raise FileFormatError(
                f"{self.source}: no image: its look-up table of greys uses only the lowest quarter of the {table.bits} "
                "bits that its descriptor says; export it with a window, or with the right descriptor"
            )
        return table

    def _entries(self, item: Dataset, count: int) -> Array:
        if not given(item, "LUTData"):
            raise FileFormatError(f"{self.source}: no image: a look-up table is empty")
        data = item.LUTData
        if not isinstance(data, bytes):
            return np.asarray(data, dtype=np.int64).reshape(-1)[:count]
        if len(data) // 2 >= count:
            little = getattr(self.dataset, "original_encoding", (None, True))[1] is not False
            return np.frombuffer(data[: 2 * count], "<u2" if little else ">u2").astype(np.int64)
        return np.frombuffer(data[:count], np.uint8).astype(np.int64)
