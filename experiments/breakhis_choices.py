"""BreaKHis: choices between recipes, made inside the training folds.

    python -m experiments.breakhis_choices --data breakhis200/ --work runs/ --names "stain jitter" --seeds 0 1 2
    … --names "stain jitter" --seeds 0 1 2 --joined

Two folds are left out, and each is scored by the network of the other three. For a held-out fold, a choice is judged
by the other four: each was scored by a network that saw neither it nor the held-out one (`by_fold`). --joined: the mean
score of the seeds, which is that of an ensemble. What is known goes into choices.json of the work folder.
"""

import argparse
import itertools
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.breakhis import (
    FOLDS,
    TRAINING_FILE,
    Change,
    Fields,
    areas,
    augmented,
    jittered_mean,
    kept,
    mean_of_fields,
)
from experiments.fit import evaluate, fit
from heclstm.data.datasets import Splits
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.training import mixed_targets

logger = logging.getLogger(__name__)

Pair = tuple[tuple[int, int], int]  # the folds that are left out, and the one of them that is scored
QUARTERS = ({"name": "RandRotate90", "prob": 0.75, "max_k": 3},)  # each of four ways round equally often
JITTER = augmented(stain=0.05)


@dataclass(frozen=True)
class Choice:
    """teachers: seeds of networks of the same recipe, whose mean softens the labels."""

    change: Change
    teachers: tuple[int, ...] = ()


def averaged_earlier(config: TrainConfig) -> TrainConfig:
    return replace(config, optimization=replace(config.optimization, average_from=0.5))


CHOICES = {
    "as it is": Choice(augmented(exchanged=False)),
    "mean cell, square": Choice(mean_of_fields(2)),
    "stain jitter": Choice(JITTER),
    "stain jitter 0.1": Choice(augmented(stain=0.1)),
    "stain jitter, quarter turns": Choice(augmented(stain=0.05, transforms=QUARTERS)),
    "stain jitter 0.1, quarter turns": Choice(augmented(stain=0.1, transforms=QUARTERS)),
    "stain jitter, weights averaged over the later half": Choice(lambda config: averaged_earlier(JITTER(config))),
    "stain jitter, taught by three": Choice(JITTER, (0, 1, 2)),
    "mean cell, square, and stain jitter": Choice(jittered_mean),
    "fields of a patient exchanged in every epoch": Choice(augmented(exchanged=True)),
}


def scored(choice: Choice, fields: Fields, base: TrainConfig, seed: int, work: Path) -> dict[Pair, NDArray[np.float64]]:
    config, found = choice.change(replace(base, seed=seed)), {}
    for left_out in itertools.combinations(range(FOLDS), 2):
        for tested in left_out:
            splits = fields.without(left_out, tested)
            targets = softened(choice, config, splits, work) if choice.teachers else None
            network = fit("he_clstm", config, splits, work, targets)
            found[left_out, tested] = evaluate(network, config, splits.test)["score"]
    return found


def softened(choice: Choice, config: TrainConfig, splits: Splits, work: Path) -> NDArray[np.float32]:
    """The labels of the training part, mixed with what the mean of the teachers says."""
    each = [fit("he_clstm", replace(config, seed=seed), splits, work) for seed in choice.teachers]
    logits = np.mean([evaluate(network, config, splits.train)["score"] for network in each], axis=0)
    return mixed_targets(splits.train.labels.astype(np.float32), logits, config)


def judged(scores: dict[Pair, NDArray[np.float64]], fields: Fields) -> dict[str, Any]:
    """AUCs of all pairs, and those by sequence that may decide for each held-out fold."""

    def of(pairs: Sequence[Pair]) -> dict[str, Any]:
        return areas([scores[pair] for pair in pairs], [fields.folds[tested] for _, tested in pairs])

    by_fold = []
    for fold in range(FOLDS):
        others = [(left_out, tested) for left_out, tested in scores if fold in left_out and tested != fold]
        by_fold.append(of(others)["sequence"][0])
    return {**of(list(scores)), "by_fold": by_fold}


def choose(
    fields: Fields, base: TrainConfig, work: Path, names: Sequence[str], groups: Sequence[tuple[int, ...]]
) -> None:
    """groups: of seeds, each judged as one program."""
    path = work / "choices.json"
    for group, name in itertools.product(groups, names):
        each = [scored(CHOICES[name], fields, base, seed, work) for seed in group]
        found = judged({pair: np.mean([one[pair] for one in each], axis=0) for pair in each[0]}, fields)
        logger.info("%s, seeds %s: %s", name, group, {way: np.round(value, 4) for way, value in found.items()})
        known = kept(path)
        known.setdefault(name, {})["+".join(map(str, group))] = found
        path.write_text(json.dumps(known))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the pictures")
    parser.add_argument("--work", type=Path, required=True, help="folder for trained networks; what is there is reused")
    parser.add_argument("--names", nargs="+", choices=CHOICES, default=list(CHOICES), help="these alone")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--joined", action="store_true", help="the seeds as one ensemble")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("heclstm").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    base = TrainConfig.from_toml(TRAINING_FILE)
    fields = Fields.load(arguments.data, base)
    groups = [tuple(arguments.seeds)] if arguments.joined else [(seed,) for seed in arguments.seeds]
    choose(fields, base, arguments.work, arguments.names, groups)


if __name__ == "__main__":
    main()
