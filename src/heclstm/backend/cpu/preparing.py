"""The evaluator that makes a program ready: which transforms are held whole, and what of them was kept on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.evaluator import CpuEvaluator
from heclstm.backend.cpu.stored import Coefficients, Stored
from heclstm.backend.cpu.values import Transform
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.operations import LinearTransform, TransformPlan


class PreparingEvaluator(CpuEvaluator):
    """Prepares the transforms of one circuit, in their order. whole: which, by their place among the operations."""

    def __init__(self, context: Context, circuit: Circuit, whole: frozenset[int], cache: Stored | None) -> None:
        super().__init__(context)
        transforms = [(n, op.plan) for n, op in enumerate(circuit.operations) if isinstance(op, LinearTransform)]
        plans = [plan for _, plan in transforms]
        self._compact = iter([n not in whole for n, _ in transforms])
        self._cache = cache
        self._path: Path | None = cache.path(plans, context.parameters) if cache else None
        found = cache.read(self._path, plans, context.parameters) if cache and self._path else None
        self.found = found is not None
        self._found: Iterator[Coefficients | None] | None = None if found is None else iter(found)
        self._made: list[Coefficients | None] = []

    def transform(self, plan: TransformPlan) -> Transform:
        coefficients = self.context.coefficients(plan) if self._found is None else next(self._found)
        if self._cache and not self.found:
            self._made.append(coefficients)
        return self.context.transform(plan, coefficients, compact=next(self._compact) and coefficients is not None)

    def keep(self) -> None:
        """Write what was made, and let go of what was read."""
        if self._cache and self._path and not self.found:
            self._cache.write(self._path, self._made)
        self._made, self._found = [], None
