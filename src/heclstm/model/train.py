"""Training: images and labels → Model. The recipe is explained in `recipe.py`, one epoch stands in `epoch.py`.

teachers (exact twins) soften the labels
→ epoch by epoch, exact functions fade into polynomials, under range penalties
→ averaged weights, batch normalization measured anew, folded arrays
→ operating point on validation
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from heclstm.data.datasets import Part, Splits, fit_training, prepare_part
from heclstm.data.prepare import Preparation
from heclstm.errors import ModelError
from heclstm.model.checkpoint import load_checkpoint, save_checkpoint
from heclstm.model.epoch import class_weight, parameter_groups, train_epoch, update_average
from heclstm.model.metrics import area_under_curve, choose_operating_point
from heclstm.model.network import HeClstm, export
from heclstm.model.polynomial import sigmoid
from heclstm.model.recipe import Distillation, TrainConfig
from heclstm.model.reference import forward
from heclstm.model.weights import Model, save_model

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Epoch:
    """What `on_epoch` is told after each epoch: its number of all epochs, the teachers' included.

    stage is "model" or, for example, "teacher 1 of 3".
    """

    stage: str
    number: int
    epochs: int
    loss: float
    penalty: float
    validation_auc: float


Callback = Callable[[Epoch], None] | None


def train_model(config: TrainConfig, dataset: Splits, out: Path, *, on_epoch: Callback = None) -> Model:
    """Train on `dataset.train`, choose the operating point on `dataset.validation`, save the model into `out`.

    Never looks at `dataset.test`. A stopped run goes on from its checkpoints in `out` and ends with the same
    weights. Uses as many cores as `torch.set_num_threads` allows.
    """
    dataset.require_two_classes()
    dataset = fit_training(dataset, config.preparation)
    _opened(config, out)  # refuses a foreign checkpoint before teachers are trained
    targets = dataset.train.labels.astype(np.float32)
    if config.distillation.teachers:
        targets = soften(targets, config, dataset, out, on_epoch)
    model = _train(config, dataset, targets, out, on_epoch, teachers=config.distillation.teachers)
    save_model(model, out)
    return model


def soften(
    labels: NDArray[np.float32], config: TrainConfig, dataset: Splits, out: Path, on_epoch: Callback
) -> NDArray[np.float32]:
    """Mix labels with what the mean of the teachers says about the unchanged training images."""
    count, weight = config.distillation.teachers, config.distillation.weight
    frames, mask = prepare_part(dataset.train, config.preparation)
    logits = np.zeros(len(labels))
    for number in range(1, count + 1):
        taught = replace(
            config, model=config.model.exact_twin(), seed=config.seed + number, distillation=Distillation()
        )
        folder = out / f"teacher-{number}"
        teacher = _train(taught, dataset, labels, folder, on_epoch, teacher=number, teachers=count)
        save_model(teacher, folder)
        logits += forward(teacher, frames, mask)["score"][:, 0] / count
    # A loss with class weight w is smallest where e^logit is w times the true odds, so log w leaves again.
    soft = sigmoid(logits - math.log(class_weight(labels)))
    mixed: NDArray[np.float32] = ((1 - weight) * labels + weight * soft).astype(np.float32)
    return mixed


def _train(
    config: TrainConfig,
    dataset: Splits,
    targets: NDArray[np.float32],
    out: Path,
    on_epoch: Callback,
    *,
    teacher: int = 0,
    teachers: int = 0,
) -> Model:
    """Train one network: teacher 1, 2, … of `teachers`, or with 0 the model itself."""
    settings = config.optimization
    network, optimizer, average, done = _opened(config, out)
    stage = f"teacher {teacher} of {teachers}" if teacher else "model"
    before, total = settings.epochs * ((teacher or teachers + 1) - 1), settings.epochs * (teachers + 1)
    first_averaged = math.floor(settings.average_from * settings.epochs)
    for epoch in range(done, settings.epochs):
        images, mask = dataset.train.images, dataset.train.mask
        loss, penalty = train_epoch(network, optimizer, config, images, targets, epoch, mask=mask)
        if epoch >= first_averaged:
            update_average(average, network, epoch - first_averaged)
        progress = {"epochs": epoch + 1, "config": config.to_json()}
        save_checkpoint(out, network, optimizer, average, progress)
        auc = _validation_auc(network, config.preparation, dataset.validation)
        report = Epoch(stage, before + epoch + 1, total, loss, penalty, auc)
        logger.info("%s", report)
        if on_epoch is not None:
            on_epoch(report)
    return _finished(network, average, config, dataset)


def _opened(config: TrainConfig, out: Path) -> tuple[HeClstm, torch.optim.Optimizer, dict[str, Tensor], int]:
    """Network, optimizer, averaged weights, epochs done: from the checkpoint in `out`, or newly begun."""
    torch.manual_seed(config.seed)
    network = HeClstm(config.model)
    groups = parameter_groups(network, config.optimization.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=config.optimization.learning_rate)
    saved = load_checkpoint(out, network, optimizer)
    if saved is None:
        save_checkpoint(out, network, optimizer, {}, {"epochs": 0, "config": config.to_json()})
        return network, optimizer, {}, 0
    average, progress = saved
    if progress["config"] != config.to_json():
        raise ModelError(f"{out}: holds the checkpoint of another training file; choose another folder or delete it")
    return network, optimizer, average, int(progress["epochs"])


@torch.no_grad()
def _validation_auc(network: HeClstm, preparation: Preparation, part: Part) -> float:
    network.eval()
    frames, mask = prepare_part(part, preparation)
    real = None if mask is None else torch.from_numpy(mask)
    scores = network(torch.from_numpy(frames), real)[:, 0].double().numpy()
    return area_under_curve(scores, part.labels) if np.isfinite(scores).all() else 0.0


@torch.no_grad()
def _finished(network: HeClstm, average: dict[str, Tensor], config: TrainConfig, dataset: Splits) -> Model:
    """Averaged weights, batch normalization measured anew on the unchanged images, operating point."""
    network.load_state_dict(average, strict=False)
    network.constrain()
    network.blend(1.0, 1.0)
    measure_normalization(network, config, dataset.train)
    model = export(network.eval())
    scores = forward(model, *prepare_part(dataset.validation, config.preparation))["score"][:, 0]
    labels = dataset.validation.labels
    return model.with_metadata(
        preparation=config.preparation.to_json(),
        operating_point=choose_operating_point(scores, labels, config.wanted_sensitivity).to_json(),
        metrics={"validation": {"auc": area_under_curve(scores, labels), "sequences": len(labels)}},
        training=config.to_json(),
        dataset=dataset.name,
        licence=dataset.licence,
        attribution=dataset.attribution,
    )


def measure_normalization(network: HeClstm, config: TrainConfig, part: Part) -> None:
    """The running statistics belong to earlier weights; take the plain mean over all batches with these."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    network.train()
    frames = torch.from_numpy(prepare_part(part, config.preparation)[0])
    order = torch.from_numpy(np.random.default_rng(config.seed).permutation(len(frames)))
    for rows in order.tensor_split(max(1, len(frames) // config.optimization.batch_size)):
        network(frames[rows])
