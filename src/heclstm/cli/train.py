"""heclstm train"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heclstm.cli.options import AsJson
from heclstm.cli.terminal import emit, facts, note, out, progress
from heclstm.errors import HeclstmError, ModelError

if TYPE_CHECKING:
    from heclstm.model.recipe import TrainConfig
    from heclstm.model.weights import Model

CHECKPOINT = "checkpoint.safetensors"  # heclstm.model.checkpoint.NAME, which needs torch


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.TOML", help="The training file: data, model, recipe.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MODEL/", help="Where the model goes.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Where the data set that the training file names is; none if it is synthetic."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Instead of the training file's seed.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in MODEL/.")] = False,
    as_json: AsJson = False,
) -> None:
    """Model owner: train a model on images in clear.

    Follows a training file (see examples/adrenal/train.toml), saves a checkpoint after every epoch, and
    chooses the operating point on the validation part. The test part is never looked at. Needs PyTorch.

    Example:

        heclstm train examples/adrenal/train.toml --data adrenalmnist3d.npz -o model/
    """
    from dataclasses import replace

    from heclstm.data.datasets import load_dataset
    from heclstm.model.recipe import TrainConfig

    recipe = TrainConfig.from_toml(config)
    recipe = recipe if seed is None else replace(recipe, seed=seed)
    stopped = (output / CHECKPOINT).exists()
    if stopped and not resume:
        raise ModelError(
            f"{output}: holds the checkpoint of an earlier training; add --resume, or choose another folder"
        )
    if resume and not stopped:
        raise ModelError(f"{output}: holds no checkpoint to resume from; leave out --resume")
    splits = load_dataset(recipe.dataset, data, recipe.data)
    for text in splits.notes:
        note(text)
    note(f"{splits.name}: {len(splits.train)} sequences to train on, {len(splits.validation)} to validate")
    model = _train(recipe, splits, output)
    validation = model.metadata["metrics"]["validation"]
    point = model.metadata["operating_point"]
    result = {"model": str(output), "digest": model.digest, "validation": validation, "operating_point": point}
    if as_json:
        emit(result)
        return
    rows = {
        "model": str(output),
        "digest": model.digest[:12],
        "validation AUC": f"{validation['auc']:.3f} on {validation['sequences']} sequences",
        "operating point": f"{point['threshold']:.3f}: sensitivity {point['sensitivity']:.2f}, "
        f"specificity {point['specificity']:.2f}",
        "next": f"heclstm calibrate {output}" + (f" --data {data}" if data else ""),
    }
    out().print(facts(rows))


def _train(recipe: TrainConfig, splits: Any, output: Path) -> Model:
    try:
        from heclstm.model.train import train_model
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torchmetrics"):
            raise
        raise HeclstmError("train: PyTorch is not installed; pip install heclstm[train]") from error
    with progress("training") as update:
        return train_model(recipe, splits, output, on_epoch=lambda epoch: update(epoch.number, epoch.epochs))
