"""heclstm calibrate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heclstm.cli.options import AsJson, ModelFolder
from heclstm.cli.terminal import emit, out, progress, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from heclstm.model.weights import Model


def calibrate(
    model: ModelFolder,
    data: Annotated[
        Path,
        typer.Option(
            "--data", help="The model's data set (its validation part is used), or a .npz or .npy of volumes."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="MODEL/", help="Where it goes; in place by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Model owner: measure which values a model really meets.

    Polynomials are right only inside an interval. Calibration runs the model on sequences that were not used
    for training and stores, for every layer, the largest value seen and the limit that may not be left.

    Example:

        heclstm calibrate model/ --data adrenalmnist3d.npz
    """
    from heclstm.model.calibrate import calibrate as measure
    from heclstm.model.weights import load_model, save_model

    loaded = load_model(model)
    with progress("calibration"):
        calibrated = measure(loaded, _sequences(loaded, data))
    save_model(calibrated, output or model)
    ranges: dict[str, dict[str, float]] = calibrated.metadata["ranges"]
    if as_json:
        emit({"model": str(output or model), "digest": calibrated.digest, "ranges": ranges})
        return
    rows = table("value", "largest seen", "limit")
    for name, bounds in ranges.items():
        rows.add_row(name, f"{bounds['max_abs']:.3f}", f"{bounds['limit']:.3f}")
    out().print(rows)


def _sequences(model: Model, path: Path) -> NDArray[np.float32]:
    from heclstm.data.datasets import DATASETS, load_dataset
    from heclstm.data.prepare import Preparation, prepare_all
    from heclstm.data.reading import read_volumes
    from heclstm.errors import FileFormatError

    name: Any = model.metadata.get("training", {}).get("dataset", "")
    try:
        images = load_dataset(name, path).validation.images if name in DATASETS else read_volumes(path)
    except FileFormatError:
        images = read_volumes(path)  # not the data set itself, but perhaps volumes of the same kind
    preparation = Preparation.from_json(model.metadata.get("preparation", {}))
    return prepare_all(images, preparation)
