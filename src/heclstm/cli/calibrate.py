"""heclstm calibrate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.options import AsJson, ModelFolder
from heclstm.cli.terminal import emit, note, out, progress, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from heclstm.model.weights import Model


def calibrate(
    model: ModelFolder,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="The model's data set (its training and validation parts are used), or a .npz or .npy of volumes.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="MODEL/", help="Where it goes; in place by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Model owner: measure which values a model really meets.

    Polynomials are right only inside an interval. Calibration runs the model on the training and validation
    sequences and stores, for every layer, the largest value seen and the limit that may not be left. The test
    part is never looked at. Labels of the validation part also give the temperature that turns a score into a
    probability; scores and decisions stay as they are.

    Example:

        heclstm calibrate model/ --data adrenalmnist3d.npz
    """
    from heclstm.card.purpose import Purpose
    from heclstm.model.calibrate import calibrate as measure
    from heclstm.model.weights import load_model, save_model

    loaded = load_model(model)
    with progress("calibration"):
        calibrated = _with_temperature(measure(loaded, *_sequences(loaded, data)), data)
    save_model(calibrated, output or model)
    purpose = Purpose.of(calibrated)
    scale = purpose.temperature
    if as_json:
        ranges = {each.name: {"max_abs": each.max_abs, "limit": each.limit} for each in purpose.ranges}
        found = {"model": str(output or model), "digest": calibrated.digest, "ranges": ranges}
        emit({**found, "temperature": scale.to_json() if scale else None})
        return
    rows = table("value", "largest seen", "limit")
    for each in purpose.ranges:
        rows.add_row(each.name, f"{each.max_abs:.3f}", f"{each.limit:.3f}")
    out().print(rows)
    if scale:
        text = f"score / {scale.temperature:.3f} {scale.offset:+.3f}"
        out().print(f"probability = logistic({text}), fitted on {scale.fitted_on} data")


def _with_temperature(model: Model, path: Path | None) -> Model:
    """Needs labels of sequences that the model was not trained on: those of the validation part."""
    from heclstm.cli.subject import TrainedOn, is_labelled, read_part
    from heclstm.errors import FileFormatError, ModelError
    from heclstm.model.evaluate import calibrate_score

    try:
        part = read_part(path, TrainedOn.of(model), "validation")
        return calibrate_score(model, part, "calibration" if path and is_labelled(path) else "validation")
    except (FileFormatError, ModelError) as error:
        note(f"no temperature was fitted: {error}")
        return model


def _sequences(model: Model, path: Path | None) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Training and validation sequences with their mask; never the test part."""
    import numpy as np

    from heclstm.card.purpose import Purpose
    from heclstm.cli.subject import TrainedOn
    from heclstm.data.datasets import DATASETS, load_dataset, prepare_part
    from heclstm.data.prepare import prepare_all
    from heclstm.data.reading import read_volumes
    from heclstm.errors import FileFormatError, ModelError

    preparation, trained_on = Purpose.of(model).preparation, TrainedOn.of(model)
    if preparation is None:
        raise ModelError("calibrate: the model does not say how images are prepared; train it with heclstm")
    if path is None and trained_on.dataset not in DATASETS:
        raise ModelError("calibrate: the model names no data set, expected sequences to calibrate on (--data)")
    arrays = path is not None and path.suffix.lower() in (".npy", ".npz")
    try:
        if trained_on.dataset in DATASETS:
            splits = load_dataset(trained_on.dataset, path, trained_on.options)
            prepared = [prepare_part(part, preparation) for part in (splits.train, splits.validation)]
            masks = [mask for _, mask in prepared if mask is not None]
            frames = np.concatenate([frames for frames, _ in prepared])
            return frames, np.concatenate(masks) if masks else None
    except FileFormatError:
        if not arrays:
            raise
    assert path is not None
    return prepare_all(read_volumes(path), preparation), None  # volumes of the same kind, without labels
