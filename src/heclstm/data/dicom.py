"""DICOM → frames: the one place that knows pydicom, which comes with the extra `dicom`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.errors import FileFormatError, HeclstmError

DICOM = (".dcm", ".dicom")
MISSING = "{path}: reading DICOM needs pydicom; pip install 'heclstm[dicom]'"
# What pydicom raises on files that lack what an image needs, or that it has no decoder for.
UNDECODABLE = (AttributeError, KeyError, ValueError, TypeError, RuntimeError, NotImplementedError)


@dataclass(frozen=True, repr=False)
class DicomFile:
    """frames: each (1 or 3, height, width) of uint8. number: its place in its series."""

    frames: list[NDArray[np.uint8]]
    number: int


def read_dicom(path: Path) -> DicomFile:
    """Read an image or a multi-frame clip, in the greys that its own window asks for, white on black.

    Without a window the whole range of its bits becomes 0 to 255; look-up tables (VOI LUT) are not applied.
    Raises FileFormatError.
    """
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ImportError as error:
        raise HeclstmError(MISSING.format(path=path)) from error
    try:
        dataset = pydicom.dcmread(path)
        if "PixelData" not in dataset:
            raise FileFormatError(f"{path}: no image: a DICOM file without pixels")
        pixels = _pixels(dataset)
    except OSError as error:
        raise FileFormatError(f"{path}: no image: cannot be read ({error.strerror or 'truncated'})") from error
    except InvalidDicomError as error:
        raise FileFormatError(f"{path}: no image: not a DICOM file") from error
    except UNDECODABLE as error:
        # pydicom's own words would hold values of the file; its class says what is wrong
        raise FileFormatError(
            f"{path}: no image: its pixels cannot be decoded ({type(error).__name__}); a compressed transfer "
            "syntax needs a decoder such as pylibjpeg"
        ) from error
    return DicomFile(_frames(pixels), int(dataset.get("InstanceNumber") or 0))


def read_patient(path: Path) -> str:
    """The patient that a file names, or "" if it names none or is no DICOM file (then `read_dicom` says why)."""
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ImportError as error:
        raise HeclstmError(MISSING.format(path=path)) from error
    try:
        return str(pydicom.dcmread(path, stop_before_pixels=True).get("PatientID") or "")
    except (OSError, InvalidDicomError, *UNDECODABLE):
        return ""


def _pixels(dataset: Any) -> NDArray[np.uint8]:
    """(frames, height, width) or (frames, height, width, 3)."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_windowing, pixel_array

    values = pixel_array(dataset)  # colour spaces become RGB
    if int(dataset.get("NumberOfFrames") or 1) == 1:
        values = values[None]
    signed, bits = int(dataset.PixelRepresentation), int(dataset.BitsStored)
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    if int(dataset.SamplesPerPixel) == 3:
        return _eight_bits(values, low, high)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        coloured = apply_color_lut(values, dataset)
        return _eight_bits(coloured, 0, np.iinfo(coloured.dtype).max)
    if "WindowWidth" in dataset:
        values = apply_windowing(apply_modality_lut(values, dataset), dataset)
        # pydicom spreads a window over the range of the stored bits, rescaled as the file says
        slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
        low, high = low * slope + intercept, high * slope + intercept
    grey = _eight_bits(values, low, high)
    return 255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


def _eight_bits(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    scaled = (values.astype(np.float64) - low) * (255 / max(high - low, 1e-12))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _frames(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [frame[None] if frame.ndim == 2 else frame.transpose(2, 0, 1) for frame in pixels]
