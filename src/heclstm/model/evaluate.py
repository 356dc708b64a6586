"""What a trained model is worth on a part of a data set, and how far other ways to its scores lie from the clear one.

NumPy only: whoever has simulated or encrypted scores puts them beside the clear ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.card.interval import Interval
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.card.purpose import Purpose
from heclstm.data.datasets import Part, prepare_part
from heclstm.errors import ModelError
from heclstm.model.by_fold import auc_by_fold
from heclstm.model.metrics import Array, Measures, area_under_curve, by_patient, measure, rates
from heclstm.model.operating_points import beginnings, choose_operating_point
from heclstm.model.reference import forward
from heclstm.model.temperature import fit_temperature
from heclstm.model.weights import Model

FEWEST = 10  # patients of a class, for a figure that says something


def evaluate_model(model: Model, part: Part, split: str, **notes: Any) -> Model:
    """Put AUC, and the rates at the stored operating point, into `metadata["metrics"][split]`.

    notes: what should stand beside the figures, such as the command that made them. The test part is for one
    look at the model that was chosen without it.
    """
    if (point := Purpose.of(model).operating_point()) is None:
        raise ModelError("evaluate: the model has no operating point; train it with heclstm, or store one")
    preparation = Preparation.from_json(model.metadata.get("preparation", {}))
    scores = forward(model, *prepare_part(part, preparation))["score"][:, 0]
    sensitivity, specificity = rates(scores, part.labels, point.threshold)
    measured = {
        "auc": area_under_curve(scores, part.labels),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "sequences": len(part),
        "positives": int(part.labels.sum()),
        **notes,
    }
    return model.with_metadata(metrics={**model.metadata.get("metrics", {}), split: measured})


@dataclass(frozen=True, repr=False)
class Fold:
    """What one model says about sequences that it was not trained on.

    scores: "clear" and, where they were made, "simulated" and "encrypted"; one for each sequence, NaN where that way
    was not taken. patients: whose sequence each is; without it, every sequence is a patient of its own. shift: what was
    taken off the scores of shorter sequences, since their operating point is another. names: what each sequence is
    called. parts: the folds, where this is several of them as one.
    """

    name: str
    labels: NDArray[np.int64]
    scores: Mapping[str, Array]
    threshold: float
    patients: NDArray[Any] | None = None
    shift: Array | None = None
    names: tuple[str, ...] = ()
    parts: tuple["Fold", ...] = ()

    def outcomes(self, way: str, *, shifted: bool = True) -> tuple[Array, NDArray[np.int64]]:
        """(scores, labels) of the patients that this way was taken for. shifted: as decisions want them."""
        taken = np.isfinite(self.scores[way])
        values = self.scores[way] if shifted or self.shift is None else self.scores[way] + self.shift
        scores, labels = values[taken], self.labels[taken]
        if self.patients is not None:
            scores, labels, _ = by_patient(scores, labels, self.patients[taken])
        return scores, labels

    def measures(self, way: str) -> Measures | None:
        """Of patients, at the operating point; None unless both outcomes occur among them.

        Of several folds, decisions are those of each model at its own operating point, added up; the AUC is by fold.
        """
        scores, labels = self.outcomes(way)
        if len(np.unique(labels)) < 2:
            return None
        found = measure(scores, labels, self.threshold)
        area = self.auc(way)
        return replace(found, auc=area) if self.parts and area else found

    def auc(self, way: str) -> Interval | None:
        """Of patients, of whom only those of one fold are compared; None where no fold has both outcomes."""
        each = [fold.outcomes(way) for fold in self.parts or (self,)]
        return auc_by_fold(each) if any(len(np.unique(labels)) == 2 for _, labels in each) else None


def pool(folds: Sequence[Fold]) -> Fold:
    """All folds as one. Models differ in their operating points, so pooled scores count from these.

    They are good for counting decisions, not for an AUC: a threshold that a handful of validation patients chose shifts
    all scores of its fold. So the parts stay beside them.
    """
    if len(folds) == 1:
        return folds[0]
    ways = [way for way in folds[0].scores if all(way in fold.scores for fold in folds)]
    known = [fold.patients for fold in folds if fold.patients is not None]
    return Fold(
        "pooled",
        np.concatenate([fold.labels for fold in folds]),
        {way: np.concatenate([fold.scores[way] - fold.threshold for fold in folds]) for way in ways},
        0.0,
        np.concatenate(known) if len(known) == len(folds) else None,
        names=tuple(name for fold in folds for name in fold.names) if all(fold.names for fold in folds) else (),
        parts=tuple(folds),
    )


def point_of_all(folds: Sequence[Fold], wanted_sensitivity: float) -> OperatingPoint | None:
    """The operating point that the scores of all folds choose, each of a model that had not seen it: for a model of the
    same recipe. None without both outcomes, or where a model has several for several numbers of frames.
    """
    if any(fold.shift is not None for fold in folds):
        return None
    each = [fold.outcomes("clear") for fold in folds]
    scores, labels = (np.concatenate(parts) for parts in zip(*each, strict=True))
    if len(np.unique(labels)) < 2:
        return None
    return choose_operating_point(scores, labels, wanted_sensitivity, "out-of-fold scores")


def small_classes(folds: Sequence[Fold]) -> list[str]:
    """A warning for each fold with fewer than FEWEST patients of a class, whose figures say little."""
    found = []
    for fold in folds:
        labels = fold.outcomes("clear")[1]
        positives = int(labels.sum())
        for count, what in ((positives, "positive"), (len(labels) - positives, "negative")):
            if count < FEWEST:
                found.append(f"{fold.name}: only {count} {what} patients; figures of fewer than {FEWEST} say little")
    return found


@dataclass(frozen=True)
class ByFrames:
    """What a model is worth on the first `frames` of each sequence that has as many.

    measures: of patients; None with one outcome alone. assessable: whether there is an operating point for so many; the
    shares mean nothing else. model: which of several.
    """

    frames: int
    patients: int
    measures: Measures | None
    assessable: bool
    model: str = ""

    @property
    def shares(self) -> tuple[str, str]:
        """Sensitivity and specificity, in words."""
        if self.measures is None or not self.assessable:
            return "not assessable", "not assessable"
        return str(self.measures.sensitivity), str(self.measures.specificity)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types."""
        measures = self.measures and self.measures.to_json()
        return {
            "model": self.model,
            "frames": self.frames,
            "patients": self.patients,
            "assessable": self.assessable,
            "measures": measures,
        }


