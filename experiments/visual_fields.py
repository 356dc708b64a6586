"""Visual fields: is it seen in ten visits that an eye gets worse? Five folds by person, counted by series.

    python -m experiments.visual_fields --data lei_sfd/ --work runs/                     # examples/visual_fields
    python -m experiments.visual_fields --data lei_sfd/ --work runs/ --kind unreliable

The training file was chosen inside training folds; the fold that a network never saw is
scored once, as it is, with its visits reversed, and with them shuffled. AUCs are those of each fold, weighted by its
pairs: scores of different networks are not compared.
"""

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec import structs
from numpy.typing import NDArray

from experiments import record
from experiments.compare import with_tests
from experiments.encrypted import encrypted
from experiments.fit import evaluate, fit
from heclstm.compiler.reach import reach
from heclstm.data.datasets import Part, Splits, load_dataset
from heclstm.data.datasets.visual_fields import grid
from heclstm.model.by_fold import auc_by_fold
from heclstm.model.calibrate import calibrate, ranged
from heclstm.model.cells.lstm import LstmConfig
from heclstm.model.metrics import area_under_curve
from heclstm.model.recipe import TrainConfig
from heclstm.model.reference import forward
from heclstm.model.train.network import export

logger = logging.getLogger(__name__)

TRAINING_FILE = record.ROOT / "examples" / "visual_fields" / "train.toml"
FOLDS, SEEDS = 5, (0, 1, 2, 3, 4)
ORDERS = ("as it is", "reversed", "shuffled")
Change = Callable[[TrainConfig], TrainConfig]


def plain(config: TrainConfig) -> TrainConfig:
    """Visits alone, without differences."""
    return replace(config, model=replace(config.model, differences=()))


def with_cell(cell: Any) -> Change:
    return lambda config: replace(
        plain(config), model=replace(plain(config).model, cell=cell), ranges=replace(config.ranges, bounds={})
    )


def ends(config: TrainConfig) -> TrainConfig:
    """Two visits, the first and the last."""
    alone = plain(config)
    preparation = structs.replace(alone.preparation, source=(2, *alone.preparation.source[1:]), frames=2)
    return replace(alone, preparation=preparation, model=replace(alone.model, frames=2))


# title → the method of `experiments.methods`, what its training file says otherwise
RUNS: dict[str, tuple[str, Change]] = {
    "he_clstm": ("he_clstm", lambda config: config),
    "without_trend": ("he_clstm", plain),
    "lstm": ("he_clstm", with_cell(LstmConfig(8))),
    "per_visit": ("per_frame", plain),
    "mean_pooled": ("mean_pooled", plain),
    "stacked": ("stacked", plain),
    "first_last": ("stacked", ends),
}
SEEN = {"first_last": [0, -1]}  # visits; all by default
TITLES = {
    "he_clstm": "HE-CLSTM: visit and trend, diagonal cell",
    "without_trend": "the same without the trend",
    "lstm": "LSTM with linear gates, without the trend",
    "per_visit": "each visit by itself, mean score",
    "mean_pooled": "mean-pooled features, dense",
    "stacked": "visits stacked as channels",
    "first_last": "first and last visit stacked as channels",
    "slope": "least-squares slope of each point, logistic regression",
}


@dataclass
class Scores:
    """Of one method and seed: for each order of visits its scores, and which fold and label each belongs to."""

    by_order: dict[str, list[NDArray[np.float64]]] = field(default_factory=lambda: {name: [] for name in ORDERS})
    labels: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, labels: NDArray[np.int64], found: list[NDArray[np.float64]]) -> None:
        self.labels.append(labels)
        for name, scores in zip(ORDERS, found, strict=True):
            self.by_order[name].append(scores)

    def auc(self, order: str = ORDERS[0]) -> float:
        return auc_by_fold(list(zip(self.by_order[order], self.labels, strict=True))).value

    def to_json(self) -> dict[str, Any]:
        pairs = zip(self.by_order[ORDERS[0]], self.labels, strict=True)
        folds = [area_under_curve(scores, labels) for scores, labels in pairs]
        return {**{order: self.auc(order) for order in ORDERS}, "folds": folds}


def orders(part: Part) -> list[Part]:
    """The part, the same with visits reversed, and shuffled, each series in another way but always the same."""
    images = np.asarray(part.images)
    order = np.random.default_rng(99).permuted(np.tile(np.arange(images.shape[1]), (len(images), 1)), axis=1)
    shuffled = np.take_along_axis(images, order[:, :, None, None, None], axis=1)
    return [part, replace(part, images=images[:, ::-1].copy()), replace(part, images=shuffled)]


def seen(part: Part, name: str) -> Part:
    """The visits that a method looks at."""
    return replace(part, images=np.asarray(part.images)[:, SEEN[name]]) if name in SEEN else part


def slope(train: Part, test: Part) -> NDArray[np.float64]:
    """Mean, median, mean of the five smallest and of the negative slopes → logistic regression by Newton's method."""

    def features(part: Part) -> NDArray[np.float64]:
        places = grid()
        points = np.asarray(part.images, np.float64)[:, :, 0, places[:, 0], places[:, 1]]
        times = np.arange(points.shape[1]) - (points.shape[1] - 1) / 2
        slopes = np.einsum("t,ntp->np", times / (times @ times), points)
        five = np.sort(slopes, axis=1)[:, :5].mean(1)
        return np.stack([slopes.mean(1), np.median(slopes, 1), five, np.minimum(slopes, 0).mean(1)], axis=1)

    known, labels = features(train), train.labels
    middle, spread = known.mean(0), known.std(0)
    x, asked = ((np.c_[(each - middle) / spread, np.ones(len(each))]) for each in (known, features(test)))
    weights, ridge = np.zeros(x.shape[1]), np.diag([1.0] * known.shape[1] + [0.0])
    for _ in range(50):
        chances = 1 / (1 + np.exp(-x @ weights))
        curvature = (x.T * (chances * (1 - chances))) @ x + ridge
        weights -= np.linalg.solve(curvature, x.T @ (chances - labels) + ridge @ weights)
    return asked @ weights


