"""The 3D sets of MedMNIST v2 as distributed: one .npz with {train,val,test}_{images,labels}; a volume is a
sequence of slices.

J. Yang et al., "MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D biomedical image
classification", Scientific Data 10:41, 2023. https://medmnist.com
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.data.datasets.folds import folded
from heclstm.data.datasets.patients import Splitting
from heclstm.data.datasets.splits import Part, Splits
from heclstm.data.labels import class_labels
from heclstm.data.reading import read_archive
from heclstm.data.sources import require_regular
from heclstm.errors import FileFormatError

logger = logging.getLogger(__name__)

# MD5 as the publishers give it; it tells whether a file is the published one, it protects against nobody.
PUBLISHED = {
    "a0c5a1ff56af4f155c46d46fbb45a2fe": "OrganMNIST3D",
    "21f0a239e7f502e6eca33c3fc453c0b6": "OrganMNIST3D of version 2.1",
    "8755a7e9e05a4d9ce80a24c3e7a256f3": "NoduleMNIST3D",
    "bbd3c5a5576322bc4cdfea780653b1ce": "AdrenalMNIST3D",
    "6aa7b0143a6b42da40027a9dda61302f": "FractureMNIST3D",
    "b41fd4f7e7e2feedddb201585ecafa1b": "VesselMNIST3D",
    "2ba5b80617d705141f3f85627108fce8": "VesselMNIST3D of version 2.1",
    "1235b78a3cd6280881dd7850a78eadb6": "SynapseMNIST3D",
    "58a2205adf14a9d0a189cb06dc78bf10": "OrganMNIST3D 64",
    "c47c5b7d457bf6332200d2ea6d64ecd8": "NoduleMNIST3D 64",
    "17721accfe9fb005146a47d33bc54b2f": "AdrenalMNIST3D 64",
    "f01d7e6316aedf4210da0da5b7437b42": "FractureMNIST3D 64",
    "6bb274a8846e1097066dcd64e2c4520f": "VesselMNIST3D 64",
    "43bd14ebf3af9d3dd072446fedc14d5e": "SynapseMNIST3D 64",
}
LICENCE = "CC BY 4.0"
ATTRIBUTION = (
    "MedMNIST v2: J. Yang, R. Shi, D. Wei, Z. Liu, L. Zhao, B. Ke, H. Pfister, B. Ni, "
    "MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D biomedical image classification, "
    "Scientific Data 10:41, 2023"
)


@dataclass(frozen=True)
class Options:
    """positive: the class that becomes label 1, all others 0; -1 keeps the labels of a set with two classes.
    folds, fold: see `folded`; the official test part stays out of them."""

    positive: int = -1
    folds: int = 0
    fold: int = 1


def load(path: Path, options: Options = Options()) -> Splits:
    """Read an official file. A file with another checksum is read too, with a warning.

    The publishers split by patient and give no names. Raises FileFormatError if it cannot be read or lacks an array.
    """
    require_regular(path)
    arrays = read_archive(path)
    with path.open("rb") as stream:
        checksum = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if checksum not in PUBLISHED:
        logger.warning(
            "%s has MD5 %s, which is none of the published files; reading it all the same", path.name, checksum
        )
    parts = {name: _part(path, arrays, name, options) for name in ("train", "val", "test")}
    name = PUBLISHED.get(checksum, path.stem)
    train, validation, test = (parts[part].images for part in ("train", "val", "test"))
    notes = (*_leaks("test", test, [train, validation]), *_leaks("validation", validation, [train]))
    splits = Splits(parts["train"], parts["val"], parts["test"], name, LICENCE, ATTRIBUTION, notes)
    return folded(splits, Splitting(folds=options.folds, fold=options.fold)) if options.folds else splits


def _leaks(name: str, part: Iterable[Any], others: Iterable[Iterable[Any]]) -> tuple[str, ...]:
    """A note on volumes that stand in an earlier part too, but for blank ones."""

    def digest(volume: NDArray[Any]) -> bytes:
        return hashlib.sha256(np.ascontiguousarray(volume).data).digest()

    known = {digest(volume) for other in others for volume in other}
    count = sum(digest(volume) in known for volume in part if volume.min() < volume.max())
    return (f"{count} volumes of the {name} part stand in an earlier part too",) if count else ()


def _part(path: Path, arrays: Mapping[str, NDArray[Any]], name: str, options: Options) -> Part:
    if missing := [kind for kind in ("images", "labels") if f"{name}_{kind}" not in arrays]:
        raise FileFormatError(f"{path}: array {name}_{missing[0]} is missing; expected a MedMNIST .npz file")
    images, labels = arrays[f"{name}_images"], arrays[f"{name}_labels"]
    if images.ndim != 4 or images.dtype != np.uint8:
        raise FileFormatError(
            f"{path}: {name}_images: got {images.dtype} of shape {images.shape}, expected uint8 volumes with four axes"
        )
    found = class_labels(labels, f"{path}: {name}_labels")
    return Part(images, (found == options.positive).astype(np.int64) if options.positive >= 0 else found)
