"""BreaKHis at 200×, five folds by patient: HE-CLSTM and others, by patient and by sequence.

    python -m experiments.breakhis train --data breakhis200/ --work runs/ --names he_clstm --seeds 0 1 2 3 4
    python -m experiments.breakhis encrypt --data breakhis200/ --work runs/
    python -m experiments.breakhis ablate --data breakhis200/ --work runs/
    python -m experiments.breakhis test --data breakhis200/ --work runs/ --names he_clstm per_frame --seeds 0 1 2 3 4

What was chosen inside training folds is told by `experiments.breakhis_choices`. Every network is trained on all
patients of its folds, since no threshold is needed.
The sequences of a patient count once, by their mean, or each by itself; AUCs are those of each fold, weighted by its
pairs: scores of different networks are not compared.
"""

import argparse
import itertools
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.apps.pathology.transforms.stain.array import NormalizeHEStains
from msgspec import structs
from numpy.typing import NDArray

from experiments import record
from experiments.colours import colours
from experiments.encrypted import encrypted
from experiments.fit import evaluate, fit
from experiments.orders import ORDERS, reordered
from heclstm.circuit.cost import estimate
from heclstm.compiler.compile import compile_circuit
from heclstm.data.datasets import Part, Splits, fit_part, load_dataset
from heclstm.model.by_fold import Outcomes, auc_by_fold
from heclstm.model.cells.mean import MeanConfig
from heclstm.model.ensemble import joined
from heclstm.model.metrics import area_under_curve
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.network import export

logger = logging.getLogger(__name__)

TRAINING_FILE = record.ROOT / "examples" / "breakhis" / "train.toml"
FOLDS, SEEDS = 5, (0, 1, 2, 3, 4)
Change = Callable[[TrainConfig], TrainConfig]


def augmented(**changes: Any) -> Change:
    return lambda config: replace(config, augmentation=replace(config.augmentation, **changes))


def mean_of_fields(degree: int) -> Change:
    """The mean cell, of as many units, whose bounds are its own."""
    return lambda config: replace(
        config,
        model=replace(config.model, cell=MeanConfig(config.model.cell.hidden_size, degree)),
        ranges=replace(config.ranges, bounds={}),
    )


def jittered_mean(config: TrainConfig) -> TrainConfig:
    return augmented(stain=0.05)(mean_of_fields(2)(config))


# method → its title; each is trained by the recipe of HE-CLSTM
TITLES = {
    "he_clstm": "HE-CLSTM, diagonal cell",
    "jitter": "HE-CLSTM, diagonal cell, stain jitter",
    "jitter_more": "HE-CLSTM, diagonal cell, stain jitter 0.1",
    "mean_cell": "HE-CLSTM, mean cell with a square",
    "mean_cell_jitter": "HE-CLSTM, mean cell with a square, stain jitter",
    "exact_twin": "exact twin (ReLU)",
    "per_frame": "per-field CNN, mean score",
    "mean_pooled": "mean-pooled features, dense",
    "stacked": "fields stacked as channels",
    "resnet": "small ReLU ResNet, mean score; not encrypted",
    "colour": "colours and gradients as histograms, logistic regression",
}


# title → the method of `experiments.methods`, and what the training file says otherwise
VARIANTS: dict[str, tuple[str, Change]] = {
    "mean_cell": ("he_clstm", mean_of_fields(2)),
    "jitter": ("he_clstm", augmented(stain=0.05)),
    "jitter_more": ("he_clstm", augmented(stain=0.1)),
    "mean_cell_jitter": ("he_clstm", jittered_mean),
}
ENSEMBLE = (0, 1, 2)  # seeds
SEVERAL = ("he_clstm", *VARIANTS)  # with several seeds; others have the first


def larger(config: TrainConfig) -> TrainConfig:
    """The pictures as they are published to us, 112×112, by the same blocks."""
    known = config.preparation
    preparation = structs.replace(known, source=(*known.source[:2], 112, 112), height=112, width=112)
    return replace(config, preparation=preparation, model=replace(config.model, height=112, width=112))


