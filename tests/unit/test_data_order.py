"""One order for training and serving: names, manifests, and what fixes none."""

from zipfile import ZipFile

import numpy as np
import pytest

import dataset_trees
from heclstm.data.datasets import load_dataset
from heclstm.data.images import read_images
from heclstm.data.order import Rule, by_names, decide
from heclstm.errors import FileFormatError, SequenceError

NAMES = {
    "every thousandth": ([f"f{number:04}.png" for number in range(0, 10_000, 1000)], "by names"),
    "numbers by value": (["frame-9.png", "frame-10.png", "frame-100.jpg"], "by names"),
    "numbers of one width": (["IM0001.png", "IM0002.png"], "by names"),
    "whatever the case": (["img1.PNG", "IMG02.png"], "by names"),
    "seconds": (["0s.png", "60s.png", "120s.png"], "by names"),
    "two numbers that agree": (["1-10.png", "1-11.png", "2-12.png"], "by names"),
    "a hyphen between words": (["slice -9.png", "slice -10.png"], None),
    "a point that could be a fraction": (["3.001.png", "3.010.png"], "by names"),
    "moments over midnight": (["20240131_235959.png", "20240201_000001.png"], "by names"),
    "moments over a minute": (["x 2024-01-31 10-30-50.png", "x 2024-01-31 10-31-10.png"], "by names"),
    "days after months": (["2024-01-31.png", "2024-02-01.png"], "by names"),
    "BreaKHis": (["SOB_M_DC-14-2523-40-007.png", "SOB_M_DC-14-2523-100-001.png"], "by magnification and number"),
    "two slides of BreaKHis": (["SOB_M_DC-14-2523-40-001.png", "SOB_M_DC-14-2524-40-002.png"], None),
    "fractions of other lengths": (["0.25s.png", "0.5s.png"], None),
    "minutes and seconds": (["30s.png", "1min.png"], None),
    "words": (["before.png", "after-60s.png"], None),
    "a minus": (["-30s.png", "-20s.png"], None),
    "one minus": (["-30s.png", "0s.png"], None),
    "days before months": (["05-01-2024.png", "04-02-2024.png"], None),
    "patients and frames": (["p1-f2.png", "p2-f1.png"], None),
    "letters": (["a.png", "b.png"], None),
    "the same number twice": (["01.png", "1.jpg"], None),
    "a copy": (["1.png", "1 (1).png"], None),
    "days before months and years, without a point": (["31122024.png", "01012025.png"], None),
    "the same, of two digits": (["x311224.png", "x010125.png"], None),
    "months first": (["12312024.png", "01012025.png"], None),
    "days of one month": (["01122024.png", "02122024.png"], "by names"),
    "clocks of twelve hours": (["12am.png", "1am.png"], None),
    "clocks of twelve hours with minutes": (["12.30 p.m..png", "01.30 p.m..png"], None),
    "hours of one clock": (["1am.png", "2am.png"], "by names"),
    "a counter that began anew": (["IMG_9999.png", "IMG_0001.png"], None),
    "a counter": (["IMG_0999.png", "IMG_1001.png"], "by names"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_fix_an_order_or_are_refused(kind):
    names, reason = NAMES[kind]
    shuffled = names[1:] + names[:1]
    if reason is None:
        with pytest.raises(SequenceError, match="folder: the n.*; give a manifest with seconds or order, or the files"):
            by_names(shuffled, "folder")
    else:
        order = by_names(shuffled, "folder")
        assert [shuffled[row] for row in order.rows] == names
        assert order.reason == reason


def test_a_refusal_lists_the_names():
    with pytest.raises(
        SequenceError, match=r"folder: the names are of different forms.*: after\.png, before-60s\.png;"
    ):
        by_names(["before-60s.png", "after.png"], "folder")


def test_the_first_rule_that_all_frames_follow_decides():
    rules = [Rule("by a", [None, 1, 2]), Rule("by b", [3, 3, 1]), Rule("by c", [2, 3, 1]), Rule("by d", [1, 2, 3])]
    order = decide(rules, "here", "nothing decides")
    assert (order.rows, order.reason) == ((2, 0, 1), "by c")
    with pytest.raises(SequenceError, match="here: nothing decides"):
        decide(rules[:2], "here", "nothing decides")


SERIES = {
    "before and after": {0: "before.png", 60: "after-60s.png"},
    "from minus": {-30: "-30s.png", 0: "0s.png", 60: "60s.png"},
    "minutes": {0: "T0.png", 60: "1min.png", 120: "2min.png"},
    "renamed": {0: "30.png", 60: "20.png", 120: "10.png"},
}


@pytest.fixture(params=SERIES)
def series(request, tmp_path):
    """(the manifest, the folder of one sequence, its levels in the order of time)"""
    rows = []
    for number in range(8):
        for place, (seconds, name) in enumerate(SERIES[request.param].items()):
            file = tmp_path / f"s{number}" / name
            dataset_trees.picture(file, seed=100 * number + place, size=(8, 8))
            rows.append([f"s{number}", f"p{number}", seconds, f"s{number}/{name}", number % 2])
    path = dataset_trees.write_table(
        tmp_path / "manifest.csv", ["sequence", "patient", "seconds", "file", "label"], rows
    )
    return request.param, path, tmp_path / "s0", len(SERIES[request.param])


def test_a_sequence_is_served_as_it_is_trained(series):
    """By the manifest always; by its folder too, or it is refused, unless names that fix an order are lies."""
    kind, manifest, folder, count = series
    splits = load_dataset("colposcopy", manifest)
    trained = {
        name: images
        for part in (splits.train, splits.validation, splits.test)
        for name, images in zip(part.names, part.images, strict=True)
    }["s0"]
    served = read_images(manifest, sequence="s0")
    assert len(trained) == count
    assert all(np.array_equal(*pair) for pair in zip(trained, served.frames, strict=True))
    assert served.order == "by seconds of the manifest"
    assert served.names == tuple(name for _, name in sorted(SERIES[kind].items()))
    if kind == "renamed":  # what names say is told with its reason, and can be seen to be wrong
        assert read_images(folder).order == "by names"
        assert read_images(folder).names == ("10.png", "20.png", "30.png")
        return
    with pytest.raises(SequenceError, match="fix no order"):
        read_images(folder)
    files = [folder / name for _, name in sorted(SERIES[kind].items())]
    given = read_images(files, as_given=True)
    assert given.order == "as given"
    assert all(np.array_equal(*pair) for pair in zip(trained, given.frames, strict=True))


def test_clips_are_served_as_they_are_trained(tmp_path):
    dataset_trees.clips(tmp_path, patients=4)
    for folder in sorted(tmp_path.glob("*/*/*")):
        for number, file in enumerate(sorted(folder.iterdir())):
            file.rename(folder / f"{10 * number + 5}.png")
    splits = load_dataset("clips", tmp_path)
    for name, images in zip(splits.train.names, splits.train.images, strict=True):
        served = read_images(tmp_path / name)
        assert served.names == tuple(f"{10 * number + 5}.png" for number in range(len(images)))
        assert all(np.array_equal(*pair) for pair in zip(images, served.frames, strict=True))


def test_a_list_of_files_follows_the_names_unless_it_is_as_given(tmp_path):
    files = [dataset_trees.picture(tmp_path / f"{number}.png", seed=number, size=(4, 4)) for number in (10, 9, 1)]
    assert read_images(files).names == ("1.png", "9.png", "10.png")
    assert read_images(files, as_given=True).names == ("10.png", "9.png", "1.png")
    with pytest.raises(SequenceError, match="as given: expected files, each of them once"):
        read_images([*files, files[0]], as_given=True)
    (tmp_path / "sub").mkdir()
    same = tmp_path / "sub" / ".." / "1.png"  # in another spelling
    with pytest.raises(SequenceError, match="as given: expected files, each of them once"):
        read_images([tmp_path / "1.png", same], as_given=True)
    with pytest.raises(SequenceError, match="as given: expected files"):
        read_images([tmp_path], as_given=True)


def test_a_sequence_is_named_where_a_manifest_has_several(tmp_path):
    path = dataset_trees.colposcopy(tmp_path)
    with pytest.raises(FileFormatError, match="holds 10 sequences; name one by --sequence"):
        read_images(path)
    with pytest.raises(FileFormatError, match="holds no sequence of that name, but 10 others"):
        read_images(path, sequence="s99")
    with pytest.raises(SequenceError, match=r"is no manifest \(\.csv\)"):
        read_images(tmp_path / "p0", sequence="s1")
    assert len(read_images(path, sequence="s3").frames) == 5


def test_frames_that_are_left_out_are_told_once_with_counts(tmp_path, caplog):
    from heclstm.card.preparation import Preparation
    from heclstm.data.datasets import fit_training
    from heclstm.data.handed_in import read_handed_in

    preparation = Preparation("frames", (3, 1, 8, 8), 3, 1, 8, 8, resize="crop", colour="grey", length="sample")
    path = dataset_trees.colposcopy(tmp_path, sequences=16)  # of 2 to 5 pictures
    fit_training(load_dataset("colposcopy", path), preparation)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2  # training and validation part
    assert all("sequences have more than 3 frames" in line and "are used, evenly spaced" in line for line in lines)
    told = read_handed_in(tmp_path / "p3", preparation).told()
    assert told == [
        "5 frames of 5 pictures, by names: 0.png, 1.png, 2.png, 3.png, 4.png",
        "3 of 5 frames are used, evenly spaced: 1, 3, 5",
    ]


def test_an_archive_or_a_folder_of_one_image_keeps_no_place_in_a_list(tmp_path):
    """It was read, but stood behind all files of the list."""
    for number in (1, 2):
        dataset_trees.picture(tmp_path / f"{number}.png", seed=number)
    with ZipFile(tmp_path / "first.zip", "w") as archive:
        archive.write(tmp_path / "1.png", "1.png")
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "1.png").write_bytes((tmp_path / "1.png").read_bytes())
    for first in ("first.zip", "first"):
        with pytest.raises(SequenceError, match="as given: expected files, each of them once"):
            read_images([tmp_path / first, tmp_path / "2.png"], as_given=True)
        (tmp_path / "m.csv").write_text(f"sequence,order,file\na,1,{first}\na,2,2.png\n")
        with pytest.raises(SequenceError, match="by order of the manifest: expected files, each of them once"):
            read_images(tmp_path / "m.csv")
