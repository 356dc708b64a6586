"""Synthetic acetowhitening: what the temporal part is worth where single frames tell little.

    python -m experiments.acetowhitening --work runs/

One generated data set, five training seeds for each method, no distillation. Ranges are calibrated on training and
validation part together, as shipped models do it, and looked up on 10,000 further sequences.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments import record
from experiments.adrenal import parsed
from experiments.adrenal_test import MEANS, best_frame
from experiments.compare import bootstrap_difference, with_tests
from experiments.costs import costs_of
from experiments.fit import evaluate, fit
from experiments.methods import METHODS
from experiments.ranges import largest_of, limits_of, summary
from heclstm.data.datasets import Part, Splits, load_dataset
from heclstm.data.prepare import prepare_all
from heclstm.model.metrics import area_under_curve
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.network import export

logger = logging.getLogger(__name__)

TRAINING_FILE = Path(__file__).with_name("acetowhitening.toml")
SEEDS = (0, 1, 2, 3, 4)
COMPARED = ("he_clstm", "exact_twin", "per_frame", "own_frame", "frame_vote", "stacked", "mean_pooled")
FRESH, FRESH_SEED = 10_000, 1
DIFFICULTIES = (0.65, 0.67, 0.70)  # what one frame can reach; the training file's own is among them
TITLES = {
    "he_clstm": METHODS["he_clstm"].title,
    "exact_twin": METHODS["exact_twin"].title,
    "best_frame": "best single frame (shared CNN or its own)",
    "mean_score": "per-frame CNN, mean score",
    "frame_vote": METHODS["frame_vote"].title,
    "own_mean": "a CNN of its own for each frame, mean score",
    "stacked": METHODS["stacked"].title,
    "mean_pooled": METHODS["mean_pooled"].title,
}


def ranges(network: Any, config: TrainConfig, dataset: Splits, fresh: Part) -> dict[str, Any]:
    """Fresh sequences against limits calibrated on training and validation part."""
    model = export(network).with_metadata(training=config.to_json())
    known = np.concatenate([prepare_all(p.images, config.preparation) for p in (dataset.train, dataset.validation)])
    return summary(largest_of(model, prepare_all(fresh.images, config.preparation)), limits_of(model, known))


def generated(config: TrainConfig) -> tuple[Splits, Part]:
    """The data set, and FRESH sequences of another seed."""
    others = {"seed": FRESH_SEED, "train": 2, "validation": 2, "test": FRESH}
    fresh = load_dataset("acetowhitening", options={**config.data, **others}).test
    return load_dataset("acetowhitening", options=config.data), fresh


def difficulties(base: TrainConfig, folder: Path) -> list[dict[str, Any]]:
    """HE-CLSTM, and the strongest reader that looks at every frame alone, where single frames tell less or more."""
    rows = []
    for reachable in DIFFICULTIES:
        changed = replace(base, data={**base.data, "single_frame_auc": reachable})
        dataset, fresh = generated(changed)
        row: dict[str, Any] = {"single_frame_auc": reachable, "he_clstm": [], "own_mean": [], "outside": []}
        for seed in SEEDS:
            config = replace(changed, seed=seed)
            for name, called in (("he_clstm", "he_clstm"), ("own_frame", "own_mean")):
                network = fit(name, config, dataset, folder)
                scores = evaluate(network, config, dataset.test)["score"]
                row[called].append(area_under_curve(scores, dataset.test.labels))
                if name == "he_clstm":
                    row["outside"].append(ranges(network, config, dataset, fresh)["outside"])
        logger.info("%s", row)
        rows.append(row)
    return rows


def main() -> None:
    arguments = parsed(__doc__, data=False)
    base = TrainConfig.from_toml(TRAINING_FILE)
    dataset, fresh = generated(base)
    folder, labels = arguments.work / "acetowhitening", dataset.test.labels
    scores: dict[str, list[np.ndarray]] = {name: [] for name in TITLES}
    runs = []
    for seed in SEEDS:
        config = replace(base, seed=seed)
        networks = {name: fit(name, config, dataset, folder) for name in COMPARED}
        found = {
            n: [evaluate(net, config, p) for p in (dataset.validation, dataset.test)] for n, net in networks.items()
        }
        single = [[found[name][k]["frame_scores"] for name in ("per_frame", "own_frame")] for k in (0, 1)]
        scores["best_frame"].append(
            best_frame(*(np.concatenate(each, axis=1) for each in single), dataset.validation.labels)[1]
        )
        for name, (_, test) in found.items():
            scores[MEANS.get(name, name)].append(test["score"])
        row = {name: area_under_curve(scores[name][-1], labels) for name in TITLES}
        frames = [area_under_curve(column, labels) for column in single[1][1].T]
        runs.append({"seed": seed, "frames": frames, "ranges": ranges(networks["he_clstm"], config, dataset, fresh)})
        logger.info("seed %d: %s %s", seed, {k: round(v, 4) for k, v in row.items()}, runs[-1])
    auc = {name: [area_under_curve(each, labels) for each in scores[name]] for name in TITLES}
    methods = with_tests(auc)
    for name in TITLES:
        over = bootstrap_difference(np.array(scores["he_clstm"]), np.array(scores[name]), labels)
        methods[name]["over_samples"] = over
    head = record.provenance(training=base.to_json(), seeds=SEEDS, fresh=FRESH)
    costs = costs_of(fit("he_clstm", replace(base, seed=SEEDS[0]), dataset, folder), measure=False)
    found = {"runs": runs, "difficulties": difficulties(base, folder), "costs": costs}
    record.write("acetowhitening", {**head, "titles": TITLES, "methods": methods, **found})


if __name__ == "__main__":
    main()
