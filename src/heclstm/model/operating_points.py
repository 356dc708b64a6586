"""The score at which a model decides, chosen on validation: for each number of frames that it can assess. NumPy only.

    negatives   ●  ●   ●   ●  |           ●      the threshold stands in the gap below the lowest positive found:
    positives       ◆         |  ◆   ◆  ◆   ◆    lower, a negative is a false alarm; higher, a positive is missed

Fewer frames are a shorter sequence: its score is the sum of the contributions of its frames, since none depends on a
later one (`data.fit`). So one evaluation of whole sequences tells the score of each of their beginnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.data.datasets import Part, prepare_part
from heclstm.errors import ModelError
from heclstm.model.intervals import delong
from heclstm.model.metrics import Array, rates, split_by_label
from heclstm.model.reference import forward
from heclstm.model.weights import Model

# Between a threshold and the lowest score found, for each time that scores reach SCORE: 1.6 times the worst error of an
# encrypted score of the shipped program, whose scores do; noise grows with what is held.
MARGIN, SCORE = 2.0**-9, 4.0
SPECIFICITY_MIN = 0.1  # of a number of frames that can be assessed: below, nearly everybody is called positive


def choose_operating_point(
    scores: Array,
    labels: NDArray[np.int64],
    wanted_sensitivity: float,
    chosen_on: str = "validation",
    *,
    patients: Sequence[str] = (),
    frames: int | None = None,
) -> OperatingPoint:
    """Of all thresholds that miss no more than allowed the most specific ones, and of those the one that misses fewest.

    It lies halfway in the gap between the highest negative below and the lowest positive found, but at least MARGIN
    below that (more where scores are large), so that the error of an encrypted score flips no decision. patients:
    whose sequence each is.
    """
    if not 0 < wanted_sensitivity <= 1:
        raise ModelError(f"operating point: got sensitivity {wanted_sensitivity}, expected more than 0 and at most 1")
    positives, negatives = split_by_label(scores, labels)
    needed = int(np.ceil(wanted_sensitivity * len(positives) - 1e-9))
    below = negatives[negatives < np.sort(positives)[::-1][needed - 1]]
    highest = below.max() if below.size else -np.inf
    lowest = positives[positives > highest].min()
    clear = float(lowest) - MARGIN * max(1.0, float(np.abs(scores).max()) / SCORE)
    threshold = min(float(highest + lowest) / 2, clear) if below.size else clear
    people = {patient for patient, label in zip(patients, labels, strict=True) if label == 1} if patients else None
    return OperatingPoint(
        threshold,
        wanted_sensitivity,
        *rates(scores, labels, threshold),
        len(positives),
        len(negatives),
        chosen_on,
        frames,
        UNSET if people is None else len(people),
    )


def operating_points(
    model: Model, part: Part, preparation: Preparation, wanted_sensitivity: float, chosen_on: str = "validation"
) -> tuple[OperatingPoint, ...]:
    """Of a model that takes one number of frames: a single one, for all. Else one for each number that it can assess.

    A number of frames can be assessed if, among the sequences that have as many, cut to their beginning, the 95 %
    interval of the AUC lies above one half, and the wanted sensitivity leaves a specificity of SPECIFICITY_MIN. That
    tells a model's too few frames from its enough, so where the largest number itself fails, which is a fault of the
    model and not of the frames, no number is left out, and the figures warn (`card.warnings`). Raises ModelError
    without both outcomes.
    """
    frames, mask = prepare_part(part, preparation)
    contributions = forward(model, frames, mask)["contributions"][:, :, 0]
    scores, labels, patients = contributions.sum(axis=1), part.labels, part.patients
    if mask is None or not preparation.padded:
        return (choose_operating_point(scores, labels, wanted_sensitivity, chosen_on, patients=patients),)
    every, found = [], []
    for count, rows, cut in beginnings(contributions, mask):
        if known := len(np.unique(labels[rows])) == 2:
            people = tuple(patients[row] for row in rows) if patients else ()
        else:  # of hardly any sequences: shorter ones stand in, as far as they go
            rows, people, cut = np.arange(len(labels)), patients, contributions[:, :count].sum(axis=1)
        point = choose_operating_point(cut, labels[rows], wanted_sensitivity, chosen_on, patients=people, frames=count)
        every.append(point)
        if known and _assessable(cut, labels[rows], point):
            found.append(point)
    return tuple(found if every[-1] in found else every)


def beginnings(contributions: Array, mask: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.intp], Array]]:
    """(k, sequences of at least k frames, their scores from the first k) for each number of frames.

    contributions, mask: (N, T).
    """
    real = mask.sum(axis=1)
    for count in range(1, mask.shape[1] + 1):
        rows = np.flatnonzero(real >= count)
        yield count, rows, contributions[rows, :count].sum(axis=1)


def _assessable(scores: Array, labels: NDArray[np.int64], point: OperatingPoint) -> bool:
    specificity = point.specificity or 0.0
    return delong(*split_by_label(scores, labels)).low > 0.5 and specificity >= SPECIFICITY_MIN


def with_operating_points(model: Model, points: Sequence[OperatingPoint]) -> Model:
    """The same model with these, and no others: that for all numbers of frames stands by itself, as it always did."""
    metadata = {name: value for name, value in model.metadata.items() if not name.startswith("operating_point")}
    for point in points:
        if point.frames is None:
            metadata["operating_point"] = point.to_json()
    if by_frames := [point.to_json() for point in points if point.frames is not None]:
        metadata["operating_points"] = by_frames
    return replace(model, metadata=metadata)