def ranges(network: Any, config: TrainConfig, split: Splits) -> dict[str, float]:
    """Held-out series against the bound of all inputs, and against the limits of the others."""
    model = export(network).with_metadata(training=config.to_json())
    known = np.concatenate([np.asarray(part.images) for part in (split.train, split.validation)])
    model = calibrate(model, known)
    bounds, limits = reach(model), model.metadata["ranges"]
    values = dict(ranged(model, forward(model, np.asarray(split.test.images))))
    outside = {name: np.abs(values[name]).reshape(len(split.test), -1).max(1) > bounds[name] for name in bounds}
    over = np.abs(values["score"][:, 0]) > limits["score"]["limit"]
    return {
        "score_bound": bounds["score"],
        "score_limit": limits["score"]["limit"],
        "largest_score": float(np.abs(values["score"]).max()),
        "series_outside_of_a_bound": int(np.any(list(outside.values()), axis=0).sum()),
        "scores_over_the_limit": int(over.sum()),
        "of": len(split.test),
    }


def of_seed(name: str, base: TrainConfig, seed: int, arguments: argparse.Namespace, found_ranges: list[Any]) -> Scores:
    method, change = RUNS[name]
    scores = Scores()
    for fold in range(1, FOLDS + 1):
        config = change(replace(base, seed=seed, data={**base.data, "folds": FOLDS, "fold": fold}))
        split = load_dataset("visual_fields", arguments.data, config.data)
        tested = [seen(part, name) for part in orders(split.test)]
        split = replace(split, train=seen(split.train, name), validation=seen(split.validation, name))
        network = fit(method, config, split, arguments.work / f"visual-fields-{arguments.kind}")
        scores.add(split.test.labels, [evaluate(network, config, part)["score"] for part in tested])
        if name == "he_clstm":
            found_ranges.append({"seed": seed, "fold": fold, **ranges(network, config, split)})
            if arguments.encrypted and seed == arguments.seeds[0]:
                found_ranges[-1]["encrypted"] = encrypted(
                    network, config, [split.train, split.validation], split.validation, split.test
                )
                logger.info("fold %d encrypted: %s", fold, found_ranges[-1]["encrypted"])
    logger.info("%s seed %d: %s", name, seed, {order: round(scores.auc(order), 4) for order in ORDERS})
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the tables")
    parser.add_argument("--work", type=Path, required=True, help="folder for trained networks; what is there is reused")
    parser.add_argument("--kind", choices=("reliable", "unreliable"), default="reliable")
    parser.add_argument("--methods", nargs="+", choices=RUNS, default=list(RUNS), help="these alone, and the slope")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="of HE-CLSTM; others have the first")
    parser.add_argument("--encrypted", action="store_true", help="the held-out series of the first seed encrypted, too")
    parser.add_argument("--train", action="store_true", help="train them, and write nothing")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("heclstm").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    base = TrainConfig.from_toml(TRAINING_FILE)
    tables = {"positive": f"{arguments.kind}.csv", "negative": f"stable_{arguments.kind}.csv"}
    base = replace(base, data={**base.data, **tables})
    found_ranges: list[dict[str, Any]] = []
    scores = {
        name: [
            of_seed(name, base, seed, arguments, found_ranges)
            for seed in (arguments.seeds if name == "he_clstm" else arguments.seeds[:1])
        ]
        for name in arguments.methods
    }
    if arguments.train:
        return
    sloped = Scores()
    splits = [
        load_dataset("visual_fields", arguments.data, {**base.data, "folds": FOLDS, "fold": k + 1})
        for k in range(FOLDS)
    ]
    for split in splits:
        sloped.add(split.test.labels, [slope(split.train, part) for part in orders(split.test)])
    methods: dict[str, Any] = with_tests({"he_clstm": [each.auc() for each in scores["he_clstm"]]})
    for name, each in {**scores, "slope": [sloped]}.items():
        values = [one.auc() for one in each]
        methods[name] = {"auc": values, **record.spread(values), "runs": [one.to_json() for one in each]}
        if name != "he_clstm":
            ours = [one.auc() for one in scores["he_clstm"][: len(values)]]
            methods[name]["difference"] = float(np.mean(ours) - np.mean(values))
        for order in ORDERS[1:]:
            methods[name][order] = float(np.mean([one.auc(order) for one in each]))
    head = record.provenance(training=base.to_json(), seeds=arguments.seeds, folds=FOLDS, kind=arguments.kind)
    counts = {"series": int(sum(map(len, sloped.labels))), "persons": len({g for s in splits for g in s.test.groups})}
    name = "visual_fields" if arguments.kind == "reliable" else f"visual_fields_{arguments.kind}"
    record.write(name, {**head, **counts, "titles": TITLES, "methods": methods, "ranges": found_ranges})


if __name__ == "__main__":
    main()