def one_stain(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, T, 3, H, W) with haematoxylin and eosin of every field as one slide has them (Macenko 2009, by MONAI).

    A field that is too bright to have a stain stays as it is.
    """
    normalize, done = NormalizeHEStains(), images.reshape(-1, *images.shape[2:]).copy()
    for field in done:
        with suppress(ValueError):
            field[:] = normalize(field.transpose(1, 2, 0)).transpose(2, 0, 1)
    return done.reshape(images.shape)


# name → its title, the training file, the images
Images = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
ABLATIONS: dict[str, tuple[str, Change, Images]] = {
    "as it is": ("64×64, as in the training file", lambda config: config, lambda images: images),
    "one stain": ("64×64, stains normalised", lambda config: config, one_stain),
    "stain jitter": ("64×64, stains changed by up to 0.05 in training", augmented(stain=0.05), lambda images: images),
    "strong stain jitter": (
        "64×64, stains changed by up to 0.2 in training",
        augmented(stain=0.2),
        lambda images: images,
    ),
    "larger": ("112×112", larger, lambda images: images),
}


@dataclass(frozen=True)
class Fields:
    """The sequences of each fold, as arrays of the size that the preparation asks for."""

    folds: tuple[Part, ...]

    @classmethod
    def load(cls, data: Path, config: TrainConfig) -> "Fields":
        parts = []
        for fold in range(1, FOLDS + 1):
            splits = load_dataset("breakhis", data, {**config.data, "folds": FOLDS, "fold": fold})
            parts.append(fit_part(splits.test, config.preparation))
        return cls(tuple(parts))

    def without(self, left_out: Sequence[int], tested: int) -> Splits:
        """All folds but some as the training part. Validation is a formality: the first sequences of each outcome."""
        train = together([part for k, part in enumerate(self.folds) if k not in left_out])
        few = np.concatenate([np.flatnonzero(train.labels == label)[:4] for label in (0, 1)])
        shown = Part(np.asarray(train.images)[few], train.labels[few])
        return Splits(train, shown, self.folds[tested], "BreaKHis")


def together(parts: Sequence[Part]) -> Part:
    return Part(
        np.concatenate([np.asarray(part.images) for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(patient for part in parts for patient in part.patients),
        tuple(name for part in parts for name in part.names),
    )


def by_patient(scores: NDArray[np.float64], part: Part) -> Outcomes:
    """The mean score of each patient, and his label."""
    patients = np.array(part.patients)
    names = np.unique(patients)
    means = [scores[patients == name].mean() for name in names]
    return np.array(means), np.array([part.labels[patients == name].max() for name in names])


def areas(scores: Sequence[NDArray[np.float64]], parts: Sequence[Part]) -> dict[str, Any]:
    """AUC by fold of sequences and of patients, with DeLong's interval."""
    found = {
        "sequence": [(each, part.labels) for each, part in zip(scores, parts, strict=True)],
        "patient": [by_patient(each, part) for each, part in zip(scores, parts, strict=True)],
    }
    intervals = {name: auc_by_fold(outcomes) for name, outcomes in found.items()}
    return {name: [each.value, each.low, each.high] for name, each in intervals.items()}


def in_other_orders(name: str, fields: Fields, base: TrainConfig, seed: int, work: Path) -> dict[str, Any]:
    """AUC by fold where the held-out sequences have their fields in another order."""
    return {
        order: areas(of_seed(name, fields, base, seed, work, order), fields.folds)["sequence"][0] for order in ORDERS
    }


def of_seed(
    name: str, fields: Fields, base: TrainConfig, seed: int, work: Path, order: str = ""
) -> list[NDArray[np.float64]]:
    """The scores of each fold, by a network that was trained on the other four. order: of the held-out fields."""
    method, change = VARIANTS.get(name, (name, lambda config: config))
    config, found = change(replace(base, seed=seed)), []
    for fold in range(FOLDS):
        network = fit(method, config, fields.without((fold,), fold), work)
        part = fields.folds[fold]
        found.append(evaluate(network, config, reordered(part, order) if order else part)["score"])
    told = {way: round(each[0], 4) for way, each in areas(found, fields.folds).items()}
    logger.info("%s seed %d %s: %s", name, seed, order, told)
    return found


