"""Tables that describe a data set: what somebody wrote is right, or refused; nothing is made up, nothing is shown."""

import numpy as np
import pytest

import dataset_trees
from heclstm.data.datasets import load_dataset
from heclstm.data.images import read_images
from heclstm.data.labels import binary_labels, class_labels
from heclstm.data.manifest import read_manifest, sequences_of
from heclstm.errors import FileFormatError, ModelError

COLUMNS = ["sequence", "patient", "seconds", "file", "label"]


@pytest.fixture
def tree(tmp_path):
    """(write, rows): 12 sequences of 2 pictures; `write(rows)` makes their manifest and loads it."""
    rows = []
    for number in range(12):
        for place in range(2):
            file = f"s{number}/{place}.png"
            dataset_trees.picture(tmp_path / file, seed=10 * number + place, size=(8, 8))
            rows.append([f"s{number}", f"p{number}", 60 * place, file, number % 2])

    def write(rows, columns=COLUMNS, separator=",", data_set="colposcopy", **options):
        text = "\n".join(separator.join(map(str, row)) for row in [columns, *rows]) + "\n"
        (tmp_path / "manifest.csv").write_text(text)
        return load_dataset(data_set, tmp_path / "manifest.csv", options)

    return write, rows


def labels_of(splits):
    return sum(int(part.labels.sum()) for part in (splits.train, splits.validation, splits.test))


def with_label(rows, value):
    return [[*row[:4], value if row[4] else 0] for row in rows]


@pytest.mark.parametrize(
    "value",
    ["nan", "NaN", "NA", "", "inf", "-inf", "-1", "-1.0", "0.7", "yes", "positive", "TRUE", "2", "1,0", "0x1", "0_1"],
)
def test_labels_are_0_or_1(tree, value):
    write, rows = tree
    with pytest.raises(
        FileFormatError, match=r"^[^\n]*12 lines \(4, 5, 8, 9, 12 and 7 more\): column 'label': expected"
    ):
        write(with_label(rows, f'"{value}"'))


@pytest.mark.parametrize("value", ["1", "1.0", " 1 ", "+1", "1e0"])
def test_one_may_be_written_in_any_way(tree, value):
    write, rows = tree
    assert labels_of(write(with_label(rows, value))) == 6


def test_grades_are_merged_where_somebody_says_from_where_on_and_it_is_told(tree):
    write, rows = tree
    graded = [[*row[:4], int(row[0][1:]) % 4] for row in rows]
    with pytest.raises(FileFormatError, match="column 'label': expected 0 or 1"):
        write(graded)
    splits = write(graded, positive_from=2.0)
    assert labels_of(splits) == 6
    assert splits.notes[0] == "4 grades from 0 to 3: 6 sequences from 2 on count as positive, 6 as negative"
    with pytest.raises(FileFormatError, match="column 'label': expected a number of at least 0"):
        write([[*row[:4], -1 if row[4] else 0] for row in rows], positive_from=2.0)
    with pytest.raises(ModelError, match="positive_from: got -2.0, expected -1, or a grade of at least 0"):
        write(graded, positive_from=-2.0)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "later", "1e999"])
def test_times_are_finite(tree, value):
    write, rows = tree
    with pytest.raises(FileFormatError, match="column 'seconds': expected a finite number"):
        write([[*row[:2], value if row[2] else 0, *row[3:]] for row in rows])


def test_seconds_and_order_must_agree(tree):
    write, rows = tree
    both = [*COLUMNS, "order"]
    assert len(write([[*row, row[2] / 60 + 1] for row in rows], both).train.images[0]) == 2
    with pytest.raises(FileFormatError, match="12 lines .*: column 'order': expected the same order as by seconds"):
        write([[*row, -row[2]] for row in rows], both)


@pytest.mark.parametrize("twice", ["label", "Label", " label", "PATIENT"])
def test_a_column_stands_once(tree, twice):
    write, rows = tree
    with pytest.raises(FileFormatError, match=f"has the column {twice.strip().lower()} more than once"):
        write([[*row, 1] for row in rows], [*COLUMNS, twice])


