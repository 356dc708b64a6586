"""DICOM files one by one: clips, colours, what is none, and what is missing on this machine."""

import base64
import sys

import numpy as np
import pytest
from pydicom import examples, uid
from pydicom.encaps import encapsulate

import dataset_trees
import dicom_kit
from dicom_reference import files
from heclstm.data.datasets import load_dataset
from heclstm.data.dicom import decode, read_dicom
from heclstm.data.images import read_images
from heclstm.data.reading import read_frames, read_volume
from heclstm.errors import FileFormatError, HeclstmError

CLIP = np.random.default_rng(0).integers(0, 256, (5, 6, 8), dtype=np.uint8)


def test_a_clip_is_read_as_it_is(tmp_path):
    clip = read_dicom(dataset_trees.dicom(tmp_path / "a.dcm", CLIP, number=7))
    assert np.array_equal(np.stack(clip.frames)[:, 0], CLIP)
    assert clip.order.reason == "as the file holds its frames"
    assert np.array_equal(np.stack(read_frames(tmp_path / "a.dcm"))[:, 0], CLIP)
    assert np.array_equal(read_volume(tmp_path / "a.dcm", slice_axis=2), np.moveaxis(CLIP, 0, 2))


def test_colour(tmp_path):
    colour = np.stack([CLIP, 255 - CLIP, CLIP // 2], axis=-1)
    frames = read_dicom(dataset_trees.dicom(tmp_path / "a.dcm", colour)).frames
    assert np.array_equal(np.stack(frames), colour.transpose(0, 3, 1, 2))


def test_real_files():
    """pydicom's own examples: a palette, an ultrasound clip in YBR, a CT slice without a window."""
    colours = read_dicom(examples.get_path("palette_color")).frames
    assert colours[0].shape == (3, 350, 800)
    assert np.ptp(colours[0], axis=0).max() > 0
    clip = read_dicom(examples.get_path("ybr_color")).frames
    assert (len(clip), clip[0].shape) == (30, (3, 240, 320))
    assert not np.array_equal(clip[0], clip[-1])
    slices = read_dicom(examples.get_path("ct"))
    assert slices.frames[0].shape == (1, 128, 128)
    # over all of its 16 bits nine greys would be left of it
    assert np.unique(slices.frames[0]).size > 200
    assert slices.notes == (
        "no window: greys are spread over the data's own range, without the outermost half per cent",
    )


def test_overlays_beside_the_stored_bits_are_no_greys(tmp_path):
    """Older files keep an overlay in the bits above: 12 bits stored of 16, a 1 in the 15th."""
    values = dicom_kit.ramp(0, 4095)
    tags = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    plain = read_dicom(dicom_kit.save(tmp_path / "a", values, **tags)).frames
    drawn = read_dicom(dicom_kit.save(tmp_path / "b", values | 0x4000, **tags)).frames
    assert np.array_equal(plain, drawn)
    shifted = read_dicom(dicom_kit.save(tmp_path / "c", values << 4 | 5, HighBit=15, **tags)).frames
    assert np.array_equal(plain, shifted)
    signed = (values.astype(np.int16) - 2048) & 0x0FFF  # twelve bits whose highest is the sign
    tags |= {"WindowCenter": 0, "PixelRepresentation": 1}
    assert np.array_equal(plain, read_dicom(dicom_kit.save(tmp_path / "d", signed, **tags)).frames)


def _without_pixels(path):
    data_set = dicom_kit.data_set(CLIP)
    del data_set.PixelData
    data_set.save_as(path, enforce_file_format=True)


def _floats(path):
    data_set = dicom_kit.data_set(CLIP, BitsAllocated=32)
    del data_set.PixelData
    data_set.add_new(0x7FE00008, "OF", CLIP.astype(np.float32).tobytes())
    data_set.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(b"hello"), "not a DICOM file"),
        (lambda path: path.write_bytes(b""), "not a DICOM file"),
        (lambda path: path.write_bytes(path.read_bytes()[132:]), "not a DICOM file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-50]), "its pixels cannot be decoded"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "a DICOM file without pixels"),
        (_without_pixels, "a DICOM file without pixels"),
        (_floats, "its pixels are floating-point values"),
        (lambda path: path.unlink(), r"cannot be read \(No such file"),
        (lambda path: dicom_kit.save(path, CLIP, Rows=None), "Rows is no whole number"),
        (lambda path: dicom_kit.save(path, CLIP, Rows=7), "its pixels cannot be decoded"),
        (lambda path: dicom_kit.save(path, CLIP, NumberOfFrames=0), "NumberOfFrames is none from 1 to 16384"),
        (lambda path: dicom_kit.save(path, CLIP, BitsAllocated=12, BitsStored=12), "12 of 12 bits stored, expected"),
        (
            lambda path: dicom_kit.save(path, CLIP, PhotometricInterpretation="HSV"),
            "1 samples per pixel and a photometric",
        ),
        (lambda path: dicom_kit.save(path, CLIP, RescaleSlope=0, RescaleIntercept=0), "its RescaleSlope is 0"),
        (
            lambda path: dicom_kit.save(path, CLIP, PixelSpacing=[1, 20]),
            "the sides of its pixels differ by more than a factor of 8",
        ),
        (
            lambda path: dicom_kit.save(path, CLIP, WindowCenter=1, WindowWidth=2, VOILUTFunction="CUBIC"),
            "its VOILUTFunction is none of LINEAR, LINEAR_EXACT, SIGMOID",
        ),
        (
            lambda path: dicom_kit.save(path, CLIP, VOILUTSequence=[dicom_kit.item(LUTDescriptor=[4, 0, 8])]),
            "a look-up table is empty",
        ),
    ],
)
def test_files_that_are_none_are_refused(tmp_path, spoil, message):
    path = dicom_kit.save(tmp_path / "a.dcm", CLIP)
    spoil(path)
    with pytest.raises(FileFormatError, match=rf"a\.dcm: no image: {message}"):
        read_dicom(path)


