"""BreaKHis at 200×, five folds by patient: the figures of `heclstm train --folds`, by patient and by sequence.

for seed in 0 1 2; do
    heclstm train examples/breakhis/train.toml --data breakhis200/ -o runs/$seed --folds 5 --seed $seed
done
python -m experiments.breakhis runs/0 runs/1 runs/2
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from experiments import record
from heclstm.model.by_fold import auc_by_fold
from heclstm.model.recipe import TrainConfig
from heclstm.model.weights import load_model

TRAINING_FILE = record.ROOT / "examples" / "breakhis" / "train.toml"


def of_run(folder: Path) -> dict[str, Any]:
    """Of one seed: the evaluation that stands beside its folds."""
    found = json.loads((folder / "cross-validation.json").read_text("utf-8"))
    by_fold: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for row in found["scores"]:
        by_fold[row["fold"]].append((row["clear"], row["label"]))
    parts = [np.array(rows) for rows in by_fold.values()]
    training = load_model(folder / found["folds"][0]["name"]).metadata["training"]
    return {
        "seed": training["seed"],
        "patient": found["pooled"]["clear"]["auc"]["value"],
        "sequence": auc_by_fold([(part[:, 0], part[:, 1].astype(np.int64)) for part in parts]).value,
        "folds": [fold["measures"]["clear"]["auc"]["value"] for fold in found["folds"]],
        "counts": {
            "sequences": found["sequences"],
            "patients": found["patients"],
            "positives": sum(found["pooled"]["clear"][name] for name in ("true_positives", "missed")),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of `heclstm train --folds 5`, one for each seed")
    runs = [of_run(folder) for folder in parser.parse_args().runs]
    counts = runs[0]["counts"]
    head = record.provenance(training=TrainConfig.from_toml(TRAINING_FILE).to_json(), folds=len(runs[0]["folds"]))
    spreads = {way: record.spread([run[way] for run in runs]) for way in ("patient", "sequence")}
    record.write(
        "breakhis", {**head, **counts, **spreads, "runs": [{k: v for k, v in r.items() if k != "counts"} for r in runs]}
    )


if __name__ == "__main__":
    main()
