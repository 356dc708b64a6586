"""AnnoCerv: what can be said of a real colposcopy set that has neither histology nor times. Little, as it turns out.

    python -m experiments.annocerv --data annocerv/ --work runs/

Five folds by patient over the training and validation part, three seeds. A score is one of a fold's held-out cases;
folds are joined as `heclstm evaluate` joins them.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import record
from experiments.adrenal import parsed
from experiments.adrenal_test import MEANS
from experiments.compare import with_tests
from experiments.fit import evaluate, fit
from experiments.methods import METHODS
from experiments.orders import ORDERS, reordered
from experiments.ranges import largest_of, limits_of, summary
from heclstm.data.datasets import Splits, fit_part, fit_training, load_dataset, prepare_part
from heclstm.model.by_fold import auc_by_fold
from heclstm.model.evaluate import Fold, pool
from heclstm.model.operating_points import choose_operating_point
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.network import export

logger = logging.getLogger(__name__)

TRAINING_FILE = Path(__file__).with_name("annocerv.toml")
FOLDS, SEEDS = 5, (0, 1, 2)
COMPARED = ("he_clstm", "exact_twin", "per_frame", "frame_vote", "stacked", "mean_pooled")


def ranges(network: Any, config: TrainConfig, split: Splits) -> dict[str, Any]:
    """Held-out cases against limits from the others, as `heclstm calibrate` would store them."""
    model = export(network).with_metadata(training=config.to_json())
    known = np.concatenate([prepare_part(part, config.preparation)[0] for part in (split.train, split.validation)])
    return summary(largest_of(model, prepare_part(split.test, config.preparation)[0]), limits_of(model, known))


def main() -> None:
    arguments = parsed(__doc__)
    base = TrainConfig.from_toml(TRAINING_FILE)
    scores: dict[str, list[list[Fold]]] = {MEANS.get(name, name): [] for name in COMPARED}
    found_ranges = []
    orders: dict[str, list[tuple[NDArray[np.float64], NDArray[np.int64]]]] = {
        name: [] for name in ("as it is", *ORDERS)
    }
    for seed in SEEDS:
        folds: dict[str, list[Fold]] = {name: [] for name in scores}
        for fold in range(1, FOLDS + 1):
            config = replace(base, seed=seed, data={"folds": FOLDS, "fold": fold})
            split = fit_training(load_dataset("annocerv", arguments.data, config.data), config.preparation)
            split = replace(split, test=fit_part(split.test, config.preparation))
            for name in COMPARED:
                network = fit(name, config, split, arguments.work / "annocerv")
                before, after = (evaluate(network, config, part)["score"] for part in (split.validation, split.test))
                point = choose_operating_point(before, split.validation.labels, config.wanted_sensitivity)
                patients = np.array(split.test.patients)
                folds[MEANS.get(name, name)].append(
                    Fold(str(fold), split.test.labels, {"clear": after}, point.threshold, patients)
                )
                if name == "he_clstm":
                    for order, each in orders.items():
                        asked = reordered(split.test, order) if order in ORDERS else split.test
                        each.append((evaluate(network, config, asked)["score"], split.test.labels))
                    found_ranges.append({"seed": seed, "fold": fold, **ranges(network, config, split)})
        for name, each in folds.items():
            scores[name].append(each)
            logger.info("seed %d %s: %s", seed, name, pool(each).measures("clear"))
    measures = {name: [pool(each).measures("clear") for each in seeds] for name, seeds in scores.items()}
    auc = {name: [found.auc.value for found in each if found] for name, each in measures.items()}
    methods = with_tests(auc)
    for name, each in measures.items():
        methods[name]["seeds"] = [found.to_json() for found in each if found]
    whole = pool(scores["he_clstm"][0])
    head = record.provenance(training=base.to_json(), seeds=SEEDS, folds=FOLDS)
    titles = {MEANS.get(name, name): METHODS[name].title for name in COMPARED}
    titles["mean_score"] = "per-frame CNN, mean score"
    counts = {"patients": len(set(whole.patients)) if whole.patients is not None else 0, "cases": len(whole.labels)}
    counts["positives"] = int(whole.labels.sum())
    by_order = {name: auc_by_fold(each).value for name, each in orders.items()}
    record.write(
        "annocerv", {**head, **counts, "titles": titles, "methods": methods, "ranges": found_ranges, "orders": by_order}
    )


if __name__ == "__main__":
    main()