def test_without_pydicom_it_says_what_to_install(tmp_path, monkeypatch):
    path = dicom_kit.save(tmp_path / "a.dcm", CLIP)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(HeclstmError, match=r"reading DICOM needs pydicom; pip install 'heclstm\[dicom\]'"):
        read_dicom(path)


@pytest.mark.parametrize(
    ("syntax", "bits", "message"),
    [
        ("1.2.840.10008.1.2.4.70", 8, r"JPEG lossless of 8 bits needs a decoder.*pip install 'heclstm\[dicom\]'$"),
        ("1.2.840.10008.1.2.4.51", 12, r"JPEG extended of 12 bits .*'pylibjpeg-libjpeg' \(its licence is the GPL\)"),
        ("1.2.840.10008.1.2.4.80", 8, r"JPEG-LS of 8 bits needs .*pip install 'heclstm\[dicom\]'$"),
        ("1.2.840.10008.1.2.4.201", 8, r"HTJ2K of 8 bits needs .*pip install 'heclstm\[dicom\]'$"),
        ("1.2.840.10008.1.2.4.102", 8, r"none that is read \(such as a video\)"),
        ("1.2.3", 8, "none that is read"),
    ],
)
def test_a_missing_decoder_is_named_with_its_package(tmp_path, monkeypatch, syntax, bits, message):
    monkeypatch.setattr(decode, "has_plugin", lambda *_: False)
    values = CLIP.astype(np.uint16) if bits > 8 else CLIP
    data_set = dicom_kit.data_set(values, BitsStored=bits, PixelData=encapsulate([b"compressed"] * len(values)))
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.save_as(path := tmp_path / "a.dcm", implicit_vr=False, little_endian=True)
    with pytest.raises(HeclstmError, match=message):
        read_dicom(path)


def test_clips_of_a_patient_stay_together_by_what_the_files_say(tmp_path):
    """Four clips a patient; who he is, is told by no name of a part."""
    for row in range(24):
        name = ("negative", "positive")[row % 2]
        dicom_kit.save(tmp_path / name / f"scan-{row}.dcm", np.roll(CLIP, row), PatientID=f"secret{row // 4}{name}")
    splits = load_dataset("clips", tmp_path)
    parts = (splits.train, splits.validation, splits.test)
    patients = [patient for part in parts for patient in part.patients]
    assert len(patients) == 24
    assert len(set(patients)) == 12
    assert not any("secret" in patient for patient in patients)
    assert np.stack(splits.train.images[0]).shape == (5, 1, 6, 8)


