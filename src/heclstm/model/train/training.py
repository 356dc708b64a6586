"""Training: images and labels → Model. The recipe is explained in `recipe.py`, one step stands in `module.py`.

teachers (exact twins) soften the labels
→ epoch by epoch, exact functions fade into polynomials, under range penalties
→ averaged weights, batch normalization measured anew, folded arrays
→ of an ensemble, all networks side by side
→ operating point on validation
"""

import logging
import math
import signal
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from numpy.typing import NDArray
from torch import nn

from heclstm.data.datasets import Splits, fit_training, prepare_part
from heclstm.errors import ModelError
from heclstm.model.ensemble import joined, shared
from heclstm.model.epochs import OnEpoch
from heclstm.model.metrics import area_under_curve
from heclstm.model.operating_points import operating_points, with_operating_points
from heclstm.model.polynomial import sigmoid
from heclstm.model.recipe import Distillation, TrainConfig
from heclstm.model.reference import forward
from heclstm.model.train.augment import transforms_of, try_transforms
from heclstm.model.train.checkpoint import BEST, MEMBER, NAME, TEACHER, Checkpoint, SafetensorsIO, load_weights
from heclstm.model.train.encoder import Encoder
from heclstm.model.train.history import History
from heclstm.model.train.losses import Loss, class_weight, loss_of
from heclstm.model.train.module import TrainingModule
from heclstm.model.train.network import HeClstm, export
from heclstm.model.train.threads import use_sensible_threads
from heclstm.model.weights import Model, save_model

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it greets, and lists the hardware


def train_model(
    config: TrainConfig, dataset: Splits, out: Path, *, encoder: Encoder | None = None, on_epoch: OnEpoch = None
) -> Model:
    """Train on `dataset.train`, choose the operating point on `dataset.validation`, save the model into `out`.

    encoder: with which each network begins. Never looks at `dataset.test`. A stopped run goes on from its checkpoints
    in `out`, with the same encoder, and ends with the same weights. Beside each network's checkpoint, metrics.csv tells
    of every epoch: in `out`, or for an ensemble in member-1, member-2, … Uses as many cores as `torch.set_num_threads`
    allows (by default at most four, and no more than there are processors), and a GPU if there is one.
    """
    use_sensible_threads()
    dataset.require_two_classes()
    if encoder is not None:
        _check_encoder(encoder, config)
    began = encoder.digest if encoder else None
    transforms_of(config.augmentation)  # wrong names are refused before images are read
    dataset = fit_training(dataset, config.preparation)
    try_transforms(config.augmentation, np.asarray(dataset.train.images))
    _refuse_foreign(out, config, dataset, began)  # before teachers are trained
    for number in range(1, config.distillation.teachers + 1):
        _refuse_foreign(out / TEACHER.format(number), taught(config, number), dataset, began)
    members = [config.member(number) for number in range(1, config.ensemble + 1)]
    for folder, member in zip(_places(config, out), members, strict=True):
        _refuse_foreign(folder, member, dataset, began)
    targets = dataset.train.labels.astype(np.float32)
    if config.distillation.teachers:
        targets = soften(targets, config, dataset, out, on_epoch, began)
    networks = []
    for number, (folder, member) in enumerate(zip(_places(config, out), members, strict=True), 1):
        history = _history(config, config.distillation.teachers + number, folder, on_epoch)
        start = _Start(
            began, encoder, out / TEACHER.format(1) if config.distillation.warm_start else None, config.ensemble > 1
        )
        networks.append(_train(member, dataset, targets, folder, history, start))
    model = _finished(joined(networks), config, dataset)
    if encoder is not None:
        model = model.with_metadata(encoder=encoder.to_json())
    save_model(model, out)
    return model


def _places(config: TrainConfig, out: Path) -> list[Path]:
    """Where each network of the model has its checkpoints."""
    return [out / MEMBER.format(number) for number in range(1, config.ensemble + 1)] if config.ensemble > 1 else [out]


def _check_encoder(encoder: Encoder, config: TrainConfig) -> None:
    """Before anything is trained. Raises ModelError."""
    if config.distillation.warm_start:
        raise ModelError(
            f"{encoder.folder}: cannot be the start, for distillation.warm_start begins with all weights of a teacher; "
            "leave out --encoder, or warm_start"
        )
    encoder.put_into(HeClstm(config.model))


