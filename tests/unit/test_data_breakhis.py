"""BreaKHis trees with the real names: what is missing, two slides of one patient, published folds."""

import numpy as np
import pytest

import dataset_trees
from heclstm.data.datasets import load_dataset
from heclstm.data.pictures import read_picture
from heclstm.errors import FileFormatError, ModelError

ORDER = "by magnification and number"


def every(splits):
    """(name, patient) of all sequences."""
    parts = (splits.train, splits.validation, splits.test)
    return [row for part in parts for row in zip(part.names, part.patients, strict=True)]


def test_a_sequence_is_a_slide_from_40_to_400(tmp_path):
    splits = load_dataset("breakhis", dataset_trees.breakhis(tmp_path))
    assert len(every(splits)) == len(dataset_trees.BREAKHIS_SLIDES)
    row = 0
    kind, number = splits.train.names[row].removesuffix("/1").split("-14-")
    kind = kind.rsplit("_", 1)[1]
    assert splits.train.labels[row] == (kind in ("DC", "LC"))
    for frame, magnification in zip(splits.train.images[row], dataset_trees.MAGNIFICATIONS, strict=True):
        path = dataset_trees.breakhis_file(tmp_path, kind, "14", number, magnification, 1)
        assert np.array_equal(frame, read_picture(path))
    assert splits.notes == (f"frames stand {ORDER} in 16 sequences",)


def test_copies_in_folders_of_folds_count_once(tmp_path):
    dataset_trees.breakhis(tmp_path)
    original = dataset_trees.breakhis_file(tmp_path, "F", "14", "9133", 40, 1)
    dataset_trees.picture(tmp_path / "fold1" / "train" / "40X" / original.name)
    splits = load_dataset("breakhis", tmp_path, {"per_magnification": 1, "sequences_per_slide": 0})
    assert len(every(splits)) == len(dataset_trees.BREAKHIS_SLIDES)


def test_two_slides_of_a_patient_and_a_slide_of_two_types_stay_together(tmp_path):
    patients = dict(every(load_dataset("breakhis", dataset_trees.breakhis(tmp_path))))
    assert patients["SOB_B_A-14-22549AB/1"] == patients["SOB_B_A-14-22549CD/1"] == "14-22549"
    assert patients["SOB_M_DC-14-13412/1"] == patients["SOB_M_LC-14-13412/1"] == "14-13412"


def test_a_table_joins_patients_with_different_numbers(tmp_path):
    dataset_trees.breakhis(tmp_path)
    table = tmp_path / "patients.csv"
    dataset_trees.write_table(table, ["slide", "patient"], [["14-2523", "x"], ["14-2773", "x"]])
    for seed in range(5):
        splits = load_dataset("breakhis", tmp_path, {"patients": "patients.csv", "seed": seed})
        patients = dict(every(splits))
        assert patients["SOB_M_DC-14-2523/1"] == patients["SOB_M_DC-14-2773/1"]
        assert patients["SOB_M_DC-14-2523/1"] != patients["SOB_M_DC-14-8168/1"]
    dataset_trees.write_table(table, ["slide", "patient"], [["14-99", "x"]])
    with pytest.raises(FileFormatError, match="line 2: column 'slide': expected a slide of this folder"):
        load_dataset("breakhis", tmp_path, {"patients": "patients.csv"})


def test_a_missing_magnification_is_reported(tmp_path):
    dataset_trees.breakhis(tmp_path)
    dataset_trees.breakhis_file(tmp_path, "DC", "14", "2523", 400, 1).unlink()
    skipped = load_dataset("breakhis", tmp_path)
    assert skipped.notes[0] == "slide SOB_M_DC-14-2523: missing 400× (0 of 1): left out"
    assert "SOB_M_DC-14-2523/1" not in dict(every(skipped))
    padded = load_dataset("breakhis", tmp_path, {"missing": "pad"})
    assert padded.notes[0] == "slide SOB_M_DC-14-2523: missing 400× (0 of 1): padded"
    (part,) = (part for part in (padded.train, padded.validation, padded.test) if "SOB_M_DC-14-2523/1" in part.names)
    assert len(part.images[part.names.index("SOB_M_DC-14-2523/1")]) == 3


def test_many_slides_without_a_magnification_are_one_line(tmp_path):
    dataset_trees.breakhis(tmp_path)
    for kind, year, slide in dataset_trees.BREAKHIS_SLIDES:
        for magnification in (40, 100, 400):
            dataset_trees.breakhis_file(tmp_path, kind, year, slide, magnification, 1).unlink()
    padded = load_dataset("breakhis", tmp_path, {"missing": "pad"})
    assert padded.notes[0].startswith(
        "16 slides: missing 40× (0 of 1), 100× (0 of 1), 400× (0 of 1): padded: SOB_B_A-14-2"
    )
    assert sum("missing" in note for note in padded.notes) == 1


