"""A model and sequences → the ranges of its values, and the temperature of its score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.card.purpose import Purpose
from heclstm.data.datasets import DATASETS, load_dataset, prepare_part
from heclstm.data.prepare import prepare_all
from heclstm.data.reading import read_volumes
from heclstm.errors import FileFormatError, ModelError
from heclstm.model.calibrate import calibrate as measure
from heclstm.model.evaluate import calibrate_score
from heclstm.model.weights import Model, load_model, save_model
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.subject import TrainedOn, is_labelled, read_part


@dataclass(frozen=True, repr=False)
class Calibrated:
    """model: saved as `output`, if there is one."""

    model: Model
    output: Path | None
    purpose: Purpose

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"model": str(self.output)} if self.output else {}
        data["digest"] = self.model.digest
        data["ranges"] = {each.name: {"max_abs": each.max_abs, "limit": each.limit} for each in self.purpose.ranges}
        scale = self.purpose.temperature
        return data | {"temperature": scale.to_json() if scale else None}


def calibrate(
    model: Model | Path, output: Path | None = None, *, data: Path | None = None, events: Events = SILENT
) -> Calibrated:
    """model: or its folder. data: the model's data set, whose training and validation parts are used; or a .npz or .npy
    of volumes.
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    with events.stage("calibration"):
        calibrated = _with_temperature(measure(loaded, *_sequences(loaded, data)), data, events)
    if output:
        save_model(calibrated, output)
    return Calibrated(calibrated, output, Purpose.of(calibrated))


def _with_temperature(model: Model, path: Path | None, events: Events) -> Model:
    """Needs labels of sequences that the model was not trained on: those of the validation part."""
    try:
        part = read_part(path, TrainedOn.of(model), "validation", events)
        return calibrate_score(model, part, "calibration" if path and is_labelled(path) else "validation")
    except (FileFormatError, ModelError) as error:
        events.note(f"no temperature was fitted: {error}")
        return model


def _sequences(model: Model, path: Path | None) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Training and validation sequences with their mask; never the test part."""
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
