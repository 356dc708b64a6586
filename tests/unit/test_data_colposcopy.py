"""Manifests of colposcopy series and of clips: order, lengths, patients under several names, and wrong lines."""

import numpy as np
import pytest
from PIL import Image

import dataset_trees
from heclstm.data.datasets import files, load_dataset
from heclstm.data.decoded import DECODED, Decoded
from heclstm.data.images import Images, read_listed
from heclstm.errors import FileFormatError, ModelError

COLUMNS = ["sequence", "patient", "seconds", "file", "label"]


def series(root, patients=6, columns=COLUMNS, extra=lambda number: []):
    rows = []
    for number in range(patients):
        for time in (60, 0):
            dataset_trees.picture(root / f"{number}-{time}.png", 100 * number + time, size=(8, 8), mode="L")
            rows.append([f"s{number}", f"p{number}", time, f"{number}-{time}.png", number % 2, *extra(number)])
    return dataset_trees.write_table(root / "manifest.csv", columns, rows)


def patients_of(splits):
    parts = (splits.train, splits.validation, splits.test)
    return {name: patient for part in parts for name, patient in zip(part.names, part.patients, strict=True)}


def test_pictures_stand_in_the_order_of_time(tmp_path):
    splits = load_dataset("colposcopy", series(tmp_path))
    first, second = splits.train.images[0]
    number = splits.train.names[0][1:]
    rng = [np.random.default_rng(100 * int(number) + time) for time in (0, 60)]
    assert np.array_equal(first[0], rng[0].integers(0, 256, (8, 8), dtype=np.uint8))
    assert np.array_equal(second[0], rng[1].integers(0, 256, (8, 8), dtype=np.uint8))


def test_a_column_tells_who_is_the_same_person(tmp_path):
    """Registered twice under different names: p4 was p0 before, and p5 was p1."""
    twin = {4: "p0", 5: "p1"}
    path = series(tmp_path, 12, [*COLUMNS, "same_as"], lambda number: [twin.get(number, "")])
    for seed in range(5):
        patients = patients_of(load_dataset("colposcopy", path, {"seed": seed}))
        assert patients["s4"] == patients["s0"] == "p0"
        assert patients["s5"] == patients["s1"] == "p1"


def test_identical_files_tell_it_too(tmp_path):
    path = series(tmp_path, 10)
    (tmp_path / "7-0.png").write_bytes((tmp_path / "3-0.png").read_bytes())
    splits = load_dataset("colposcopy", path)
    assert patients_of(splits)["s7"] == patients_of(splits)["s3"]
    assert splits.notes == (
        "frames stand by seconds of the manifest in 10 sequences",
        "1 pairs of patients share identical pictures and count as one: p3 = p7",
    )


def test_a_group_is_never_divided_and_its_patients_are_counted(tmp_path):
    """Three hospitals: each is in one part, and its patients stay patients."""
    path = series(tmp_path, 24, [*COLUMNS, "group"], lambda number: [f"h{number // 3}"])
    for fold in (1, 2, 3):
        splits = load_dataset("colposcopy", path, {"folds": 3, "fold": fold})
        groups = [set(part.groups) for part in (splits.train, splits.validation, splits.test)]
        assert not groups[0] & groups[1]
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]
        assert len(set(patients_of(splits).values())) == 24
    divided = series(tmp_path / "two", 6, [*COLUMNS, "group"], lambda number: ["one group"])
    everything = load_dataset("colposcopy", divided)
    assert [len(part) for part in (everything.train, everything.validation, everything.test)].count(0) == 2


def test_a_patient_in_two_groups_joins_them(tmp_path):
    """p2 was seen in both hospitals, so neither can be in another part."""
    path = series(tmp_path, 12, [*COLUMNS, "group"], lambda number: ["a" if number < 2 else "b" if number < 4 else ""])
    table = path.read_text().splitlines()
    path.write_text("\n".join(line.replace("p1,", "p2,") for line in table) + "\n")
    for seed in range(4):
        splits = load_dataset("colposcopy", path, {"seed": seed})
        where = {
            name: k for k, part in enumerate((splits.train, splits.validation, splits.test)) for name in part.names
        }
        assert where["s0"] == where["s1"] == where["s2"] == where["s3"]