def kept(path: Path) -> dict[str, Any]:
    """What was measured so far."""
    return json.loads(path.read_text()) if path.exists() else {}


def encrypted_file(name: str, work: Path) -> Path:
    return work / ("encrypted.json" if name == "he_clstm" else f"encrypted-{name}.json")


def through_ciphertexts(name: str, fields: Fields, base: TrainConfig, work: Path, folds: Sequence[int]) -> None:
    """Every held-out sequence of one seed, or of an ensemble; each fold's figures are kept as they come."""
    alone = name.removesuffix("ensemble").rstrip("_")
    path, (method, change) = encrypted_file(name, work), VARIANTS.get(alone, ("he_clstm", lambda config: config))
    known, config = kept(path), change(base)
    for fold in folds:
        if str(fold) in known:
            continue
        splits = fields.without((fold,), fold)
        seeds = ENSEMBLE if name.endswith("ensemble") else (config.seed,)
        networks = [export(fit(method, replace(config, seed=seed), splits, work)) for seed in seeds]
        network = joined(networks)
        known[str(fold)] = encrypted(network, config, [splits.train], splits.train, splits.test)
        logger.info("fold %d encrypted: %s", fold + 1, known[str(fold)])
        path.write_text(json.dumps(known))


def ablated(data: Path, base: TrainConfig, work: Path, names: Sequence[str]) -> None:
    """One seed of HE-CLSTM each, and what its program costs; kept as they come."""
    path = work / "ablations.json"
    known = kept(path)
    for name in names:
        if name in known:
            continue
        title, change, images = ABLATIONS[name]
        config = change(base)
        loaded = Fields.load(data, config)
        fields = Fields(tuple(replace(part, images=images(np.asarray(part.images))) for part in loaded.folds))
        folder = work if name == "as it is" else work / name.replace(" ", "-")
        found = measured([of_seed("he_clstm", fields, config, config.seed, folder)], fields)
        model = export(fit("he_clstm", config, fields.without((0,), 0), folder))
        costs = estimate(compile_circuit(model))
        program = {"key_bytes": costs.evaluation_key_bytes, "levels": costs.depth, "ring_degree": costs.ring_degree}
        known[name] = {"title": title, **found, "program": {**program, "memory_bytes": costs.peak_memory}}
        path.write_text(json.dumps(known))


