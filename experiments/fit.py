"""Train any method as `heclstm.model.train` trains HE-CLSTM: same batches, same steps, same averaging.

A finished training is one file in the work folder; what is there is not trained again.
"""

import hashlib
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from experiments.methods import METHODS
from heclstm.data.datasets import Part, Splits
from heclstm.data.prepare import prepare_all
from heclstm.errors import ModelError
from heclstm.model.checkpoint import load_checkpoint
from heclstm.model.epoch import parameter_groups, train_epoch, update_average
from heclstm.model.network import HeClstm
from heclstm.model.recipe import TrainConfig
from heclstm.model.train import measure_normalization

CHUNK = 64


def fit(
    name: str, config: TrainConfig, dataset: Splits, folder: Path, targets: NDArray[np.float32] | None = None
) -> nn.Module:
    """The trained network of method `name`, ready to be evaluated. targets: softened labels, if there are any."""
    labels = dataset.train.labels.astype(np.float32) if targets is None else targets
    torch.manual_seed(config.seed)
    method = METHODS[name]
    network = method.build(config.model)
    path = folder / f"{name}-{_fingerprint(name, config, dataset.train, labels)}.safetensors"
    if path.exists():
        network.load_state_dict(load_file(path))
        network.blend(1.0, 1.0)
        return network.eval()
    settings, average, start = config.optimization, {}, time.perf_counter()
    optimizer = torch.optim.AdamW(parameter_groups(network, settings.weight_decay), lr=settings.learning_rate)
    first_averaged = math.floor(settings.average_from * settings.epochs)
    for epoch in range(settings.epochs):
        train_epoch(network, optimizer, config, dataset.train.images, labels, epoch, method.loss)
        if epoch >= first_averaged:
            update_average(average, network, epoch - first_averaged)
    _finish(network, average, config, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), path, metadata={"seconds": f"{time.perf_counter() - start:.1f}"})
    return network


@torch.no_grad()
def restored(config: TrainConfig, dataset: Splits, folder: Path) -> HeClstm:
    """The network of a finished `heclstm train` in `folder`, from its checkpoint."""
    network = HeClstm(config.model)
    optimizer = torch.optim.AdamW(parameter_groups(network, 0.0))
    saved = load_checkpoint(folder, network, optimizer)
    if saved is None or saved[1]["epochs"] != config.optimization.epochs:
        raise ModelError(f"{folder}: holds no finished training, expected one of {config.optimization.epochs} epochs")
    _finish(network, saved[0], config, dataset)
    return network


def _finish(network: nn.Module, average: dict[str, Tensor], config: TrainConfig, dataset: Splits) -> None:
    """Averaged weights, polynomials alone, batch normalization measured anew."""
    network.load_state_dict(average, strict=False)
    network.constrain()
    network.blend(1.0, 1.0)
    network.requires_grad_(False)
    measure_normalization(network, config, dataset.train)
    network.eval()


@torch.no_grad()
def evaluate(network: nn.Module, config: TrainConfig, part: Part) -> dict[str, NDArray[np.float64]]:
    """score (B,), and frame_scores (B, T) of a method that has them."""
    frames = torch.from_numpy(prepare_all(part.images, config.preparation))
    chunks = [network.values(chunk) for chunk in frames.split(CHUNK)]
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
