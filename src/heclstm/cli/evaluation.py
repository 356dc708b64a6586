"""One subject on its part of the data, in all ways that were asked for. For `evaluate`."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from heclstm.cli.terminal import progress

if TYPE_CHECKING:
    from heclstm.cli.subject import Subject
    from heclstm.data.datasets import Part
    from heclstm.model.metrics import Array
    from heclstm.report.evaluation import Evaluation, Inside


@dataclass(frozen=True)
class Ways:
    """To scores besides those in clear. encrypted: for how many sequences."""

    simulated: bool = False
    encrypted: int | None = None
    keys: Path | None = None
    threads: int | None = None
    allow_insecure: bool = False


class Run:
    """One subject on its part of the data."""

    def __init__(
        self, path: Path, program: Path | None, folder: Path, data: Path | None, dataset: str | None, split: str
    ) -> None:
        from heclstm.cli.subject import TrainedOn, is_labelled, read_part, read_subject
        from heclstm.data.datasets import prepare_part
        from heclstm.errors import ModelError

        self.folder, self.split = folder, split
        self.subject: Subject = read_subject(path, program)
        trained_on = TrainedOn(dataset) if dataset else self.subject.trained_on
        self.part: Part = read_part(data, trained_on, split)
        known = trained_on.dataset == self.subject.trained_on.dataset
        self.of_data_set = known and not (data and is_labelled(data))
        if (preparation := self.subject.purpose.preparation) is None:
            raise ModelError(f"{path}: does not say how images are prepared; train it with heclstm")
        self.frames, self.mask = prepare_part(self.part, preparation)

    def evaluate(self, ways: Ways) -> Evaluation:
        """Score all sequences in clear, and those that `ways` asks for otherwise. Raises RangeError on an overflow."""
        import numpy as np

        from heclstm.cli.scoring import clear_scores, encrypted_scores, simulated_scores, spread
        from heclstm.cli.subject import compiled
        from heclstm.errors import RangeError
        from heclstm.model.evaluate import Fold
        from heclstm.program.files import load_card
        from heclstm.report.evaluation import Evaluation

        subject, frames, mask, seconds, refused = self.subject, self.frames, self.mask, {}, 0
        start = time.perf_counter()
        with progress("in clear") as update:
            clear, values = clear_scores(subject, frames, mask, update)
        if not np.isfinite(clear).all():
            count = int((~np.isfinite(clear)).sum())
            raise RangeError(f"{subject.name}: {count} of {len(clear)} scores overflow in clear; train it again")
        scores = {"clear": clear}
        seconds["clear"], start = time.perf_counter() - start, time.perf_counter()
        if ways.simulated or ways.encrypted:
            with progress("program"):
                subject = compiled(subject, self.folder)
            start = time.perf_counter()
        if ways.simulated:
            with progress("simulated") as update:
                scores["simulated"] = simulated_scores(subject, frames, mask, update)
            seconds["simulated"], start = time.perf_counter() - start, time.perf_counter()
        if ways.encrypted:
            rows = spread(self.part.labels, ways.encrypted)
            with progress("encrypted") as update:
                scores["encrypted"], refused = encrypted_scores(
                    subject, frames, mask, rows, ways.keys, ways.threads, ways.allow_insecure, update
                )
            seconds["encrypted"] = time.perf_counter() - start
        purpose, card = subject.purpose, load_card(subject.program) if subject.program else None
        point, scale, facts = purpose.operating_point(), purpose.temperature, purpose.model
        assert point is not None  # `read_subject` saw to it
        return Evaluation(
            folds=(Fold(subject.name, self.part.labels, scores, point.threshold,
                        np.array(self.part.patients) if self.part.patients else None),),
            split=self.split,
            dataset=facts.dataset or facts.name,
            attribution=facts.credit,
            of_data_set=self.of_data_set,
            operating_point=point,
            temperatures=(scale,) if scale else (),
            inside=inside_of(subject, values),
            model=facts.digest or "",
            program=card.digest if card else "",
            security=card.parameters.security if card else "",
            refused=refused,
            seconds=seconds,
        )  # fmt: skip


def inside_of(subject: Subject, values: dict[str, Array] | None) -> Inside | None:
    """What only a model shows, and only a calibrated one."""
    from heclstm.model.calibrate import margins, outside
    from heclstm.report.evaluation import Inside

    model = subject.model
    if model is None or values is None or subject.purpose.limit("score") is None:
        return None
    arrays = model.arrays
    return Inside(
        margins(model, values),
        outside(model, values),
        arrays["vote.weight"],
        float(arrays["weighted_unit.alpha"][0]),
        values["contributions"][:, :, 0],
    )


def join(first: Evaluation, other: Evaluation) -> Evaluation:
    """Further folds of the same evaluation; the inside of a model is shown for the first."""
    seconds = {way: first.seconds[way] + other.seconds[way] for way in first.seconds}
    names = {fold.name for fold in first.folds}
    fold = other.folds[0]
    if fold.name in names:
        fold = replace(fold, name=f"{fold.name} ({len(first.folds) + 1})")
    return replace(
        first, folds=(*first.folds, fold), temperatures=(*first.temperatures, *other.temperatures), seconds=seconds
    )
