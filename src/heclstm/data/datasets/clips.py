"""Clips: folders of frames, or DICOM files with several frames, sorted into classes by folders or by a manifest.

    clips/positive/patient-1/clip-a/frame-001.png …     a class, a patient, a clip as a folder of pictures
    clips/positive/patient-1/clip-b.dcm                 or as a multi-frame DICOM file
    clips/negative/clip-7/frame-1.png …                 without a patient's folder, each clip is a patient's only one
    clips/manifest.csv                                  instead of classes: clip, patient, label; split, same_as

The classes are `positive` and `negative`, or 1 and 0, or as `[data] positive = "…"` says. A DICOM file that names its
patient belongs to him. Frames stand in the order of their names, numbers by value; preparation.length = "sample"
keeps evenly spaced ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heclstm.data.datasets.files import Entry, FileOptions, assemble, listed
from heclstm.data.datasets.manifest import Row, read_manifest
from heclstm.data.datasets.splits import Splits
from heclstm.data.dicom import DICOM, read_patient
from heclstm.data.reading import frame_files
from heclstm.errors import FileFormatError

REMEDY = "a manifest of clips has the columns clip, patient, label"
POSITIVE, NEGATIVE = ("positive", "1"), ("negative", "0")


@dataclass(frozen=True)
class Options(FileOptions):
    """positive: the class folder that is label 1; all others are 0."""

    positive: str = ""


def load(path: Path, options: Options) -> Splits:
    """path: the folder of classes, or a manifest, or the folder that holds one as manifest.csv."""
    manifest = path / "manifest.csv" if path.is_dir() else path
    if not manifest.exists() and path.is_dir():
        return assemble(path.name, list(_by_folders(path, options)), options)
    rows = read_manifest(manifest, ("clip", "patient", "label"), REMEDY)
    same = [(row["patient"], row["same_as"]) for row in rows if row["same_as"]]
    return assemble(manifest.parent.name, [_entry(row) for row in rows], options, same=same)


def _entry(row: Row) -> Entry:
    if row["label"] not in ("0", "1"):
        raise row.wrong("label", "0 or 1")
    files = _files(row.path.parent / row["clip"])
    if not files:
        raise row.wrong("clip", "a folder of frames, or a DICOM file")
    return Entry(row["clip"], row["patient"], int(row["label"]), files, row.split)


def _by_folders(root: Path, options: Options) -> Iterator[Entry]:
    classes = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]
    names = [folder.name for folder in classes]
    if options.positive:
        known = options.positive in names
    else:
        known = all(name.lower() in POSITIVE + NEGATIVE for name in names)
    if not classes or not known:
        raise FileFormatError(
            f"{root}: got class folders {listed(names) or 'none'}, expected {options.positive or 'positive'} and "
            "others; name the positive one with data.positive, or write a manifest.csv"
        )
    for folder in classes:
        label = int(folder.name == options.positive if options.positive else folder.name.lower() in POSITIVE)
        for item in sorted(folder.iterdir()):
            if files := _files(item):
                yield _clip(root, item, f"{folder.name}/{item.stem}", label, files)
            elif item.is_dir():
                for clip in sorted(item.iterdir()):
                    if files := _files(clip):
                        yield _clip(root, clip, item.name, label, files)


def _clip(root: Path, item: Path, patient: str, label: int, files: tuple[Path, ...]) -> Entry:
    named = read_patient(files[0]) if files[0].suffix.lower() in DICOM else ""
    return Entry(str(item.relative_to(root)), named or patient, label, files)


def _files(item: Path) -> tuple[Path, ...]:
    """The frames of a clip; none if it is no clip."""
    if item.is_dir():
        return tuple(frame_files(item))
    return (item,) if item.suffix.lower() in DICOM else ()
