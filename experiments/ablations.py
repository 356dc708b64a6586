"""What each part of the model and of the recipe is worth: cross-validation inside AdrenalMNIST3D's training part.

    python -m experiments.ablations --data adrenalmnist3d.npz --work runs/

Fold k trains with seed 10·k on four fifths of the 1,188 volumes, distilled from teachers that saw the same four fifths
(but where the row says otherwise), and is measured on the last fifth. Validation and test parts are not used.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from experiments import record
from experiments.adrenal import TRAINING_FILE, distilled, load, parsed
from experiments.fit import fit, restored
from heclstm.data.datasets import Part, Splits
from heclstm.data.prepare import prepare_all
from heclstm.errors import HeclstmError, ModelError
from heclstm.model.metrics import area_under_curve
from heclstm.model.recipe import TrainConfig

logger = logging.getLogger(__name__)

FOLDS = 5
SHUFFLE = 7  # seed of the folds


@dataclass(frozen=True)
class Variant:
    title: str
    method: str = "he_clstm"
    change: Callable[[TrainConfig], TrainConfig] = lambda config: config
    softened: bool = True
    resolution: int = 28  # height and width of a slice
    warm: bool = False  # start from the weights of the first exact teacher


def lstm(**fields: Any) -> Callable[[TrainConfig], TrainConfig]:
    def change(config: TrainConfig) -> TrainConfig:
        changed = replace(config.model.cell, **fields)
        return replace(config, model=replace(config.model, cell=changed))

    return change


def penalty(**fields: float) -> Callable[[TrainConfig], TrainConfig]:
    return lambda config: replace(config, ranges=replace(config.ranges, **fields))


def optimization(**fields: Any) -> Callable[[TrainConfig], TrainConfig]:
    return lambda config: replace(config, optimization=replace(config.optimization, **fields))


def frames(count: int) -> Callable[[TrainConfig], TrainConfig]:
    """28 slices in `count` frames; channels are filled up to a power of two."""

    def change(config: TrainConfig) -> TrainConfig:
        slices = 28 // count
        channels = 1 << (slices - 1).bit_length()
        preparation = replace(config.preparation, frames=count, slices_per_frame=slices, channels=channels)
        return replace(config, preparation=preparation, model=replace(config.model, frames=count, channels=channels))

    return change


def resolution(size: int) -> Callable[[TrainConfig], TrainConfig]:
    """28 slices of size × size, in a square of the next power of two; shifts stay the same part of a slice."""

    def change(config: TrainConfig) -> TrainConfig:
        side = 1 << (size - 1).bit_length()
        preparation = replace(config.preparation, source=(size, size, 28), height=side, width=side)
        augmentation = replace(config.augmentation, shift=round(config.augmentation.shift * size / 28))
        model = replace(config.model, height=side, width=side)
        return replace(config, preparation=preparation, augmentation=augmentation, model=model)

    return change


def channels(*counts: int) -> Callable[[TrainConfig], TrainConfig]:
    def change(config: TrainConfig) -> TrainConfig:
        blocks = tuple(replace(b, out_channels=c) for b, c in zip(config.model.blocks, counts, strict=True))
        return replace(config, model=replace(config.model, blocks=blocks))

    return change


VARIANTS: dict[str, Variant] = {
    "shipped": Variant("as shipped (linear gates, H = 32, T = 4)"),
    "frame_gates": Variant("gates from the frame only, quadratic", change=lstm(recurrent_gates=False, gate_degree=2)),
    "no_distillation": Variant("without distillation", softened=False),
    "frames_2": Variant("T = 2 frames of 14 slices", change=frames(2)),
    "narrow": Variant("channels 8-16-32 instead of 16-32-64", change=channels(8, 16, 32)),
    "gates_2": Variant("quadratic gates", change=lstm(gate_degree=2)),
    "no_lstm": Variant("without LSTM (per-frame CNN, learned vote)", "frame_vote"),
    "exact_twin": Variant("exact twin (ReLU, sigmoid, tanh)", "exact_twin"),
    "last_frame": Variant("without voting (last frame)", "last_frame"),
    "temporal_only": Variant("without weighted unit", "temporal_only"),
    "narrow_frame_gates": Variant(
        "channels 8-16-32, quadratic gates from the frame only",
        change=lambda config: channels(8, 16, 32)(lstm(recurrent_gates=False, gate_degree=2)(config)),
    ),
    "no_penalty": Variant("without range penalties", change=penalty(mean_weight=0.0, max_weight=0.0)),
    "hidden_16": Variant("H = 16", change=lstm(hidden_size=16)),
    "gates_3": Variant("cubic gates", change=lstm(gate_degree=3)),
    "mean_vote": Variant("vote not learned (mean)", "mean_vote"),
    "hidden_64": Variant("H = 64", change=lstm(hidden_size=64)),
    "mean_penalty": Variant("mean range penalty only", change=penalty(max_weight=0.0)),
    "cubic_output": Variant("cubic φ", change=lstm(cell_output="cubic")),
    "frames_7": Variant("T = 7 frames of 4 slices", change=frames(7)),
    "warm_start": Variant("started from an exact teacher's weights", warm=True),
    "no_fading": Variant(
        "polynomials from the first step", change=optimization(activation_span=(0, 0), gate_span=(0, 0))
    ),
    "resolution_14": Variant("slices of 14×14 pixels", change=resolution(14), resolution=14),
    "resolution_64": Variant("slices of 64×64 pixels", change=resolution(64), resolution=64),
}


def folds(dataset: Splits) -> Iterator[Splits]:
    """Stratified; the fifth that is left out stands as validation."""
    labels, rng = dataset.train.labels, np.random.default_rng(SHUFFLE)
    fold = np.empty(len(labels), int)
    for outcome in (0, 1):
        rows = rng.permutation(np.flatnonzero(labels == outcome))
        fold[rows] = np.arange(len(rows)) % FOLDS
    for k in range(FOLDS):
        kept, left = (Part(dataset.train.images[rows], labels[rows]) for rows in (fold != k, fold == k))
        yield replace(dataset, train=kept, validation=left)


def resized(dataset: Splits, size: int, fine: Path | None) -> Splits:
    """Training volumes with slices of another size: every second pixel, or from the same volumes at 64³."""
    if size < 28:
        images = dataset.train.images[:, :: 28 // size, :: 28 // size]
    elif fine is None:
        raise ModelError("--fine: got nothing, expected AdrenalMNIST3D at 64³ for the finer slices")
    else:
        nearest = np.rint((np.arange(28) + 0.5) * 64 / 28 - 0.5).astype(int)
        images = load(fine).train.images[..., nearest]
        images = (images > 127).astype(dataset.train.images.dtype) * dataset.train.images.max()
    return replace(dataset, train=replace(dataset.train, images=images))


@torch.no_grad()
def measured(network: nn.Module, config: TrainConfig, part: Part) -> dict[str, float]:
    values = network.values(torch.from_numpy(prepare_all(part.images, config.preparation)))
    found = {"auc": area_under_curve(values["score"][:, 0].double().numpy(), part.labels)}
    for each in config.model.graph.ranges:
        if each.bound and each.value in values:
            value, name = values[each.value], f"largest_{each.bound}"
            largest = max(float(value[..., piece].abs().max()) for piece in each.pieces(value.shape[-1]))
            found[name] = max(found.get(name, 0.0), largest)
    return found


def main() -> None:
    arguments = parsed(__doc__, fine=True)
    base, dataset = TrainConfig.from_toml(TRAINING_FILE), load(arguments.data)
    head = record.provenance(training=base.to_json(), folds=FOLDS, shuffle=SHUFFLE)
    prepared: list[tuple[TrainConfig, Splits, NDArray[np.float32]]] = []
    for k, split in enumerate(folds(dataset)):
        seeded = replace(base, seed=10 * k)
        _, targets = distilled(seeded, split, arguments.work / f"fold-{k}")
        prepared.append((seeded, split, targets))
    rows: dict[str, Any] = {}
    for name, variant in VARIANTS.items():
        found = []
        splits = [split for _, split, _ in prepared]
        if variant.resolution != 28:
            splits = list(folds(resized(dataset, variant.resolution, arguments.fine)))
        for k, ((seeded, _, targets), split) in enumerate(zip(prepared, splits, strict=True)):
            config, folder = variant.change(seeded), arguments.work / f"fold-{k}"
            try:
                if name == "shipped":
                    network = restored(config, split, folder)
                else:
                    start = folder / "teacher-1" if variant.warm else None
                    labels = targets if variant.softened else None
                    network = fit(variant.method, config, split, folder, labels, start=start)
            except HeclstmError as error:  # polynomials without penalties may overflow
                rows[name] = {"title": variant.title, "failed": f"fold {k + 1}: {error}"}
                break
            found.append(measured(network, config, split.validation))
        else:
            rows[name] = {"title": variant.title, **summary(found, rows.get("shipped"))}
            logger.info("%s: %s", variant.title, np.round(rows[name]["auc"], 3))
        record.write("adrenal_ablations", {**head, "variants": rows})


def summary(found: list[dict[str, float]], shipped: dict[str, Any] | None) -> dict[str, Any]:
    """AUC of each fold, its mean and spread, the largest values, and the paired difference to what is shipped."""
    auc = [fold["auc"] for fold in found]
    largest = {name: max(fold[name] for fold in found) for name in found[0] if name != "auc"}
    result: dict[str, Any] = {"auc": auc, **record.spread(auc), **largest}
    if shipped is not None:
        result["against_shipped"] = record.paired(auc, shipped["auc"])
    return result


if __name__ == "__main__":
    main()