def test_one_person_has_one_spelling(tree):
    write, rows = tree
    for one, other in (
        ("7", "7.0"),
        ("007", "7"),
        ("P1", "p1"),
        ("a  b", "a b"),
        ("zo\u00e9", "zoe\u0301"),
        ("p1", "p1\u200b"),
    ):
        renamed = [[row[0], one if row[0] == "s0" else other if row[0] == "s1" else row[1], *row[2:]] for row in rows]
        with pytest.raises(FileFormatError, match=r"2 lines \(4, 5\): column 'patient': expected one spelling of each"):
            write(renamed)
    for placeholder in ("nan", "None", "N/A", "?"):
        with pytest.raises(FileFormatError, match="column 'patient': expected a value"):
            write([[row[0], placeholder, *row[2:]] for row in rows])
    floats = [[row[0], f"{row[1][1:]}.0", *row[2:]] for row in rows]  # as pandas writes a column with gaps
    assert len({*write(floats).train.patients}) > 1


def test_sequences_have_one_spelling_and_files_stand_once(tree):
    write, rows = tree
    with pytest.raises(FileFormatError, match="column 'sequence': expected one spelling"):
        write([["S0" if row[0] == "s1" else row[0], *row[1:]] for row in rows])
    with pytest.raises(FileFormatError, match="column 'file': expected each file once in a sequence"):
        write([[*row[:3], "s0/0.png" if row[0] == "s0" else row[3], row[4]] for row in rows])


def test_other_separators_and_folders_as_spreadsheets_write_them(tree):
    write, rows = tree
    windows = [[*row[:3], row[3].replace("/", "\\"), row[4]] for row in rows]
    for separator in (",", ";", "\t"):
        assert labels_of(write(windows, separator=separator)) == 6
    with pytest.raises(FileFormatError, match=r"got columns sequence\|patient\|seconds\|file\|label, expected also"):
        write(rows, separator="|")


def test_many_problems_are_told_by_their_kinds(tree):
    """One line a kind, with the first lines of each: not one for each of 24 lines, and no value of any."""
    write, rows = tree
    spoiled = [[row[0], "" if row[0] == "s3" else row[1], "marked-time", row[3], "marked-label"] for row in rows]
    with pytest.raises(FileFormatError) as refused:
        write(spoiled)
    assert str(refused.value).endswith("manifest.csv: 2 lines (8, 9): column 'patient': expected a value")
    with pytest.raises(FileFormatError) as refused:
        write([[*row[:2], "marked-time", row[3], "marked-label"] for row in rows])
    kinds = str(refused.value).split("; ")
    assert len(kinds) == 2
    assert kinds[0].endswith("24 lines (2, 3, 4, 5, 6 and 19 more): column 'seconds': expected a finite number")
    assert kinds[1] == "24 lines (2, 3, 4, 5, 6 and 19 more): column 'label': expected 0 or 1"
    assert "marked" not in str(refused.value)


def test_many_bad_files_are_told_by_their_kinds(tree, tmp_path):
    write, rows = tree
    for number in range(12):
        (tmp_path / f"s{number}" / "1.png").write_bytes(b"no picture")
    with pytest.raises(FileFormatError) as refused:
        write(rows)
    text = str(refused.value)
    assert "files: 12 cannot be used; mend them, or set data.skip_bad_files = true:" in text
    assert text.count("\n") == 1
    assert text.endswith("and 7 more: no image: not readable as PNG or JPEG")


def test_a_folder_whose_names_fix_no_order_is_told_before_training(tmp_path):
    dataset_trees.clips(tmp_path)
    for name in ("positive/patient-10/clip-0", "negative/patient-01/clip-1"):
        (tmp_path / name / "0.png").rename(tmp_path / name / "first.png")
    with pytest.raises(FileFormatError, match=r"sequences: 2 cannot be used; .*\n.*the names are of different forms"):
        load_dataset("clips", tmp_path)
    splits = load_dataset("clips", tmp_path, {"skip_bad_files": True})
    assert any(note.startswith("2 sequences are left out") for note in splits.notes)


