"""A network as Lightning trains it: schedules, loss and penalty of a step, averaged weights, validation.

training batch → values → class-weighted loss + range penalties → AdamW
last epochs    → mean of the weights, which is what validation then looks at
"""

import math
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn
from torchmetrics.classification import BinaryAUROC

from heclstm.data.datasets import Splits
from heclstm.errors import DivergedError
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.batches import Batch, TrainingBatches, WholePart, steps_of
from heclstm.model.train.losses import Loss, class_weight, range_penalty


class TrainingModule(LightningModule):
    """network: HeClstm, or anything with its `values`, `blend` and `constrain`. dataset: fitted to the preparation.

    targets: a softened or plain label for each training sequence. encoder: the digest of that with which the training
    began, for its checkpoints.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        dataset: Splits,
        targets: NDArray[np.float32],
        loss: Loss,
        encoder: str | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.network: Any = network
        self.config = config
        self.average = AveragedModel(network, avg_fn=running_mean)
        self.auc = BinaryAUROC()
        self._dataset, self._targets, self._loss = dataset, targets, loss
        self.positive: Tensor
        self._steps = steps_of(len(dataset.train), config)
        self.register_buffer("positive", torch.tensor(class_weight(targets, config.loss.positive_weight)))

    @property
    def _averaged(self) -> Any:
        return self.average.module

    @property
    def first_averaged(self) -> int:
        """The first epoch whose weights are averaged; from there on the network is what may be kept."""
        return math.floor(self.config.optimization.average_from * self.config.optimization.epochs)

    def train_dataloader(self) -> TrainingBatches:
        """Asked for anew in every epoch."""
        return TrainingBatches(self._dataset.train, self._targets, self.config, self.current_epoch)

    def val_dataloader(self) -> WholePart:
        return WholePart(self._dataset.validation, self.config)

    def configure_optimizers(self) -> Any:
        settings = self.config.optimization
        optimizer = torch.optim.AdamW(parameter_groups(self.network, settings.weight_decay), lr=settings.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._learning_rate)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def training_step(self, batch: Batch, index: int) -> Tensor:
        frames, wanted, mask = batch
        settings = self.config.optimization
        time = (self.current_epoch + index / self._steps) / settings.epochs
        self.network.blend(ramp(time, settings.activation_span), ramp(time, settings.gate_span))
        values = self.network.values(frames, mask)
        loss = self._loss(values, wanted, self.positive)
        late = time >= self.config.ranges.max_from
        penalty = range_penalty(values, self.config.model.graph.ranges, self.config.ranges, late=late)
        if not math.isfinite(loss.item() + penalty.item()):
            raise DivergedError(
                f"training: the loss is no longer finite in epoch {self.current_epoch + 1}; lower the learning rate"
            )
        self.log_dict({"loss": loss, "penalty": penalty}, on_step=False, on_epoch=True, batch_size=1)
        return loss + penalty

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        """In the network's own order, so that the sum rounds alike however the optimizer groups the parameters."""
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimization.gradient_clip)

    def on_train_batch_end(self, *_: Any) -> None:
        self.network.constrain()
        if self.trainer.is_last_batch and self.current_epoch >= self.first_averaged:
            self.average.update_parameters(self.network)

    def validation_step(self, batch: Batch, index: int) -> None:
        frames, labels, mask = batch
        network = self.network
        if self.average.n_averaged:
            network = self._averaged
            network.blend(1.0, 1.0)  # spans end before the average begins
        values = network.values(frames, mask)
        self.log("validation_loss", self._loss(values, labels, self.positive), batch_size=len(labels))
        self.auc.update(values["score"][:, 0].double().nan_to_num(), labels.long())
        self.log("validation_auc", self.auc)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config.to_json()
        checkpoint["data"] = self._dataset.digest
        checkpoint["encoder"] = self.encoder

    @torch.no_grad()
    def finish(self) -> None:
        """Put the averaged weights into the network, polynomials alone, batch normalization measured anew.

        The running statistics belong to earlier weights; these are the plain mean over all batches.
        """
        self.network.load_state_dict(self._averaged.state_dict())
        self.network.constrain()
        self.network.blend(1.0, 1.0)
        order = np.random.default_rng(self.config.seed).permutation(len(self._dataset.train))
        update_bn(WholePart(self._dataset.train, self.config, order), self.network, self.device)
        self.network.eval()

    def _learning_rate(self, step: int) -> float:
        epoch, index = divmod(step, self._steps)
        settings = self.config.optimization
        return schedule((epoch + index / self._steps) / settings.epochs, settings.warm_up)


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels.

    None for biases, batch normalization and polynomial coefficients.
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        spared = parameter.ndim < 2 or "activation" in name or "coefficients" in name
        (free if spared else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def running_mean(average: Tensor, parameter: Tensor, count: Tensor | int) -> Tensor:
    """Mean of `count` earlier values and this one."""
    return average.lerp(parameter, 1 / (int(count) + 1))


def ramp(time: float, span: tuple[float, float]) -> float:
    """0 before the span, 1 after it, straight between."""
    start, end = span
    return 1.0 if time >= end else max(0.0, (time - start) / (end - start))


def schedule(time: float, warm_up: float) -> float:
    """Linear warm-up, then half a cosine down to zero; time runs from 0 to 1."""
    if time < warm_up:
        return 0.01 + 0.99 * time / warm_up
    return 0.5 * (1 + math.cos(math.pi * (time - warm_up) / (1 - warm_up)))
