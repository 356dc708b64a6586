"""Synthetic acetowhitening: what gates, weighted unit, voting, size of the state and range penalties are worth.

    python -m experiments.acetowhitening_ablations --work runs/ [--names gates_2 gates_3]     others stay as they were

As `experiments.acetowhitening`, but harder, so that no variant is perfect.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments import record
from experiments.ablations import lstm, penalty
from experiments.acetowhitening import TRAINING_FILE, generated, ranges
from experiments.adrenal import parsed
from experiments.fit import evaluate, fit
from heclstm.data.datasets import Part, Splits
from heclstm.errors import HeclstmError
from heclstm.model.metrics import area_under_curve
from heclstm.model.recipe import TrainConfig

logger = logging.getLogger(__name__)

SEEDS = (0, 1, 2, 3, 4)
NOISE = 0.4  # of the whiteness of a frame; the data set's own is 0.1
ABLATIONS = {
    "shipped": ("as in `acetowhitening.toml` (linear gates, H = 16)", "he_clstm", lstm()),
    "exact_twin": ("exact twin (ReLU, sigmoid, tanh)", "exact_twin", lstm()),
    "gates_2": ("quadratic gates", "he_clstm", lstm(gate_degree=2)),
    "gates_3": ("cubic gates", "he_clstm", lstm(gate_degree=3)),
    "frame_gates_1": ("gates from the frame only, linear", "he_clstm", lstm(recurrent_gates=False)),
    "frame_gates_2": ("gates from the frame only, quadratic", "he_clstm", lstm(recurrent_gates=False, gate_degree=2)),
    "temporal_only": ("without weighted unit", "temporal_only", lstm()),
    "last_frame": ("without voting (last frame)", "last_frame", lstm()),
    "hidden_4": ("H = 4", "he_clstm", lstm(hidden_size=4)),
    "mean_penalty": ("mean range penalty only", "he_clstm", penalty(max_weight=0.0)),
    "no_penalty": ("without range penalties", "he_clstm", penalty(mean_weight=0.0, max_weight=0.0)),
}


def measured(
    method: str,
    change: Callable[[TrainConfig], TrainConfig],
    base: TrainConfig,
    data: tuple[Splits, Part],
    work: Path,
) -> tuple[list[float], list[dict[str, Any]]]:
    """Test AUC for each seed, and what fresh sequences do to the ranges."""
    (dataset, fresh), values, found = data, [], []
    for seed in SEEDS:
        config = change(replace(base, seed=seed))
        network = fit(method, config, dataset, work / "acetowhitening")
        values.append(area_under_curve(evaluate(network, config, dataset.test)["score"], dataset.test.labels))
        if method == "he_clstm":
            try:
                found.append(ranges(network, config, dataset, fresh))
            except HeclstmError as error:  # a model that cannot be calibrated is not served
                found.append({"outside": None, "refused": str(error)})
    return values, found


def main() -> None:
    arguments = parsed(__doc__, data=False, names=True)
    base = TrainConfig.from_toml(TRAINING_FILE)
    base = replace(base, data={**base.data, "noise": NOISE})
    dataset, fresh = generated(base)
    known = record.read("acetowhitening_ablations") if arguments.names else None
    rows: dict[str, Any] = known["variants"] if known else {}
    for name, (title, method, change) in ABLATIONS.items():
        if arguments.names and name not in arguments.names:
            continue
        try:
            values, found = measured(method, change, base, (dataset, fresh), arguments.work)
        except HeclstmError as error:  # without range penalties a training may overflow
            rows[name] = {"title": title, "failed": str(error)}
            continue
        rows[name] = {"title": title, "auc": values, **record.spread(values)}
        rows[name]["ranges"] = found
        if name != "shipped":
            rows[name]["against_shipped"] = record.paired(values, rows["shipped"]["auc"])
        logger.info("%s: %s %s", title, np.round(values, 4), [each["outside"] for each in found])
        record.write(
            "acetowhitening_ablations", {**record.provenance(training=base.to_json(), seeds=SEEDS), "variants": rows}
        )


if __name__ == "__main__":
    main()
