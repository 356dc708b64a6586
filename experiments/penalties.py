"""Range penalties of the default strength, and ten times as strong: what do they cost and save?

    python -m experiments.penalties --annocerv annocerv/ --fields lei_sfd/ --breakhis breakhis200/ --work runs/

Real sets: four folds inside the training part of fold 1, each scored by networks of the other three. Acetowhitening
(synthetic): its validation part, and fresh sequences. Each new sequence is held against the limits that `heclstm
calibrate` gives on what the network was trained with; score: the largest of any new sequence.
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments import acetowhitening, annocerv, breakhis, record, visual_fields
from experiments.fit import evaluate, fit
from experiments.inner import inner_folds, inner_splits
from experiments.ranges import largest_of, limits_of
from heclstm.data.datasets import Part, Splits, prepare_part
from heclstm.errors import HeclstmError
from heclstm.model.by_fold import auc_by_fold
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.network import export

logger = logging.getLogger(__name__)

WEIGHTS = {"mean_weight": 0.1, "max_weight": 0.003}  # what a factor multiplies
FACTORS = (1.0, 10.0)
FRESH = 2000
HARDER = 0.4  # noise of the acetowhitening whose ablations stand in the results


@dataclass(frozen=True)
class Set:
    """judged: what is trained with, what the AUC is of, and which new sequences are held against the limits."""

    title: str
    config: TrainConfig
    judged: Sequence[tuple[Splits, Part, Part]]


def penalized(config: TrainConfig, factor: float) -> TrainConfig:
    weights = {name: factor * weight for name, weight in WEIGHTS.items()}
    return replace(config, ranges=replace(config.ranges, **weights))


def gates(config: TrainConfig, degree: int) -> TrainConfig:
    return replace(config, model=replace(config.model, cell=replace(config.model.cell, gate_degree=degree)))


def real(title: str, config: TrainConfig, path: Path) -> Set:
    parts = inner_folds(path, config)
    return Set(title, config, [(inner_splits(parts, k), part, part) for k, part in enumerate(parts)])


def drawn(title: str, config: TrainConfig) -> Set:
    """Measured on the validation part; its test part is not looked at."""
    dataset, fresh = acetowhitening.generated(config)
    few = Part(np.asarray(fresh.images)[:FRESH], fresh.labels[:FRESH])
    return Set(title, config, [(dataset, dataset.validation, few)])


def sets(arguments: argparse.Namespace) -> Iterator[tuple[str, Set]]:
    base = TrainConfig.from_toml(acetowhitening.TRAINING_FILE)
    harder = replace(base, data={**base.data, "noise": HARDER})
    makers: dict[str, Callable[[], Set]] = {
        "annocerv": lambda: real("AnnoCerv", TrainConfig.from_toml(annocerv.TRAINING_FILE), arguments.annocerv),
        "visual_fields": lambda: real(
            "visual fields", TrainConfig.from_toml(visual_fields.TRAINING_FILE), arguments.fields
        ),
        "harder": lambda: drawn("harder acetowhitening, linear gates", harder),
        "harder_2": lambda: drawn("harder acetowhitening, quadratic gates", gates(harder, 2)),
        "breakhis": lambda: real("BreaKHis", TrainConfig.from_toml(breakhis.TRAINING_FILE), arguments.breakhis),
    }
    for name in arguments.names or makers:
        yield name, makers[name]()


def measured(each: Set, factor: float, seed: int, work: Path) -> dict[str, Any]:
    """AUC of all folds, and what new sequences do to the limits."""
    config = penalized(replace(each.config, seed=seed), factor)
    outcomes: list[tuple[NDArray[np.float64], NDArray[np.int64]]] = []
    found = {"largest_score": 0.0, "score_over_limit": 0.0, "refused": 0, "of": 0}
    for splits, held, new in each.judged:
        network = fit("he_clstm", config, splits, work / "penalties")
        outcomes.append((evaluate(network, config, held)["score"], held.labels))
        model = export(network).with_metadata(training=config.to_json())
        limits = limits_of(model, prepare_part(splits.train, config.preparation)[0])
        scores = largest_of(model, prepare_part(new, config.preparation)[0])["score"]
        if not np.isfinite(scores).all():
            raise HeclstmError("new sequences: a score is not finite")
        found["largest_score"] = max(found["largest_score"], float(scores.max()))
        found["score_over_limit"] = max(found["score_over_limit"], float(scores.max() / limits["score"]))
        found["refused"] += int((~(scores <= limits["score"])).sum())
        found["of"] += len(scores)
    return {"auc": auc_by_fold(outcomes).value, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("annocerv", "fields", "breakhis"):
        parser.add_argument(f"--{name}", type=Path, help="the folder of that set")
    parser.add_argument("--work", type=Path, required=True, help="folder for trained networks; what is there is reused")
    parser.add_argument("--names", nargs="+", help="these sets alone; others stay as they were")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("heclstm").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    rows: dict[str, Any] = (record.read("penalties") or {}).get("sets", {})
    for name, each in sets(arguments):
        runs: dict[str, Any] = {}
        for factor in FACTORS:
            try:
                found = [measured(each, factor, seed, arguments.work) for seed in arguments.seeds]
            except HeclstmError as error:
                runs[f"{factor:g}"] = {"failed": str(error)}
                continue
            runs[f"{factor:g}"] = {**record.spread([run["auc"] for run in found]), "runs": found}
            logger.info("%s, %g times: %s", name, factor, [{k: round(v, 3) for k, v in run.items()} for run in found])
        ours = runs["1"].get("runs")
        for run in runs.values():
            if ours and "runs" in run and run["runs"] is not ours:
                run["against"] = record.paired([one["auc"] for one in run["runs"]], [one["auc"] for one in ours])
        rows[name] = {"title": each.title, "seeds": arguments.seeds, "factors": runs}
        record.write("penalties", {**record.provenance(weights=WEIGHTS), "sets": rows})


if __name__ == "__main__":
    main()
