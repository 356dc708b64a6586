"""Baby-step giant-step: which offsets become turns of the input and which turns of partial sums.

An offset k is written as giant + coarse + baby, with the baby in a window.

- A baby is cheap (its decomposition is shared), but each one is a key.
- A giant turns a partial sum and is dear, but by Horner's rule all giants of an even spacing share one key:

      rotate(A, 0) + rotate(B, s) + rotate(C, 2s)  =  A + rotate(B + rotate(C, s), s)

- A coarse step turns the input, whole, before it is decomposed for its babies: once for all outputs. All babies serve
  again. Coarse steps of an even spacing share one key, too.

Giants may have two spacings, as rows and channels of an image do: chains of the small one, nested in a chain of the
large one. Then their keys are two, however many they are:

    offsets  0 4   128 132   4096 4100   4224 4228     babies 0, 4; chains (0, 128), (4096, 4224); keys 4, 128, 4096

What lies below zero goes into a chain downwards, into the babies, which then begin further down, or around the
shorter period of the two ends, modulo which offsets are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from heclstm.circuit.layout import Floats, Ints
from heclstm.circuit.operations import TransformPlan
from heclstm.compiler.expressions import DiagonalMatrix
from heclstm.compiler.rates import Rates

BABIES_MAX, COARSE_MAX, TURNS_MAX = 96, 12, 192  # more are never cheaper


@dataclass(frozen=True)
class Split:
    """The chosen steps for some offsets modulo `modulus`. nested: see TransformPlan. coarse: begins with zero."""

    offsets: tuple[int, ...]
    modulus: int
    babies: tuple[int, ...]
    chains: tuple[tuple[int, ...], ...]
    nested: bool = False
    coarse: tuple[int, ...] = (0,)

    @cached_property
    def parts(self) -> dict[int, tuple[int, int, int, int]]:
        """Offset → (chain, position, coarse, baby)."""
        found = {
            (giant + coarse + baby) % self.modulus: (c, position, j, b)
            for c, chain in enumerate(self.chains)
            for position, giant in enumerate(chain)
            for j, coarse in enumerate(self.coarse)
            for b, baby in enumerate(self.babies)
        }
        return {offset: found[offset % self.modulus] for offset in self.offsets}

    def mirrored(self) -> Split:
        """The same the other way round."""

        def back(steps: Sequence[int]) -> tuple[int, ...]:
            return tuple(-step for step in steps)

        offsets, chains = back(self.offsets[::-1]), tuple(map(back, self.chains))
        return Split(offsets, self.modulus, back(self.babies), chains, self.nested, back(self.coarse))

    @cached_property
    def turns(self) -> Counter[int]:
        """The turns of a partial sum, for one output: step → how often."""
        steps, before = Counter[int](), 0
        for chain in self.chains:
            steps.update(after - left for left, after in pairwise(chain))
            steps[chain[0] - before] += 1
            before = chain[0] if self.nested else 0
        del steps[0]
        return steps

    @cached_property
    def turned_from(self) -> tuple[tuple[int, int], ...]:
        """For each coarse step but zero: the one before it on its side of zero, of which it is a turn, and the turn."""
        found = []
        for step in self.coarse[1:]:
            inward = [other for other in self.coarse if abs(other) < abs(step) and other * step >= 0]
            nearest = max(inward, key=abs)
            found.append((self.coarse.index(nearest), step - nearest))
        return tuple(found)

    @cached_property
    def hoisted(self) -> frozenset[int]:
        """Steps that need keys of their own: babies, and turns of an input."""
        return frozenset(b for b in self.babies if b) | {turn for _, turn in self.turned_from}

    @cached_property
    def rotation_steps(self) -> frozenset[int]:
        return frozenset(self.turns) | self.hoisted


def work(matrix: DiagonalMatrix, split: Split, rates: Rates) -> float:
    """What a transform costs, keys left aside."""
    turned = sum(1 for baby in split.babies if baby)
    inputs = matrix.inputs * len(split.coarse)
    return (
        (rates.decomposition * inputs if turned else 0.0)
        + rates.baby * turned * inputs
        + rates.rotation * (inputs - matrix.inputs)
        + (rates.giant * (split.turns.total() + len(matrix.folds)) + rates.closing) * matrix.outputs
        + rates.diagonal * len(matrix.vectors)
    )


def split_offsets(matrix: DiagonalMatrix, known_steps: set[int], slots: int, rates: Rates) -> Split:
    """The cheapest of the simpler splits, given the rotation steps that have keys already."""

    def cost(split: Split) -> float:
        new_keys = {step % slots for step in split.rotation_steps} - known_steps
        return work(matrix, split, rates) + rates.key * len(new_keys)

    return min(_simpler(tuple(matrix.offsets()), matrix.modulus or slots), key=cost)


def splits(matrix: DiagonalMatrix, slots: int) -> tuple[Split, ...]:
    """All windows m·2^a for the babies, and for each all for coarse steps and nested chains, either way round."""
    return _all(tuple(matrix.offsets()), matrix.modulus or slots)


@lru_cache(maxsize=64)  # a recurrent cell has the same offsets in every step
def _all(offsets: tuple[int, ...], modulus: int) -> tuple[Split, ...]:
    backwards = tuple(-k for k in reversed(offsets))
    mirrored = (split.mirrored() for split in _splits(backwards, modulus, both=True))
    return tuple(dict.fromkeys((*_splits(offsets, modulus, both=True), *mirrored)))


@lru_cache(maxsize=64)
def _simpler(offsets: tuple[int, ...], modulus: int) -> tuple[Split, ...]:
    return tuple(dict.fromkeys(_splits(offsets, modulus, both=False)))


def _splits(offsets: tuple[int, ...], modulus: int, *, both: bool) -> Iterator[Split]:
    """both: coarse steps and nested chains in one, too."""
    ks = np.array(offsets or [0])
    windows = _windows(offsets, modulus)
    for window in windows:
        babies = _within(ks, window)
        babies = babies - window * round((babies.min() + babies.max()) / 2 / window)
        rest = ks - babies
        count, giants = len(np.unique(babies)), len(np.unique(rest))
        if (count > BABIES_MAX and window > 1) or giants > 2 * TURNS_MAX:
            continue
        for chains in _flat(rest, modulus):
            yield _named(ks, modulus, babies, chains)
        for outer in windows if giants > 2 else ():
            if outer <= window or outer % window:
                continue
            inner = _within(rest, outer)
            coarse, heads = np.unique(inner), rest - inner
            middle = outer * round((coarse[0] + coarse[-1]) / 2 / outer)
            if 1 < len(coarse) <= COARSE_MAX:
                steps = tuple(sorted({0, *(coarse - middle).tolist()}, key=abs))
                for chains in _flat(heads + middle, modulus):
                    yield _named(ks, modulus, babies, chains, coarse=steps)
                for outermost in windows if both and len(np.unique(heads)) > 2 else ():
                    if outermost > outer and outermost % outer == 0:
                        yield from _nested(ks, modulus, babies, heads + middle, (outer, outermost), steps)
            if len(coarse) > 1:
                yield from _nested(ks, modulus, babies, rest, (window, outer))


def _windows(offsets: Sequence[int], modulus: int) -> list[int]:
    """From the spacing of the offsets on: a smaller window holds one baby."""
    grain = max(1, int(np.gcd.reduce(np.diff(offsets)))) if len(offsets) > 1 else 1
    span = 2 * max(map(abs, offsets), default=1) + 2
    windows = {odd << shift for odd in (1, 3, 5, 7) for shift in range(modulus.bit_length())}
    return sorted({window for window in windows if grain <= window <= 2 * span} | {grain})


def _within(ks: Ints, window: int) -> Ints:
    """The residues modulo a window that starts after their widest gap, so that they stay close together."""
    residues = np.unique(ks % window)
    gaps = np.diff(np.r_[residues, residues[0] + window])
    start = residues[(np.argmax(gaps) + 1) % len(residues)]
    return np.asarray((ks - start) % window + start)


def _flat(giants: Ints, modulus: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Two chains away from zero, which two cores can walk; and one around the period, with fewer keys."""
    unique = np.unique(giants).tolist()
    if len(unique) > TURNS_MAX:
        return
    up = tuple(giant for giant in unique if giant >= 0)
    down = tuple(giant for giant in reversed(unique) if giant < 0)
    yield tuple(chain for chain in (up, down) if chain)
    if down:
        yield (tuple(np.unique(giants % modulus).tolist()),)


