"""Data sets by name. A new one is a module here with a `load(path) -> Splits` and one line in DATASETS."""

from collections.abc import Callable
from pathlib import Path

from heclstm.data.datasets import medmnist3d
from heclstm.data.datasets.splits import Part, Splits
from heclstm.errors import ModelError

DATASETS: dict[str, Callable[[Path], Splits]] = {
    "medmnist3d": medmnist3d.load,
}


def load_dataset(name: str, path: Path | str) -> Splits:
    """Load a data set by the name that a training file gives it."""
    if name not in DATASETS:
        raise ModelError(f"data set: got {name!r}, expected one of {', '.join(sorted(DATASETS))}")
    return DATASETS[name](Path(path))


__all__ = ["DATASETS", "Part", "Splits", "load_dataset"]
