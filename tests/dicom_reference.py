"""pydicom's own processing, and PS3.3 C.11 where it has none, for whole files: what heclstm must show of them.

Written without a line of heclstm's, for the two public collections of pydicom: the files inside of it, and those of
the package pydicom-data.
"""

import warnings
from functools import cache, wraps
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array


def quiet(function):
    """pydicom warns about files that break the standard; here they are read on purpose."""

    @wraps(function)
    def inner(*arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*arguments)

    return inner


PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@cache
@quiet
def files():
    """Name → path of every file of both collections that pydicom opens and that holds pixels."""
    roots = {"pydicom": Path(pydicom.__file__).parent / "data"}
    if found := find_spec("data_store"):  # as pydicom-data calls its package
        roots["pydicom-data"] = Path(found.origin).parent / "data"
    result = {}
    for title, root in roots.items():
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            try:
                data_set = pydicom.dcmread(path)
            except (pydicom.errors.InvalidDicomError, OSError):
                continue
            if any(name in data_set for name in PIXELS):
                result[f"{title}: {path.relative_to(root)}"] = path
    return result


def of_frame(data_set, frame, group, name):
    """A value where an enhanced object keeps it, else where all others do."""
    own = data_set.get("PerFrameFunctionalGroupsSequence") or []
    for holder in [*own[frame : frame + 1], *(data_set.get("SharedFunctionalGroupsSequence") or [])]:
        for item in holder.get(group) or []:
            if item.get(name) is not None:
                return item.get(name)
    return data_set.get(name)


def first(value):
    several = isinstance(value, list | pydicom.multival.MultiValue)
    return float(value[0]) if several else float(value)


@quiet
def shown(path):
    """(frames as stored: uint8, (height, width) or (height, width, 3); whether their range is the data's own)"""
    data_set = pydicom.dcmread(path)
    pixels = pixel_array(data_set)
    frames = list(pixels) if int(data_set.get("NumberOfFrames") or 1) > 1 else [pixels]
    if data_set.SamplesPerPixel == 3:
        return [in_eight_bits(frame, 2**data_set.BitsStored - 1) for frame in frames], False
    if data_set.PhotometricInterpretation == "PALETTE COLOR":
        if data_set.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.2":  # whose palettes pydicom reads swapped
            for name in (f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")):
                if name in data_set:
                    setattr(data_set, name, np.frombuffer(data_set[name].value, ">u2").astype("<u2").tobytes())
        white = 2 ** data_set.RedPaletteColorLookupTableDescriptor[2] - 1
        return [in_eight_bits(apply_color_lut(frame, data_set), white) for frame in frames], False
    values = [modality(data_set, number, frame) for number, frame in enumerate(frames)]
    shares = [
        voi(data_set, number, frame, value) for number, (frame, value) in enumerate(zip(frames, values, strict=True))
    ]
    own = any(share is None for share in shares)
    if own:
        low, high = np.quantile(np.concatenate([value.ravel() for value in values]), (0.005, 0.995))
        shares = [(value - low) / (high - low) for value in values]
    inverted = data_set.PhotometricInterpretation == "MONOCHROME1" or data_set.get("PresentationLUTShape") == "INVERSE"
    shares = [np.clip(1 - share if inverted else share, 0, 1) for share in shares]
    return [np.rint(255 * share).astype(np.uint8) for share in shares], own


def in_eight_bits(values, white):
    return np.rint(values.astype(float) * 255 / white).astype(np.uint8)


def modality(data_set, number, frame):
    if data_set.get("ModalityLUTSequence"):
        return apply_modality_lut(frame, data_set).astype(float)
    slope = of_frame(data_set, number, "PixelValueTransformationSequence", "RescaleSlope")
    intercept = of_frame(data_set, number, "PixelValueTransformationSequence", "RescaleIntercept")
    return frame.astype(float) * float(1 if slope is None else slope) + float(intercept or 0)


def voi(data_set, number, frame, values):
    """0 … 1 and beyond, or None where nothing in the file says how more than eight bits are shown."""
    if tables := data_set.get("VOILUTSequence"):
        looked_up = apply_voi_lut(apply_modality_lut(frame, data_set), data_set, prefer_lut=True)
        return looked_up / (2.0 ** tables[0].LUTDescriptor[2] - 1)
    center = of_frame(data_set, number, "FrameVOILUTSequence", "WindowCenter")
    width = of_frame(data_set, number, "FrameVOILUTSequence", "WindowWidth")
    if center is not None and width is not None:
        assert (of_frame(data_set, number, "FrameVOILUTSequence", "VOILUTFunction") or "LINEAR") == "LINEAR"
        return (values - (first(center) - 0.5)) / (first(width) - 1) + 0.5
    if data_set.BitsStored > 8:
        return None
    return values / (2.0**data_set.BitsStored - 1)


@quiet
def square(path):
    """(height, width) that the file's frames have when its pixels are made square."""
    data_set = pydicom.dcmread(path)
    size = [data_set.Rows, data_set.Columns]
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"):
        if spacing := of_frame(data_set, 0, "PixelMeasuresSequence", name):
            if min(spacing) <= 0:
                continue
            ratio = float(spacing[0]) / float(spacing[1])
            size[0 if ratio > 1 else 1] *= max(ratio, 1 / ratio)
            break
    return round(size[0]), round(size[1])
