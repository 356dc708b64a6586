"""Train any method as `heclstm.model.train.training` trains HE-CLSTM: same batches, same steps, same averaging.

A finished training is one file in the work folder; what is there is not trained again.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from experiments.methods import METHODS
from heclstm.data.datasets import Part, Splits, prepare_part
from heclstm.errors import ModelError
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.checkpoint import NAME, SafetensorsIO, load_weights
from heclstm.model.train.losses import sequence_loss
from heclstm.model.train.module import TrainingModule
from heclstm.model.train.network import HeClstm
from heclstm.model.train.training import train_network

CHUNK = 64


def fit(
    name: str,
    config: TrainConfig,
    dataset: Splits,
    folder: Path,
    targets: NDArray[np.float32] | None = None,
    *,
    start: Path | None = None,
) -> nn.Module:
    """The trained network of method `name`, ready to be evaluated.

    targets: softened labels, if there are any. start: the folder of a finished training whose weights are the start.
    """
    labels = dataset.train.labels.astype(np.float32) if targets is None else targets
    torch.manual_seed(config.seed)
    method = METHODS[name]
    network = method.build(config.model)
    warm = "-warm" if start else ""
    path = folder / f"{name}{warm}-{_fingerprint(name, config, dataset.train, labels)}.safetensors"
    if path.exists():
        network.load_state_dict(load_file(path))
        network.blend(1.0, 1.0)
        return network.eval()
    if start:
        load_weights(network, start)
    begun = time.perf_counter()
    train_network(network, config, dataset, labels, method.loss)
    network.requires_grad_(False)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), path, metadata={"seconds": f"{time.perf_counter() - begun:.1f}"})
    return network


def restored(config: TrainConfig, dataset: Splits, folder: Path) -> HeClstm:
    """The network of a finished `heclstm train` in `folder`, from its checkpoint."""
    path = folder / NAME
    checkpoint = SafetensorsIO().load_checkpoint(path) if path.exists() else {"epoch": -1}
    if checkpoint["epoch"] + 1 != config.optimization.epochs:
        raise ModelError(f"{folder}: holds no finished training, expected one of {config.optimization.epochs} epochs")
    network = HeClstm(config.model)
    module = TrainingModule(network, config, dataset, dataset.train.labels.astype(np.float32), sequence_loss)
    module.load_state_dict(checkpoint["state_dict"])
    module.finish()
    network.requires_grad_(False)
    return network


@torch.no_grad()
def evaluate(network: nn.Module, config: TrainConfig, part: Part) -> dict[str, NDArray[np.float64]]:
    """score (B,), and frame_scores (B, T) of a method that has them."""
    frames, real = prepare_part(part, config.preparation)
    masks = [None] * len(frames) if real is None else torch.from_numpy(real).split(CHUNK)
    chunks = [network.values(*both) for both in zip(torch.from_numpy(frames).split(CHUNK), masks, strict=False)]
    found = {"score": torch.cat([chunk["score"] for chunk in chunks])[:, 0]}
    if "frame_scores" in chunks[0]:
        found["frame_scores"] = torch.cat([chunk["frame_scores"] for chunk in chunks])
    return {name: _array(value) for name, value in found.items()}


def _array(value: Tensor) -> NDArray[np.float64]:
    return value.double().numpy()


def _fingerprint(name: str, config: TrainConfig, part: Part, targets: NDArray[np.float32]) -> str:
    """Of everything that decides the weights."""
    head: dict[str, Any] = {"method": name, "config": config.to_json(), "shape": list(part.images.shape)}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(part.images).tobytes())
    digest.update(targets.tobytes())
    return digest.hexdigest()[:16]
