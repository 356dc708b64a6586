"""AdrenalMNIST3D: train HE-CLSTM, its exact twin and the competing methods with five seeds. Never opens the test part.

    python -m experiments.adrenal --data adrenalmnist3d.npz --work runs/

For each seed `heclstm train examples/adrenal/train.toml` is run first (three exact teachers, then the network). All
other methods then learn from the same softened labels, with the same augmentation, steps and seed.
"""

import argparse
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from experiments import record
from experiments.fit import evaluate, fit
from experiments.methods import METHODS, parameters_of
from heclstm.data.datasets import Part, Splits, load_dataset
from heclstm.model.metrics import area_under_curve
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.training import soften, train_model
from heclstm.model.weights import Model, load_model

logger = logging.getLogger(__name__)

TRAINING_FILE = record.ROOT / "examples" / "adrenal" / "train.toml"
SEEDS = (0, 10, 20, 30, 40)  # each seed s also uses s+1, s+2, s+3 for its teachers
COMPARED = ("exact_twin", "per_frame", "frame_vote", "stacked", "mean_pooled")


def load(path: Path) -> Splits:
    """The data set, whose test part is replaced by nothing."""
    dataset = load_dataset("medmnist3d", path)
    nothing = Part(dataset.train.images[:0], dataset.train.labels[:0])
    return replace(dataset, test=nothing)


def distilled(config: TrainConfig, dataset: Splits, folder: Path) -> tuple[Model, NDArray[np.float32]]:
    """HE-CLSTM as shipped, and the softened labels that it learned from; trained unless `folder` holds it."""
    made = (folder / "model.json").exists()
    model = load_model(folder) if made else train_model(config, dataset, folder)
    cache = folder / "targets.npy"
    if cache.exists():
        return model, np.load(cache)
    targets = soften(dataset.train.labels.astype(np.float32), config, dataset, folder, None)
    np.save(cache, targets)
    return model, targets


def trained(
    config: TrainConfig, dataset: Splits, work: Path, methods: tuple[str, ...] = COMPARED
) -> Iterator[tuple[int, Model, dict[str, nn.Module]]]:
    """Seed by seed: HE-CLSTM, and the other methods by name."""
    for seed in SEEDS:
        folder, seeded = work / f"adrenal-{seed}", replace(config, seed=seed)
        model, targets = distilled(seeded, dataset, folder)
        yield seed, model, {name: fit(name, seeded, dataset, folder, targets) for name in methods}


def main() -> None:
    arguments = parsed(__doc__)
    config, dataset = TrainConfig.from_toml(TRAINING_FILE), load(arguments.data)
    rows = []
    for seed, model, networks in trained(config, dataset, arguments.work):
        row = {"seed": seed, "he_clstm": model.metadata["metrics"]["validation"]["auc"]}
        for name, network in networks.items():
            found = evaluate(network, config, dataset.validation)
            row[name] = area_under_curve(found["score"], dataset.validation.labels)
            logger.info("seed %d %s: validation AUC %.3f", seed, METHODS[name].title, row[name])
        rows.append(row)
    sizes = {name: parameters_of(method.build(config.model)) for name, method in METHODS.items()}
    record.write(
        "adrenal_validation",
        {
            **record.provenance(training=config.to_json(), seeds=SEEDS),
            "learned_parameters": sizes,
            "validation_auc": rows,
        },
    )


def parsed(card: str | None, *, data: bool = True, fine: bool = False, names: bool = False) -> argparse.Namespace:
    """What every script here takes; also sets up one core and a log."""
    parser = argparse.ArgumentParser(description=card, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        parser.add_argument("--data", type=Path, required=True, help="the data set as published")
    if fine:
        parser.add_argument("--fine", type=Path, help="the same data set at 64³, for the rows that need it")
    if names:
        parser.add_argument("--names", nargs="+", help="these rows alone")
    parser.add_argument("--work", type=Path, required=True, help="folder for trained networks; what is there is reused")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("heclstm").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
