"""A model and sequences → the ranges of its values, the temperature of its score, its operating points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from heclstm.card.envelope import Envelope
from heclstm.card.purpose import Purpose
from heclstm.data.datasets import DATASETS, Part, load_dataset, prepare_part
from heclstm.data.prepare import prepare_all
from heclstm.data.reading import read_volumes
from heclstm.errors import FileFormatError, ModelError
from heclstm.model.calibrate import calibrate as measure
from heclstm.model.envelope import envelope_of
from heclstm.model.evaluate import calibrate_score
from heclstm.model.operating_points import operating_points, with_operating_points
from heclstm.model.weights import Model, load_model, save_model
from heclstm.storage.typed import plain
from heclstm.usecases.card import tell_warnings
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.subject import TrainedOn, is_labelled, read_part

DEFAULT_SENSITIVITY = 0.95  # that of a training file which says nothing


@dataclass(frozen=True, repr=False)
class Calibrated:
    """model: saved as `output`, if there is one."""

    model: Model
    output: Path | None
    purpose: Purpose

    @property
    def envelope(self) -> Envelope | None:
        return None if self.purpose.envelope is UNSET else self.purpose.envelope

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"model": str(self.output)} if self.output else {}
        data["digest"] = self.model.digest
        data["ranges"] = {each.name: {"max_abs": each.max_abs, "limit": each.limit} for each in self.purpose.ranges}
        scale = self.purpose.temperature
        points = [point.to_json() for point in self.purpose.operating_points]
        data |= {"temperature": scale.to_json() if scale else None, "operating_points": points}
        data["envelope"] = plain(self.envelope)
        return data | {"warnings": list(self.purpose.warnings)}


def calibrate(
    model: Model | Path, output: Path | None = None, *, data: Path | None = None, events: Events = SILENT
) -> Calibrated:
    """model: or its folder. data: the model's data set, whose training and validation parts are used; or a .npz or .npy
    of volumes.
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    with events.stage("calibration"):
        calibrated = _with_decision(measure(loaded, *_sequences(loaded, data)), data, events)
        calibrated = _with_envelope(calibrated, data, events)
    purpose = Purpose.of(calibrated)
    tell_warnings(purpose, events)
    if output:
        save_model(calibrated, output)
    return Calibrated(calibrated, output, purpose)


def _with_decision(model: Model, path: Path | None, events: Events) -> Model:
    """Temperature and operating points. Needs labels of sequences that the model was not trained on: those of the
    validation part.
    """
    try:
        part = read_part(path, TrainedOn.of(model), "validation", events)
        chosen_on = "calibration" if path and is_labelled(path) else "validation"
        return _with_operating_points(calibrate_score(model, part, chosen_on), part, chosen_on)
    except (FileFormatError, ModelError) as error:
        events.note(f"no temperature was fitted: {error}")
        return model


def _with_operating_points(model: Model, part: Part, chosen_on: str) -> Model:
    """As this release chooses them, where a model has none, or those that training chose on the same part."""
    purpose = Purpose.of(model)
    known = purpose.operating_points
    if purpose.preparation is None or any(
        point.chosen_on != chosen_on or point.wanted_sensitivity is None for point in known
    ):
        return model  # somebody set them otherwise
    wanted = next((point.wanted_sensitivity for point in known if point.wanted_sensitivity), DEFAULT_SENSITIVITY)
    return with_operating_points(model, operating_points(model, part, purpose.preparation, wanted, chosen_on))


def _with_envelope(model: Model, path: Path | None, events: Events) -> Model:
    """Of the training part; a file of volumes of the same kind tells nothing about training."""
    purpose = Purpose.of(model)
    try:
        part = read_part(path, TrainedOn.of(model), "train", events) if not (path and is_labelled(path)) else None
        if part is None or purpose.preparation is None:
            return model
        return model.with_metadata(envelope=plain(envelope_of(part, purpose.preparation)))
    except (FileFormatError, ModelError) as error:
        events.note(f"no envelope was fitted: {error}")
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
