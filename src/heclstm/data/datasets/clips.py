"""Clips: folders of frames, or DICOM files, sorted into classes by folders or by a manifest.

    clips/positive/patient-1/clip-a/frame-001.png …     a class, a patient, a clip as a folder of pictures or slices
    clips/positive/patient-1/clip-b.dcm                 or as a multi-frame DICOM file
    clips/negative/clip-7/frame-1.png …                 without a patient's folder, each clip is a patient's only one
    clips/manifest.csv                                  instead of classes: clip, patient, label; split, same_as

The classes are `positive` and `negative`, or 1 and 0, or as `[data] positive = "…"` says. Frames stand in the order
that `data.order` finds, as they will when they are served; preparation.length = "sample" keeps evenly spaced ones.

Clips whose DICOM files name one patient are one person's. Where one name stands in the folders of several patients,
as in de-identified collections, nobody knows which is right, and `[data] patient` must say it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from heclstm.data.datasets.files import Entry, FileOptions, assemble, listed, part_named
from heclstm.data.datasets.patients import PARTS
from heclstm.data.datasets.splits import Splits
from heclstm.data.dicom import header_of
from heclstm.data.manifest import Problems, Row, label_of, read_manifest, require_one_spelling
from heclstm.data.sources import Source, files_below, is_litter, is_there, kind_of, looks_like_an_image
from heclstm.errors import FileFormatError, ModelError

REMEDY = "a manifest of clips has the columns clip, patient, label"
POSITIVE, NEGATIVE = ("positive", "1"), ("negative", "0")


@dataclass(frozen=True)
class Options(FileOptions):
    """positive: the class folder that is label 1; all others are 0. patient: who decides whose a clip is where they
    disagree, "file" (what DICOM files say) or "folder"; "" refuses."""

    positive: str = ""
    patient: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patient not in ("", "file", "folder"):
            raise ModelError(f"data.patient: got {self.patient!r}, expected 'file' or 'folder'")


@dataclass(frozen=True)
class _Clip:
    """named: whether `patient` is a folder of his own. id: what its DICOM files say; never shown."""

    entry: Entry
    named: bool
    id: str


def load(path: Path, options: Options) -> Splits:
    """path: the folder of classes, or a manifest, or the folder that holds one as manifest.csv."""
    manifest = path / "manifest.csv" if path.is_dir() else path
    if not manifest.exists() and path.is_dir():
        clips = list(_by_folders(path, options))
        same = [] if options.patient == "folder" else _persons(path, clips, options)
        empty = [str(place.relative_to(path)) for place in sorted(path.glob("*/**/")) if _holds_nothing(place)]
        notes = [f"{len(empty)} folders hold no image: {listed(empty)}"] if empty else []
        return assemble(path.name, [clip.entry for clip in clips], options, same=same, notes=notes)
    rows, problems = read_manifest(manifest, ("clip", "patient", "label"), REMEDY), Problems(manifest)
    require_one_spelling(rows, "patient", problems)
    seen: set[Path] = set()
    for row in rows:
        if (place := row.file("clip").resolve()) in seen:
            problems.add(row, "clip", "each clip once")
        seen.add(place)
    entries = [_entry(row, problems) for row in rows]
    problems.refuse()
    same = [(row["patient"], row["same_as"]) for row in rows if row["same_as"]]
    return assemble(manifest.parent.name, entries, options, same=same)


def _entry(row: Row, problems: Problems) -> Entry:
    place = row.file("clip")
    files = _images_below(place) if is_there(place) else ()
    if not files:
        problems.add(row, "clip", "a folder of frames, or a DICOM file")
    split = part_named(row["split"])
    if split is None:
        problems.add(row, "split", ", ".join(PARTS))
    return Entry(row["clip"], row["patient"], label_of(row, "label", problems), files, split or "", group=row["group"])


def _by_folders(root: Path, options: Options) -> Iterator[_Clip]:
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
        if pictures := [item for item in sorted(folder.iterdir()) if _is_picture(item)]:
            raise FileFormatError(
                f"{pictures[0]}: lies in the folder of a class; put each clip into a folder of its own"
            )
        for files in _files_of_clips(folder):
            yield _clip(root, files, f"{folder.name}/{files[0].stem}", label)
        for item in sorted(item for item in folder.iterdir() if item.is_dir() and not item.name.startswith(".")):
            yield from _of_patient(root, folder, item, label)


def _of_patient(root: Path, folder: Path, item: Path, label: int) -> Iterator[_Clip]:
    """A folder in that of a class: a clip of pictures, or a patient with clips."""
    inside = sorted(clip for clip in item.iterdir() if clip.is_dir() and not clip.name.startswith("."))
    clips = [(clip, files) for clip in inside if (files := _images_below(clip))]
    pictures = tuple(file for file in sorted(item.iterdir()) if _is_picture(file))
    if pictures and clips:
        raise FileFormatError(f"{item}: holds pictures and folders of pictures; is it a clip, or a patient?")
    if pictures:
        yield _clip(root, _images_below(item), f"{folder.name}/{item.name}", label, item)
    for files in _files_of_clips(item) if not pictures else ():
        yield _clip(root, files, item.name, label, named=True)
    for clip, files in clips:
        yield _clip(root, files, item.name, label, clip, named=True)


def _clip(
    root: Path, files: tuple[Path, ...], patient: str, label: int, place: Path | None = None, *, named: bool = False
) -> _Clip:
    name = str((place or files[0]).relative_to(root))
    return _Clip(Entry(name, patient, label, files), named, _id(files[0]))


def _persons(root: Path, clips: Sequence[_Clip], options: Options) -> list[tuple[str, str]]:
    """Pairs of patients whose files name one person. Raises FileFormatError where that is not to be believed."""
    labels: dict[str, set[str]] = defaultdict(set)
    folders: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        if clip.id:
            labels[clip.id].add(clip.entry.patient)
            if clip.named:
                folders[clip.id].add(clip.entry.patient)
    several = max((len(found) for found in folders.values()), default=0)
    if len(labels) == 1 and all(clip.id for clip in clips):
        several = max(several, len({clip.entry.patient for clip in clips}))
    if several > 1 and not options.patient:
        raise FileFormatError(
            f"{root}: the DICOM files of {several} patients' folders or clips name one and the same patient, as "
            "de-identified files do; set data.patient = 'folder' to believe the folders, or 'file' if it is one patient"
        )
    return [pair for found in labels.values() for pair in pairwise(sorted(found))]


def _id(file: Path) -> str:
    try:
        return header_of(Source(file)).identity.patient if _kind(file) == "dicom" else ""
    except FileFormatError:
        return ""  # `assemble` tells why it cannot be read


def _files_of_clips(folder: Path) -> list[tuple[Path, ...]]:
    """The DICOM files that lie in a folder: those with several frames are clips, slices of a series are one clip."""
    clips: list[tuple[Path, ...]] = []
    series: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for file in sorted(file for file in folder.iterdir() if _kind(file) == "dicom"):
        try:
            header = header_of(Source(file))
        except FileFormatError:
            clips.append((file,))  # `assemble` tells why it cannot be read
            continue
        if header.form and header.form.frames == 1 and header.identity.series:
            series[header.identity.patient, header.identity.series].append(file)
        elif header.form:
            clips.append((file,))
    return sorted([*clips, *(tuple(files) for files in series.values())])


def _images_below(place: Path) -> tuple[Path, ...]:
    """The frames of a clip; none if it is no clip."""
    if not place.is_dir():
        return (place,) if _kind(place) in ("dicom", "picture") else ()
    sources = [source for source in files_below(place) if not is_litter(source)]
    return tuple(source.path for source in sources if kind_of(source) or looks_like_an_image(source.name))


def _holds_nothing(place: Path) -> bool:
    inner = any(item.is_dir() for item in place.iterdir())
    return not inner and not place.name.startswith(".") and not _images_below(place)


def _is_picture(item: Path) -> bool:
    return _kind(item) == "picture" or (item.is_file() and item.suffix.lower() in (".png", ".jpg", ".jpeg"))


def _kind(item: Path) -> str:
    return kind_of(Source(item)) if item.is_file() and not is_litter(Source(item)) else ""