def test_short_sequences_are_left_out_where_that_is_asked_for(tmp_path):
    dataset_trees.clips(tmp_path)
    whole = load_dataset("clips", tmp_path)
    (tmp_path / "positive/patient-10/clip-0/0.png").unlink()
    cut = load_dataset("clips", tmp_path)
    frames = len(cut.train.images[0])
    splits = load_dataset("clips", tmp_path, {"fewest_frames": frames})
    counts = [sum(map(len, (each.train, each.validation, each.test))) for each in (whole, cut, splits)]
    assert counts[0] == counts[1] == counts[2] + 1
    (note,) = [note for note in splits.notes if "are left out" in note]
    assert note.startswith(f"1 sequences have fewer than {frames} frames and are left out: ")
    assert "patient-10/clip-0" in note
    with pytest.raises(ModelError, match="data.fewest_frames: got 0, expected a whole number of at least 1"):
        load_dataset("clips", tmp_path, {"fewest_frames": 0})


def test_a_table_is_text_with_closed_quotes(tmp_path):
    path = tmp_path / "a.csv"
    for content, message in (
        (b'sequence,file\na,"b\nc,d', "not readable as a table"),
        (b"sequence,file\n\xff\xfe", "not readable as comma-separated text in UTF-8"),
        ("sequence,file\na,b".encode("utf-16"), "not readable as comma-separated text in UTF-8"),
        (b"", "got columns none, expected also sequence, file"),
        (b"sequence,file\na,b,c", "line 2: column 'file': expected no more values than the header has"),
    ):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=message):
            read_manifest(path, ("sequence", "file"), "remedy")
    path.write_bytes("\ufeffSequence,FILE\r\n\r\na,b\r\n".encode())
    assert [dict(row.values) for row in read_manifest(path, ("sequence", "file"), "")] == [
        {"sequence": "a", "file": "b"}
    ]
    (tmp_path / "link.csv").symlink_to("/dev/zero")
    with pytest.raises(FileFormatError, match="is a device or pipe"):
        read_images(tmp_path / "link.csv")


@pytest.mark.parametrize("label", ["1.0", "1", "1.00"])
def test_clips_read_labels_as_other_manifests_do(tmp_path, label):
    rows = []
    for number in range(8):
        for frame in range(2):
            dataset_trees.picture(tmp_path / f"c{number}" / f"{frame}.png", seed=10 * number + frame)
        rows.append([f"c{number}", f"p{number}", label if number % 2 else "0.0"])
    path = dataset_trees.write_table(tmp_path / "manifest.csv", ["clip", "patient", "label"], rows)
    assert labels_of(load_dataset("clips", path)) == 4
    for bad in ("nan", "2", "yes"):
        dataset_trees.write_table(path, ["clip", "patient", "label"], [[*row[:2], bad] for row in rows])
        with pytest.raises(FileFormatError, match="8 lines .*: column 'label': expected"):
            load_dataset("clips", path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, np.nan, 1], r"1 of 3 labels are no whole numbers from 0, the first in row 1"),
        ([0, np.inf, 1], "1 of 3 labels are no whole numbers"),
        ([0, 0.7, 0.7], "2 of 3 labels are no whole numbers"),
        ([-1, 0, 1], "the first in row 0"),
        ([2.0**40, 0, 1], "1 of 3 labels"),
        (["no", "yes"], "got labels of type <U3"),
        ([1j, 0], "got labels of type complex128"),
        ([[0, 1], [1, 0]], r"got labels of shape \(2, 2\), expected one for each sequence"),
        ([0, 1, 2], "1 of 3 labels are above 1, expected 0 and 1"),
    ],
)
def test_labels_in_arrays(values, message):
    with pytest.raises(FileFormatError, match=f"^here: .*{message}"):
        binary_labels(np.array(values), "here")


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_labels_may_be_of_any_type_and_in_a_column(kind):
    assert class_labels(np.array([0, 1, 1], kind), "here").tolist() == [0, 1, 1]
    assert class_labels(np.array([[3], [0]], np.uint8), "here").tolist() == [3, 0]


