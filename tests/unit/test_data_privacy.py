"""Who a patient is stays in his files: no message, note, repr, log or name of a part tells it, whatever goes wrong."""

import logging
import re
import struct

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement

import dicom_kit
from heclstm.card.preparation import Preparation
from heclstm.data.datasets import load_dataset
from heclstm.data.dicom import Selection, header_of, read_dicom
from heclstm.data.handed_in import read_handed_in
from heclstm.data.images import read_images
from heclstm.data.sources import Source
from heclstm.errors import HeclstmError

NAME, ID, DAY, ROOT = "Zyxw^Vutsr", "MRN-4711-0815", "19700131", "1.2.826.0.1.99999999"
MARKS = re.compile(r"zyxw|vutsr|4711|0815|1970|99999999|ZZ", re.IGNORECASE)
MARKED = {
    "PatientName": NAME, "PatientID": ID, "PatientBirthDate": DAY, "StudyDate": DAY, "AcquisitionDate": DAY,
    "AccessionNumber": "0815", "StudyInstanceUID": f"{ROOT}.1", "SeriesInstanceUID": f"{ROOT}.2",
    "SeriesDescription": "thorax ZYXW 1970-01-31 MRN-4711", "Modality": "CT", "InstitutionName": "ZZ hospital",
    "SOPInstanceUID": f"{ROOT}.3", "InstanceNumber": 4711, "AcquisitionTime": "081508", "ImageComments": NAME,
}  # fmt: skip
# Elements that decide how a file is read, each spoiled with a value that tells who the patient is.
DECIDING = (
    "InstanceNumber", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel",
    "PixelRepresentation", "PhotometricInterpretation", "WindowCenter", "WindowWidth", "RescaleSlope",
    "RescaleIntercept", "VOILUTFunction", "PixelSpacing", "PixelAspectRatio", "ImagePositionPatient",
    "ImageOrientationPatient", "AcquisitionDateTime", "AcquisitionTime", "TriggerTime", "FrameTime", "PatientID",
    "PatientName", "StudyInstanceUID", "SOPInstanceUID", "SpecificCharacterSet", "SeriesNumber", "Modality",
    "BodyPartExamined", "BurnedInAnnotation", "PixelPaddingValue", "PresentationLUTShape", "GridFrameOffsetVector",
)  # fmt: skip
PIXELS = dicom_kit.ramp(0, 255, np.uint8)


@pytest.fixture
def heard(caplog, tmp_path):
    """Everything that was said so far, on all levels."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("pydicom").setLevel(logging.DEBUG)
    texts = []

    def read(what, *arguments, **options):
        """Call a reader, and keep what it says."""
        try:
            result = what(*arguments, **options)
        except HeclstmError as error:
            texts.extend((str(error), repr(error), str(error.__cause__)))
            return
        texts.extend((repr(result), str(getattr(result, "notes", "")), str(getattr(result, "order", ""))))

    yield read
    texts += [record.getMessage() for record in caplog.records]
    # addresses of objects and the test's own folder hold any digits
    bare = [re.sub(r"0x[0-9a-f]+", "", text).replace(str(tmp_path), "") for text in texts]
    leaks = [text for text in bare if MARKS.search(text)]
    assert not leaks


VALID = {
    "SpecificCharacterSet": "ISO_IR 100",
    "US": 1,
    "DA": "20240131",
    "TM": "120000",
    "DT": "20240131120000",
    "UI": "1.2",
    "CS": "A",
}


def spoiled(path, keyword, value):
    """A whole file but for one element, whose bytes are not what its type asks for."""
    tag = pydicom.datadict.tag_for_keyword(keyword)
    kind = pydicom.datadict.dictionary_VR(tag).split(" ")[0]
    data_set = dicom_kit.data_set(PIXELS, **MARKED)
    if keyword not in data_set:
        data_set.add(DataElement(tag, kind, VALID.get(keyword, VALID.get(kind, "1"))))
    data_set.save_as(path, implicit_vr=False, little_endian=True)
    content, value = path.read_bytes(), value.encode() + b" " * (len(value) % 2)
    place = content.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF) + kind.encode(), 132)
    (size,) = struct.unpack_from("<H", content, place + 6)
    path.write_bytes(content[: place + 6] + struct.pack("<H", len(value)) + value + content[place + 8 + size :])
    return path


@pytest.mark.parametrize("keyword", DECIDING)
@pytest.mark.parametrize("value", [f"{NAME}={ID}", f"{DAY}\\{ID}", "4711" * 20], ids=["name", "date", "digits"])
def test_a_value_that_cannot_be_read_is_not_shown(tmp_path, heard, keyword, value):
    path = spoiled(tmp_path / "a", keyword, value)
    heard(read_images, path)
    heard(read_dicom, path)
    dicom_kit.save(tmp_path / "b", PIXELS, **MARKED | {"SOPInstanceUID": f"{ROOT}.5", "InstanceNumber": 815})
    heard(read_images, tmp_path)
    heard(header_of, Source(path))


def test_refusals_of_many_files_name_nobody(tmp_path, heard):
    def other(name, **tags):
        dicom_kit.save(tmp_path / name / "1", PIXELS, **MARKED)
        dicom_kit.save(tmp_path / name / "2", PIXELS, **MARKED | {"SOPInstanceUID": f"{ROOT}.4"} | tags)
        heard(read_images, tmp_path / name)
        heard(read_images, [tmp_path / name / "1", tmp_path / name / "2"], as_given=True)

    other("patients", PatientID="MRN-0815-1970")
    other("series", SeriesInstanceUID=f"{ROOT}.7", SeriesDescription=f"for {NAME}", BodyPartExamined="ZZ 4711")
    other("studies", StudyInstanceUID=f"{ROOT}.8", SeriesInstanceUID=f"{ROOT}.9", Modality="ZYXW")
    other("twice", SOPInstanceUID=f"{ROOT}.3", PixelData=bytes(PIXELS.size))
    other("unordered")
    other("burnt", BurnedInAnnotation="YES", InstanceNumber=2)
    other("depth", PixelSpacing=[1, 20], InstanceNumber=2)
    heard(read_images, tmp_path / "series", selection=Selection(description="zyxw*"))


def test_what_is_read_shows_nobody(tmp_path, heard):
    path = dicom_kit.save(tmp_path / "a.dcm", PIXELS, **MARKED)
    preparation = Preparation("frames", (2, 1, 8, 8), 2, 1, 8, 8, resize="crop", colour="grey", length="sample")
    handed = read_handed_in(path, preparation)
    for text in (repr(handed), repr(handed.sequence), *handed.told()):
        heard(lambda text=text: text)
    header = header_of(Source(path))
    for value in (header, header.identity, header.series, header.form, header.places):
        heard(lambda value=value: value)


def test_data_sets_name_patients_by_their_folders(tmp_path, heard):
    for number in range(12):
        name = ("negative", "positive")[number % 2]
        tags = MARKED | {"PatientID": f"MRN-4711-{number // 2}", "SeriesInstanceUID": f"{ROOT}.{number}"}
        dicom_kit.save(tmp_path / name / f"clip{number}.dcm", np.roll(PIXELS, number), **tags)
    splits = load_dataset("clips", tmp_path)
    for part in (splits.train, splits.validation, splits.test):
        heard(lambda part=part: (part.patients, part.names, part))
    heard(lambda: (splits.notes, splits.digest))
    heard(load_dataset, "clips", tmp_path, {"folds": 9})
