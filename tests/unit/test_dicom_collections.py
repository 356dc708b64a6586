"""Every file with pixels of pydicom's two collections: equal to pydicom's own processing, or rightly refused."""

from importlib.util import find_spec

import numpy as np
import pytest

import dicom_reference
from golden import make_dicom_table
from heclstm.data.dicom import Selection, read_dicom
from heclstm.data.pictures import resized
from heclstm.errors import HeclstmError

FILES = dicom_reference.files()
# What pydicom cannot show either, and why.
REFUSED = {
    "JPEG-lossy.dcm": "JPEG extended of 12 bits needs a decoder that is not installed",
    "JPGExtended.dcm": "JPEG extended of 12 bits needs a decoder that is not installed",
    "JPEG2000-embedded-sequence-delimiter.dcm": "a compressed frame has another size than its header says",
    "MR_truncated.dcm": "its pixels cannot be decoded",
    "badVR.dcm": "NumberOfFrames is none",
    "meta_missing_tsyntax.dcm": "BitsAllocated is no whole number",
    "nested_priv_SQ.dcm": "BitsAllocated is no whole number",
}
SEEN = {}  # path → what was told of it, so that the table is made without reading all of them again
WITHOUT_GPL = find_spec("libjpeg") is None


def test_both_collections_are_here():
    """173 files with pixels, if pydicom-data is installed; it comes with the extra `test`."""
    assert len(FILES) >= 173


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_shown_as_pydicom_shows_it(name):
    path = FILES[name]
    if path.name in REFUSED and (WITHOUT_GPL or "extended" not in REFUSED[path.name]):
        with pytest.raises(HeclstmError, match=REFUSED[path.name]):
            read_dicom(path)
        return
    got = read_dicom(path, Selection(burnt_in="accept"))
    SEEN[path] = make_dicom_table.Read.of(got)
    stored, own_range = dicom_reference.shown(path)
    assert any("no window" in note for note in got.notes) == own_range
    assert sorted(got.order.rows) == list(range(len(stored)))
    size = dicom_reference.square(path)
    for frame, row in zip(got.frames, got.order.rows, strict=True):
        wanted = stored[row][None] if stored[row].ndim == 2 else stored[row].transpose(2, 0, 1)
        if wanted.shape[1:] != size:
            assert "pixels are not square: resampled by their spacing" in got.notes
            wanted = resized(wanted, *size, "stretch")
        assert frame.dtype == np.uint8
        # one level where a value lies on the border between two: two ways to round
        assert np.abs(frame.astype(np.int16) - wanted).max() <= 1
        assert (frame == wanted).mean() > 0.999


def test_palettes_of_big_endian_files_have_the_same_colours():
    """Read with their bytes swapped, they were nearly black."""
    little, big = (read_dicom(FILES[f"pydicom-data: {name}.dcm"]).frames for name in ("OBXXXX1A", "OBXXXX1A_expb"))
    assert little[0].max() == 254
    assert np.array_equal(little, big)


@pytest.mark.skipif(not WITHOUT_GPL, reason="the table was made without the decoder that the GPL covers")
def test_the_table_in_the_documentation_is_true():
    def read(path):
        return SEEN[path] if path in SEEN else make_dicom_table.read(path)

    assert make_dicom_table.page()[1].splitlines() == make_dicom_table.rows(read)
