"""For any files: their order on disk changes nothing; windows and slopes are the formula's; names sort by value."""

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dicom_kit
from heclstm.data.dicom.greys import Greys, Rescale, Span, Table, Window
from heclstm.data.images import read_images
from heclstm.data.order import by_names
from heclstm.data.pictures import resized
from heclstm.errors import SequenceError

FEW = settings(max_examples=25)
SMALL = st.floats(-3000, 3000).map(lambda value: round(value, 3))


@FEW
@given(
    count=st.integers(2, 7),
    spacing=st.floats(0.3, 8),
    start=st.floats(-200, 200),
    normal=st.sampled_from([[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0.6, -0.8]]),
    seed=st.integers(0, 10**6),
)
def test_any_order_of_files_gives_one_sequence(count, spacing, start, normal, seed):
    """Names, folders and the order of a list are drawn; what the files say is the same."""
    rng = random.Random(seed)
    direction = np.cross(normal[:3], normal[3:])
    pixels = [dicom_kit.ramp(rng.randrange(200), 255, np.uint8) for _ in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        sequences = []
        for attempt in range(2):
            places = rng.sample(range(10**6), count)
            paths = []
            for z, place in enumerate(places):
                path = Path(folder) / str(attempt) / rng.choice("abc") / f"{place}{rng.choice(['', '.dcm', '.IMA'])}"
                position = [float(f"{value:.8g}") for value in direction * (start + z * spacing)]
                tags = {"ImageOrientationPatient": normal, "ImagePositionPatient": position}
                paths.append(dicom_kit.save(path, pixels[z], SOPInstanceUID=dicom_kit.uid(z), **tags))
            rng.shuffle(paths)
            sequences += [read_images(Path(folder) / str(attempt)), read_images(paths)]
    for images in sequences:
        assert images.order == "by slice position along the normal"
        assert all(np.array_equal(frame[0], wanted) for frame, wanted in zip(images.frames, pixels, strict=True))


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20, unique=True), st.text("ab_ ", max_size=5), st.data())
def test_names_of_one_form_stand_as_their_numbers(numbers, word, data):
    width = data.draw(st.integers(1, 12))
    names = [f"{word}x{number:0{width}}{word}.png" for number in numbers]
    order = by_names(names, "here")
    assert [numbers[row] for row in order.rows] == sorted(numbers)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=6, unique=True))
def test_names_with_two_numbers_stand_as_both_say_or_are_refused(pairs):
    names = [f"a{first}-{second}.png" for first, second in pairs]
    agree = all((a <= c) == (b <= d) or a == c or b == d for a, b in pairs for c, d in pairs)
    monotone = all(b <= d for (_, b), (_, d) in zip(sorted(pairs), sorted(pairs)[1:], strict=False))
    assert agree or not monotone
    if monotone:
        assert [pairs[row] for row in by_names(names, "here").rows] == sorted(pairs)
    else:
        with pytest.raises(SequenceError, match="can be read in several orders"):
            by_names(names, "here")


@given(
    st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=30),
    SMALL.filter(lambda slope: abs(slope) > 1e-3),
    SMALL,
    SMALL,
    st.floats(1, 5000).map(lambda value: round(value, 2)),
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    st.booleans(),
)
def test_windows_and_slopes_are_the_formula_of_the_standard(
    stored, slope, intercept, center, width, function, inverted
):
    """Whichever way the values are held: as 16 bits by a table, as 32 by the formula itself."""
    values = [slope * value + intercept for value in stored]
    wanted = dicom_kit.window(values, center, width, function).astype(int)
    greys = Greys(Rescale(slope, intercept), Window(center, width, function), inverted)
    for kind in (np.int16, np.int32):
        got = greys.show(np.array([stored], kind))[0].astype(int)
        assert np.abs((255 - got if inverted else got) - wanted).max() <= 1  # where a half is rounded


@given(st.lists(st.integers(0, 4095), min_size=2, max_size=40), st.integers(-3000, 3000), st.integers(-5000, 5000))
def test_tables_begin_and_end_with_their_first_and_last_entries(entries, first, value):
    table = Table(first, 12, np.array(entries))
    wanted = entries[min(max(value - first, 0), len(entries) - 1)]
    assert table(np.array([value]))[0] == wanted
    assert table.share(np.array([value + 0.25]))[0] == wanted / 4095


@given(st.integers(-5000, 5000), st.integers(1, 5000), st.lists(st.integers(-9000, 9000), min_size=1, max_size=20))
def test_more_is_never_darker(low, width, values):
    stored = np.sort(np.array([values], np.int16), axis=1)
    for voi in (Span(low, low + width), Window(low, width), Window(low, width, "SIGMOID")):
        shown = Greys(Rescale(), voi, inverted=False).show(stored)[0].astype(int)
        assert (np.diff(shown) >= 0).all()
        assert (np.diff(Greys(Rescale(-1.0), voi, inverted=True).show(stored)[0].astype(int)) >= 0).all()


@FEW
@given(st.integers(4, 40), st.integers(4, 40), st.floats(0.2, 5))
def test_squares_have_the_shape_of_what_was_taken(rows, columns, ratio):
    """The finer direction stays, the other becomes as fine."""
    frame = np.arange(rows * columns, dtype=np.uint8).reshape(rows, columns)
    with tempfile.TemporaryDirectory() as folder:
        spacing = [round(ratio, 4), 1.0]
        (square,) = read_images(dicom_kit.save(Path(folder) / "a", frame, PixelSpacing=spacing)).frames
    wanted = (round(rows * spacing[0]), columns) if spacing[0] > 1 else (rows, round(columns / spacing[0]))
    assert square.shape == (1, *wanted)
    assert np.array_equal(square, resized(frame[None], *wanted, "stretch"))
