"""Greys after PS3.3 C.11: modality, values of interest, presentation; what a file leaves open is told."""

import numpy as np
import pytest

from dicom_kit import data_set, flat, item, ramp, save, table, window
from heclstm.data.dicom import read_dicom
from heclstm.data.images import read_images
from heclstm.errors import FileFormatError

OWN_RANGE = "no window: greys are spread over the data's own range, without the outermost half per cent"


def shown(path):
    return read_dicom(path).frames[0][0].astype(int)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (1, -1024), (-10, 3000), (0.5, 7), (-0.03, 0)])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16])
def test_windows_after_slopes_of_either_sign(tmp_path, function, slope, intercept, kind):
    stored = ramp(-900 if kind == np.int16 else 0, 255 if kind == np.uint8 else 4000, kind)
    values = stored.astype(float) * slope + intercept
    center, width = float(np.round(values.mean(), 2)), float(np.round(np.ptp(values) / 2, 2))
    path = save(
        tmp_path / "a", stored, RescaleSlope=str(slope), RescaleIntercept=str(intercept),
        WindowCenter=str(center), WindowWidth=str(width), VOILUTFunction=function,
    )  # fmt: skip
    wanted = window(values, center, width, function)
    assert np.abs(shown(path) - wanted).max() <= 1  # where a half is rounded
    assert len(np.unique(wanted)) > 50


def test_a_window_of_one_is_a_step(tmp_path):
    path = save(tmp_path / "a", np.array([[99, 100, 101]], np.uint8), WindowCenter="100", WindowWidth="1")
    assert shown(path).tolist() == window([[99, 100, 101]], 100, 1).tolist() == [[0, 255, 255]]


def test_windows_and_slopes_in_functional_groups(tmp_path):
    """The first frame shares them with all others, the second has its own."""
    stored = np.stack([ramp(900, 1300)] * 2)
    shared = item(
        PixelValueTransformationSequence=[item(RescaleSlope="1", RescaleIntercept="-1024", RescaleType="HU")],
        FrameVOILUTSequence=[item(WindowCenter="40", WindowWidth="400")],
    )
    own = item(
        PixelValueTransformationSequence=[item(RescaleSlope="2", RescaleIntercept="0", RescaleType="US")],
        FrameVOILUTSequence=[item(WindowCenter="2000", WindowWidth="900", VOILUTFunction="SIGMOID")],
    )
    path = save(
        tmp_path / "a", stored, SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=[item(), own]
    )
    frames = read_dicom(path).frames
    assert np.abs(frames[0][0] - window(stored[0] - 1024.0, 40, 400)).max() <= 1
    assert np.abs(frames[1][0] - window(stored[1] * 2.0, 2000, 900, "SIGMOID")).max() <= 1


def test_a_modality_table_comes_before_the_window(tmp_path):
    stored = ramp(0, 300)
    entries = np.linspace(0, 1000, 256) ** 1.2 / 4
    modality = table(entries, first=20, bits=12)
    modality.ModalityLUTType = "OD"
    path = save(tmp_path / "a", stored, ModalityLUTSequence=[modality], WindowCenter="400", WindowWidth="500")
    values = entries.astype(int)[np.clip(stored.astype(int) - 20, 0, 255)]
    assert np.abs(shown(path) - window(values, 400, 500)).max() <= 1


@pytest.mark.parametrize("both", [False, True], ids=["alone", "with a window beside"])
def test_a_voi_table_comes_before_a_window(tmp_path, both):
    stored = ramp(0, 400)
    entries = np.rint(65535 * (np.arange(4096) / 4095) ** 0.25)
    tags = {"WindowCenter": "2048", "WindowWidth": "4096"} if both else {}
    path = save(tmp_path / "a", stored, BitsStored=12, VOILUTSequence=[table(entries)], **tags)
    assert np.abs(shown(path) - np.rint(entries[stored] / 257)).max() <= 1


