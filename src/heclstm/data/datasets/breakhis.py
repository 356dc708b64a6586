"""BreaKHis as distributed: 82 patients, breast tumours at four magnifications. A sequence is one slide's, 40× to 400×,
or of one magnification.

    …/breast/malignant/SOB/ductal_carcinoma/SOB_M_DC_14-2523/40X/SOB_M_DC-14-2523-40-001.png
                                        class M (malignant) or B (benign), type, year, slide, magnification, number

Two slides of one patient (22549AB, 22549CD) differ in their letters only, and slide 13412 stands under two types;
the number before the letters counts as the patient, so that no split divides one.

F. A. Spanhol, L. S. Oliveira, C. Petitjean, L. Heutte, "A Dataset for Breast Cancer Histopathological Image
Classification", IEEE Transactions on Biomedical Engineering 63(7), 2016.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heclstm.data.datasets.files import Entry, FileOptions, assemble, listed
from heclstm.data.datasets.splits import Splits
from heclstm.data.manifest import Problems, read_manifest
from heclstm.data.order import BREAKHIS
from heclstm.errors import FileFormatError, ModelError

MAGNIFICATIONS = (40, 100, 200, 400)
NAME = re.compile(BREAKHIS.pattern + r"\.png", re.IGNORECASE)
Slides = dict[str, dict[int, list[Path]]]  # slide → magnification → its pictures in the order of their numbers


@dataclass(frozen=True)
class Options(FileOptions):
    """magnification: the only one that is used, 0 for all four. per_magnification: pictures of each in a sequence.
    sequences_per_slide: how many sequences are made from a slide, each of other pictures; 0 for as many as there are.
    missing: what happens to a slide without some magnification: "skip", or "pad" for a shorter sequence. dsfold: a
    published list of training and test pictures, in the data's folder. patients: a table (slide, patient) of slides
    that belong to one patient."""

    magnification: int = 0
    per_magnification: int = 1
    sequences_per_slide: int = 1
    missing: str = "skip"
    dsfold: str = ""
    patients: str = ""
    licence: str = "as its distributor states"
    attribution: str = "BreaKHis: F. A. Spanhol, L. S. Oliveira, C. Petitjean, L. Heutte, IEEE TBME 63(7), 2016"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_magnification < 1 or self.sequences_per_slide < 0:
            raise ModelError(
                f"data: got per_magnification {self.per_magnification} and sequences_per_slide "
                f"{self.sequences_per_slide}, expected at least 1 and at least 0"
            )
        if self.magnification and self.magnification not in MAGNIFICATIONS:
            raise ModelError(f"data.magnification: got {self.magnification}, expected 0 (all), 40, 100, 200 or 400")
        if self.missing not in ("skip", "pad"):
            raise ModelError(f"data.missing: got {self.missing!r}, expected 'skip' or 'pad'")

    @property
    def used(self) -> tuple[int, ...]:
        """The magnifications of a sequence."""
        return (self.magnification,) if self.magnification else MAGNIFICATIONS


def load(path: Path, options: Options) -> Splits:
    """path: the folder that was unpacked, or any folder above the pictures."""
    slides, notes = _slides(path)
    parts = _published(path, options, slides, notes)
    entries: list[Entry] = []
    lacking: dict[str, list[str]] = defaultdict(list)
    for slide, found in sorted(slides.items()):
        short = [m for m in options.used if len(found.get(m, ())) < options.per_magnification]
        if short:
            what = ", ".join(f"{m}× ({len(found.get(m, ()))} of {options.per_magnification})" for m in short)
            lacking[what].append(slide)
        if not short or options.missing == "pad":
            entries += _sequences(slide, found, options, parts.get(slide, ""))
    done = "left out" if options.missing == "skip" else "padded"
    notes += [
        f"slide {slides[0]}: missing {what}: {done}"
        if len(slides) == 1
        else f"{len(slides)} slides: missing {what}: {done}: {listed(slides)}"
        for what, slides in lacking.items()
    ]
    same = []
    if options.patients:
        table = path / options.patients
        rows, problems = (
            read_manifest(table, ("slide", "patient"), "expected a table of slide, patient"),
            Problems(table),
        )
        for row in rows:
            meant = [slide for slide in slides if slide.endswith(f"-{row['slide']}".upper())]
            if not meant:
                problems.add(row, "slide", "a slide of this folder, such as 14-22549AB")
            same += [(_patient(slide), row["patient"]) for slide in meant]
        problems.refuse()
    return assemble("BreaKHis", entries, options, same=same, notes=notes)


def _slides(root: Path) -> tuple[Slides, list[str]]:
    if not root.is_dir():
        raise FileFormatError(f"{root}: got no folder, expected the unpacked BreaKHis_v1")
    slides: Slides = defaultdict(lambda: defaultdict(list))
    foreign, seen = [], set()
    for file in sorted(root.rglob("*.png")):
        if file.name in seen:
            continue  # folders made from the published folds hold copies
        seen.add(file.name)
        if match := NAME.fullmatch(file.name):
            slides[_slide(match)][int(match[6])].append(file)
        else:
            foreign.append(file.name)
    if not slides:
        raise FileFormatError(
            f"{root}: got no picture named like SOB_M_DC-14-2523-40-001.png, expected the unpacked BreaKHis_v1"
        )
    notes = [f"{len(foreign)} pictures have no BreaKHis name and are left out: {listed(foreign)}"] if foreign else []
    for found in slides.values():
        for files in found.values():
            files.sort(key=lambda file: int(file.stem.rsplit("-", 1)[1]))
    return slides, notes


def _slide(match: re.Match[str]) -> str:
    """SOB_M_DC-14-2523: a slide under one type."""
    return f"SOB_{match[1]}_{match[2]}-{match[3]}-{match[4]}{match[5]}".upper()


def _patient(slide: str) -> str:
    """SOB_B_A-14-22549AB → 14-22549."""
    year, number = slide.split("-")[1:]
    return f"{year}-{re.sub('[A-Z]+$', '', number)}"


def _sequences(slide: str, found: dict[int, list[Path]], options: Options, part: str) -> Iterator[Entry]:
    """Disjoint sequences of one slide, lowest magnification first."""
    size = options.per_magnification
    possible = max(1, min((len(found[m]) // size for m in options.used if found.get(m)), default=0))
    for number in range(min(possible, options.sequences_per_slide or possible)):
        files = [file for m in options.used for file in found.get(m, [])[number * size : (number + 1) * size]]
        yield Entry(f"{slide}/{number + 1}", _patient(slide), int(slide.startswith("SOB_M")), tuple(files), part)


def _published(root: Path, options: Options, slides: Slides, notes: list[str]) -> dict[str, str]:
    """The part of each slide in a dsfold file, whose lines are picture|magnification|fold|train or test.

    Slides that it does not list are removed; pictures that it lists and the folder lacks are noted.
    """
    if not options.dsfold:
        return {}
    path = root / options.dsfold
    try:
        lines = path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path}: cannot be read; expected one of the published dsfold files") from error
    present = {file.name for found in slides.values() for files in found.values() for file in files}
    parts: dict[str, str] = {}
    absent = []
    for number, line in enumerate(lines, start=1):
        fields = line.split("|")
        match = NAME.fullmatch(fields[0])
        if len(fields) < 4 or match is None or fields[3] not in ("train", "test"):
            raise FileFormatError(
                f"{path}: entry {number}: expected picture|magnification|fold|train or test, as published"
            )
        slide = _slide(match)
        parts[slide] = "test" if "test" in (fields[3], parts.get(slide)) else "train"
        if fields[0] not in present:
            absent.append(fields[0])
    if absent:
        notes.append(f"{len(absent)} pictures of {options.dsfold} are missing: {listed(absent)}")
    if unlisted := [slide for slide in slides if slide not in parts]:
        notes.append(f"{len(unlisted)} slides are not in {options.dsfold} and are left out: {listed(unlisted)}")
        for slide in unlisted:
            del slides[slide]
    return parts
