"""Images made to exhaust a hospital's memory, or to break what reads them: refused, by a typed error, at once.

The fuzzing runs a few thousand mutations; HECLSTM_MUTATIONS=100000 makes it a longer run, HECLSTM_SEED another one.
"""

import io
import os
import random
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

import dataset_trees
import dicom_kit
from dicom_kit import flat, item, save
from heclstm.data import budget, sources
from heclstm.data.dicom import library
from heclstm.data.images import read_images
from heclstm.errors import FileFormatError, HeclstmError

MUTATIONS = int(os.environ.get("HECLSTM_MUTATIONS", "1500"))
SEED = int(os.environ.get("HECLSTM_SEED", "20240131"))
MEGABYTE = 1 << 20


def saved(path, data_set, syntax, *, implicit=False, little=True):
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.save_as(path, implicit_vr=implicit, little_endian=little)
    return path


def compressed(path, frames, syntax, size=(8, 8), **tags):
    pixels = np.zeros((len(frames), *size), np.uint8) if len(frames) > 1 else np.zeros(size, np.uint8)
    data_set = dicom_kit.data_set(pixels, **tags)
    data_set.PixelData = encapsulate(frames)
    data_set["PixelData"].is_undefined_length = True
    return saved(path, data_set, syntax)


def rle(segment):
    """A frame of one segment."""
    return struct.pack("<16I", 1, 64, *([0] * 14)) + segment


def jpeg(height, width):
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "JPEG")
    content = bytearray(stream.getvalue())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def wavelet(height, width):
    stream = io.BytesIO()
    Image.fromarray(flat(3, (32, 32))).save(stream, "JPEG2000", irreversible=False)
    content = bytearray(stream.getvalue())
    place = content.index(b"\xff\x4f\xff\x51") + 8
    content[place : place + 8] = struct.pack(">II", width, height)
    return bytes(content)


def deflated_bomb(path):
    """One gigabyte of zeros that deflates to a megabyte."""
    data_set = dicom_kit.data_set(flat(0))
    head = io.BytesIO()
    data_set.save_as(head, enforce_file_format=True)
    text = head.getvalue().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"[:20])
    place = text.index(b"\x08\x00")
    meta = text[132:place]
    meta = meta.replace(
        b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1.", b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99"
    )
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = squeeze.compress(text[place:])
    body += b"".join(squeeze.compress(bytes(16 * MEGABYTE)) for _ in range(64)) + squeeze.flush()
    path.write_bytes(text[:132] + meta + body)