def test_a_sequence_may_be_of_one_magnification(tmp_path):
    """Fields of a slide at 200×; the other magnifications may be missing, as in a part of the data."""
    dataset_trees.breakhis(tmp_path, dataset_trees.BREAKHIS_SLIDES[4:12], pictures=5)
    splits = load_dataset(
        "breakhis", tmp_path, {"magnification": 200, "per_magnification": 2, "sequences_per_slide": 0}
    )
    assert len(every(splits)) == 8 * 2
    assert len(splits.train.images[0]) == 2
    assert not any("missing" in note for note in splits.notes)
    with pytest.raises(ModelError, match=r"data.magnification: got 300, expected 0 \(all\), 40, 100, 200 or 400"):
        load_dataset("breakhis", tmp_path, {"magnification": 300})


def test_several_pictures_and_several_sequences(tmp_path):
    dataset_trees.breakhis(tmp_path, dataset_trees.BREAKHIS_SLIDES[4:12], pictures=5)
    splits = load_dataset("breakhis", tmp_path, {"per_magnification": 2, "sequences_per_slide": 0})
    assert len(every(splits)) == 8 * 2  # of five pictures, two disjoint pairs
    assert len(splits.train.images[0]) == 8
    first, second = splits.train.images[0], splits.train.images[1]
    assert splits.train.patients[0] == splits.train.patients[1]
    assert not any(np.array_equal(a, b) for a in first for b in second)
    assert len(every(load_dataset("breakhis", tmp_path, {"sequences_per_slide": 3}))) == 8 * 3


def dsfold(folder, test, leave_out=()):
    """As published: picture|magnification|fold|group."""
    lines = []
    for kind, year, slide in dataset_trees.BREAKHIS_SLIDES:
        for magnification in dataset_trees.MAGNIFICATIONS:
            name = dataset_trees.breakhis_file(folder, kind, year, slide, magnification, 1).name
            if slide not in leave_out:
                lines.append(f"{name}|{magnification}|1|{'test' if slide in test else 'train'}")
    (folder / "dsfold1.txt").write_text("\n".join(lines) + "\n")


def test_a_published_fold_is_kept(tmp_path):
    dataset_trees.breakhis(tmp_path)
    test = {"22549AB", "22549CD", "9133", "2523", "13412"}
    dsfold(tmp_path, test)
    splits = load_dataset("breakhis", tmp_path, {"dsfold": "dsfold1.txt"})
    assert {name.split("-14-")[1].removesuffix("/1") for name in splits.test.names} == test
    splits.require_two_classes()  # the validation part was taken from training
    assert all(note.startswith("frames stand") for note in splits.notes)


def test_a_published_fold_that_divides_a_patient_is_mended_in_training(tmp_path):
    dataset_trees.breakhis(tmp_path)
    dataset_trees.breakhis_file(tmp_path, "A", "14", "22549AB", 40, 1).unlink()
    dsfold(tmp_path, {"22549CD", "9133", "2523", "13412"}, leave_out={"8168"})
    splits = load_dataset("breakhis", tmp_path, {"dsfold": "dsfold1.txt", "missing": "pad"})
    text = "\n".join(splits.notes)
    assert "1 sequences are left out, since their patient is in a later part too: SOB_B_A-14-22549AB/1" in text
    assert "1 pictures of dsfold1.txt are missing: SOB_B_A-14-22549AB-40-001.png" in text
    assert "1 slides are not in dsfold1.txt and are left out: SOB_M_DC-14-8168" in text
    assert "missing 40× (0 of 1): padded" in text
    assert not any("22549AB" in name or "8168" in name for name, _ in every(splits))


def test_folders_and_lists_that_are_none_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match="got no picture named like SOB_M_DC-14-2523-40-001.png"):
        load_dataset("breakhis", tmp_path)
    dataset_trees.breakhis(tmp_path)
    dataset_trees.picture(tmp_path / "holiday.png")
    assert "1 pictures have no BreaKHis name and are left out: holiday.png" in load_dataset("breakhis", tmp_path).notes
    with pytest.raises(FileFormatError, match="dsfold9.txt: cannot be read"):
        load_dataset("breakhis", tmp_path, {"dsfold": "dsfold9.txt"})
    (tmp_path / "dsfold9.txt").write_text("SOB_M_DC-14-2523-40-001.png|40|1|holdout")
    with pytest.raises(FileFormatError, match="entry 1: expected picture|magnification|fold|train or test"):
        load_dataset("breakhis", tmp_path, {"dsfold": "dsfold9.txt"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": "guess"}, "data.missing: got 'guess', expected 'skip' or 'pad'"),
        ({"per_magnification": 0}, "got per_magnification 0 and sequences_per_slide 1"),
        ({"test": 0.9}, "validation 0.15 and test 0.9 leave nothing to train on"),
        ({"validation": 0.0}, "data.validation: got 0.0, expected a share"),
        ({"folds": 3, "fold": 4}, "got fold 4 of 3"),
        ({"seed": -1}, "data.seed: got -1"),
    ],
)
def test_impossible_options_are_refused(tmp_path, options, message):
    with pytest.raises(ModelError, match=message):
        load_dataset("breakhis", tmp_path, options)
