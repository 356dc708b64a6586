"""Data sets by name. A new one is a module here with `Options` and `load(path, options) -> Splits`, one line in
DATASETS, and a sample for tests/unit/test_data_laws.py.

    acetowhitening   SYNTHETIC colposcopy series, made from a seed
    annocerv         AnnoCerv's pictures with its manifest
    breakhis         breast tumours at four magnifications, as distributed
    clips            folders of frames, or multi-frame DICOM files
    colposcopy       pictures listed by a manifest
    medmnist3d       volumes of MedMNIST
    visual_fields    series of visual fields, as tables
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from heclstm.data.datasets import acetowhitening, annocerv, breakhis, clips, colposcopy, medmnist3d, visual_fields
from heclstm.data.datasets.fitted import fit_part, fit_training, prepare_part
from heclstm.data.datasets.splits import Part, Splits
from heclstm.data.sources import is_there
from heclstm.errors import FileFormatError, ModelError


@dataclass(frozen=True)
class Dataset:
    """options: what a training file's [data] table may say, a dataclass. load: (path, options) → Splits."""

    options: type[Any]
    load: Callable[[Any, Any], Splits]
    needs_path: bool = True


DATASETS: dict[str, Dataset] = {
    "acetowhitening": Dataset(acetowhitening.Options, acetowhitening.load, needs_path=False),
    "annocerv": Dataset(annocerv.Options, annocerv.load),
    "breakhis": Dataset(breakhis.Options, breakhis.load),
    "clips": Dataset(clips.Options, clips.load),
    "colposcopy": Dataset(colposcopy.Options, colposcopy.load),
    "medmnist3d": Dataset(medmnist3d.Options, medmnist3d.load),
    "visual_fields": Dataset(visual_fields.Options, visual_fields.load),
}


def load_dataset(name: str, path: Path | str | None = None, options: Mapping[str, Any] | None = None) -> Splits:
    """Load a data set by the name that a training file gives it.

    options: the training file's [data] table. Raises ModelError on an unknown name or option, FileFormatError on
    files that cannot be used.
    """
    made = read_options(name, options or {})
    dataset = DATASETS[name]
    if dataset.needs_path:
        if path is None:
            raise ModelError(f"data set {name}: got no path, expected where its files are (--data)")
        path = Path(path)
        if not is_there(path):
            raise FileFormatError(f"{path}: cannot be read (No such file or directory); give the path of {name}")
    return dataset.load(path, made)


def read_options(name: str, values: Mapping[str, Any]) -> Any:
    """The options of a data set from plain values. Raises ModelError on unknown or wrong ones."""
    if name not in DATASETS:
        raise ModelError(f"data set: got {name!r}, expected one of {', '.join(sorted(DATASETS))}")
    kind = DATASETS[name].options
    types = {item.name: type(item.default) for item in fields(kind)}
    if unknown := [key for key in values if key not in types]:
        raise ModelError(f"data.{unknown[0]}: {name} has no such option, expected some of {', '.join(types)}")
    for key, value in values.items():
        wanted = types[key]
        if not (type(value) is wanted or (wanted is float and type(value) is int)):
            raise ModelError(f"data.{key}: got {type(value).__name__}, expected {wanted.__name__}")
    return kind(**{key: float(value) if types[key] is float else value for key, value in values.items()})


__all__ = [
    "DATASETS",
    "Dataset",
    "Part",
    "Splits",
    "fit_part",
    "fit_training",
    "load_dataset",
    "prepare_part",
    "read_options",
]
