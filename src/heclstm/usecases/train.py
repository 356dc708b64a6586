"""Images in clear → a model, or one for each fold. The test part of the data is never looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from heclstm.card.operating_point import OperatingPoint
from heclstm.card.purpose import Purpose
from heclstm.data.datasets import Splits, load_dataset
from heclstm.data.decoded import DECODED
from heclstm.errors import DivergedError, HeclstmError, InputError, ModelError, NotAssessableError, RangeError
from heclstm.model.epochs import METRICS, Epoch, read_epochs
from heclstm.model.evaluate import Fold
from heclstm.model.recipe import TrainConfig
from heclstm.model.weights import Model, load_model
from heclstm.storage.atomic import save_file
from heclstm.usecases.card import tell_warnings
from heclstm.usecases.evaluate import Evaluated, evaluate_fold, joined
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.subject import TrainedOn

__all__ = ["CROSS_VALIDATION", "TrainConfig", "Trained", "cross_validate", "train"]

CHECKPOINT = "checkpoint.safetensors"  # heclstm.model.train.checkpoint.NAME, which needs torch
CURVE = "learning-curve.png"
CROSS_VALIDATION = "cross-validation"


@dataclass(frozen=True, repr=False)
class Trained:
    """model: saved in `folder`, with metrics and a learning curve beside it."""

    model: Model
    folder: Path

    @property
    def validation(self) -> dict[str, Any]:
        """AUC and number of sequences."""
        found: dict[str, Any] = self.model.metadata["metrics"]["validation"]
        return found

    @property
    def purpose(self) -> Purpose:
        return Purpose.of(self.model)

    @property
    def operating_points(self) -> tuple[OperatingPoint, ...]:
        """One for each number of frames that can be assessed, or one for all."""
        return self.purpose.operating_points

    @property
    def curve(self) -> Path:
        """Of the first network, if there are several."""
        return places(self.folder, TrainConfig.from_json(self.model.metadata["training"]))[0] / CURVE

    def to_json(self) -> dict[str, Any]:
        result: dict[str, Any] = {"model": str(self.folder), "digest": self.model.digest}
        points = [point.to_json() for point in self.operating_points]
        result |= {"validation": self.validation, "operating_point": points[-1], "operating_points": points}
        return result | {"warnings": list(self.purpose.warnings)}


def train(
    recipe: TrainConfig,
    folder: Path,
    *,
    data: Path | None = None,
    encoder: Path | None = None,
    resume: bool = False,
    events: Events = SILENT,
) -> Trained:
    """Train one model into `folder`, with a checkpoint after every epoch. data: where the data set of the recipe is.

    encoder: the folder of a finished training, with whose frame encoder it begins.
    resume: go on from the checkpoints there. Raises ModelError if `folder` holds a model or a checkpoint otherwise, or
    the model of another training file; InputError if the recipe is one of several folds, and there is an encoder.
    """
    if encoder is not None and recipe.data.get("folds"):
        raise InputError(
            "--encoder: it may have seen the patients of every fold; leave out --encoder, or folds and fold in [data]"
        )
    _check_checkpoints(folder, {folder: recipe}, resume)
    with DECODED.kept():
        trained = Trained(_trained(recipe, data, folder, events, encoder), folder)
    tell_warnings(trained.purpose, events)
    return trained


def cross_validate(
    recipe: TrainConfig,
    folder: Path,
    *,
    folds: int,
    name: str = "recipe",
    data: Path | None = None,
    resume: bool = False,
    events: Events = SILENT,
) -> Evaluated:
    """Train one model for each fold into folder/fold-1 …, each measured on the fold that it never saw.

    Beside them: a page and its figures. name: of the recipe, for messages.
    """
    if recipe.data.get("folds"):
        raise InputError(f"--folds: {name} chooses a fold already; leave out folds and fold in its [data]")
    numbers = range(1, folds + 1)
    recipes = [replace(recipe, data={**recipe.data, "folds": folds, "fold": k}) for k in numbers]
    folders = [folder / f"fold-{k}" for k in numbers]
    _check_checkpoints(folder, dict(zip(folders, recipes, strict=True)), resume)
    found: list[Evaluated] = []
    lost: list[str] = []
    with DECODED.kept():  # every fold reads all pictures, some for training and some for measuring
        _check_folds(recipes, data)
        for each, place in zip(recipes, folders, strict=True):
            try:
                _trained(each, data, place, events)
                found.append(evaluate_fold(place, data, events))
            except (DivergedError, RangeError, NotAssessableError) as error:  # the others are worth as much without it
                lost.append(f"{place.name}: is left out: {error}")
                events.note(f"warning: {lost[-1]}")
            else:
                events.note(_told(found[-1].evaluation.folds[0]))
    if not found:
        raise ModelError(f"{name}: no fold could be trained; {lost[0]}")
    whole = joined([each.evaluation for each in found])
    evaluated = replace(found[0], evaluation=replace(whole, remarks=(*lost, *whole.remarks)))
    for text in evaluated.evaluation.troubles[len(lost) :]:
        events.note(f"warning: {text}")
    for ending in (".html", ".json"):
        evaluated.save(folder / f"{CROSS_VALIDATION}{ending}", events)
    return evaluated


def _told(fold: Fold) -> str:
    """A fold's AUC as it ends."""
    area, labels = fold.auc("clear"), fold.outcomes("clear")[1]
    what = "got one outcome" if area is None else f"AUC {area}"
    return f"{fold.name}: {what}, {int(labels.sum())} positive of {len(labels)}"