def over_folds(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """ours − theirs, fold by fold: they share the patients, and the folds are what would come out otherwise."""
    return record.paired(ours, theirs)


def lost(scores: Sequence[NDArray[np.float64]], fields: Fields, least: float = 0.1) -> list[dict[str, Any]]:
    """Sequences that stand on the wrong side of at least this share of those of the other outcome in their fold."""
    found = []
    for fold, (mine, part) in enumerate(zip(scores, fields.folds, strict=True), 1):
        for row, (score, label) in enumerate(zip(mine, part.labels, strict=True)):
            others = mine[part.labels != label]
            share = float(np.mean(others >= score if label else others <= score))
            if share >= least:
                found.append({"fold": fold, "name": part.names[row], "label": int(label), "share": share})
    return sorted(found, key=lambda each: -each["share"])


def limit(scores: Sequence[Sequence[NDArray[np.float64]]], fields: Fields) -> dict[str, Any]:
    """What all seeds together get wrong, the slide that most of it is of, and the AUC of each seed without that."""
    wrong = lost([np.mean(each, axis=0) for each in zip(*scores, strict=True)], fields)
    slides = [each["name"].rpartition("/")[0] for each in wrong]
    worst = max(slides, key=slides.count, default="none")
    kept_rows = [np.array([name.rpartition("/")[0] != worst for name in part.names]) for part in fields.folds]
    without = [
        auc_by_fold([(s[k], part.labels[k]) for s, part, k in zip(mine, fields.folds, kept_rows, strict=True)]).value
        for mine in scores
    ]
    return {"lost": wrong, "slide": worst, "without": without}


def write(fields: Fields, base: TrainConfig, seeds: Sequence[int], names: Sequence[str], work: Path) -> None:
    """The result, of networks that are trained already. names: "jitter:3" has the first three seeds."""
    scores = {}
    for name, _, count in (each.partition(":") for each in names):
        mine = seeds[: int(count)] if count else seeds if name in SEVERAL else seeds[:1]
        scores[name] = [of_seed(name, fields, base, seed, work) for seed in mine]
    scores["colour"] = [colours(fields.folds)]
    methods = {name: measured(each, fields) for name, each in scores.items()}
    ours = methods["he_clstm"]["runs"][0]["folds"]
    for name, each in methods.items():
        if name != "he_clstm":
            theirs = each["runs"][0]["folds"]
            each["against"] = {way: over_folds(ours[way], theirs[way]) for way in ours}
    for name in set(SEVERAL) & set(methods):
        methods[name]["orders"] = in_other_orders(name, fields, base, seeds[0], work)
        threes = itertools.combinations(scores[name][: len(SEEDS)], len(ENSEMBLE))
        means = [[np.mean(each, axis=0) for each in zip(*three, strict=True)] for three in threes]
        methods[name]["ensembles"] = [areas(each, fields.folds) for each in means]
    if "jitter_more" in methods:
        methods["jitter_more"]["limit"] = limit(scores["jitter_more"], fields)
    path, tried = encrypted_file("he_clstm", work), work / "ablations.json"
    others = {
        name: encrypted_file(name, work) for name in (*VARIANTS, "ensemble", "jitter_ensemble", "jitter_more_ensemble")
    }
    head = record.provenance(training=base.to_json(), folds=FOLDS, seeds=list(seeds))
    patients = [patient for part in fields.folds for patient in set(part.patients)]
    positives = [
        patient
        for part in fields.folds
        for patient in {p for p, y in zip(part.patients, part.labels, strict=True) if y}
    ]
    record.write(
        "breakhis",
        {
            **head,
            "sequences": sum(map(len, fields.folds)),
            "patients": len(patients),
            "positives": len(positives),
            "titles": TITLES,
            "methods": methods,
            "choices": [
                {"name": name, "seeds": seeds, **found}
                for name, each in kept(work / "choices.json").items()
                for seeds, found in each.items()
            ],
            "encrypted": kept(path),
            "encrypted_others": {name: kept(file) for name, file in others.items() if file.exists()},
            "ablations": kept(tried),
        },
    )


def measured(scores: Sequence[Sequence[NDArray[np.float64]]], fields: Fields) -> dict[str, Any]:
    """scores: for each seed those of each fold."""
    runs = []
    for each in scores:
        pairs = list(zip(each, fields.folds, strict=True))
        folds = {
            "sequence": [area_under_curve(found, part.labels) for found, part in pairs],
            "patient": [area_under_curve(*by_patient(found, part)) for found, part in pairs],
        }
        runs.append({**areas(each, fields.folds), "folds": folds})
    return {way: record.spread([run[way][0] for run in runs]) for way in ("sequence", "patient")} | {"runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "encrypt", "ablate", "test"))
    parser.add_argument("--data", type=Path, required=True, help="the folder of the pictures")
    parser.add_argument("--work", type=Path, required=True, help="folder for trained networks; what is there is reused")
    parser.add_argument("--names", nargs="+", help="these alone; in test, jitter:3 has three seeds")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(1, FOLDS + 1)), help="that are encrypted")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("heclstm").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    base = TrainConfig.from_toml(TRAINING_FILE)
    fields = Fields.load(arguments.data, base)
    if arguments.what == "train":
        for seed, name in itertools.product(arguments.seeds, arguments.names):
            of_seed(name, fields, base, seed, arguments.work)
    elif arguments.what == "encrypt":
        folds = [fold - 1 for fold in arguments.folds]
        for name in arguments.names or ["he_clstm"]:
            through_ciphertexts(name, fields, replace(base, seed=arguments.seeds[0]), arguments.work, folds)
    elif arguments.what == "ablate":
        ablated(arguments.data, base, arguments.work, arguments.names or list(ABLATIONS))
    else:
        write(fields, base, arguments.seeds, arguments.names, arguments.work)


if __name__ == "__main__":
    main()
