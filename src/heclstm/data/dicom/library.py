"""The one place that knows pydicom, which comes with the extra `dicom`: files in, data sets and decoded frames out.

pydicom quotes values of a file in its warnings and errors. Nothing of that leaves this module: warnings are silenced
while it works, and errors are told by their class.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from heclstm.data.quiet import quiet
from heclstm.data.sources import Source
from heclstm.errors import FileFormatError, HeclstmError

MISSING = "{name}: reading DICOM needs pydicom; pip install 'heclstm[dicom]'"
INFLATED_BYTES_MAX = 256 << 20  # of a deflated data set; they are rare, and small where they occur
DEFLATED = "1.2.840.10008.1.2.1.99"
PREAMBLE = bytes(128) + b"DICM"
# (0002,0010) UI "1.2.840.10008.1.2.1": explicit VR, little endian
EXPLICIT_LITTLE = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00"
PIXEL_ELEMENTS = {0x7FE00010: "integer", 0x7FE00008: "float", 0x7FE00009: "float"}
Dataset = Any  # pydicom's; it has no static shape


def pydicom(name: object) -> Any:
    """The library. Raises HeclstmError with what to install."""
    try:
        module = import_module("pydicom")
    except ImportError as error:
        raise HeclstmError(MISSING.format(name=name)) from error
    log = logging.getLogger("pydicom")
    if log.level <= logging.CRITICAL:
        log.setLevel(logging.CRITICAL + 1)  # its records quote values too
    return module


@cache
def tag_of(keyword: str) -> Any:
    """The number of an element: pydicom takes long to find that a data set has none of this name."""
    return import_module("pydicom.tag").Tag(keyword)


@contextmanager
def guarded(name: object, what: str = "its header cannot be read") -> Iterator[None]:
    """Whatever pydicom or a decoder raises becomes a FileFormatError without a value of the file."""
    try:
        with quiet():
            yield
    except HeclstmError:
        raise
    except OSError as error:
        raise FileFormatError(f"{name}: no image: cannot be read ({error.strerror or 'truncated'})") from None
    except MemoryError:
        raise FileFormatError(f"{name}: does not fit into the memory of this machine") from None
    except Exception as error:  # a parser of foreign bytes: any class is possible, none may pass
        if type(error).__name__ == "InvalidDicomError":
            raise FileFormatError(f"{name}: no image: not a DICOM file") from None
        raise FileFormatError(f"{name}: no image: {what} ({type(error).__name__})") from None


def read_header(source: Source) -> tuple[Dataset, str]:
    """All elements in front of the pixels, and which pixels follow: "integer", "float" or "" for none."""
    library, seen = pydicom(source), []

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag in PIXEL_ELEMENTS:
            seen.append(PIXEL_ELEMENTS[tag])
        return tag in PIXEL_ELEMENTS

    with guarded(source), source.open() as stream:
        dataset = library.filereader.read_partial(_inflated(source, stream), stop_when=at_pixels)
    return dataset, seen[0] if seen else ""


def read_whole(source: Source) -> Dataset:
    """The data set with its pixels, still as they are encoded."""
    library = pydicom(source)
    with guarded(source), source.open() as stream:
        return library.dcmread(_inflated(source, stream))


def _inflated(source: Source, stream: IO[bytes]) -> IO[bytes]:
    """The stream itself; of a deflated data set, what it inflates to, within limits."""
    start = stream.read(len(PREAMBLE))
    if start[128:] != b"DICM":
        raise FileFormatError(f"{source}: no image: not a DICOM file")
    meta = pydicom(source).filereader.read_dataset(
        stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, vr, length: tag >> 16 != 2
    )
    if str(meta.get("TransferSyntaxUID", "")) != DEFLATED:
        stream.seek(0)
        return stream
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(stream.read(), INFLATED_BYTES_MAX)
    if inflater.unconsumed_tail:
        raise FileFormatError(f"{source}: inflates to more than {INFLATED_BYTES_MAX} bytes; store it without deflating")
    if not inflater.eof:
        raise FileFormatError(f"{source}: no image: its deflated data are cut off")
    return BytesIO(PREAMBLE + EXPLICIT_LITTLE + content)


def decoded(source: Source, dataset: Dataset, plugin: str, *, unused_bits: bool = False) -> Iterator[NDArray[Any]]:
    """Each frame as stored, (rows, columns) or (rows, columns, samples); colour spaces become RGB.

    unused_bits: keep what stands beside the stored bits.
    """
    with guarded(source, "its pixels cannot be decoded"):
        options = {"decoding_plugin": plugin, "correct_unused_bits": not unused_bits}
        frames = pydicom(source).pixels.iter_pixels(dataset, **options)
    while True:
        with guarded(source, "its pixels cannot be decoded"):
            if (frame := next(frames, None)) is None:
                return
        yield frame


def encoded(source: Source, dataset: Dataset, count: int) -> Iterator[bytes]:
    """The compressed bytes of each frame."""
    with guarded(source, "its pixels cannot be decoded"):
        options = {}
        if "ExtendedOffsetTable" in dataset:
            options["extended_offsets"] = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
        yield from pydicom(source).encaps.generate_frames(dataset.PixelData, number_of_frames=count, **options)


def coloured(source: Source, dataset: Dataset) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The palette of a data set, as a function of stored frames."""
    library = pydicom(source)
    _make_palette_native(dataset)

    def apply(frame: NDArray[Any]) -> NDArray[Any]:
        with guarded(source, "its palette cannot be used"):
            colours: NDArray[Any] = np.asarray(library.pixels.apply_color_lut(frame, dataset))
            return colours

    return apply


def _make_palette_native(dataset: Dataset) -> None:
    """Of a big-endian file, pydicom reads palettes of 16 bits as if they were little-endian."""
    if dataset.original_encoding[1] is not False:
        return
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTable"
        entries, content = dataset.get(f"{name}Descriptor", [0])[0] or 1 << 16, dataset.get(f"{name}Data")
        if isinstance(content, bytes) and len(content) == 2 * entries:
            setattr(dataset, f"{name}Data", np.frombuffer(content, ">u2").astype("<u2").tobytes())


def has_plugin(name: object, syntax: str, plugin: str) -> bool:
    """Whether pydicom has this decoder for a transfer syntax on this machine."""
    with guarded(name, "its transfer syntax is not known"):
        decoder = import_module("pydicom.pixels").get_decoder(syntax)
        return plugin in decoder.available_plugins