def test_pictures_are_decoded_once_while_they_are_kept(tmp_path, monkeypatch):
    path, read = series(tmp_path, 8), []
    monkeypatch.setattr(files, "read_listed", lambda *given: read.append(given) or read_listed(*given))
    with DECODED.kept():
        first, second = (load_dataset("colposcopy", path, {"folds": 2, "fold": fold}) for fold in (1, 2))
        frames = [first.train.images[0], second.test.images[0]]
        assert len(read) == 8
        with pytest.raises(ValueError, match="read-only"):
            frames[0][0][:] = 0
    load_dataset("colposcopy", path)
    assert len(read) == 16  # nothing is kept afterwards


def test_what_does_not_fit_is_decoded_again():
    images, calls = Images([np.zeros((1, 4, 4), np.uint8)], "", ("a",), ""), []
    small = Decoded(limit_bytes=16)
    with small.kept():
        for key in ("a", "b", "a", "b"):
            small.get(key, lambda key=key: calls.append(key) or images)
    assert calls == ["a", "b", "b"]


def test_an_identical_blank_picture_tells_nothing(tmp_path):
    """A covered camera is black for everybody: five patients stay five."""
    path = series(tmp_path, 10)
    for number in range(5):
        Image.new("RGB", (24, 20)).save(tmp_path / f"{number}-0.png")
    splits = load_dataset("colposcopy", path)
    assert len(set(patients_of(splits).values())) == 10
    assert "1 blank pictures stand in series of several patients, and say nothing about who they are" in splits.notes


def test_given_parts_are_kept_and_never_share_a_patient(tmp_path):
    parts = ["train", "train", "val", "val", "test", "test", "train", "train"]
    path = series(tmp_path, 8, [*COLUMNS, "split"], lambda number: [parts[number]])
    (tmp_path / "6-0.png").write_bytes((tmp_path / "4-0.png").read_bytes())
    splits = load_dataset("colposcopy", path)
    assert [part.names for part in (splits.train, splits.validation, splits.test)] == [
        ("s0", "s1", "s7"),
        ("s2", "s3"),
        ("s4", "s5"),
    ]
    assert "1 sequences are left out, since their patient is in a later part too: s6" in splits.notes
    both = [load_dataset("colposcopy", path, {"folds": 2, "fold": fold}) for fold in (1, 2)]
    folds = [set(each.test.names) for each in both]
    assert folds[0] | folds[1] == {"s0", "s1", "s2", "s3", "s7"}
    assert not folds[0] & folds[1]
    dealt = {name for each in both for part in (each.train, each.validation, each.test) for name in part.names}
    assert not dealt & {"s4", "s5", "s6"}  # a given test part stays out, and whoever is in it too