def soften(
    labels: NDArray[np.float32],
    config: TrainConfig,
    dataset: Splits,
    out: Path,
    on_epoch: OnEpoch,
    encoder: str | None = None,
) -> NDArray[np.float32]:
    """Mix labels with what the mean of the teachers says about the unchanged training images.

    encoder: the digest of that with which the pupils begin, so that a stopped training goes on with the same.
    """
    count = config.distillation.teachers
    frames, mask = prepare_part(dataset.train, config.preparation)
    logits = np.zeros(len(labels))
    for number in range(1, count + 1):
        folder, recipe = out / TEACHER.format(number), taught(config, number)
        history = _history(config, number, folder, on_epoch)
        network = _train(recipe, dataset, labels, folder, history, _Start(encoder))
        teacher = _finished(network, recipe, dataset)
        save_model(teacher, folder)
        logits += forward(teacher, frames, mask)["score"][:, 0] / count
    return mixed_targets(labels, logits, config)


def mixed_targets(labels: NDArray[np.float32], logits: NDArray[np.float64], config: TrainConfig) -> NDArray[np.float32]:
    """Labels with the share of what teachers say, by their mean logits, that `config.distillation.weight` gives."""
    weight = config.distillation.weight
    # Cross-entropy with class weight w is smallest where e^logit is w times the true odds, so log w leaves again;
    # with a focal loss, whose logits lie closer to zero, this holds about.
    soft = sigmoid(logits - math.log(class_weight(labels, config.loss.positive_weight)))
    mixed: NDArray[np.float32] = ((1 - weight) * labels + weight * soft).astype(np.float32)
    return mixed


def taught(config: TrainConfig, number: int) -> TrainConfig:
    """How teacher 1, 2, … is trained."""
    alone = replace(config, ensemble=1, distillation=Distillation())
    return replace(alone, model=config.model.exact_twin(), seed=config.seed + number)


def _history(config: TrainConfig, number: int, folder: Path, on_epoch: OnEpoch) -> History:
    """Of network 1, 2, …, teachers first."""
    teachers, epochs = config.distillation.teachers, config.optimization.epochs
    stage = "model" if config.ensemble == 1 else f"network {number - teachers} of {config.ensemble}"
    if number <= teachers:
        stage = f"teacher {number} of {teachers}"
    return History(stage, epochs * (number - 1), epochs * (teachers + config.ensemble), folder, on_epoch)


@dataclass(frozen=True)
class _Start:
    """What a network begins with: an encoder, or all weights of a finished training in a folder.

    began: the digest of the encoder for the whole training, which teachers do not begin with. alike: one of an
    ensemble, so that what its members share (`ensemble.shared`) stays as it is.
    """

    began: str | None = None
    encoder: Encoder | None = None
    network: Path | None = None
    alike: bool = False


def _train(
    config: TrainConfig,
    dataset: Splits,
    targets: NDArray[np.float32],
    out: Path,
    history: History,
    start: _Start,
) -> Model:
    """One network, without metadata."""
    torch.manual_seed(config.seed)
    network = HeClstm(config.model)
    if start.encoder is not None:
        start.encoder.put_into(network)
    if start.network is not None:
        load_weights(network, start.network)
    for name in shared(config.model) if start.alike else ():
        parameter = getattr(network.cell.cell, name.rpartition(".")[2], None)
        if isinstance(parameter, nn.Parameter):
            parameter.requires_grad_(False)
    loss = loss_of(config.loss)
    train_network(network, config, dataset, targets, loss, folder=out, history=history, encoder=start.began)
    return export(network)


