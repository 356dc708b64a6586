"""Training images → the bounds of their statistics, wide enough that hardly anybody's images are refused. NumPy only.

Each statistic has a middle (its median) and a reach to each side (to its first and last percentile). The bounds are
middle ± width · reach with one width for all statistics: the smallest at which enough sequences are inside, with
middle and reach from the other folds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from heclstm.card.envelope import Envelope, Statistic
from heclstm.card.preparation import Preparation
from heclstm.data.datasets import Part, fit_part
from heclstm.data.prepare import prepare
from heclstm.data.sequence import ImageSequence
from heclstm.data.statistics import statistics
from heclstm.errors import ModelError

Array = NDArray[np.float64]
COVERAGE = 0.995  # of sequences like those of training
FOLDS = 5
SEQUENCES_MIN = 20  # fewer say nothing about one in two hundred
MARGIN = 1.1  # times the width: other hospitals are a little unlike
FLOOR = 1e-3  # of a reach, where a statistic hardly ever changes
DIGITS = 6  # of a bound
TAIL = 1.0  # percentile that the reach goes to


def fit_envelope(found: Sequence[Mapping[str, float]], groups: Sequence[str] = ()) -> Envelope:
    """found: the statistics of each sequence. groups: whose each is, so that no patient is in two folds.

    Raises ModelError for too few.
    """
    if len(found) < SEQUENCES_MIN:
        raise ModelError(f"envelope: got {len(found)} sequences, expected at least {SEQUENCES_MIN} to fit it on")
    names = list(found[0])
    values = np.array([[each[name] for name in names] for each in found])
    applies = np.isfinite(values).sum(axis=0) >= SEQUENCES_MIN
    values, names = values[:, applies], [name for name, kept in zip(names, applies, strict=True) if kept]
    fold = _folds(groups or [str(row) for row in range(len(found))])
    off = np.zeros(len(values))
    for number in range(FOLDS):
        held_out = fold == number
        off[held_out] = _distance(values[held_out], *_fit(values[~held_out]))
    width = MARGIN * float(np.sort(off)[math.ceil(COVERAGE * len(off)) - 1])
    middle, below, above = _fit(values)
    bounds = zip(names, middle - width * below, middle + width * above, strict=True)
    kept = tuple(Statistic(name, *(float(f"{end:.{DIGITS}g}") for end in ends)) for name, *ends in bounds)
    return Envelope(kept, float(np.mean(off <= width)), len(values))


def _fit(values: Array) -> tuple[Array, Array, Array]:
    """(middle, reach below, reach above) of each statistic."""
    low, middle, high = np.nanpercentile(values, (TAIL, 50, 100 - TAIL), axis=0)
    floor = FLOOR * np.maximum(1.0, np.abs(middle))
    return middle, np.maximum(middle - low, floor), np.maximum(high - middle, floor)


def _distance(values: Array, middle: Array, below: Array, above: Array) -> Array:
    """(N,): how far out the worst statistic of each sequence is, in reaches."""
    off = values - middle
    result: Array = np.nanmax(np.where(off < 0, -off / below, off / above), axis=1)
    return result


def _folds(groups: Sequence[str]) -> NDArray[np.intp]:
    """A fold for each sequence, the same for those of one group; always the same ones."""
    names, member = np.unique(np.array(groups), return_inverse=True)
    dealt = np.random.default_rng(0).permutation(len(names)) % FOLDS
    result: NDArray[np.intp] = dealt[member]
    return result


def envelope_of(part: Part, preparation: Preparation) -> Envelope:
    """Of the training part of a data set."""
    part = fit_part(part, preparation)
    found = []
    for row, raw in enumerate(part.images):
        real = None if part.mask is None else int(part.mask[row].sum())
        sequence = ImageSequence(prepare(raw, preparation, part.name(row)).frames, real_frames=real)
        found.append(statistics(sequence, preparation))
    return fit_envelope(found, part.patients)