def test_lines_may_name_another_column_for_labels(tmp_path):
    path = series(tmp_path, columns=["Sequence", "Patient", "ORDER", "file", "grade"])
    splits = load_dataset("colposcopy", path, {"label": "grade", "positive_from": 0.5})
    splits.require_two_classes()
    with pytest.raises(ModelError, match="train: got .* of label 1, expected labels 0 and 1"):
        load_dataset("colposcopy", path, {"label": "grade", "positive_from": 0.0}).require_two_classes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("label", "outcome"), "expected also label; a manifest has the columns"),
        (
            lambda text: text.replace("s0,p0,60", "s0,p1,60"),
            "line 3: column 'patient': expected the same in all lines of a sequence",
        ),
        (
            lambda text: text.replace("s0,p0,60", "s0,p0,0"),
            "line 3: column 'seconds': expected another value for each file of a sequence",
        ),
        (lambda text: text.replace("s0,p0,60", "s0,p0,later"), "line 2: column 'seconds': expected a finite number"),
        (lambda text: text.replace("s0,p0,60", "s0,,60"), "line 2: column 'patient': expected a value"),
        (
            lambda text: text.replace(".png,0", ".png,ill"),
            r"6 lines \(2, 3, 6, 7, 10 and 1 more\): column 'label': expected 0 or 1",
        ),
        (
            lambda text: text.replace("0-60.png,0", "0-60.png,0,x"),
            "line 2: column 'label': expected no more values than the header has",
        ),
        (lambda text: text.replace("0-60.png", "absent.png"), r"absent\.png: no image: cannot be read \(No such file"),
        (lambda text: text.splitlines()[0], "got 0 sequences, expected some"),
        (lambda text: "", "got columns none, expected also sequence, patient, file, label"),
    ],
)
def test_wrong_lines_are_named(tmp_path, change, message):
    path = series(tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(FileFormatError, match=message):
        load_dataset("colposcopy", path)


def test_a_manifest_is_utf8_text(tmp_path):
    path = series(tmp_path)
    path.write_bytes("\ufeff".encode() + path.read_bytes())  # as spreadsheets write it
    load_dataset("colposcopy", path)
    path.write_bytes(path.read_bytes() + b"\xff\xfe")
    with pytest.raises(FileFormatError, match="not readable as comma-separated text in UTF-8"):
        load_dataset("colposcopy", path)


@pytest.mark.parametrize(
    ("value", "message"),
    [("later", "column 'split': expected train, validation, test"), ("", "the split is missing, expected one of")],
)
def test_parts_are_named_for_all_or_none(tmp_path, value, message):
    path = series(tmp_path, 6, [*COLUMNS, "split"], lambda number: [value if number == 3 else "train"])
    with pytest.raises(FileFormatError, match=message):
        load_dataset("colposcopy", path)


def test_clips_by_a_manifest(tmp_path):
    rows = []
    for number in range(8):
        for frame in range(3):
            dataset_trees.picture(tmp_path / f"clip{number}" / f"{frame}.png", 10 * number + frame, mode="L")
        rows.append([f"clip{number}", f"p{number // 2}", number // 2 % 2, ""])
    rows[7][3] = "p0"
    path = dataset_trees.write_table(tmp_path / "manifest.csv", ["clip", "patient", "label", "same_as"], rows)
    patients = patients_of(load_dataset("clips", tmp_path))
    assert len(patients) == 8
    assert patients["clip6"] == patients["clip0"] == "p0"
    path.write_text(path.read_text().replace("clip3", "clip9"))
    with pytest.raises(FileFormatError, match="line 5: column 'clip': expected a folder of frames, or a DICOM file"):
        load_dataset("clips", path)


def test_clips_by_the_names_of_classes(tmp_path):
    dataset_trees.clips(tmp_path)
    (tmp_path / "negative").rename(tmp_path / "benign")
    with pytest.raises(FileFormatError, match=r"got class folders benign, positive, .* data\.positive"):
        load_dataset("clips", tmp_path)
    splits = load_dataset("clips", tmp_path, {"positive": "benign"})
    for name, label in zip(splits.train.names, splits.train.labels, strict=True):
        assert label == name.startswith("benign")
    single = tmp_path / "other"
    for label in (0, 1):
        for number in range(4):
            dataset_trees.picture(single / str(label) / f"clip-{number}" / "1.png", 10 * label + number)
    assert patients_of(load_dataset("clips", single))["1/clip-2"] == "1/clip-2"


@pytest.mark.parametrize(("more", "told"), [(1, "more frames than negative ones (in 100% of pairs"), (0, "")])
def test_lengths_that_tell_the_label_are_told(tmp_path, more, told):
    """If only positive patients were photographed three times, a model learns that."""
    rows = []
    for number in range(20):
        for place in range(2 + more * (number % 2)):
            dataset_trees.picture(tmp_path / f"{number}-{place}.png", seed=100 * number + place, size=(8, 8))
            rows.append(f"s{number},p{number},{place},{number}-{place}.png,{number % 2}")
    (tmp_path / "manifest.csv").write_text("\n".join(["sequence,patient,seconds,file,label", *rows]) + "\n")
    notes = [note for note in load_dataset("colposcopy", tmp_path).notes if "a model may learn that" in note]
    assert len(notes) == more
    assert told in "".join(notes)
