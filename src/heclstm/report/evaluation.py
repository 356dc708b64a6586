"""Everything that `heclstm evaluate` finds, and its JSON: figures for people and programs, no image and no patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.card.operating_point import OperatingPoint
from heclstm.card.predictive import Predictive, values_at
from heclstm.card.temperature import Temperature
from heclstm.model.evaluate import Agreement, ByFrames, Fold, agreement, point_of_all, pool, small_classes
from heclstm.model.metrics import Array
from heclstm.model.temperature import calibration_error, log_loss, probabilities

FORMAT, VERSION = "heclstm-evaluation", 1
PREVALENCES = (0.01, 0.05, 0.2)
WAYS = ("clear", "simulated", "encrypted")


@dataclass(frozen=True)
class Inside:
    """What went on inside a model that could be looked into: the first of the folds.

    margins: largest value of each layer as a fraction of its limit. outside: sequences that leave the limit.
    votes: (T,) weight of each frame. alpha: share of the spatial score in the weighted unit.
    contributions: (sequences, T) in clear. real: how many frames of each sequence are; None for all.
    """

    margins: Mapping[str, float]
    outside: Mapping[str, int]
    votes: Array
    alpha: float
    contributions: Array
    real: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Evaluation:
    """folds: one for each model. temperatures: of each fold that was calibrated.

    of_data_set: the sequences are of the model's data set, which `attribution` is about.
    refused: sequences whose encrypted result a client did not accept. not_assessable: sequences of too few frames,
    which count nowhere else. by_frames: of each fold in which sequences may be shorter. warnings: of its model.
    remarks: what went wrong on the way.
    """

    folds: tuple[Fold, ...]
    split: str
    dataset: str = ""
    attribution: str = ""
    of_data_set: bool = False
    operating_point: OperatingPoint | None = None
    temperatures: tuple[Temperature, ...] = ()
    inside: Inside | None = None
    model: str = ""
    program: str = ""
    security: str = ""
    refused: int = 0
    not_assessable: int = 0
    by_frames: tuple[ByFrames, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def pooled(self) -> Fold:
        return pool(self.folds)

    @property
    def point_of_all(self) -> OperatingPoint | None:
        """Of several folds: what out-of-fold scores choose, for the sensitivity that the models were trained for."""
        if (
            len(self.folds) < 2
            or self.operating_point is None
            or not (wanted := self.operating_point.wanted_sensitivity)
        ):
            return None
        return point_of_all(self.folds, wanted)

    @property
    def troubles(self) -> list[str]:
        """What a reader of these figures should know: what went wrong on the way, and folds that are too small."""
        return [*self.remarks, *small_classes(self.folds)]

    @property
    def ways(self) -> list[str]:
        return [way for way in WAYS if way in self.pooled.scores]

    @property
    def whole_ways(self) -> list[str]:
        """Those that gave a score to every sequence; figures of a subset are for comparison with clear only."""
        return [way for way in self.ways if np.isfinite(self.pooled.scores[way]).all()]

    @property
    def agreements(self) -> dict[str, Agreement]:
        """Of the ways other than clear that gave a score."""
        pooled = self.pooled
        return {way: agreement(pooled, way) for way in self.ways[1:] if np.isfinite(pooled.scores[way]).any()}

    @property
    def over_simulated(self) -> float | None:
        """Root mean square error of encrypted scores, in those that the simulator predicts."""
        found = self.agreements
        if {"simulated", "encrypted"} <= found.keys() and found["simulated"].rms_error > 0:
            return found["encrypted"].rms_error / found["simulated"].rms_error
        return None

    @property
    def predictive(self) -> tuple[Predictive, ...]:
        """Predictive values at the prevalence of this part, and at some others that a practice may have."""
        if (measures := self.pooled.measures("clear")) is None:
            return ()
        own = (measures.true_positives + measures.missed) / measures.total
        return tuple(values_at(measures.sensitivity, measures.specificity, each) for each in (own, *PREVALENCES))

    @property
    def chances(self) -> tuple[Array, NDArray[np.int64]] | None:
        """(calibrated probabilities, labels) of all patients from clear scores; None without a temperature."""
        if len(self.temperatures) != len(self.folds):
            return None
        parts = [fold.outcomes("clear", shifted=False) for fold in self.folds]
        values = [
            probabilities(scores, scale.temperature, scale.offset)
            for (scores, _), scale in zip(parts, self.temperatures, strict=True)
        ]
        return np.concatenate(values), np.concatenate([labels for _, labels in parts])

    def to_json(self) -> dict[str, Any]:
        pooled = self.pooled
        data: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "dataset": self.dataset,
            "split": self.split,
            "model": self.model,
            "program": self.program,
            "security": self.security,
            "operating_point": self.operating_point.to_json() if self.operating_point else {},
            "sequences": len(pooled.labels),
            "patients": len(pooled.outcomes("clear")[0]),
            "folds": [{"name": fold.name, "measures": _measures(fold, self.ways)} for fold in self.folds],
            "pooled": _measures(pooled, self.ways),
            "operating_point_of_all_folds": self.point_of_all.to_json() if self.point_of_all else None,
            "remarks": self.troubles,
            "agreement": {way: found.to_json() for way, found in self.agreements.items()},
            "error_over_simulated": self.over_simulated,
            "refused": self.refused,
            "not_assessable": self.not_assessable,
            "predictive": [
                {
                    "prevalence": each.prevalence,
                    "positive": each.positive.to_json(),
                    "negative": each.negative.to_json(),
                }
                for each in self.predictive
            ],
            "by_frames": [each.to_json() for each in self.by_frames],
            "warnings": list(self.warnings),
            "probability": self.probability,
            "seconds": dict(self.seconds),
        }
        if self.inside:
            inside = self.inside
            data["ranges"] = {
                name: {"largest": share, "outside": inside.outside[name]} for name, share in inside.margins.items()
            }
            data |= {"votes": inside.votes.tolist(), "alpha": inside.alpha}
        data["scores"] = [_row(fold, row) for fold in self.folds for row in range(len(fold.labels))]
        return data

    @property
    def probability(self) -> dict[str, float] | None:
        """How good calibrated probabilities are; None without a temperature."""
        if (found := self.chances) is None:
            return None
        chances, labels = found
        clipped = np.clip(chances, 1e-12, 1 - 1e-12)
        return {
            "calibration_error": calibration_error(chances, labels),
            "log_loss": log_loss(np.log(clipped / (1 - clipped)), labels),
            "brier": float(np.mean((chances - labels) ** 2)),
        }


def _measures(fold: Fold, ways: list[str]) -> dict[str, Any]:
    found = {way: fold.measures(way) for way in ways}
    return {way: None if measures is None else measures.to_json() for way, measures in found.items()}


def _row(fold: Fold, row: int) -> dict[str, Any]:
    """One sequence by its number, and by its name in the data set if it has one; patients stay unnamed."""
    scores = {way: float(values[row]) for way, values in fold.scores.items() if np.isfinite(values[row])}
    named = {"name": fold.names[row]} if fold.names else {}
    return {"fold": fold.name, "row": row, **named, "label": int(fold.labels[row]), **scores}
