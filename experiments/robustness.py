"""How much imprecision the scores bear, and what unusual inputs do: AdrenalMNIST3D, folds of the training part.

    python -m experiments.robustness --data adrenalmnist3d.npz --work runs/

Noise: Gaussian, with a standard deviation of 2^-k of a layer's largest value, added to what every layer hands on
(convolutions, activations, pooling, projection, each state of the LSTM, weighted unit). Uses the fold models of
`experiments.ablations`; validation and test parts are not used.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments import record
from experiments.ablations import FOLDS, SHUFFLE, folds
from experiments.adrenal import TRAINING_FILE, distilled, load, parsed
from experiments.fit import restored
from experiments.ranges import largest_of, limits_of, outside, summary
from heclstm.data.prepare import prepare_all
from heclstm.model.metrics import area_under_curve
from heclstm.model.operating_points import choose_operating_point
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.layers import Fading
from heclstm.model.vote.torch_module import WeightedUnit

logger = logging.getLogger(__name__)

BITS = (6, 8, 10, 12, 14)
REPEATS = 5
NOISY = (nn.BatchNorm2d, nn.BatchNorm1d, nn.AvgPool2d, Fading, WeightedUnit)
Volumes = NDArray[np.uint8]


@contextmanager
def noise(network: nn.Module, bits: float, generator: torch.Generator) -> Iterator[None]:
    """Within it, every layer's output is off by 2^-bits of its largest value."""

    def disturbed(value: Tensor) -> Tensor:
        error = torch.randn(value.shape, generator=generator, dtype=value.dtype)
        return value + error * value.abs().max() * 2.0**-bits

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        return tuple(map(disturbed, output)) if isinstance(output, tuple) else disturbed(output)

    handles = [module.register_forward_hook(hook) for module in network.modules() if isinstance(module, NOISY)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def under_noise(network: nn.Module, frames: Tensor, labels: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """For each number of bits: what the AUC loses, and the share of decisions that change."""
    clean = network(frames)[:, 0].double().numpy()
    threshold = choose_operating_point(clean, labels, 0.95, "these scores").threshold
    found = {}
    for bits in BITS:
        rows = []
        for repeat in range(REPEATS):
            with noise(network, bits, torch.Generator().manual_seed(repeat)):
                noisy = network(frames)[:, 0].double().numpy()
            loss = area_under_curve(clean, labels) - area_under_curve(noisy, labels)
            rows.append((loss, np.mean((noisy >= threshold) != (clean >= threshold)), np.abs(noisy - clean).max()))
        means = np.mean(rows, axis=0)
        found[str(bits)] = {"auc_loss": means[0], "flipped": means[1], "largest_error": float(np.max(rows, 0)[2])}
    return found


def _zoomed(volumes: Volumes) -> Volumes:
    """The middle, twice as large."""
    return volumes[:, 7:21, 7:21, 7:21].repeat(2, 1).repeat(2, 2).repeat(2, 3)


UNUSUAL: dict[str, Callable[[Volumes], Volumes]] = {
    "as they are": lambda volumes: volumes,
    "moved by 6 voxels": lambda volumes: np.roll(volumes, 6, axis=1),
    "half as bright": lambda volumes: volumes // 2,
    "slices in random order": lambda v: v[..., np.random.default_rng(0).permutation(v.shape[-1])],
    "zoomed twice": _zoomed,
    "empty": np.zeros_like,
    "inverted": lambda volumes: 255 - volumes,
    "random voxels": lambda v: 255 * np.random.default_rng(0).integers(0, 2, v.shape, dtype=np.uint8),
}


def main() -> None:
    arguments = parsed(__doc__)
    base, dataset = TrainConfig.from_toml(TRAINING_FILE), load(arguments.data)
    noisy, unusual = [], []
    for k, split in enumerate(folds(dataset)):
        config, folder = replace(base, seed=10 * k), arguments.work / f"fold-{k}"
        model, _ = distilled(config, split, folder)
        network = restored(config, split, folder)
        held_out = prepare_all(split.validation.images, config.preparation)
        noisy.append(under_noise(network, torch.from_numpy(held_out), split.validation.labels))
        limits = limits_of(model, prepare_all(split.train.images, config.preparation))
        row = {}
        for name, change in UNUSUAL.items():
            largest = largest_of(model, prepare_all(change(split.validation.images), config.preparation))
            row[name] = summary(largest, limits)
            seen = {part: limits[part] for part in ("score", "contributions")}
            row[name]["seen_by_client"] = int((outside(largest, limits) & outside(largest, seen)).sum())
        unusual.append(row)
        logger.info("fold %d: %s", k, noisy[-1])
    head = record.provenance(training=base.to_json(), folds=FOLDS, shuffle=SHUFFLE, repeats=REPEATS)
    record.write("adrenal_robustness", {**head, "noise": noisy, "inputs": unusual})


if __name__ == "__main__":
    main()
