"""Series of visual fields: where points stand, who is divided, what is counted, and tables that are wrong."""

import csv
from dataclasses import replace

import numpy as np
import pytest

import dataset_trees
from heclstm.data.datasets import load_dataset
from heclstm.data.datasets.splits import Part, Splits
from heclstm.data.datasets.visual_fields import grid
from heclstm.errors import FileFormatError, ModelError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return dataset_trees.visual_fields(tmp_path_factory.mktemp("fields"))


def everything(splits):
    return [splits.train, splits.validation, splits.test]


def edited(folder, target, change, table="reliable.csv"):
    """A copy of the folder with other lines in one table."""
    target.mkdir()
    for name in ("reliable.csv", "stable_reliable.csv"):
        with (folder / name).open(newline="") as stream:
            rows = list(csv.reader(stream))
        if name == table:
            rows = change(rows)
        with (target / name).open("w", newline="") as stream:
            csv.writer(stream).writerows(rows)
    return target


def test_the_grid_has_the_rows_of_a_24_2_field():
    """By hand, from the top: 4, 6, 8, 8, 8, 8, 6, 4 points; without the blind spot in the two in the middle."""
    places = grid()
    shown = np.zeros((8, 9), int)
    shown[places[:, 0], places[:, 1]] = 1
    assert shown.sum(1).tolist() == [4, 6, 8, 8, 8, 8, 6, 4]
    assert shown[3].tolist() == shown[4].tolist() == [1, 1, 1, 1, 1, 1, 1, 0, 1]
    assert shown[0].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0]
    assert places[:5].tolist() == [[0, 3], [0, 4], [0, 5], [0, 6], [1, 2]]


def test_values_are_fractions_in_the_order_of_visits(folder, tmp_path):
    """Visits may stand in any order in the table; 10 dB of 40 are a quarter, and what lies beyond is cut."""

    def change(rows):
        head, first = rows[0], [list(row) for row in rows[1:4]]
        for row in first:
            row[4:] = [str(10 * int(row[3]))] * 52
        first[2][4] = "-3"
        first[2][5] = "51"
        return [head, *reversed(first), *rows[4:]]

    path = edited(folder, tmp_path / "other", change)
    parts = everything(load_dataset("visual_fields", path))
    named = {name: image for part in parts for name, image in zip(part.names, part.images, strict=True)}
    image = named["reliable 1 R"]
    assert image.shape == (3, 1, 8, 9)
    places = grid()
    points = image[:, 0, places[:, 0], places[:, 1]]
    np.testing.assert_allclose(points[:2], [[0.25] * 52, [0.5] * 52], atol=1e-7)
    np.testing.assert_allclose(points[2], [0, 1, *[0.75] * 50], atol=1e-7)
    assert np.count_nonzero(image) == 3 * 52 - 1


@pytest.mark.parametrize("counted", ["sequence", "eye", "person"])
@pytest.mark.parametrize("fold", [1, 3])
def test_a_person_is_never_divided_whatever_is_counted(folder, counted, fold):
    splits = load_dataset("visual_fields", folder, {"counted": counted, "folds": 3, "fold": fold})
    groups = [set(part.groups) for part in everything(splits)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 12
    sizes = {"sequence": 36, "eye": 18, "person": 12}
    assert len({patient for part in everything(splits) for patient in part.patients}) == sizes[counted]
    assert sum(part.labels.sum() for part in everything(splits)) == 18


def test_groups_that_are_divided_are_refused():
    def part(group, patient):
        return Part(np.zeros((1, 1)), np.zeros(1, np.int64), (patient,), groups=(group,))

    with pytest.raises(FileFormatError, match="group north is in train and in test"):
        Splits(part("north", "a"), part("south", "b"), part("north", "c"), "set")
    first = Splits(part("north", "a"), part("south", "b"), part("west", "c"), "set")
    assert replace(first, train=part("east", "a")).digest != first.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [rows[0][:-1], *(row[:-1] for row in rows[1:])], r"expected also vf.52; a table of visual"),
        (lambda rows: [rows[0], *rows[1:3], *rows[2:]], r"line 4: column 'visit': expected another number for each"),
        (lambda rows: [rows[0], [*rows[1][:-1], "much"], *rows[2:]], r"line 2: column 'vf.52': expected a finite"),
        (lambda rows: rows[:-1], r"got series of 2, 3 visits, expected one number"),
        (lambda rows: rows[:1], r"got 0 visits, expected some"),
    ],
)  # fmt: skip
def test_wrong_tables_are_refused(folder, tmp_path, change, message):
    with pytest.raises(FileFormatError, match=message):
        load_dataset("visual_fields", edited(folder, tmp_path / "other", change))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counted": "visit"}, "data.counted: got 'visit', expected one of sequence, eye, person"),
        ({"largest_db": 0}, "data.largest_db: got 0.0, expected more than 0"),
    ],
)
def test_wrong_options_are_refused(folder, options, message):
    with pytest.raises(ModelError, match=message):
        load_dataset("visual_fields", folder, options)
