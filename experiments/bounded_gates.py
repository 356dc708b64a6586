"""The contracting cell, whose gate stays in [0, 1] for every picture there can be: does a network learn to use it?

    python -m experiments.bounded_gates --fields lei_sfd/ --breakhis breakhis200/ --work runs/

Four folds inside the training part of fold 1 of the visual fields, and one pair of folds of BreaKHis, beside the
diagonal cell of the same recipe. Beside the AUC: how far the gate moves on held-out frames.
"""

import argparse
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from experiments import breakhis, record, visual_fields
from experiments.fit import evaluate, fit
from experiments.inner import inner_folds, inner_splits
from heclstm.data.datasets import Part, Splits, prepare_part
from heclstm.model.by_fold import auc_by_fold
from heclstm.model.cells.contracting import ContractingConfig
from heclstm.model.recipe import TrainConfig

logger = logging.getLogger(__name__)

TITLES = {"diagonal": "diagonal cell", "contracting": "contracting cell"}


def contracting(config: TrainConfig) -> TrainConfig:
    """In place of the recipe's cell, with as many units, and with its bounds where they are this one's, too."""
    model = replace(config.model, cell=ContractingConfig(config.model.cell.hidden_size))
    known = {each.bound for each in model.graph.ranges}
    bounds = {name: value for name, value in config.ranges.bounds.items() if name in known}
    return replace(config, model=model, ranges=replace(config.ranges, bounds=bounds))


@torch.no_grad()
def moved(network: nn.Module, config: TrainConfig, part: Part) -> np.ndarray[Any, Any]:
    """How far z goes between the 2.5th and the 97.5th of 100 held-out frames, for each unit."""
    found = network.values(torch.from_numpy(prepare_part(part, config.preparation)[0]))
    entering, _ = np.split(found["contracting.gates"].numpy(), 2, axis=2)
    assert np.abs(entering).max() <= 1
    low, high = np.quantile((1 + entering) / 2, [0.025, 0.975], axis=(0, 1))
    return high - low


def judged(config: TrainConfig, folds: list[Splits], work: Path) -> dict[str, Any]:
    outcomes, spans = [], []
    for splits in folds:
        network = fit("he_clstm", config, splits, work)
        outcomes.append((evaluate(network, config, splits.test)["score"], splits.test.labels))
        if config.model.cell.kind == "contracting":
            spans.append(moved(network, config, splits.test))
    found: dict[str, Any] = {"auc": auc_by_fold(outcomes).value}
    if spans:
        every = np.concatenate(spans)
        found |= {"median_moved": float(np.median(every)), "most_moved": float(every.max())}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=Path, required=True, help="the folder of the tables")
    parser.add_argument("--breakhis", type=Path, required=True, help="the folder of the pictures")
    parser.add_argument("--work", type=Path, required=True, help="folder for trained networks; what is there is reused")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("heclstm").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    bases = {name: TrainConfig.from_toml(each.TRAINING_FILE) for name, each in SETS.items()}
    rows = []
    for name, seeds in (("visual_fields", arguments.seeds), ("breakhis", arguments.seeds[:1])):
        base = bases[name]
        folds = FOLDS[name](arguments.fields if name == "visual_fields" else arguments.breakhis, base)
        for method, recipe in (("diagonal", base), ("contracting", contracting(base))):
            runs = [judged(replace(recipe, seed=seed), folds, arguments.work / name) for seed in seeds]
            rows.append({"set": name, "method": method, "seeds": seeds, "runs": runs})
            logger.info("%s", rows[-1])
            head = record.provenance(training={each: base.to_json() for each, base in bases.items()})
            record.write("bounded_gates", {**head, "titles": TITLES, "rows": rows})


def fields_folds(data: Path, base: TrainConfig) -> list[Splits]:
    parts = inner_folds(data, base)
    return [inner_splits(parts, tested) for tested in range(len(parts))]


def breakhis_folds(data: Path, base: TrainConfig) -> list[Splits]:
    fields = breakhis.Fields.load(data, base)
    return [fields.without((0, 1), 1)]


SETS = {"visual_fields": visual_fields, "breakhis": breakhis}
FOLDS: dict[str, Callable[[Path, TrainConfig], list[Splits]]] = {
    "visual_fields": fields_folds,
    "breakhis": breakhis_folds,
}

if __name__ == "__main__":
    main()
