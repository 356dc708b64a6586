"""The whole way from a model to a program, on one page."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from heclstm.card.purpose import Purpose
from heclstm.circuit.check import check
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.parameters import Parameters, RingType, Security, choose
from heclstm.compiler.fuse import fuse
from heclstm.compiler.layouts import choose_layouts
from heclstm.compiler.levels import depth_of, manage_levels
from heclstm.compiler.lower import Lowered, lower
from heclstm.compiler.rates import TRIES, WORTH, Preference, Rates
from heclstm.compiler.reach import reach
from heclstm.errors import ParameterError
from heclstm.model.weights import Model
from heclstm.program.program import Program

RING_DEGREE = 1 << 15  # that layouts are first tried with


@dataclass(frozen=True)
class Options:
    """What the model owner may choose; the rest follows from the model.

    ring_degree: of the ring; by default the smallest that is secure at the depth of the circuit.
    scale_bits: log2 of the scale; more bits are more precise and leave fewer levels.
    security: "128", or "INSECURE_TEST" for small and fast circuits in tests, never for patients.
    prefer: what to save: bytes of keys, seconds, or both in balance.
    """

    ring: RingType = "conjugate_invariant"
    ring_degree: int | None = None
    scale_bits: float = 29.0
    special_count: int | None = None
    security: Security = "128"
    prefer: Preference = "balance"


def compile_model(model: Model, options: Options = Options()) -> Program:
    """The program of `model`: its circuit, and what the hospital must know of it.

    Raises as `compile_circuit`, and tells what near to it would fit.
    """
    purpose, bounds = Purpose.of(model), reach(model)
    if "score" in bounds:  # else its card stays as it was before there were any
        ranges = tuple(replace(each, bound=bounds.get(each.name)) for each in purpose.ranges)
        purpose = replace(purpose, ranges=ranges)
    try:
        circuit = compile_circuit(model, options)
    except ParameterError as error:
        from heclstm.compiler.alternatives import alternatives

        found = alternatives(model.config, options)
        raise type(error)("; ".join([str(error), *found])) from error
    return Program.of(circuit, purpose)


def compile_circuit(model: Model, options: Options = Options()) -> Circuit:
    """The circuit of `model`: operations with levels and scales, parameters, layouts, needed keys.

    Raises ModelError if the model has exact (non-polynomial) activations, ParameterError if no ring holds it.
    """
    fused, worth = fuse(model), WORTH[options.prefer]
    ring_degree = options.ring_degree or RING_DEGREE
    while True:
        lowered = lower(fused, choose_layouts(fused, _slots(ring_degree, options), worth))
        parameters = _parameters(lowered, options, ring_degree)
        if parameters.ring_degree == ring_degree:
            break
        ring_degree = parameters.ring_degree  # another ring has other slots, hence other layouts
    operations, result, parameters = manage_levels(
        lowered.trace, lowered.output, parameters, worth, TRIES[options.prefer]
    )
    return check(
        Circuit(
            parameters=parameters,
            input_layout=lowered.input_layout,
            result_layout=lowered.result_layout,
            operations=tuple(operations),
            result=result,
        )
    )


def levels_of(model: Model, options: Options = Options(), ring_degree: int = RING_DEGREE) -> int:
    """How many the circuit of `model` uses, whether a ring has them or not."""
    fused = fuse(model)
    lowered = lower(fused, choose_layouts(fused, _slots(ring_degree, options), WORTH[options.prefer]))
    return depth_of(lowered.trace, lowered.output)


def _slots(ring_degree: int, options: Options) -> int:
    return ring_degree if options.ring == "conjugate_invariant" else ring_degree // 2


def _parameters(lowered: Lowered, options: Options, ring_degree: int) -> Parameters:
    worth = WORTH[options.prefer]
    return choose(
        depth_of(lowered.trace, lowered.output),
        slots_min=1,
        scale_bits=options.scale_bits,
        ring=options.ring,
        ring_degree=ring_degree if options.ring_degree or options.security != "128" else None,
        special_count=options.special_count,
        security=options.security,
        price=lambda level, special: Rates.at(level, special, worth).typical,
    )