def train_network(
    network: nn.Module,
    config: TrainConfig,
    dataset: Splits,
    targets: NDArray[np.float32],
    loss: Loss,
    *,
    folder: Path | None = None,
    history: History | None = None,
    encoder: str | None = None,
) -> None:
    """Train a network and leave it ready to be evaluated. folder: for its checkpoints; without one, none are written.

    encoder: the digest of that with which the training began, for the checkpoints.
    Raises ModelError if a loss is not finite, KeyboardInterrupt on Ctrl+C.
    """
    module = TrainingModule(network, config, dataset, targets, loss, encoder)
    trainer = Trainer(
        max_epochs=config.optimization.epochs,
        accelerator="gpu" if torch.cuda.is_available() else "cpu",  # Apple's has no float64
        devices=1,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        callbacks=[*([history] if history else []), *_checkpoints(module, folder)],
        plugins=[SafetensorsIO()],
        enable_checkpointing=folder is not None,
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    saved = folder / NAME if folder is not None and (folder / NAME).exists() else None
    if folder is not None and saved is None:
        (folder / BEST).unlink(missing_ok=True)  # of an earlier training
    _fit(trainer, module, saved)
    if folder is not None and config.early_stopping.patience and (folder / BEST).exists():
        module.load_state_dict(SafetensorsIO().load_checkpoint(folder / BEST)["state_dict"])
    module.finish()


def _checkpoints(module: TrainingModule, folder: Path | None) -> list[Callback]:
    if folder is None:
        return []
    newest = Checkpoint(folder, Path(NAME).stem, enable_version_counter=False)
    patience = module.config.early_stopping.patience
    if not patience:
        return [newest]
    first = module.first_averaged
    return [newest, _Patience(first, patience), _Best(first, folder)]


class _Patience(EarlyStopping):
    """Looks at the epochs from `first` on."""

    def __init__(self, first: int, patience: int) -> None:
        super().__init__("validation_auc", mode="max", patience=patience, check_on_train_epoch_end=False)
        self._first = first

    def on_train_start(self, trainer: Trainer, *_: object) -> None:
        trainer.should_stop |= self.stopped_epoch > 0  # a finished training that is resumed

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch >= self._first:
            super().on_validation_end(trainer, pl_module)


class _Best(Checkpoint):
    """Keeps the best of the epochs from `first` on."""

    def __init__(self, first: int, folder: Path) -> None:
        super().__init__(
            folder,
            Path(BEST).stem,
            monitor="validation_auc",
            mode="max",
            save_weights_only=True,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )
        self._first = first

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch >= self._first:
            super().on_validation_end(trainer, pl_module)


def _fit(trainer: Trainer, module: TrainingModule, saved: Path | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PossibleUserWarning)  # that more workers would load faster, and the like
        warnings.filterwarnings("ignore", "Checkpoint directory .* not empty")  # it is ours, and looked at before
        warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)  # between Lightning and PyTorch
        try:
            trainer.fit(module, ckpt_path=saved)
        except SystemExit as end:
            if trainer.interrupted and not isinstance(end.__context__, KeyboardInterrupt):
                raise
            signal.signal(signal.SIGINT, handler)  # Lightning turns Ctrl+C into an exit and ignores the next one
            raise KeyboardInterrupt from end


def _refuse_foreign(out: Path, config: TrainConfig, dataset: Splits, encoder: str | None) -> None:
    if not (out / NAME).exists():
        return
    checkpoint = SafetensorsIO().load_checkpoint(out / NAME)
    for name, ours, what in (("config", config.to_json(), "training file"), ("data", dataset.digest, "data set")):
        if checkpoint.get(name) != ours:
            raise ModelError(f"{out}: holds the checkpoint of another {what}; choose another folder or delete it")
    if (began := checkpoint.get("encoder")) != encoder:
        got = "another encoder" if encoder else "none"
        raise ModelError(
            f"{out}: holds the checkpoint of a training that began {'with an' if began else 'without'} --encoder, got "
            f"{got}; give --encoder as before, choose another folder or delete it"
        )


def _finished(model: Model, config: TrainConfig, dataset: Splits) -> Model:
    """What was trained, with the operating points chosen on validation."""
    scores = forward(model, *prepare_part(dataset.validation, config.preparation))["score"][:, 0]
    labels = dataset.validation.labels
    points = operating_points(model, dataset.validation, config.preparation, config.wanted_sensitivity)
    return with_operating_points(model, points).with_metadata(
        preparation=config.preparation.to_json(),
        metrics={"validation": {"auc": area_under_curve(scores, labels), "sequences": len(labels)}},
        training=config.to_json(),
        dataset=dataset.name,
        data_digest=dataset.digest,
        licence=dataset.licence,
        attribution=dataset.attribution,
    )
