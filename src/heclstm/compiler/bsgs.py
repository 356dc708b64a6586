"""Baby-step giant-step: which offsets become turns of the input and which turns of partial sums.

An offset k is written as giant + baby, with the baby in a window around zero. A baby is cheap (its decomposition is
shared) but each one is a key; a giant is dear, but by Horner's rule all giants of an even spacing share one key:

    rotate(A, 0) + rotate(B, s) + rotate(C, 2s)  =  A + rotate(B + rotate(C, s), s)

Giants are split into two chains, one upwards from zero and one downwards from the first giant below it, so that two
cores can walk them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heclstm.circuit.operations import TransformPlan
from heclstm.compiler.expressions import DiagonalMatrix

# Relative cost of a baby step, of a giant step and of a rotation key that no other transform uses yet, as measured
# at N = 2^15: a giant step decomposes, a baby shares one decomposition; a key costs memory and wire, not time.
BABY_COST, GIANT_COST, KEY_COST = 1.0, 2.5, 1.5


@dataclass(frozen=True)
class Split:
    """The chosen steps; `parts[k]` is (chain, position, baby) of the offset k."""

    babies: tuple[int, ...]
    chains: tuple[tuple[int, ...], ...]
    parts: dict[int, tuple[int, int, int]]

    def rotation_steps(self) -> set[int]:
        steps = {baby for baby in self.babies if baby}
        for chain in self.chains:
            steps |= {after - before for before, after in zip(chain, chain[1:], strict=False)}
            steps |= {chain[0]} if chain[0] else set()
        return steps


def split_offsets(matrix: DiagonalMatrix, known_steps: set[int], slots: int) -> Split:
    """The cheapest split over all windows m·2^a, given the rotation steps that have keys already."""
    offsets = matrix.offsets()
    best, best_cost = None, float("inf")
    for window in _windows(offsets, slots):
        split = _split(offsets, window)
        giants = sum(len(chain) for chain in split.chains) - (1 if split.chains and not split.chains[0][0] else 0)
        new_keys = {step % slots for step in split.rotation_steps()} - known_steps
        cost = (
            BABY_COST * len(split.babies) * matrix.inputs
            + GIANT_COST * giants * matrix.outputs
            + KEY_COST * len(new_keys)
        )
        if cost < best_cost:
            best, best_cost = split, cost
    assert best is not None
    return best


def _windows(offsets: list[int], slots: int) -> list[int]:
    span = 2 * max(map(abs, offsets), default=1) + 2
    windows = {odd << shift for odd in (1, 3, 5, 7) for shift in range(slots.bit_length()) if odd << shift <= 2 * span}
    return sorted(windows | {1})


def _split(offsets: list[int], window: int) -> Split:
    ks = np.array(offsets or [0])
    # The window is turned so that it starts after the widest gap of the residues: the babies stay close together.
    residues = np.unique(ks % window)
    gaps = np.diff(np.r_[residues, residues[0] + window])
    start = residues[(np.argmax(gaps) + 1) % len(residues)]
    babies = (ks - start) % window + start
    shift = window * round((babies.min() + babies.max()) / 2 / window)
    babies = babies - shift
    giants = ks - babies
    unique = sorted({int(giant) for giant in giants})
    up = tuple(giant for giant in unique if giant >= 0)
    down = tuple(giant for giant in reversed(unique) if giant < 0)
    chains = tuple(chain for chain in (up, down) if chain)
    where = {giant: (c, position) for c, chain in enumerate(chains) for position, giant in enumerate(chain)}
    baby_list = sorted({int(baby) for baby in babies}, key=lambda step: (abs(step), step))
    baby_index = {baby: index for index, baby in enumerate(baby_list)}
    parts = {
        int(k): (*where[int(giant)], baby_index[int(baby)]) for k, giant, baby in zip(ks, giants, babies, strict=True)
    }
    return Split(tuple(baby_list), chains, parts)


def plan(
    matrix: DiagonalMatrix,
    split: Split,
    *,
    level: int,
    plaintext_scales: tuple[float, ...],
    output_scale: float,
) -> TransformPlan:
    """The transform with every vector turned back by its giant step, ready to be encoded."""
    keys = sorted(matrix.vectors)
    index = np.zeros((len(keys), 5), dtype=np.int32)
    vectors = np.zeros((len(keys), matrix.period))
    for row, (i, j, k) in enumerate(keys):
        chain, position, baby = split.parts[k]
        index[row] = i, chain, position, baby, j
        vectors[row] = np.roll(matrix.vectors[i, j, k], split.chains[chain][position])
    return TransformPlan(
        level=level,
        n_inputs=matrix.inputs,
        n_outputs=matrix.outputs,
        babies=split.babies,
        chains=split.chains,
        index=index,
        vectors=vectors,
        plaintext_scales=plaintext_scales,
        output_scale=output_scale,
        folds=matrix.folds,
    )