# A ramp of 16×20, value 5·row + 3·column, by OpenJPH's ojph_compress -reversible true -num_decomps 2.
HTJ2K = base64.b85decode(
    "|4;u>04YEK0000K0000G00000000000000K0000G0000000000009R90sl|{2mk^A000C3QUDA90ssL30t5s=0smY83LsEeSXfX{SpQ@I761W"
    "HaAj^vP)HzFWpW@eE;%kRF8`1K3IG5A003P80soW07TEu5=fCIa_Sno{ftU0@dd@97Ix~nb001$$0Kf_01xQTt(SA#H0F;R6=10lwwgA8tFa>"
    "Y`0PpGP>Ed?)2mk<p{((J`d-h4}x&Z&#"
)


@pytest.mark.parametrize("syntax", ["201", "202", "203"])
def test_high_throughput_jpeg_2000(tmp_path, syntax):
    ramp = np.add.outer(np.arange(16) * 5, np.arange(20) * 3).astype(np.uint8)
    data_set = dicom_kit.data_set(ramp, PixelData=encapsulate([HTJ2K]))
    data_set.file_meta.TransferSyntaxUID = f"1.2.840.10008.1.2.4.{syntax}"
    data_set.save_as(path := tmp_path / "a", implicit_vr=False, little_endian=True)
    assert np.array_equal(read_dicom(path).frames[0][0], ramp)


@pytest.mark.parametrize(
    "syntax", [uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless], ids=lambda each: each.name
)
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16])
def test_compressing_without_loss_changes_nothing(tmp_path, syntax, kind):
    pixels = np.stack([dicom_kit.ramp(*ends, kind, size=(40, 48)) for ends in ((0, 250), (30, 90))])
    data_set = dicom_kit.data_set(pixels, WindowCenter="120", WindowWidth="200")
    data_set.save_as(tmp_path / "plain", enforce_file_format=True)
    data_set.compress(syntax)
    data_set.save_as(tmp_path / "small", enforce_file_format=True)
    plain, small = (read_dicom(tmp_path / name).frames for name in ("plain", "small"))
    assert all(np.array_equal(*pair) for pair in zip(plain, small, strict=True))


@pytest.mark.parametrize("what", ["replaced", "longer", "gone"])
@pytest.mark.parametrize("place", ["header_of", "stored_frames"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, what, place):
    """Its header was of one patient, and its pixels of the next: what came last was taken for what was looked at."""
    from heclstm.data.dicom import series

    path = dicom_kit.save(tmp_path / "a" / "1", dicom_kit.flat(9), PatientID="one")
    other = dicom_kit.save(tmp_path / "b" / "1", dicom_kit.flat(200), PatientID="two")
    reading = getattr(series, place)

    def changed(*arguments):
        found = reading(*arguments)
        match what:
            case "replaced":
                other.replace(path)
            case "longer":
                path.write_bytes(path.read_bytes() + b"\0\0")
            case "gone":
                path.unlink()
        return found

    monkeypatch.setattr(series, place, changed)
    with pytest.raises(FileFormatError, match="changed while it was read|cannot be read"):
        read_images([path]).digests()


@pytest.mark.parametrize("place", [3, 20, 44])
def test_pixels_that_break_their_decoder_end_nothing_else(tmp_path, place):
    """GDCM aborts, or is stopped, at one altered byte of lossless JPEG: the whole gateway went with it."""
    found = [path for name, path in files().items() if name.endswith("JPGLosslessP14SV1_1s_1f_8b.dcm")]
    if not found:
        pytest.skip("pydicom-data is not installed")
    whole = bytearray(found[0].read_bytes())
    whole[whole.index(b"\xff\xd8", whole.index(b"\xe0\x7f\x10\x00")) + place] = 0
    (tmp_path / "broken.dcm").write_bytes(whole)
    with pytest.raises(FileFormatError, match="its pixels cannot be decoded: they break the decoder"):
        read_images([tmp_path / "broken.dcm"])
    assert len(read_images(found).frames) == 1
