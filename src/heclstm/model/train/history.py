"""Epochs as they happen; kept in the checkpoint, so that a resumed training tells the whole story."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from heclstm.model.epochs import MEASURED, Epoch, OnEpoch, write_epochs

logger = logging.getLogger(__name__)


class History(Callback):
    """stage, before, epochs: what `Epoch` says of every epoch. folder: where metrics.csv is kept up to date."""

    def __init__(self, stage: str, before: int, epochs: int, folder: Path, on_epoch: OnEpoch) -> None:
        self.rows: list[Epoch] = []
        self._stage, self._before, self._epochs = stage, before, epochs
        self._folder, self._on_epoch = folder, on_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        number = self._before + trainer.current_epoch + 1
        found = {name: float(trainer.callback_metrics[name]) for name in MEASURED}
        self.rows.append(Epoch(self._stage, number, self._epochs, **found))
        write_epochs(self.rows, self._folder)
        logger.info("%s", self.rows[-1])
        if self._on_epoch is not None:
            self._on_epoch(self.rows[-1])

    def state_dict(self) -> dict[str, Any]:
        return {"rows": [asdict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = [Epoch(**row) for row in state_dict["rows"]]