def test_a_voi_table_may_begin_below_zero(tmp_path):
    """Its first value is written as unsigned in some files: −100 as 65436."""
    stored = ramp(-200, 300, np.int16)
    entries = np.arange(256) * 257
    paths = [
        save(tmp_path / "signed", stored, VOILUTSequence=[table(entries, -100, signed=True)]),
        save(tmp_path / "unsigned", stored, VOILUTSequence=[table(entries, 65436)]),
        save(
            tmp_path / "rescaled", (stored + 1000).astype(np.uint16), VOILUTSequence=[table(entries, 65436)],
            RescaleSlope="1", RescaleIntercept="-1000",
        ),
    ]  # fmt: skip
    for path in paths:
        assert np.array_equal(shown(path), np.clip(stored.astype(int) + 100, 0, 255))


@pytest.mark.parametrize(
    ("tags", "inverted"),
    [
        ({}, False),
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "IDENTITY"}, False),
    ],
)
def test_presentation(tmp_path, tags, inverted):
    stored = ramp(0, 255, np.uint8)
    assert np.array_equal(shown(save(tmp_path / "a", stored, **tags)), 255 - stored if inverted else stored)


def test_one_bit_is_black_and_white(tmp_path):
    bits = np.arange(64).reshape(8, 8) % 3 == 0
    packed = np.packbits(bits.ravel(), bitorder="little")
    path = save(tmp_path / "a", bits.astype(np.uint8), BitsAllocated=1, BitsStored=1, PixelData=packed.tobytes())
    assert np.array_equal(shown(path), bits * 255)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"WindowCenter": None, "WindowWidth": "256"},
        {"WindowCenter": "128", "WindowWidth": "0"},
        {"WindowCenter": "128", "WindowWidth": "-5"},
        {"WindowCenter": "", "WindowWidth": ""},
    ],
    ids=["absent", "half", "zero", "negative", "empty"],
)
def test_without_a_usable_window_the_data_say_their_range(tmp_path, tags):
    stored = ramp(1000, 1999, size=(20, 50))
    stored[0, 0] = 65535  # a hot pixel, and another that is cold, must not make the rest black
    stored[0, 1] = 0
    shares = (stored - np.quantile(stored, 0.005)) / (np.quantile(stored, 0.995) - np.quantile(stored, 0.005))
    file = read_dicom(save(tmp_path / "a", stored, **tags))
    assert np.array_equal(file.frames[0][0], np.rint(255 * np.clip(shares, 0, 1)))
    assert OWN_RANGE in file.notes
    assert ("a window without center or width is passed over" in file.notes) == bool(tags and any(tags.values()))


def test_eight_bits_without_a_window_are_greys_already(tmp_path):
    stored = ramp(90, 110, np.uint8)
    file = read_dicom(save(tmp_path / "a", stored))
    assert np.array_equal(file.frames[0][0], stored)
    assert not file.notes
    rescaled = read_dicom(save(tmp_path / "b", stored, RescaleSlope="-2", RescaleIntercept="10"))
    assert np.array_equal(rescaled.frames[0][0], 255 - stored)  # over the range that the slope gives to eight bits


def test_eight_bits_of_other_slopes_share_one_range(tmp_path):
    """As slices of PET have them: each in its own range, they could not be compared. One of slope 2 says up to 510."""
    for number, slope in enumerate(("1", "2", "0.5"), start=1):
        save(tmp_path / str(number), flat(100), RescaleSlope=slope, InstanceNumber=number, WindowCenter=None)
    frames = read_images(tmp_path).frames
    assert [int(frame.max()) for frame in frames] == [50, 100, 25]


def test_padding_has_no_say_in_the_range(tmp_path):
    stored = ramp(1000, 2000, np.int16)
    padded = stored.copy()
    padded[:6] = -2000
    padded[6:10] = -1990
    file = read_dicom(save(tmp_path / "a", padded, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990))
    low, high = np.quantile(padded[10:], (0.005, 0.995))
    assert np.array_equal(file.frames[0][0], np.rint(255 * np.clip((padded - low) / (high - low), 0, 1)))