def test_a_quotation_mark_swallows_no_lines(tree):
    """Closed some lines below, it made one value of them: two frames were gone without a word."""
    write, rows = tree
    quoted = [list(row) for row in rows]
    quoted[0][1], quoted[2][1] = '"' + quoted[0][1], quoted[2][1] + '"'
    with pytest.raises(FileFormatError, match="line 4: column 'patient': expected a value on one line"):
        write(quoted)


def test_numbers_that_a_spreadsheet_rounded_are_no_names(tree):
    """Several patients become one."""
    write, rows = tree
    with pytest.raises(FileFormatError, match="column 'patient': expected names that no spreadsheet has rounded"):
        write([[row[0], "1.23E+11" if row[0] == "s0" else row[1], *row[2:]] for row in rows])


def test_numbers_too_small_to_be_told_from_0_are_refused(tree):
    write, rows = tree
    with pytest.raises(FileFormatError, match="column 'label': expected 0 or 1"):
        write([[*row[:4], "1e-400"] if row[0] == "s0" else row for row in rows])


@pytest.mark.parametrize("spelled", ["S3", "s3\u200b", "s\uff13"])
def test_a_sequence_in_two_spellings_is_not_served_by_half(tree, tmp_path, spelled):
    """Training refuses it; serving would have left the other frames out."""
    write, rows = tree
    write(rows)
    assert len(read_images(tmp_path / "manifest.csv", sequence="s3").frames) == 2
    changed = [[spelled if row[0] == "s3" and row[2] else row[0], *row[1:]] for row in rows]
    text = "\n".join(",".join(map(str, row)) for row in [COLUMNS, *changed])
    (tmp_path / "manifest.csv").write_text(text, "utf-8")
    for read in (lambda path: read_images(path, sequence="s3"), sequences_of):
        with pytest.raises(FileFormatError, match="line 9: column 'sequence': expected one spelling of each name"):
            read(tmp_path / "manifest.csv")


def test_a_sequence_of_two_patients_is_not_served(tree, tmp_path):
    write, rows = tree
    write(rows)
    text = (tmp_path / "manifest.csv").read_text()
    (tmp_path / "manifest.csv").write_text(text.replace("s3,p3,60", "s3,p4,60"))
    with pytest.raises(FileFormatError, match="line 9: column 'patient': expected the same in all lines of a sequence"):
        read_images(tmp_path / "manifest.csv", sequence="s3")
    assert len(read_images(tmp_path / "manifest.csv", sequence="s4").frames) == 2


@pytest.mark.parametrize(
    ("times", "right"),
    [
        ("0 60 1.200", False),
        ("1 1.250 2", False),
        ("0 0.500 1", True),
        ("0.000 1.500 12.250", True),
        ("1.000 2.000 3", False),
    ],
)
def test_points_that_may_part_thousands(tree, tmp_path, times, right):
    """1.200 is one and a fifth, or what some spreadsheets make of 1200: refused where that is another order."""
    write, rows = tree
    write(rows)
    lines = [f"a,{time},s{number}/0.png" for number, time in enumerate(times.split())]
    (tmp_path / "manifest.csv").write_text("\n".join(["sequence,seconds,file", *lines]))
    if right:
        assert read_images(tmp_path / "manifest.csv", sequence="a").order == "by seconds of the manifest"
        return
    with pytest.raises(FileFormatError, match="column 'seconds': expected numbers that can be read in one way only"):
        read_images(tmp_path / "manifest.csv", sequence="a")
