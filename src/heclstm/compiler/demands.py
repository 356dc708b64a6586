"""What is to be done with rotation and relinearization keys: what `compiler.planner` plans for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from heclstm.circuit.layout import Floats
from heclstm.compiler.bsgs import Split, splits, work
from heclstm.compiler.expressions import DiagonalMatrix
from heclstm.compiler.rates import Rates

KEPT = 24  # of the splits of a transform, that are looked at closely
RELINEARIZATION = 0  # its step, as keys are named


@dataclass(frozen=True, eq=False)
class Parts:
    """The steps of a split modulo the slots, none of them zero. turns: with how often each occurs."""

    split: Split
    babies: tuple[int, ...]
    coarse: tuple[int, ...]
    turns: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, split: Split, slots: int) -> Parts:
        babies = tuple(baby % slots for baby in split.babies if baby % slots)
        coarse = tuple(turn % slots for _, turn in split.turned_from if turn % slots)
        turns = tuple((step % slots, count) for step, count in split.turns.items() if step % slots)
        return cls(split, babies, coarse, turns)


@dataclass(frozen=True, eq=False)
class Demand:
    """A transform to be planned. level: at which it works."""

    matrix: DiagonalMatrix
    level: int
    rates: Rates
    slots: int

    @cached_property
    def splits(self) -> tuple[Split, ...]:
        return splits(self.matrix, self.slots)

    @property
    def alone(self) -> Split:
        """The cheapest by itself."""
        return self.cheapest(lambda _: self.rates.key)[0]

    def cheapest(self, keys: Callable[[int], float]) -> list[Split]:
        """Of all splits, nearly. keys: what a step's key is worth."""
        steps, uses = self._uses
        prices = self._works + uses @ np.array([keys(step) for step in steps])
        return [self.splits[place] for place in np.argsort(prices, kind="stable")[:KEPT]]

    def parts(self, split: Split) -> Parts:
        if (found := self._known_parts.get(id(split))) is None:
            found = self._known_parts[id(split)] = Parts.of(split, self.slots)
        return found

    @cached_property
    def _known_parts(self) -> dict[int, Parts]:
        """By the identity of a split, which lives as long as the demand."""
        return {}

    @cached_property
    def _works(self) -> Floats:
        return np.array([work(self.matrix, split, self.rates) for split in self.splits])

    @cached_property
    def _uses(self) -> tuple[list[int], sparse.csr_array]:
        """All steps, and which of them each split uses."""
        used = [sorted({step % self.slots for step in split.rotation_steps}) for split in self.splits]
        steps = sorted(set().union(*used))
        place = {step: column for column, step in enumerate(steps)}
        columns = [place[step] for own in used for step in own]
        rows = np.repeat(np.arange(len(used)), [len(own) for own in used])
        shape = len(used), len(steps)
        return steps, sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


@dataclass(frozen=True)
class Use:
    """So many rotations of a ciphertext by a step at a level, or products where the step is 0."""

    step: int
    level: int
    count: int = 1
