"""What stands twice in a data set: the same pictures with two labels, in two parts, of one person in two spellings."""

import numpy as np
import pytest
from PIL import Image

import dataset_trees
from heclstm.data.datasets import load_dataset
from heclstm.data.datasets.medmnist3d import _leaks
from heclstm.data.manifest import spelling
from heclstm.errors import FileFormatError


def clips(root, *more):
    """Two classes of three patients with a clip each; more: (class, patient, seed of its pictures)."""
    own = [
        (kind, f"{kind[0]}{number}", 10 * number + len(kind) * (kind == "positive"))
        for kind in ("positive", "negative")
        for number in range(3)
    ]
    for kind, patient, seed in [*own, *more]:
        for number in (1, 2):
            dataset_trees.picture(root / kind / patient / "clip" / f"{number}.png", seed=1000 * number + seed)
    return root


def test_the_same_pictures_with_two_labels_are_told(tmp_path):
    notes = load_dataset("clips", clips(tmp_path, ("positive", "a", 99), ("negative", "b", 99))).notes
    told = "1 pairs hold the same pictures and have two labels, so one is wrong: negative/b/clip and positive/a/clip"
    assert told in notes


def test_pictures_that_stand_twice_are_told(tmp_path):
    notes = load_dataset("clips", clips(tmp_path, ("positive", "a", 99), ("positive", "b", 99))).notes
    assert "1 sequences hold the same pictures as others, and count twice: positive/b/clip" in notes
    assert "1 pairs of patients share identical pictures and count as one: a = b" in notes


def test_one_person_has_one_spelling_in_folders_too(tmp_path):
    with pytest.raises(FileFormatError, match="patients 'P0' and 'p0' may be one person in two spellings"):
        load_dataset("clips", clips(tmp_path, ("negative", "P0", 99)))


def test_a_clip_stands_once_in_a_manifest(tmp_path):
    """Twice, it was positive and negative at once."""
    clips(tmp_path)
    rows = [[f"{kind}/{kind[0]}{n}/clip", f"{kind[0]}{n}", int(kind == "positive")]
            for kind in ("positive", "negative") for n in range(3)]  # fmt: skip
    manifest = tmp_path / "manifest.csv"
    dataset_trees.write_table(manifest, ["clip", "patient", "label"], rows)
    assert len(load_dataset("clips", tmp_path).train.labels) > 0
    for again in ("positive/p0/clip", "./positive/p0/../p0/clip"):
        dataset_trees.write_table(manifest, ["clip", "patient", "label"], [*rows, [again, "p0", 0]])
        with pytest.raises(FileFormatError, match="line 8: column 'clip': expected each clip once"):
            load_dataset("clips", tmp_path)


def test_folders_without_an_image_are_told(tmp_path):
    (clips(tmp_path) / "positive" / "p9" / "clip").mkdir(parents=True)
    assert "1 folders hold no image: positive/p9/clip" in load_dataset("clips", tmp_path).notes


def test_volumes_that_stand_in_two_parts_are_told(tmp_path):
    """But for blank ones, which say nothing."""
    rng = np.random.default_rng(0)
    arrays = {f"{part}_labels": np.array([[0], [1]] * 3, np.uint8) for part in ("train", "val", "test")}
    images = {part: rng.integers(0, 255, (6, 4, 4, 4)).astype(np.uint8) for part in ("train", "val", "test")}
    images["test"][:2], images["val"][0] = images["train"][:2], images["train"][5]
    images["test"][5] = images["train"][3] = 0
    np.savez(tmp_path / "x.npz", **arrays, **{f"{part}_images": array for part, array in images.items()})
    assert load_dataset("medmnist3d", tmp_path / "x.npz").notes == (
        "2 volumes of the test part stand in an earlier part too",
        "1 volumes of the validation part stand in an earlier part too",
    )


def test_leaks_are_found_in_any_memory_order():
    volumes = np.asfortranarray(np.random.default_rng(0).integers(0, 255, (3, 4, 4, 4), np.uint8))
    assert _leaks("test", volumes[:1], [volumes]) == ("1 volumes of the test part stand in an earlier part too",)


def test_long_numbers_and_exponents_are_names_of_their_own():
    assert spelling("20241126000000001") != spelling("20241126000000002")
    assert spelling("12e3") != spelling("12000")
    assert spelling("7/2") != spelling("3.5")
    assert spelling("007") == spelling("7.0") == spelling("7")


def test_pictures_that_were_written_anew_are_the_same(tmp_path):
    """An export of the same patient under another name differs in bytes, not in pixels."""
    root = clips(tmp_path, ("positive", "a", 99), ("positive", "b", 99))
    for file in (root / "positive" / "b").rglob("*.png"):
        pixels = Image.open(file).copy()
        pixels.save(file, compress_level=1)
        assert file.read_bytes() != (root / "positive" / "a" / "clip" / file.name).read_bytes()
    splits = load_dataset("clips", root)
    assert "1 sequences hold the same pictures as others, and count twice: positive/b/clip" in splits.notes
    assert "1 pairs of patients share identical pictures and count as one: a = b" in splits.notes
    assert sum("a" in part.patients for part in (splits.train, splits.validation, splits.test)) == 1


def test_sets_that_cannot_be_divided_say_why(tmp_path):
    rows = [f"s{number},p{number},g,0,{number}.png,{number % 2}" for number in range(4)]
    for number in range(4):
        dataset_trees.picture(tmp_path / f"{number}.png", seed=number)
    (tmp_path / "manifest.csv").write_text("\n".join(["sequence,patient,group,seconds,file,label", *rows]) + "\n")
    assert (
        "all 4 sequences are of one patient or group, which is never divided"
        in load_dataset("colposcopy", tmp_path).notes
    )
