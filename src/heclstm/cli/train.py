"""heclstm train"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heclstm.cli.options import AsJson
from heclstm.cli.terminal import emit, facts, note, out, progress
from heclstm.errors import HeclstmError, InputError, ModelError

if TYPE_CHECKING:
    from heclstm.model.epochs import Epoch
    from heclstm.model.recipe import TrainConfig
    from heclstm.model.weights import Model

CHECKPOINT = "checkpoint.safetensors"  # heclstm.model.train.checkpoint.NAME, which needs torch
CURVE = "learning-curve.png"
CROSS_VALIDATION = "cross-validation"


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.TOML", help="The training file: data, model, recipe.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MODEL/", help="Where the model goes.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Where the data set that the training file names is; none if it is synthetic."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Instead of the training file's seed.")] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds", min=2, metavar="K", help="Cross-validation: K models in MODEL/fold-1 …, none of them final."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoints in MODEL/.")] = False,
    as_json: AsJson = False,
) -> None:
    """Model owner: train a model on images in clear.

    Follows a training file (see examples/adrenal/train.toml), saves a checkpoint after every epoch, and
    chooses the operating point on the validation part. The test part is never looked at. Needs PyTorch.
    Beside the model: metrics.csv and learning-curve.png.

    With --folds 5, patients are dealt into five folds, and each model is measured on the fold that it never
    saw: MODEL/cross-validation.html shows each fold and all of them pooled. Use it to compare training files.

    Example:

        heclstm train examples/adrenal/train.toml --data adrenalmnist3d.npz -o model/
    """
    from heclstm.model.recipe import TrainConfig

    recipe = TrainConfig.from_toml(config)
    recipe = recipe if seed is None else replace(recipe, seed=seed)
    recipes, folders = [recipe], [output]
    if folds:
        if recipe.data.get("folds"):
            raise InputError(f"--folds: {config} chooses a fold already; leave out folds and fold in its [data]")
        numbers = range(1, folds + 1)
        recipes = [replace(recipe, data={**recipe.data, "folds": folds, "fold": k}) for k in numbers]
        folders = [output / f"fold-{k}" for k in numbers]
    _check_checkpoints(output, folders, resume)
    if folds:
        _check_folds(recipes, data)
    models = [_trained(each, data, folder) for each, folder in zip(recipes, folders, strict=True)]
    if folds:
        _cross_validated(folders, data, output, as_json)
    else:
        _tell(models[0], output, data, as_json)


def _check_checkpoints(output: Path, folders: Sequence[Path], resume: bool) -> None:
    known = [folder / place / CHECKPOINT for folder in folders for place in (".", "teacher-1")]
    stopped = any(path.exists() for path in known)
    if not stopped and (done := [folder for folder in folders if (folder / "model.json").exists()]):
        raise ModelError(f"{done[0]}: holds a model already; choose another folder, or delete it")
    if stopped and not resume:
        raise ModelError(
            f"{output}: holds the checkpoint of an earlier training; add --resume, or choose another folder"
        )
    if resume and not stopped:
        raise ModelError(f"{output}: holds no checkpoint to resume from; leave out --resume")


def _check_folds(recipes: Sequence[TrainConfig], data: Path | None) -> None:
    """Before the first of them is trained: each can be trained and measured."""
    from heclstm.data.datasets import load_dataset

    for recipe in recipes:
        place = f"fold {recipe.data['fold']} of {recipe.data['folds']}"
        try:
            splits = load_dataset(recipe.dataset, data, recipe.data)
            splits.require_two_classes()
        except ModelError as error:
            raise ModelError(f"{place}: {error}") from error
        if not len(splits.test):
            raise ModelError(f"{place}: got no patient, expected at least one; choose fewer folds")


def _trained(recipe: TrainConfig, data: Path | None, folder: Path) -> Model:
    from heclstm.data.datasets import load_dataset

    splits = load_dataset(recipe.dataset, data, recipe.data)
    for text in splits.notes:
        note(text)
    note(f"{splits.name}: {len(splits.train)} sequences to train on, {len(splits.validation)} to validate")
    try:
        from heclstm.model.train.training import train_model
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torchmetrics", "lightning", "monai"):
            raise
        raise HeclstmError("train: PyTorch is not installed; pip install heclstm[train]") from error
    seen = []

    def on_epoch(epoch: Epoch) -> None:
        seen.append(epoch)
        update(epoch.number, epoch.epochs)

    try:
        with progress(f"training {folder.name}") as update:
            return train_model(recipe, splits, folder, on_epoch=on_epoch)
    finally:  # of a stopped training too
        if seen:
            _draw(recipe, folder)


def _draw(recipe: TrainConfig, folder: Path) -> None:
    from heclstm.model.epochs import METRICS, read_epochs
    from heclstm.report.learning_curve import learning_curve
    from heclstm.storage.atomic import save_file

    if (folder / METRICS).exists():
        save_file(folder / CURVE, learning_curve(read_epochs(folder), recipe))


def _cross_validated(folders: Sequence[Path], data: Path | None, output: Path, as_json: bool) -> None:
    from heclstm.cli.evaluate import evaluated, print_evaluation, write_evaluation
    from heclstm.cli.evaluation import Ways

    evaluation, first = evaluated(folders, data, "test", Ways())
    for ending in (".html", ".json"):
        write_evaluation(output / f"{CROSS_VALIDATION}{ending}", evaluation, first)
    if as_json:
        emit(evaluation.to_json())
    else:
        print_evaluation(evaluation, output / f"{CROSS_VALIDATION}.html")


def _tell(model: Model, output: Path, data: Path | None, as_json: bool) -> None:
    from heclstm.card.purpose import Purpose

    validation, point = model.metadata["metrics"]["validation"], Purpose.of(model).operating_point()
    assert point is not None  # training chose it
    assert point.rates is not None  # and measured it
    sensitivity, specificity = point.rates
    result: dict[str, Any] = {"model": str(output), "digest": model.digest, "validation": validation}
    result["operating_point"] = point.to_json()
    if as_json:
        emit(result)
        return
    rows = {
        "model": str(output),
        "digest": model.digest[:12],
        "validation AUC": f"{validation['auc']:.3f} on {validation['sequences']} sequences",
        "operating point": f"{point.threshold:.3f}: sensitivity {sensitivity:.2f}, specificity {specificity:.2f}",
        "learning curve": str(output / CURVE),
        "next": f"heclstm calibrate {output}" + (f" --data {data}" if data else ""),
    }
    out().print(facts(rows))