def grey_png(path, height, width):
    """As many pixels as its header says, all black: a few kilobytes a hundred megapixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    squeeze = zlib.compressobj(9)
    body = b"".join(squeeze.compress(bytes(width + 1)) for _ in range(height)) + squeeze.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def nested(path, depth):
    """Sequences in sequences of undefined length."""
    data_set = dicom_kit.data_set(flat(0))
    stream = io.BytesIO()
    data_set.save_as(stream, enforce_file_format=True)
    content = stream.getvalue()
    place = content.index(b"\xe0\x7f\x10\x00")
    opened = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * depth
    path.write_bytes(content[:place] + opened + content[place:])


def zipped(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("1.png", "w") as stream:
        for _ in range(40):
            stream.write(bytes(16 * MEGABYTE))


HUGE = {"Rows": 20_000, "Columns": 20_000}
BOMBS = {
    "a deflated gigabyte": (deflated_bomb, "inflates to more than 268435456 bytes"),
    "rows and columns": (lambda path: compressed(path, [b"\0" * 64], RLELossless, **HUGE), "got 20000×20000 pixels"),
    "frames": (
        lambda path: save(path, flat(0, (2048, 2048)), NumberOfFrames=16384),
        "takes more than 805306368 bytes when it is decoded",
    ),
    "more frames": (lambda path: save(path, flat(0), NumberOfFrames=2**31 - 1), "NumberOfFrames is none from 1"),
    "runs that unpack to more": (
        lambda path: compressed(path, [rle(b"\x81\0" * 500_000)], RLELossless),
        "a compressed frame has another size",
    ),
    "a JPEG in a frame": (lambda path: compressed(path, [jpeg(65_500, 65_500)], JPEGBaseline8Bit), "another size"),
    "a JPEG 2000 in a frame": (
        lambda path: compressed(path, [wavelet(60_000, 60_000)], JPEG2000Lossless, size=(32, 32)),
        "another size",
    ),
    "a frame without a size": (lambda path: compressed(path, [b"\xff\xd8\xff\xd9"], JPEGBaseline8Bit), "another size"),
    "sequences in sequences": (lambda path: nested(path, 20_000), r"its header cannot be read \(RecursionError\)"),
    "a picture": (lambda path: grey_png(path, 9_000, 9_900), "got 9000×9900 pixels, expected at most 67108864"),
    "an archive": (zipped, "unpacks to 671088640 bytes, expected at most 536870912"),
}


def fits(path, message):
    """Refused with a message, in little memory and time."""
    tracemalloc.start()
    start = time.monotonic()
    try:
        with pytest.raises(FileFormatError, match=message):
            read_images(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1024 * MEGABYTE
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_before_they_unpack(tmp_path, kind):
    make, message = BOMBS[kind]
    make(tmp_path / "a")
    assert (tmp_path / "a").stat().st_size < 16 * MEGABYTE
    fits(tmp_path / "a", message)


def test_many_pictures_just_below_the_limit_are_too_many(tmp_path):
    grey_png(tmp_path / "1.png", 8_192, 8_192)
    for number in range(2, 14):
        os.link(tmp_path / "1.png", tmp_path / f"{number}.png")
    fits(tmp_path, "takes more than 805306368 bytes when it is decoded; choose fewer frames")


def test_a_budget_counts_what_is_promised():
    left = budget.Budget()
    left.take("a", 4096, 4096, 3, frames=15)
    with pytest.raises(FileFormatError, match="b: the sequence takes more than 805306368 bytes"):
        left.take("b", 4096, 4096, 3, frames=2)
    for height, width, samples, frames in ((0, 5, 1, 1), (5, -1, 1, 1), (5, 5, 0, 1), (5, 5, 1, 0)):
        with pytest.raises(FileFormatError, match="c: no image: its header says that it is empty"):
            left.take("c", height, width, samples, frames=frames)
    with pytest.raises(FileFormatError, match="got more than 16384 frames in one sequence"):
        budget.Budget().take("d", 1, 1, 1, frames=16385)


def test_a_file_has_a_size_that_is_read(tmp_path):
    with (tmp_path / "a.dcm").open("wb") as stream:
        stream.truncate(budget.FILE_BYTES_MAX + 1)
    with pytest.raises(FileFormatError, match="got 1073741825 bytes, expected at most 1073741824"):
        read_images(tmp_path / "a.dcm")


def test_a_directory_names_files_below_its_folder_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
    (tmp_path / "cd").mkdir()
    save(tmp_path / "secret", flat(1))
    for parts in (["..", "secret"], ["/", "secret"], "../secret", ["a/b"], [""], []):
        data_set = dicom_kit.data_set(flat(1))
        del data_set.PixelData
        data_set.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
        record = item(DirectoryRecordType="IMAGE")
        record.add(DataElement(0x00041500, "CS", parts, validation_mode=pydicom.config.IGNORE))
        data_set.DirectoryRecordSequence = [record]
        data_set.save_as(tmp_path / "cd" / "DICOMDIR", implicit_vr=False, little_endian=True)
        with pytest.raises(FileFormatError, match="lists a file that does not lie below its folder"):
            read_images(tmp_path / "cd" / "DICOMDIR")


def seeds(folder):
    """Small files of many kinds."""
    grey = dicom_kit.ramp(0, 4000)
    tags = {"WindowCenter": "2000", "WindowWidth": "3000", "RescaleSlope": "1", "RescaleIntercept": "-24"}
    whole = {"PatientID": "marked-id", "PatientName": "Marked^Name", "InstanceNumber": 7, **tags}
    group = item(
        FrameContentSequence=[item(DimensionIndexValues=[1, 2])],
        PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 1])],
        FrameVOILUTSequence=[item(WindowCenter="3", WindowWidth="9")],
    )
    shared = item(PlaneOrientationSequence=[item(ImageOrientationPatient=dicom_kit.AXIAL)])
    several = {"PerFrameFunctionalGroupsSequence": [group] * 2, "SharedFunctionalGroupsSequence": [shared]}
    save(folder / "explicit", grey, **whole)
    save(folder / "enhanced", np.stack([grey, grey]), **several)
    save(folder / "tables", grey, VOILUTSequence=[dicom_kit.table(range(64), bits=8)])
    save(folder / "colour", np.zeros((5, 4, 3), np.uint8), PixelSpacing=[1, 2])
    saved(folder / "implicit", dicom_kit.data_set(grey, **whole), ImplicitVRLittleEndian, implicit=True)
    saved(folder / "deflated", dicom_kit.data_set(grey, **whole), DeflatedExplicitVRLittleEndian)
    saved(folder / "big", dicom_kit.data_set(grey.byteswap(), **whole), ExplicitVRBigEndian, little=False)
    compressed(folder / "rle", [rle(b"\xc1\5\0\1" * 2)], RLELossless)
    compressed(folder / "jpeg", [jpeg(8, 8)], JPEGBaseline8Bit)
    compressed(folder / "wavelet", [wavelet(32, 32)], JPEG2000Lossless, size=(32, 32))
    for syntax in (JPEGLSLossless, RLELossless):
        data_set = dicom_kit.data_set(grey, **whole)
        data_set.compress(syntax, generate_instance_uid=False)
        data_set.save_as(folder / syntax.name[:7].strip(), enforce_file_format=True)
    dataset_trees.picture(folder / "colour.png", size=(6, 7))
    dataset_trees.picture(folder / "palette.png", size=(6, 7))
    Image.open(folder / "palette.png").convert("P").save(folder / "palette.png")
    dataset_trees.png16(folder / "deep.png", (16 * grey)[..., None].repeat(2, -1), colour_type=4)
    Image.open(folder / "colour.png").save(folder / "photo.jpg", exif=Image.Exif())
    with zipfile.ZipFile(folder / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("1"), (folder / "explicit").read_bytes(), zipfile.ZIP_DEFLATED)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def mutated(content, rng):
    """Bits, bytes, lengths, cuts, copies: one to four of them."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(content))
        match rng.randrange(6):
            case 0:
                content[place] ^= 1 << rng.randrange(8)
            case 1:
                content[place] = rng.randrange(256)
            case 2:
                content[place : place + 2] = rng.choice((b"\xff\xff", b"\0\0", b"\xfe\xff", b"SQ", b"OB", b"\x7f\xff"))
            case 3:
                content[place : place + 4] = struct.pack("<I", rng.choice((0, 1, 2**31 - 1, 2**32 - 1, len(content))))
            case 4:
                del content[place : place + rng.randint(1, 64)]
            case _:
                content[place:place] = content[place : place + rng.randint(1, 64)]
        if not content:
            return b"\0"
    return bytes(content)


