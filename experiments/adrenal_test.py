"""AdrenalMNIST3D: the one look at the official test part, after every choice was made.

    python -m experiments.adrenal_test --data adrenalmnist3d.npz --work runs/

Needs the networks of `experiments.adrenal` in the work folder, evaluates each once, and keeps every score, so that
later questions need no second look. It refuses to run when results/adrenal_test.json exists.
"""

import logging
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import record
from experiments.adrenal import SEEDS, TRAINING_FILE, load, parsed, trained
from experiments.compare import bootstrap_difference, with_tests
from experiments.fit import evaluate
from experiments.methods import METHODS
from experiments.ranges import largest_of, limits_of, summary
from heclstm.data.datasets import Part, load_dataset
from heclstm.data.prepare import prepare_all
from heclstm.model.metrics import area_under_curve, rates
from heclstm.model.operating_points import choose_operating_point
from heclstm.model.recipe import TrainConfig
from heclstm.model.reference import forward
from heclstm.model.weights import load_model

logger = logging.getLogger(__name__)

Scores = NDArray[np.float64]
TITLES = {
    "he_clstm": METHODS["he_clstm"].title,
    "exact_twin": METHODS["exact_twin"].title + ", same training",
    "teachers": "mean of the three exact teachers (not one network)",
    "teacher": "one exact teacher, not distilled (mean of three)",
    "best_frame": "per-frame CNN, best single frame",
    "mean_score": "per-frame CNN, mean score",
    "frame_vote": METHODS["frame_vote"].title,
    "stacked": METHODS["stacked"].title,
    "mean_pooled": METHODS["mean_pooled"].title,
}
MEANS = {"per_frame": "mean_score", "own_frame": "own_mean"}  # what the score of these is called in the table


def rated(validation: Scores, test: Scores, parts: tuple[Part, Part], sensitivity: float) -> dict[str, Any]:
    """AUC, and the rates at an operating point that validation chose."""
    point = choose_operating_point(validation, parts[0].labels, sensitivity)
    sensitive, specific = rates(test, parts[1].labels, point.threshold)
    return {
        "validation_auc": area_under_curve(validation, parts[0].labels),
        "auc": area_under_curve(test, parts[1].labels),
        "sensitivity": sensitive,
        "specificity": specific,
        "scores": np.round(test, 6).tolist(),
    }


def best_frame(validation: Scores, test: Scores, labels: NDArray[np.int64]) -> tuple[Scores, Scores]:
    """The column with the highest validation AUC."""
    chosen = int(np.argmax([area_under_curve(column, labels) for column in validation.T]))
    return validation[:, chosen], test[:, chosen]


def main() -> None:
    arguments = parsed(__doc__)
    if record.read("adrenal_test") is not None:
        sys.exit("results/adrenal_test.json exists: the test part was looked at, and will not be a second time")
    config, dataset = TrainConfig.from_toml(TRAINING_FILE), load(arguments.data)
    everything = list(trained(config, dataset, arguments.work))
    if (found := tuple(seed for seed, _, _ in everything)) != SEEDS:
        sys.exit(f"got seeds {found}, expected {SEEDS}")
    validation, test = dataset.validation, load_dataset("medmnist3d", arguments.data).test
    parts, wanted = (validation, test), config.wanted_sensitivity
    frames = {name: prepare_all(part.images, config.preparation) for name, part in zip("vt", parts, strict=True)}
    calibration = np.concatenate([prepare_all(dataset.train.images, config.preparation), frames["v"]])
    rows = []
    for seed, model, networks in everything:
        pair = [forward(model, frames[name])["score"][:, 0] for name in "vt"]
        row: dict[str, Any] = {"seed": seed, "he_clstm": rated(*pair, parts, wanted)}
        row["ranges"] = summary(largest_of(model, frames["t"]), limits_of(model, calibration))
        teachers = [load_model(arguments.work / f"adrenal-{seed}" / f"teacher-{k}") for k in (1, 2, 3)]
        scores = [[forward(teacher, frames[name])["score"][:, 0] for teacher in teachers] for name in "vt"]
        row["teachers"] = rated(*(np.mean(each, axis=0) for each in scores), parts, wanted)
        row["teacher"] = {"auc": float(np.mean([area_under_curve(s, test.labels) for s in scores[1]]))}
        found = {name: [evaluate(n, config, part) for part in parts] for name, n in networks.items()}
        pair = best_frame(*(each["frame_scores"] for each in found["per_frame"]), validation.labels)
        row["best_frame"] = rated(*pair, parts, wanted)
        for name, (before, after) in found.items():
            row[MEANS.get(name, name)] = rated(before["score"], after["score"], parts, wanted)
        rows.append(row)
        logger.info("seed %d: %s", seed, {name: round(row[name]["auc"], 4) for name in TITLES})
    methods = with_tests({name: [row[name]["auc"] for row in rows] for name in TITLES})
    for name in TITLES:
        if "scores" in rows[0][name]:
            ours, theirs = (np.array([row[key]["scores"] for row in rows]) for key in ("he_clstm", name))
            methods[name]["over_volumes"] = bootstrap_difference(ours, theirs, test.labels)
            for rate in ("sensitivity", "specificity"):
                methods[name][rate] = record.spread([row[name][rate] for row in rows])
    head = record.provenance(training=config.to_json(), seeds=SEEDS, volumes=len(test), masses=int(test.labels.sum()))
    record.write("adrenal_test", {**head, "titles": TITLES, "methods": methods, "runs": rows})


if __name__ == "__main__":
    main()