@pytest.mark.parametrize(("kind", "vr", "written"), [(np.int16, "US", 65536 - 2000), (np.uint16, "SS", -2000)])
def test_padding_that_is_written_with_the_other_sign_is_padding_too(tmp_path, kind, vr, written):
    """A scanner that stores signed values, and says in unsigned ones which of them are none."""
    stored = ramp(1000, 2000, kind)
    stored[:6] = np.array(-2000).astype(kind)
    pixels = data_set(stored)
    pixels.add_new("PixelPaddingValue", vr, written)
    pixels.save_as(tmp_path / "a", enforce_file_format=True)
    low, high = np.quantile(stored[6:], (0.005, 0.995))
    expected = np.rint(255 * np.clip((stored.astype(np.int64) - low) / (high - low), 0, 1))
    assert np.array_equal(read_dicom(tmp_path / "a").frames[0][0], expected)


@pytest.mark.parametrize(("bits", "scale"), [(8, 1), (16, 1), (16, 257)])
def test_palettes_that_say_sixteen_bits_may_write_eight(tmp_path, bits, scale):
    """Read as sixteen bits they would be black."""
    stored = np.arange(64, dtype=np.uint8).reshape(8, 8) % 4
    shades = np.array([0, 85, 170, 255])
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for number, colour in enumerate(("Red", "Green", "Blue")):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 0, bits]
        tags[f"{colour}PaletteColorLookupTableData"] = (np.roll(shades, number) * scale).astype("<u2").tobytes()
    read = read_dicom(save(tmp_path / "a", stored, **tags)).frames[0]
    assert np.array_equal(read, np.stack([np.roll(shades, number)[stored] for number in range(3)]))


def test_a_table_of_greys_that_leaves_its_bits_unused_is_refused(tmp_path):
    """Twelve bits in a table that says sixteen are nearly black; which were meant is not in the file."""
    stored = ramp(0, 63, np.uint16)
    for bits in (12, 16):
        save(tmp_path / str(bits), stored, VOILUTSequence=[table(np.arange(64) * 65, bits=bits)])
    assert shown(tmp_path / "12").max() == 255
    with pytest.raises(FileFormatError, match="look-up table of greys uses only the lowest quarter of the 16 bits"):
        read_dicom(tmp_path / "16")


def test_slices_without_a_window_share_one_range(tmp_path):
    """Else a slice of air would be as bright as one of bone."""
    for number in (1, 2):
        save(tmp_path / f"{number}", ramp(1000 * number, 1000 * number + 500), InstanceNumber=number)
    dark, bright = read_images(tmp_path).frames
    assert dark.max() < bright.min()
    assert dark.min() == 0
    assert bright.max() == 255


def test_of_several_windows_the_first_is_used_and_told(tmp_path):
    stored = ramp(0, 255, np.uint8)
    file = read_dicom(save(tmp_path / "a", stored, WindowCenter=["128", "40"], WindowWidth=["256", "80"]))
    assert np.abs(file.frames[0][0] - window(stored, 128, 256)).max() <= 1
    assert file.notes == ("several windows: the first is used",)


def test_a_window_narrower_than_one_is_read_exactly_and_told(tmp_path):
    stored = ramp(0, 255, np.uint8)
    tags = {"WindowCenter": "0.1", "WindowWidth": "0.2", "RescaleSlope": "0.00078", "RescaleIntercept": "0"}
    file = read_dicom(save(tmp_path / "a", stored, **tags))
    assert np.abs(file.frames[0][0] - window(stored * 0.00078, 0.1, 0.2, "LINEAR_EXACT")).max() <= 1
    assert file.notes == ("a window narrower than 1 is read as LINEAR_EXACT",)


def test_an_empty_slope_is_none(tmp_path):
    stored = ramp(0, 255, np.uint8)
    path = save(tmp_path / "a", stored, WindowCenter="128", WindowWidth="256", RescaleSlope="", RescaleIntercept="")
    assert np.abs(shown(path) - window(stored, 128, 256)).max() <= 1


