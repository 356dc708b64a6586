"""Greys of whatever a file combines, against pydicom's own processing: signs and bits, slopes, windows and their
functions, in the file or in functional groups of all or of some frames, presentation, transfer syntaxes.
"""

import warnings
from io import BytesIO

import numpy as np
import pydicom
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_windowing
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from dicom_kit import data_set, item
from heclstm.data.images import read_images

MODALITY, VOI = "PixelValueTransformationSequence", "FrameVOILUTSequence"
SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless)
WHERE = ("file", "shared", "each", "some")  # of which frames a value is


@st.composite
def combinations(draw):
    stored, signed = draw(st.sampled_from([6, 8, 10, 12, 15, 16])), draw(st.booleans())
    frames = draw(st.integers(1, 3))
    low, high = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if signed else (0, 2**stored - 1)
    seed = draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).integers(low, high + 1, (frames, 6, 7))
    top = draw(st.integers(stored - 1, 15))  # the highest stored bit
    beside = np.random.default_rng(seed + 1).integers(0, 1 << 16, values.shape) if draw(st.booleans()) else 0
    place = top - stored + 1
    mask = ((1 << stored) - 1) << place
    pixels = ((values << place) & mask) | (beside & ~mask & 0xFFFF)
    slope, function = (
        draw(st.sampled_from([1, -1, 0.5, -2.25])),
        draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"])),
    )
    center = draw(st.integers(low, high)) * slope
    width = max(2, round(abs(slope) * (high - low) * draw(st.floats(0.05, 1.5)), 2))
    return {
        "pixels": pixels.astype(np.uint16), "values": values, "stored": stored, "top": top, "signed": signed,
        "slope": {"RescaleSlope": slope, "RescaleIntercept": draw(st.sampled_from([0, -1024, 17.5]))},
        "window": {"WindowCenter": round(center, 2), "WindowWidth": width, "VOILUTFunction": function},
        "where": (draw(st.sampled_from(WHERE)), draw(st.sampled_from(WHERE))),
        "photometric": draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])),
        "shape": draw(st.sampled_from(["IDENTITY", "INVERSE", None])),
        "syntax": draw(st.sampled_from(SYNTAXES)),
    }  # fmt: skip


def made(found):
    """(data set, what holds for each frame: pydicom processes one data set at a time)"""
    result = data_set(found["pixels"])
    result.BitsStored, result.HighBit, result.PixelRepresentation = found["stored"], found["top"], int(found["signed"])
    result.PhotometricInterpretation, result.PresentationLUTShape = found["photometric"], found["shape"]
    shared, own = Dataset(), [Dataset() for _ in found["values"]]
    flat = [Dataset() for _ in own]
    for (group, name), where in zip(((MODALITY, "slope"), (VOI, "window")), found["where"], strict=True):
        tags = found[name]
        other = {key: value if isinstance(value, str) else value * 1.5 for key, value in tags.items()}
        for number, (frame, one) in enumerate(zip(own, flat, strict=True)):
            mine = other if where == "each" and number or where == "some" and number % 2 else tags
            one.update(Dataset(item(**mine)))
            if where == "each" or (where == "some" and number % 2):
                setattr(frame, group, [item(**mine)])
        if where == "file":
            result.update(item(**tags))
        elif where != "each":
            setattr(shared, group, [item(**tags)])
    result.SharedFunctionalGroupsSequence, result.PerFrameFunctionalGroupsSequence = [shared], own
    for one in flat:
        one.BitsStored, one.PixelRepresentation = found["stored"], int(found["signed"])
        one.PhotometricInterpretation = "MONOCHROME2"
    return result, flat


def expected(found, flat):
    inverted = found["photometric"] == "MONOCHROME1" or found["shape"] == "INVERSE"
    half = 2 ** (found["stored"] - 1)
    ends = np.array([-half, half - 1] if found["signed"] else [0, 2 * half - 1])
    for values, one in zip(found["values"], flat, strict=True):
        low, high = ends * float(one.RescaleSlope) + float(one.RescaleIntercept)  # what pydicom spreads a window over
        share = (apply_windowing(apply_modality_lut(values, one), one) - low) / (high - low)
        yield np.rint(255 * np.clip(1 - share if inverted else share, 0, 1))


@settings(max_examples=80, deadline=None)
@given(combinations())
def test_greys_are_those_of_pydicom_whatever_is_combined(tmp_path_factory, found):
    result, flat = made(found)
    path = tmp_path_factory.mktemp("greys") / "a"
    syntax = found["syntax"] if found["stored"] > 8 or found["syntax"] != RLELossless else ExplicitVRLittleEndian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if syntax == RLELossless:
            result.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)
        elif syntax == ExplicitVRBigEndian:
            result.PixelData = found["pixels"].astype(">u2").tobytes()
        result.file_meta.TransferSyntaxUID = syntax
        buffer = BytesIO()
        result.save_as(buffer, enforce_file_format=True)
        path.write_bytes(buffer.getvalue())
        wanted = list(expected(found, flat))
    shown = read_images([path]).frames
    assert len(shown) == len(wanted)
    for frame, each in zip(shown, wanted, strict=True):
        assert np.abs(frame[0].astype(int) - each).max() <= 1
    assert pydicom.dcmread(path).Rows == 6