def by_frames(
    purpose: Purpose,
    contributions: Array,
    mask: NDArray[np.bool_],
    labels: NDArray[np.int64],
    patients: NDArray[Any] | None,
) -> tuple[ByFrames, ...]:
    """contributions, mask: (N, T), of all sequences of a part."""
    found = []
    for count, rows, scores in beginnings(contributions, mask):
        point = purpose.operating_point(count) if purpose.can_assess(count) else None
        people = None if patients is None else patients[rows]
        fold = Fold(str(count), labels[rows], {"clear": scores}, point.threshold if point else 0.0, people)
        total = len(fold.outcomes("clear")[0])
        found.append(ByFrames(count, total, fold.measures("clear"), point is not None))
    return tuple(found)


@dataclass(frozen=True)
class Agreement:
    """How another way to the same scores compares with the clear one, on the sequences it was taken for.

    auc_difference: other minus clear, of patients; None unless both outcomes occur.
    """

    sequences: int
    decisions_agree: int
    worst_error: float
    mean_error: float
    rms_error: float
    auc_difference: float | None

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types."""
        return asdict(self)


def agreement(fold: Fold, way: str) -> Agreement:
    """Compare the scores of `way` with the clear ones. Raises ModelError if there is none."""
    taken = np.isfinite(fold.scores[way])
    if not taken.any():
        raise ModelError(f"agreement: got no {way} score of {len(taken)} sequences, expected at least one")
    clear, other = fold.scores["clear"][taken], fold.scores[way][taken]
    error = np.abs(other - clear)
    areas = [area for area in (fold.auc(way), _taken(fold, way).auc("clear")) if area is not None]
    return Agreement(
        int(taken.sum()),
        int(((clear >= fold.threshold) == (other >= fold.threshold)).sum()),
        float(error.max()),
        float(error.mean()),
        float(np.sqrt(np.mean(error**2))),
        areas[0].value - areas[1].value if len(areas) == 2 else None,
    )


def _taken(fold: Fold, way: str) -> Fold:
    """Its clear scores, where this way was taken too."""
    clear = np.where(np.isfinite(fold.scores[way]), fold.scores["clear"], np.nan)
    return replace(fold, scores={"clear": clear}, parts=tuple(_taken(part, way) for part in fold.parts))


def calibrate_score(model: Model, part: Part, fitted_on: str = "validation") -> Model:
    """Fit temperature and offset on a part that was not used for training, and store them as
    `metadata["temperature"]`. Raises ModelError where there is nothing to fit.
    """
    preparation = Preparation.from_json(model.metadata.get("preparation", {}))
    scores = forward(model, *prepare_part(part, preparation))["score"][:, 0]
    return model.with_metadata(temperature=fit_temperature(scores, part.labels, fitted_on).to_json())