@pytest.mark.parametrize("name", ["WindowCenter", "RescaleSlope"])
def test_a_number_that_is_none_is_refused_without_showing_it(tmp_path, name):
    tags = {"WindowCenter": "11111111", "WindowWidth": "256", "RescaleSlope": "11111111", "RescaleIntercept": "0"}
    tags[name] = "77777777"
    path = save(tmp_path / "a", ramp(0, 255, np.uint8), **tags)
    path.write_bytes(path.read_bytes().replace(b"77777777", b"Doe^Jane"))
    with pytest.raises(FileFormatError, match=f"{name} holds something else than numbers") as refused:
        read_dicom(path)
    assert "Doe" not in str(refused.value)


def test_a_picture_that_is_dark_all_over_is_told(tmp_path):
    """Eight bits in a window that was made for twelve."""
    save(tmp_path / "a", ramp(0, 255, np.uint8), WindowCenter=2048, WindowWidth=4096)
    assert read_images(tmp_path).notes == (
        "no grey is above 16 of 255: its window or its range may not be what was meant",
    )
    save(tmp_path / "a", ramp(0, 255, np.uint8))
    assert not read_images(tmp_path).notes


def test_few_greys_are_told(tmp_path):
    save(tmp_path / "few", ramp(0, 14, np.uint8), WindowCenter="128", WindowWidth="256")
    assert "only 15 grey levels are left in the whole sequence" in read_images(tmp_path / "few").notes[0]
    save(tmp_path / "enough", 17 * ramp(0, 15, np.uint8), WindowCenter="128", WindowWidth="256")
    assert not read_images(tmp_path / "enough").notes
    assert "only 1 grey levels" in read_images(save(tmp_path / "one", flat(7))).notes[0]


@pytest.mark.parametrize(
    "tags",
    [
        {"PixelSpacing": [1.0, 0.5]},
        {"ImagerPixelSpacing": [0.4, 0.2]},
        {"PixelAspectRatio": ["2", "1"]},
        {"SharedFunctionalGroupsSequence": [item(PixelMeasuresSequence=[item(PixelSpacing=[3.0, 1.5])])]},
    ],
)
def test_a_circle_stays_a_circle(tmp_path, tags):
    """Pixels twice as high as wide."""
    y, x = np.mgrid[:48, :96]
    disc = np.where((y - 23.5) ** 2 + ((x - 47.5) / 2) ** 2 < 20**2, 255, 0).astype(np.uint8)
    file = read_dicom(save(tmp_path / "a", disc, **tags))
    frame = file.frames[0][0] > 127
    assert frame.shape == (96, 96)
    assert abs(int(frame.any(axis=1).sum()) - int(frame.any(axis=0).sum())) <= 2
    assert "pixels are not square: resampled by their spacing" in file.notes
    turned = read_dicom(save(tmp_path / "b", disc.T, PixelSpacing=[0.5, 1.0]))
    assert np.array_equal(turned.frames[0][0] > 127, frame.T)


def test_spacings_that_differ_by_less_than_a_pixel_change_nothing(tmp_path):
    file = read_dicom(save(tmp_path / "a", ramp(0, 255, np.uint8), PixelSpacing=[0.48828, 0.48829]))
    assert file.frames[0].shape == (1, 24, 32)
    assert not file.notes


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"RescaleSlope": "1e308"}, "RescaleSlope holds a number above 1e\\+30"),
        ({"RescaleIntercept": "-1e308"}, "RescaleIntercept holds a number above 1e\\+30"),
        ({"WindowCenter": "1e308", "WindowWidth": "5"}, "WindowCenter holds a number above 1e\\+30"),
        ({"RescaleSlope": ["1", "2"]}, "RescaleSlope holds 2 numbers, expected one"),
    ],
)
def test_numbers_that_no_grey_follows_from_are_refused(tmp_path, tags, message):
    """They overflowed into one grey; of two slopes, the first was taken."""
    whole = {"RescaleSlope": "1", "RescaleIntercept": "0"} | tags
    with pytest.raises(FileFormatError, match=message):
        read_images(save(tmp_path / "a", ramp(0, 60000), **whole))
