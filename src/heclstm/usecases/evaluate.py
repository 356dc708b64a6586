"""Models or programs on labelled sequences that they were not trained on → what their decisions are worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.card.preparation import Preparation
from heclstm.data.datasets import prepare_part
from heclstm.data.decoded import DECODED
from heclstm.errors import InputError, ModelError, NotAssessableError, RangeError
from heclstm.model.calibrate import margins, outside
from heclstm.model.evaluate import ByFrames, Fold, by_frames
from heclstm.model.metrics import Array
from heclstm.model.reference import forward
from heclstm.model.vote.node import votes
from heclstm.report.evaluation import Evaluation, Inside
from heclstm.storage.atomic import save_file
from heclstm.usecases.card import tell_warnings
from heclstm.usecases.clock import Clock
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.scoring import Ways, clear_scores, encrypted_scores, simulated_scores, spread
from heclstm.usecases.subject import Subject, TrainedOn, compiled, is_labelled, read_part, read_subject

__all__ = ["Evaluated", "Ways", "evaluate"]


@dataclass(frozen=True, repr=False)
class Evaluated:
    """evaluation: all figures. frames: (B, T, C, H, W), the prepared sequences of the first subject, to be shown."""

    evaluation: Evaluation
    frames: NDArray[np.float32]
    preparation: Preparation

    def page(self, events: Events = SILENT) -> str:
        """All of it as HTML. It shows images of patients."""
        from heclstm.report.evaluation_page import evaluation_page

        with events.stage("drawing"):
            return evaluation_page(self.evaluation, self.frames, self.preparation)

    def save(self, output: Path, events: Events = SILENT) -> None:
        """A page, or with the ending .json the figures alone; for its owner only."""
        if output.suffix.lower() == ".json":
            content = json.dumps(self.evaluation.to_json(), indent=1, allow_nan=False) + "\n"
        else:
            content = self.page(events)
        save_file(output, content, 0o600)


@dataclass(frozen=True, repr=False)
class _Run:
    """One subject on its part of the data. names: of its sequences. undivided: who must not be in two folds."""

    subject: Subject
    labels: NDArray[np.int64]
    patients: NDArray[Any] | None
    split: str
    preparation: Preparation
    of_data_set: bool
    frames: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    names: tuple[str, ...] = ()
    undivided: tuple[str, ...] = ()

    def assessed(self) -> tuple[_Run, int]:
        """Those sequences alone that get a decision, and how many others there are."""
        real, purpose = self.real, self.subject.purpose
        rows = np.array([row for row, count in enumerate(real) if purpose.can_assess(int(count))], dtype=np.intp)
        if len(rows) == len(real):
            return self, 0
        if not len(rows):
            raise NotAssessableError(
                f"{self.subject.name}: none of {len(real)} sequences can be assessed, expected some of "
                f"{purpose.assessable} frames"
            )
        patients, mask = self.patients, self.mask
        run = replace(
            self,
            labels=self.labels[rows],
            patients=None if patients is None else patients[rows],
            frames=self.frames[rows],
            mask=None if mask is None else mask[rows],
            names=tuple(self.names[row] for row in rows) if self.names else (),
        )
        return run, len(real) - len(rows)

    @property
    def real(self) -> NDArray[np.intp]:
        """How many frames of each sequence count."""
        return np.full(len(self.frames), self.frames.shape[1]) if self.mask is None else self.mask.sum(axis=1)

    def shift(self, threshold: float) -> Array | None:
        """How much higher the operating point of each sequence is; None if it is the same for all."""
        points = [self.subject.purpose.operating_point(int(count)) for count in self.real]
        shift = np.array([point.threshold - threshold for point in points if point is not None])
        return shift if shift.any() else None


def evaluate(
    subjects: Sequence[Path],
    data: Path | None = None,
    split: str = "test",
    ways: Ways | None = None,
    *,
    program: Path | None = None,
    dataset: str | None = None,
    events: Events = SILENT,
) -> Evaluated:
    """Every subject on its part of the data, as folds of one evaluation.

    subjects: model or program folders. data, dataset: the models' own data set and its kind by default. program:
    compiled from the one model that is evaluated.
    """
    with DECODED.kept():
        runs = [_read(path, program, data, dataset, split, events) for path in subjects]
    _refuse_overlap(runs, events)
    assessed = [run.assessed() for run in runs]
    for (run, count), path in zip(assessed, subjects, strict=True):
        tell_warnings(run.subject.purpose, events)
        if count:
            expected = run.subject.purpose.assessable
            events.note(f"{path}: {count} sequences are not assessable, expected {expected} frames; they are left out")
    evaluation = joined([_evaluated(run, ways or Ways(), events) for run, _ in assessed])
    for text in evaluation.troubles:
        events.note(f"warning: {text}")
    names = [fold.name for fold in evaluation.folds] if len(runs) > 1 else [""]
    found = [replace(each, model=name) for run, name in zip(runs, names, strict=True) for each in _by_frames(run)]
    evaluation = replace(evaluation, not_assessable=sum(count for _, count in assessed), by_frames=tuple(found))
    return Evaluated(evaluation, assessed[0][0].frames, runs[0].preparation)


def evaluate_fold(model: Path, data: Path | None, events: Events = SILENT) -> Evaluated:
    """One model of a cross-validation on the fold that it never saw."""
    whole = _read(model, None, data, None, "test", events)
    run, count = whole.assessed()
    evaluation = replace(_evaluated(run, Ways(), events), not_assessable=count, by_frames=_by_frames(whole))
    return Evaluated(evaluation, run.frames, run.preparation)


def _by_frames(run: _Run) -> tuple[ByFrames, ...]:
    """Of all its sequences, where sequences may be shorter, and a model can be asked."""
    if run.subject.model is None or run.mask is None or not run.preparation.padded:
        return ()
    contributions = forward(run.subject.model, run.frames, run.mask)["contributions"][:, :, 0]
    return by_frames(run.subject.purpose, contributions, run.mask, run.labels, run.patients)


def _read(path: Path, program: Path | None, data: Path | None, dataset: str | None, split: str, events: Events) -> _Run:
    subject = read_subject(path, program)
    trained_on = TrainedOn(dataset) if dataset else subject.trained_on
    part = read_part(data, trained_on, split, events)
    known = trained_on.dataset == subject.trained_on.dataset
    if (preparation := subject.purpose.preparation) is None:
        raise ModelError(f"{path}: does not say how images are prepared; train it with heclstm")
    frames, mask = prepare_part(part, preparation)
    patients = np.array(part.patients) if part.patients else None
    own = known and not (data and is_labelled(data))
    return _Run(subject, part.labels, patients, split, preparation, own, frames, mask, part.names, part.undivided)


def _refuse_overlap(runs: Sequence[_Run], events: Events) -> None:
    """Pooled intervals are right only if no patient counts twice."""
    seen: dict[str, str] = {}
    for run in runs:
        for patient in set(run.undivided):
            if patient in seen:
                raise InputError(
                    f"{seen[patient]} and {run.subject.name}: share patient {patient}, expected folds without a common "
                    "patient; evaluate these models one by one"
                )
        seen |= dict.fromkeys(run.undivided, run.subject.name)
    if len(runs) > 1 and any(run.patients is None for run in runs):
        events.note(
            "warning: patients have no names here; pooled figures count each sequence of each model as another patient"
        )


def _evaluated(run: _Run, ways: Ways, events: Events) -> Evaluation:
    """Score all sequences in clear, and those that `ways` asks for otherwise. Scores that overflow for some patients
    are told, and count as wrong; RangeError if all of them do.
    """
    subject, frames, mask, labels, refused, clock = run.subject, run.frames, run.mask, run.labels, 0, Clock()
    with events.stage("in clear") as update:
        clear, values = clear_scores(subject, frames, mask, update)
    remarks = []
    if lost := int((~np.isfinite(clear)).sum()):
        text = f"{subject.name}: {lost} of {len(clear)} scores overflow in clear"
        if lost == len(clear):
            raise RangeError(f"{text}; train it again")
        remarks.append(f"{text}, and count as wrong; train it again")
        clear = _worst(clear, labels)
    scores = {"clear": clear}
    clock.lap("clear")
    if ways.simulated or ways.encrypted:
        with events.stage("program"):
            subject = compiled(subject)
        clock.lap()
    if ways.simulated:
        with events.stage("simulated") as update:
            scores["simulated"] = simulated_scores(subject, frames, mask, update)
        clock.lap("simulated")
    if ways.encrypted:
        with events.stage("encrypted") as update:
            rows = spread(labels, ways.encrypted)
            scores["encrypted"], refused = encrypted_scores(subject, frames, mask, rows, ways, update, events)
        clock.lap("encrypted")
    purpose, card = subject.purpose, subject.program.card if subject.program else None
    point, scale, facts = purpose.operating_point(), purpose.temperature, purpose.model
    assert point is not None  # `read_subject` saw to it
    if (shift := run.shift(point.threshold)) is not None:
        scores = {way: values - shift for way, values in scores.items()}
    return Evaluation(
        folds=(Fold(subject.name, labels, scores, point.threshold, run.patients, shift, run.names),),
        split=run.split,
        dataset=facts.dataset or facts.name,
        attribution=facts.credit,
        of_data_set=run.of_data_set,
        operating_point=point,
        temperatures=(scale,) if scale else (),
        inside=_inside_of(subject, values, run.real),
        model=facts.digest or "",
        program=card.digest if card else "",
        security=card.parameters.security if card else "",
        refused=refused,
        warnings=purpose.warnings,
        seconds=clock.laps,
        remarks=tuple(remarks),
    )


def _worst(scores: Array, labels: NDArray[np.int64]) -> Array:
    """What is not finite becomes lower than all others for positives, and higher for negatives."""
    known = scores[np.isfinite(scores)]
    return np.where(np.isfinite(scores), scores, np.where(labels == 1, known.min() - 1, known.max() + 1))


def _inside_of(subject: Subject, values: dict[str, Array] | None, real: NDArray[np.intp]) -> Inside | None:
    """What only a model shows, and only a calibrated one."""
    model = subject.model
    if model is None or values is None or subject.purpose.limit("score") is None:
        return None
    arrays = model.arrays
    return Inside(
        margins(model, values),
        outside(model, values),
        votes(arrays).sum(axis=1),
        float(arrays["weighted_unit.alpha"].mean()),
        values["contributions"][:, :, 0],
        real,
    )


def joined(evaluations: Sequence[Evaluation]) -> Evaluation:
    """All as folds of one."""
    whole, *others = evaluations
    for other in others:
        whole = _joined(whole, other)
    return whole


def _joined(first: Evaluation, other: Evaluation) -> Evaluation:
    """Further folds of the same evaluation; the inside of a model is shown for the first."""
    seconds = {way: first.seconds[way] + other.seconds[way] for way in first.seconds}
    names = {fold.name for fold in first.folds}
    fold = other.folds[0]
    if fold.name in names:
        fold = replace(fold, name=f"{fold.name} ({len(first.folds) + 1})")
    return replace(
        first,
        folds=(*first.folds, fold),
        temperatures=(*first.temperatures, *other.temperatures),
        seconds=seconds,
        remarks=(*first.remarks, *other.remarks),
        not_assessable=first.not_assessable + other.not_assessable,
    )