def _nested(
    ks: Ints, modulus: int, babies: Ints, giants: Ints, spacing: tuple[int, int], coarse: tuple[int, ...] = (0,)
) -> Iterator[Split]:
    """Every chain evenly spaced from its head on, every head evenly spaced from zero on; babies begin where that is."""
    window, outer = spacing
    inner = _within(giants, outer)
    away = giants - inner
    for heads in (away, away % modulus) if away.min() < 0 and modulus % outer == 0 else (away,):
        first, head = int(inner.min()), int(heads.min())
        last = np.zeros(int(heads.max() - head) // outer + 1, dtype=np.int64)
        np.maximum.at(last, (heads - head) // outer, inner - first)
        if last.any() and len(last) > 1 and len(last) + int(last.sum()) // window <= TURNS_MAX:
            tops = enumerate(last.tolist())
            chains = tuple(tuple(range(top * outer, top * outer + end + 1, window)) for top, end in tops)
            yield _named(ks, modulus, babies + first + head, chains, nested=True, coarse=coarse)


def _named(
    ks: Ints,
    modulus: int,
    babies: Ints,
    chains: tuple[tuple[int, ...], ...],
    *,
    nested: bool = False,
    coarse: tuple[int, ...] = (0,),
) -> Split:
    nearest = sorted(np.unique(babies).tolist(), key=lambda step: (abs(step), step))
    return Split(tuple(ks.tolist()), modulus, tuple(nearest), chains, nested, coarse)


def _moved(vector: Floats, by: int, matrix: DiagonalMatrix) -> Floats:
    """The vector of an offset that stands `by` further, a multiple of the modulus.

    Where the input is the shorter one it repeats, and nothing changes. Else another copy of the output does the work.
    """
    return np.roll(vector, -by) if by and matrix.folds else vector


def plan(
    matrix: DiagonalMatrix,
    split: Split,
    *,
    level: int,
    plaintext_scales: tuple[float, ...],
    output_scale: float,
    folds: tuple[int, ...] | None = None,
    walks: tuple[tuple[int, ...], ...] = (),
    special_count: int = 0,
) -> TransformPlan:
    """The transform with every vector turned back by its giant step, ready to be encoded.

    Its inputs are those of the matrix, each turned by all coarse steps, one after another. plaintext_scales: of these.
    folds: those of the matrix, either way; by default as they are.
    """
    keys = sorted(matrix.vectors)
    index = np.zeros((max(1, len(keys)), 5), dtype=np.int32)  # a map to zero has one vector, of zeros
    vectors = np.zeros((len(index), matrix.period))
    for row, (i, j, k) in enumerate(keys):
        chain, position, coarse, baby = split.parts[k]
        index[row] = i, chain, position, baby, j * len(split.coarse) + coarse
        giant = split.chains[chain][position]
        vector = _moved(matrix.vectors[i, j, k], giant + split.coarse[coarse] + split.babies[baby] - k, matrix)
        vectors[row] = np.roll(vector, giant)
    return TransformPlan(
        level=level,
        n_inputs=matrix.inputs * len(split.coarse),
        n_outputs=matrix.outputs,
        babies=split.babies,
        chains=split.chains,
        index=index,
        vectors=vectors,
        plaintext_scales=plaintext_scales,
        output_scale=output_scale,
        folds=matrix.folds if folds is None else folds,
        special_count=special_count,
        nested=split.nested,
        walks=walks,
    )
