"""Small DICOM files made from nothing, and the formulas of PS3.3 C.11 written a second time, to compare with."""

import math
from itertools import count

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
NUMBERS = count()  # of images made so far: each is another one, and the same ones in every run
AXIAL = [1, 0, 0, 0, 1, 0]


def uid(seed):
    """The same one for the same seed."""
    return generate_uid(prefix="1.2.826.0.1.3680043.8.498.", entropy_srcs=[str(seed)])


def data_set(pixels, **tags):
    """pixels: (height, width), (frames, height, width), or either with 3 colours behind. A tag of None is left out."""
    pixels = np.ascontiguousarray(pixels)
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3 and pixels.dtype == np.uint8
    result = Dataset()
    result.preamble, result.file_meta = bytes(128), FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result.file_meta.MediaStorageSOPClassUID = result.SOPClassUID = CT
    result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID = uid(next(NUMBERS))
    result.PatientID, result.StudyInstanceUID, result.SeriesInstanceUID = "p", uid("study"), uid("series")
    size = pixels.shape[:-1] if colour else pixels.shape
    if len(size) == 3:
        result.NumberOfFrames = size[0]
    result.Rows, result.Columns = size[-2:]
    result.SamplesPerPixel = 3 if colour else 1
    result.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        result.PlanarConfiguration = 0
    result.BitsAllocated = result.BitsStored = 8 * pixels.dtype.itemsize
    result.HighBit, result.PixelRepresentation = result.BitsStored - 1, int(pixels.dtype.kind == "i")
    result.PixelData = pixels.tobytes() + bytes(pixels.nbytes % 2)
    for name, value in tags.items():
        if value is None:
            result.pop(name, None)
        else:
            setattr(result, name, value)
    if "BitsStored" in tags and "HighBit" not in tags:
        result.HighBit = result.BitsStored - 1
    return result


def save(path, pixels, **tags):
    path.parent.mkdir(parents=True, exist_ok=True)
    data_set(pixels, **tags).save_as(path, enforce_file_format=True)
    return path


def item(**tags):
    result = Dataset()
    for name, value in tags.items():
        setattr(result, name, value)
    return result


def flat(level, size=(8, 8)):
    """A frame of one grey, by which it is known again."""
    return np.full(size, level, np.uint8)


def ramp(low, high, dtype=np.uint16, size=(24, 32)):
    return np.rint(np.linspace(low, high, size[0] * size[1])).astype(dtype).reshape(size)


def table(entries, first=0, bits=16, signed=False):
    """An item of a look-up table sequence."""
    result = Dataset()
    kind = "SS" if signed else "US"
    result.add_new("LUTDescriptor", kind, [len(entries), first, bits])
    result.add_new("LUTData", "US", [int(entry) for entry in entries])
    return result


def window(values, center, width, function="LINEAR"):
    """PS3.3 C.11.2.1.2, value by value as the standard writes it, to 0 … 255."""

    def one(x):
        if function == "SIGMOID":
            return 255 / (1 + math.exp(min(-4 * (x - center) / width, 700)))  # beyond it is 0 as well
        c, w = (center, width) if function == "LINEAR_EXACT" else (center - 0.5, width - 1)
        if x <= c - w / 2:
            return 0.0
        if x > c + w / 2:
            return 255.0
        return ((x - c) / w + 0.5) * 255

    return np.array([round(one(x)) for x in np.asarray(values, float).ravel()]).reshape(np.shape(values))


def slices(folder, count=4, names=None, numbers=None, positions=None, **tags):
    """A series of flat slices, level 20·(z+1), in files whose names say nothing; returns their paths."""
    paths = []
    for z in range(count):
        extra = {}
        if positions is not None:
            extra |= {"ImageOrientationPatient": AXIAL, "ImagePositionPatient": [0, 0, float(positions[z])]}
        if numbers is not None and numbers[z] is not None:
            extra["InstanceNumber"] = numbers[z]
        name = names[z] if names else f"{(z * 7 + 3) % 11}{z}"
        paths.append(save(folder / name, flat(20 * (z + 1)), SOPInstanceUID=uid((str(folder), z)), **extra, **tags))
    return paths


def levels(images):
    """What `slices` wrote, as z from 0."""
    return [int(frame.flat[0]) // 20 - 1 for frame in images.frames]
