"""Visual fields: which part of what the network is given pays? Four folds inside the training part of fold 1.

    python -m experiments.fields_ablations --data lei_sfd/ --work runs/ [--names no_offset heads_16] [--seeds 0 1]

Each variant is the recipe of examples/visual_fields with one thing changed. The folds are scored by networks of the
other three; the held-out fold 1 is not used. A run that was stopped goes on where it was.
"""

import argparse
import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from experiments import record
from experiments.breakhis import augmented
from experiments.fit import evaluate, fit
from experiments.inner import inner_folds, inner_splits
from experiments.methods import METHODS
from experiments.visual_fields import TRAINING_FILE
from heclstm.data.datasets import Part, Splits
from heclstm.data.datasets.visual_fields import grid
from heclstm.errors import HeclstmError
from heclstm.model.by_fold import auc_by_fold
from heclstm.model.cells.lstm import LstmConfig
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.training import train_network

logger = logging.getLogger(__name__)

Change = Callable[[TrainConfig], TrainConfig]
GENERATED, EARLIER_EPOCHS = 600, 40  # courses, and epochs with them before those of the recipe


def differences(*kinds: str) -> Change:
    return lambda config: replace(config, model=replace(config.model, differences=kinds))


def hidden(size: int) -> Change:
    return lambda config: replace(
        config, model=replace(config.model, cell=replace(config.model.cell, hidden_size=size))
    )


def neighbours(config: TrainConfig) -> TrainConfig:
    """Each unit of the first block sees a point and those around it."""
    block = replace(config.model.blocks[0], kernel=(3, 3), padding=(1, 1))
    return replace(config, model=replace(config.model, blocks=(block,)))


def lstm(config: TrainConfig) -> TrainConfig:
    ranges = replace(config.ranges, bounds={})
    return replace(config, model=replace(config.model, cell=LstmConfig(8)), ranges=ranges)


def unchanged(config: TrainConfig) -> TrainConfig:
    return config


def averaged(part: Part) -> Part:
    """The mean of the 52 points in place of each."""
    images, places = np.asarray(part.images), grid()
    changed = np.zeros_like(images)
    means = images[..., places[:, 0], places[:, 1]].mean(-1, keepdims=True)
    changed[..., places[:, 0], places[:, 1]] = means
    return replace(part, images=changed)


@dataclass(frozen=True)
class Variant:
    title: str
    change: Change = unchanged
    method: str = "he_clstm"
    images: Callable[[Part], Part] = lambda part: part
    generated: bool = False


VARIANTS = {
    "as it is": Variant("the recipe: trend, points for themselves, offsets, noise, 8 units"),
    "no_differences": Variant("without differences", differences()),
    "first": Variant("difference to the first visit instead of the trend", differences("first")),
    "previous": Variant("difference to the visit before instead of the trend", differences("previous")),
    "averaged": Variant("mean of all points instead of the points", images=averaged),
    "neighbours": Variant("3×3 points instead of points for themselves", neighbours),
    "no_offset": Variant("without offsets of whole series in training", augmented(offset=0.0)),
    "no_noise": Variant("without noise in training", augmented(noise=0.0)),
    "not_turned": Variant("without series turned round in training", augmented(turned=0.0)),
    "heads_4": Variant("4 units", hidden(4)),
    "heads_16": Variant("16 units", hidden(16)),
    "lstm": Variant("LSTM, linear gates, orthogonal recurrence × 0.3", lstm),
    "lstm_identity": Variant("LSTM, linear gates, identity × 0.3", lstm, "identity"),
    "generated": Variant(f"begun with {GENERATED} generated courses", generated=True),
}


