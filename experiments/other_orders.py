"""AdrenalMNIST3D and acetowhitening with their held-out frames reversed and shuffled: what do networks see of a course?

    python -m experiments.other_orders --work runs/

Reported for information: nothing is chosen by it. AdrenalMNIST3D is the model of examples/adrenal on the official test
part, whose frames are slabs along one axis of a volume. Acetowhitening is that of `experiments.acetowhitening`. Other
sets have their orders in the results of their own scripts.
"""

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from experiments import acetowhitening, record
from experiments.adrenal import parsed
from experiments.fit import evaluate, fit
from experiments.orders import ORDERS, reordered
from heclstm.data.datasets import Part, load_dataset
from heclstm.data.prepare import prepare_all
from heclstm.data.reading import read_labels, read_volumes
from heclstm.model.metrics import area_under_curve
from heclstm.model.recipe import TrainConfig
from heclstm.model.reference import forward
from heclstm.model.weights import load_model

logger = logging.getLogger(__name__)

SEEDS = acetowhitening.SEEDS[:1]
EXAMPLE = record.ROOT / "examples" / "adrenal"


def in_each_order(part: Part) -> dict[str, Part]:
    return {"as it is": part} | {order: reordered(part, order) for order in ORDERS}


def adrenal() -> dict[str, float]:
    """AUC of the shipped model."""
    model, config = load_model(EXAMPLE), TrainConfig.from_toml(EXAMPLE / "train.toml")
    frames = prepare_all(read_volumes(EXAMPLE / "volumes.npz"), config.preparation)
    part = Part(frames, np.asarray(read_labels(EXAMPLE / "volumes.npz"), np.int64))
    return {
        order: area_under_curve(forward(model, np.asarray(each.images))["score"][:, 0], part.labels)
        for order, each in in_each_order(part).items()
    }


def drawn(work: Any) -> list[dict[str, float]]:
    """AUC of each seed, on the test part."""
    base, rows = TrainConfig.from_toml(acetowhitening.TRAINING_FILE), []
    dataset = load_dataset("acetowhitening", options=base.data)
    for seed in SEEDS:
        config = replace(base, seed=seed)
        network = fit("he_clstm", config, dataset, work / "acetowhitening")
        found = {
            order: area_under_curve(evaluate(network, config, part)["score"], part.labels)
            for order, part in in_each_order(dataset.test).items()
        }
        logger.info("acetowhitening seed %d: %s", seed, found)
        rows.append(found)
    return rows


def main() -> None:
    arguments = parsed(__doc__, data=False)
    each = drawn(arguments.work)
    means = {order: float(np.mean([row[order] for row in each])) for order in each[0]}
    rows = {
        "AdrenalMNIST3D, the shipped model": {"seeds": 1, **adrenal()},
        "acetowhitening (synthetic)": {"seeds": len(each), **means},
    }
    record.write("orders", {**record.provenance(seeds=SEEDS), "rows": rows})


if __name__ == "__main__":
    main()