@pytest.mark.slow
def test_mutated_files_give_images_or_typed_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "SEQUENCE_BYTES_MAX", 8 * MEGABYTE)
    monkeypatch.setattr(budget.Budget, "__init__", _small_budget)
    monkeypatch.setattr(library, "INFLATED_BYTES_MAX", 8 * MEGABYTE)
    monkeypatch.setattr(sources, "ARCHIVE_BYTES_MAX", 8 * MEGABYTE)
    (tmp_path / "seeds").mkdir()
    files = seeds(tmp_path / "seeds")
    for name in files:
        if name != "rle":  # of which more comes out than its header says
            assert read_images(tmp_path / "seeds" / name).frames, name
    rng, told, longest = random.Random(SEED), [], 0.0
    path = tmp_path / "mutated"
    for number in range(MUTATIONS):
        name = rng.choice(list(files))
        path.write_bytes(mutated(files[name], rng))
        start = time.monotonic()
        told.append(outcome(path, f"mutation {number} of {name}"))
        longest = max(longest, time.monotonic() - start)
    refused = [text for text in told if text]
    print(f"{MUTATIONS} mutations: {len(refused)} refused, {len(set(refused))} reasons, longest {longest:.2f} s")
    assert not [text for text in refused if "arked" in text]
    assert MUTATIONS // 10 < len(refused) < MUTATIONS * 99 // 100
    assert longest < 10


def outcome(path, what):
    """The message of a refusal, "" for images; anything else fails."""
    try:
        read_images(path)
    except HeclstmError as error:
        return str(error)
    except BaseException as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}; it lies in {path}") from error
    return ""


def _small_budget(self, left=8 * MEGABYTE, frames=budget.FRAMES_MAX):
    self.left, self.frames = left, frames