def courses(train: Part, count: int, seed: int) -> Part:
    """Series such as those of a part: the mean field of one, the residuals of its visits in another order, and, if it
    is to get worse, the least-squares slopes of one that does, 0.5 to 1.5 times."""
    rng, images = np.random.default_rng(seed), np.asarray(train.images, np.float64)
    visits = images.shape[1]
    times = np.arange(visits) - (visits - 1) / 2
    slopes = np.einsum("t,ntchw->nchw", times / (times @ times), images)
    means = images.mean(1)
    residuals = images - means[:, None] - times[:, None, None, None] * slopes[:, None]
    worse = np.flatnonzero(train.labels == 1)
    labels = np.arange(count) % 2
    made = []
    for label in labels:
        row, order = rng.integers(len(images)), rng.permutation(visits)
        slope = label * rng.uniform(0.5, 1.5) * slopes[rng.choice(worse)]
        made.append(means[row] + residuals[row, order] + times[:, None, None, None] * slope)
    seen = np.any(images != 0, axis=(0, 1))
    return Part((np.stack(made).clip(0, 1) * seen).astype(np.float32), labels.astype(np.int64))


def begun_with_courses(config: TrainConfig, splits: Splits, work: Path) -> nn.Module:
    """The recipe, from the weights of a network that learned from generated courses."""
    earlier = replace(config, optimization=replace(config.optimization, epochs=EARLIER_EPOCHS))
    made = replace(splits, train=courses(splits.train, GENERATED, config.seed))
    known = fit("he_clstm", earlier, made, work).state_dict()
    torch.manual_seed(config.seed)
    method = METHODS["he_clstm"]
    network = method.build(config.model)
    network.load_state_dict(known)
    train_network(network, config, splits, splits.train.labels.astype(np.float32), method.loss)
    return network


def measured(variant: Variant, base: TrainConfig, parts: list[Part], seed: int, work: Path) -> float:
    """AUC by fold."""
    config, outcomes = variant.change(replace(base, seed=seed)), []
    seen = [variant.images(part) for part in parts]
    for tested in range(len(seen)):
        splits = inner_splits(seen, tested)
        network = (
            begun_with_courses(config, splits, work) if variant.generated else fit(variant.method, config, splits, work)
        )
        outcomes.append((evaluate(network, config, splits.test)["score"], splits.test.labels))
    return auc_by_fold(outcomes).value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the tables")
    parser.add_argument("--work", type=Path, required=True, help="folder for trained networks; what is there is reused")
    parser.add_argument("--names", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="these alone")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("heclstm").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    work = arguments.work / "fields-ablations"
    work.mkdir(parents=True, exist_ok=True)
    base, path = TrainConfig.from_toml(TRAINING_FILE), work / "areas.json"
    parts = inner_folds(arguments.data, base)
    known: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    for seed, name in itertools.product(arguments.seeds, arguments.names):
        if str(seed) in known.setdefault(name, {}):
            continue
        try:
            known[name][str(seed)] = measured(VARIANTS[name], base, parts, seed, work)
        except HeclstmError as error:  # a cell without a bound may overflow
            known[name][str(seed)] = str(error)
        logger.info("%s seed %d: %s", name, seed, known[name][str(seed)])
        path.write_text(json.dumps(known))
        write(base, known)


def write(base: TrainConfig, known: dict[str, dict[str, Any]]) -> None:
    """The result as far as it goes."""
    rows: dict[str, Any] = {}
    for name, variant in VARIANTS.items():
        if not (each := known.get(name)):
            continue
        values = {seed: auc for seed, auc in each.items() if isinstance(auc, float)}
        rows[name] = {"title": variant.title, "auc": values, **record.spread(list(values.values()) or [0.0])}
        rows[name]["failed"] = len(each) - len(values)
        ours = {seed: auc for seed, auc in known.get("as it is", {}).items() if isinstance(auc, float)}
        both = [seed for seed in values if seed in ours]
        if name != "as it is" and both:
            rows[name]["difference"] = float(np.mean([values[seed] - ours[seed] for seed in both]))
    record.write("fields_ablations", {**record.provenance(training=base.to_json()), "variants": rows})


if __name__ == "__main__":
    main()