def _check_checkpoints(output: Path, folders: Mapping[Path, TrainConfig], resume: bool) -> None:
    """folders: where each recipe is trained. A model that is there is replaced by that of the same recipe only."""
    known = [folder / place / CHECKPOINT for folder in folders for place in (".", "teacher-1", "member-1")]
    stopped = any(path.exists() for path in known)
    done = [folder for folder in folders if (folder / "model.json").exists()]
    if not stopped and done:
        raise ModelError(f"{done[0]}: holds a model already; choose another folder, or delete it")
    if stopped and not resume:
        raise ModelError(
            f"{output}: holds the checkpoint of an earlier training; add --resume, or choose another folder"
        )
    if resume and not stopped:
        raise ModelError(f"{output}: holds no checkpoint to resume from; leave out --resume")
    for folder in done:
        metadata = load_model(folder).metadata
        if "calibration" in metadata:
            raise ModelError(
                f"{folder}: its model was calibrated since it was trained, which --resume would undo; "
                "leave it as it is, or choose another folder"
            )
        training = metadata.get("training")
        if training is None or TrainConfig.from_json(training).to_json() != folders[folder].to_json():
            raise ModelError(f"{folder}: holds the model of another training file; choose another folder, or delete it")


def _check_folds(recipes: Sequence[TrainConfig], data: Path | None) -> None:
    """Before the first of them is trained: each can be trained and measured."""
    for recipe in recipes:
        place = f"fold {recipe.data['fold']} of {recipe.data['folds']}"
        try:
            splits = load_dataset(recipe.dataset, data, recipe.data)
            splits.require_two_classes()
        except ModelError as error:
            raise ModelError(f"{place}: {error}") from error
        if not len(splits.test):
            raise ModelError(f"{place}: got no patient, expected at least one; choose fewer folds")


def _trained(
    recipe: TrainConfig, data: Path | None, folder: Path, events: Events, encoder: Path | None = None
) -> Model:
    try:
        from heclstm.model.train.encoder import Encoder
        from heclstm.model.train.training import train_model
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torchmetrics", "lightning", "monai"):
            raise
        raise HeclstmError("train: PyTorch is not installed; pip install heclstm[train]") from error
    start = Encoder.of(encoder) if encoder is not None else None
    splits = load_dataset(recipe.dataset, data, recipe.data)
    for text in splits.notes:
        events.note(text)
    events.note(f"{splits.name}: {len(splits.train)} sequences to train on, {len(splits.validation)} to validate")
    if start is not None and _may_have_seen(TrainedOn.of(start.model), recipe, splits):
        events.note(
            f"warning: {encoder} was trained on other parts of {recipe.dataset}; if these are the same patients, "
            "it may have seen those of the test part"
        )
    seen = []

    def on_epoch(epoch: Epoch) -> None:
        seen.append(epoch)
        update(epoch.number, epoch.epochs)
        events.note(
            f"{folder.name}: epoch {epoch.number} of {epoch.epochs}: loss {epoch.loss:.3f}, "
            f"validation loss {epoch.validation_loss:.3f}, AUC {epoch.validation_auc:.3f}"
        )

    try:
        with events.stage(f"training {folder.name}") as update:
            return train_model(recipe, splits, folder, encoder=start, on_epoch=on_epoch)
    finally:  # of a stopped training too
        if seen:
            _draw(recipe, folder)


def _may_have_seen(trained_on: TrainedOn, recipe: TrainConfig, splits: Splits) -> bool:
    """Whether an encoder may know patients of the test part: it was trained on the same data set, dealt otherwise."""
    return trained_on.dataset == recipe.dataset and trained_on.digest != splits.digest


def _draw(recipe: TrainConfig, folder: Path) -> None:
    """Of each network of an ensemble beside its checkpoint."""
    from heclstm.report.learning_curve import learning_curve

    for place in places(folder, recipe):
        if (place / METRICS).exists():
            save_file(place / CURVE, learning_curve(read_epochs(place), recipe))


def places(folder: Path, recipe: TrainConfig) -> list[Path]:
    """Where each network of the model was trained."""
    members = range(1, recipe.ensemble + 1)
    return [folder / f"member-{number}" for number in members] if recipe.ensemble > 1 else [folder]
