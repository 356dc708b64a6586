"""Encoded pixels → stored values, frame by frame, after what they claim was checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.data.budget import Budget
from heclstm.data.dicom.apart import CRASHES, DECODER
from heclstm.data.dicom.codestream import claimed_size, runs_to
from heclstm.data.dicom.header import Form, Header
from heclstm.data.dicom.library import Dataset, decoded, encoded, guarded, has_plugin, read_whole
from heclstm.data.sources import Source
from heclstm.errors import FileFormatError, HeclstmError

PLAIN = {
    "1.2.840.10008.1.2": "implicit little endian",
    "1.2.840.10008.1.2.1": "explicit little endian",
    "1.2.840.10008.1.2.1.99": "deflated",
    "1.2.840.10008.1.2.2": "explicit big endian",
}
RLE = "1.2.840.10008.1.2.5"
# transfer syntax → its name, and who decodes it: (pydicom's name for the decoder, the package that brings it).
# One decoder each where it can be, so that training and hospital read the same greys.
LOSSLESS = (("gdcm", "heclstm[dicom]"), ("pylibjpeg", "pylibjpeg-libjpeg"))
WAVELET = (("pylibjpeg", "heclstm[dicom]"),)
COMPRESSED = {
    "1.2.840.10008.1.2.4.50": ("JPEG baseline", (("pillow", "pillow"),)),
    "1.2.840.10008.1.2.4.51": ("JPEG extended", (("pillow", "pillow"), ("pylibjpeg", "pylibjpeg-libjpeg"))),
    "1.2.840.10008.1.2.4.57": ("JPEG lossless", LOSSLESS),
    "1.2.840.10008.1.2.4.70": ("JPEG lossless", LOSSLESS),
    "1.2.840.10008.1.2.4.80": ("JPEG-LS", (("pyjpegls", "heclstm[dicom]"),)),
    "1.2.840.10008.1.2.4.81": ("JPEG-LS", (("pyjpegls", "heclstm[dicom]"),)),
    "1.2.840.10008.1.2.4.90": ("JPEG 2000", WAVELET),
    "1.2.840.10008.1.2.4.91": ("JPEG 2000", WAVELET),
    "1.2.840.10008.1.2.4.201": ("HTJ2K", WAVELET),
    "1.2.840.10008.1.2.4.202": ("HTJ2K", WAVELET),
    "1.2.840.10008.1.2.4.203": ("HTJ2K", WAVELET),
    RLE: ("RLE", (("pydicom", "heclstm[dicom]"),)),  # the plug-in pylibjpeg-rle is faster, and panics on damage
}


def take(budget: Budget, header: Header) -> Form:
    """Count a file's frames. Raises FileFormatError for one without pixels, or with too many."""
    form = header.form
    if form is None:
        raise FileFormatError(f"{header.source}: no image: a DICOM file without pixels")
    budget.take(
        str(header.source),
        form.rows,
        form.columns,
        form.samples,
        frames=form.frames,
        sample_bytes=max(1, form.bits_allocated // 8),
    )
    return form


def stored_frames(header: Header, form: Form) -> tuple[Dataset, Iterator[NDArray[Any]]]:
    """The data set, and its frames: (rows, columns), or (rows, columns, 3) in RGB."""
    source = header.source
    plugin = _plugin(source, form)
    dataset = read_whole(source)
    if plugin:
        _check_claims(source, dataset, form)
    return dataset, _frames(source, dataset, form, plugin)


def _frames(source: Source, dataset: Dataset, form: Form, plugin: str) -> Iterator[NDArray[Any]]:
    shape = (form.rows, form.columns) if form.samples == 1 else (form.rows, form.columns, form.samples)
    count = 0
    shifted = form.high_bit != form.bits_stored - 1 and form.samples == 1
    if plugin in CRASHES:
        frames = iter(DECODER.frames(source, plugin, unused_bits=shifted))
    else:
        frames = decoded(source, dataset, plugin, unused_bits=shifted)
    for frame in frames:
        if frame.shape != shape or count == form.frames:
            raise FileFormatError(f"{source}: no image: its pixels cannot be decoded: another size than in its header")
        count += 1
        yield _stored_bits(frame, form) if shifted else frame
    if count < form.frames:
        raise FileFormatError(f"{source}: no image: its pixels cannot be decoded: {count} of {form.frames} frames")


def _stored_bits(frame: NDArray[Any], form: Form) -> NDArray[Any]:
    """Older files do not store values in the lowest bits; pydicom takes for granted that all do."""
    raised = frame << (form.bits_allocated - 1 - form.high_bit)  # the highest stored bit becomes the sign
    return np.asarray(raised >> (form.bits_allocated - form.bits_stored))


def _plugin(source: Source, form: Form) -> str:
    """The decoder for a transfer syntax, "" where nothing is compressed. Raises HeclstmError where it is absent."""
    if form.syntax in PLAIN:
        return ""
    if form.syntax not in COMPRESSED:
        raise FileFormatError(
            f"{source}: no image: its transfer syntax is none that is read (such as a video); export frames, or "
            "store it uncompressed"
        )
    name, decoders = COMPRESSED[form.syntax]
    if name == "JPEG extended" and form.bits_stored > 8:
        decoders = decoders[1:]  # Pillow reads 8 bits only
    for plugin, _ in decoders:
        if has_plugin(source, form.syntax, plugin):
            return plugin
    package = decoders[0][1]
    licence = " (its licence is the GPL)" if "libjpeg" in package else ""
    raise HeclstmError(
        f"{source}: no image: {name} of {form.bits_stored} bits needs a decoder that is not installed; "
        f"pip install '{package}'{licence}"
    )


def _check_claims(source: Source, dataset: Dataset, form: Form) -> None:
    """Every frame says the size that the header says, before a decoder allocates what it says."""
    size = form.rows * form.columns
    for frame in encoded(source, dataset, form.frames):
        with guarded(source, "its pixels cannot be decoded"):
            if form.syntax == RLE:
                fits = runs_to(frame, size)
            else:
                claim = claimed_size(frame)
                fits = claim is not None and claim == (form.rows, form.columns, form.samples)
        if not fits:
            raise FileFormatError(f"{source}: no image: a compressed frame has another size than its header says")
