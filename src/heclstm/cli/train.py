"""heclstm train"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.evaluation import operating_points, print_evaluation
from heclstm.cli.options import AsJson
from heclstm.cli.terminal import TERMINAL, emit, facts, out
from heclstm.cli.verb import verb
from heclstm.errors import InputError

if TYPE_CHECKING:
    from heclstm.usecases.train import Trained


@verb(after=None)
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
    encoder: Annotated[
        Path | None,
        typer.Option(
            "--encoder",
            metavar="MODEL/",
            help="A finished training; this one begins with its frame encoder (not for folds).",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoints in MODEL/.")] = False,
    as_json: AsJson = False,
) -> None:
    """Model owner: train a model on images in clear.

    Follows a training file (see examples/adrenal/train.toml), saves a checkpoint after every epoch, and
    chooses the operating point on the validation part. The test part is never looked at. Needs PyTorch.
    Beside the model: metrics.csv and learning-curve.png (of an ensemble, in member-1/, member-2/, …).

    With --folds 5, patients are dealt into five folds, and each model is measured on the fold that it never
    saw: MODEL/cross-validation.html shows each fold and all of them pooled. Use it to compare training files.

    Example:

        heclstm train examples/adrenal/train.toml --data adrenalmnist3d.npz -o model/
    """
    from heclstm.usecases import train as usecase

    recipe = usecase.TrainConfig.from_toml(config)
    recipe = recipe if seed is None else replace(recipe, seed=seed)
    if folds is None:
        trained = usecase.train(recipe, output, data=data, encoder=encoder, resume=resume, events=TERMINAL)
        if as_json:
            emit(trained.to_json())
        else:
            _print(trained, data)
        return
    if encoder is not None:
        raise InputError("--encoder: it may have seen the patients of every fold; leave out --folds, or --encoder")
    evaluated = usecase.cross_validate(
        recipe, output, folds=folds, name=str(config), data=data, resume=resume, events=TERMINAL
    )
    if as_json:
        emit(evaluated.evaluation.to_json())
    else:
        print_evaluation(evaluated.evaluation, output / f"{usecase.CROSS_VALIDATION}.html")


def _print(trained: Trained, data: Path | None) -> None:
    validation = trained.validation
    rows = {
        "model": str(trained.folder),
        "digest": trained.model.digest[:12],
        "validation AUC": f"{validation['auc']:.3f} on {validation['sequences']} sequences",
        **operating_points(trained.operating_points),
        "learning curve": str(trained.curve),
        "next": f"heclstm calibrate {trained.folder}" + (f" --data {data}" if data else ""),
    }
    out().print(facts(rows))
