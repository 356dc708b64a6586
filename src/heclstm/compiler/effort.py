"""The work of a whole circuit, in the NTTs of `compiler.rates`: compares circuits of one model, on no machine."""

from __future__ import annotations

from heclstm.circuit.circuit import Circuit
from heclstm.circuit.operations import LinearTransform, Operation, Rescale, Rotate, SumOfProducts
from heclstm.compiler.rates import DIAGONAL, Rates

RESCALED, TENSOR, LIGHT = 2.4, 1.0, 0.1  # of one limb: a rescale, a product, an addition


def effort(circuit: Circuit) -> float:
    """The same within a few per cent on one machine for all circuits, if divided by seconds."""
    return sum(_of(circuit, operation) for operation in circuit.operations)


def _of(circuit: Circuit, operation: Operation) -> float:
    limbs = operation.level_read + 1
    if isinstance(operation, LinearTransform):
        return _transform(circuit, operation)
    if isinstance(operation, Rotate):
        return _rates(circuit, operation.level_read, operation.step).rotation
    if isinstance(operation, SumOfProducts):
        rates = _rates(circuit, operation.level_read, 0)
        return rates.decomposition + rates.baby + rates.closing + TENSOR * limbs * len(operation.pairs)
    return limbs * (RESCALED if isinstance(operation, Rescale) else LIGHT)


def _transform(circuit: Circuit, operation: LinearTransform) -> float:
    """An input is decomposed once for each number of special primes among the keys of its babies."""
    plan, level, slots = operation.plan, operation.level_read, circuit.parameters.slots
    used = {(plan.babies[b] % slots, j) for b, j in plan.index[:, 3:5].tolist()}
    turned = [(_rates(circuit, level, step), _special(circuit, step), j) for step, j in used if step]
    parts = {(special, j): rates for rates, special, j in turned}
    widest = max(turned, key=lambda item: item[1])[0].diagonal if turned else DIAGONAL * (level + 1)
    giants = [_rates(circuit, level, step) for step in plan.giant_steps if step % slots]
    closing = max((rates.closing for rates in (*giants, *parts.values())), default=0.0)
    return (
        sum(rates.decomposition for rates in parts.values())
        + sum(rates.baby for rates, _, _ in turned)
        + widest * len(plan.vectors)
        + (sum(rates.giant for rates in giants) + closing) * plan.n_outputs
    )


def _rates(circuit: Circuit, level: int, step: int) -> Rates:
    return Rates.at(level, _special(circuit, step), 0.0)


def _special(circuit: Circuit, step: int) -> int:
    parameters = circuit.parameters
    return parameters.special_at(circuit.needed_keys.levels[step % parameters.slots])
