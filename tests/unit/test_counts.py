"""Rotations, products and levels, each beside its formula; totals of whole models in one golden file."""

import json
from functools import cache
from math import ceil, log2

import pytest

from counting import CountingBackend, totals
from golden.make_golden import COSTS, costs
from heclstm.circuit.cost import estimate, rotations_of
from heclstm.circuit.operations import Input, LinearTransform, Rescale, SumOfProducts
from heclstm.circuit.parameters import LEVEL_MIN
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from random_models import random_frames, random_model, small_config

TEST = Options(ring_degree=512, special_count=4, security="INSECURE_TEST")
PROJECTION = VOTE = 1


@cache
def compiled(degree=1, cell_output="identity", frames=3, recurrent=True, options=TEST, **changes):
    lstm = {"gate_degree": degree, "cell_output": cell_output, "recurrent_gates": recurrent}
    return compile_circuit(random_model(small_config(frames=frames, lstm=lstm, **changes), seed=1), options)


def depth(program):
    return program.input_level - program.result_level


def encoder_levels(program):
    """Levels from the fresh ciphertexts to where the projection begins."""
    projection = next(op for op in program.operations if op.layer == "lstm.projection")
    return program.input_level - projection.level


# ── levels ─────────────────────────────────────────────────────────────────────────────────────────────────

# (gate degree, φ) → levels of the first step, of every further step. First: gates degree − 1, i·g 1, o·φ(c) 1
# and two for a cubic φ; each further step adds U·h 1.
STEPS = {
    (1, "identity"): (2, 3),
    (2, "identity"): (3, 4),
    (3, "identity"): (4, 5),
    (1, "cubic"): (4, 5),
    (2, "cubic"): (5, 6),
    (3, "cubic"): (6, 7),
}


@pytest.mark.parametrize(("degree", "cell_output"), STEPS)
@pytest.mark.parametrize("frames", [1, 2, 3, 6])
def test_levels_of_a_recurrent_model(degree, cell_output, frames):
    """2 per quadratic block + projection 1 + first + further · (T − 1) + vote 1."""
    first, further = STEPS[degree, cell_output]
    program = compiled(degree, cell_output, frames)
    assert depth(program) == 2 * 2 + PROJECTION + first + further * (frames - 1) + VOTE


@pytest.mark.parametrize(("degree", "cell_output"), STEPS)
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8])
def test_levels_of_gates_from_the_frame_alone(degree, cell_output, frames):
    """The first step's levels, and ⌈log2 T⌉ for the scan: quadratics with φ = identity take 3 + ⌈log2 T⌉."""
    first, _ = STEPS[degree, cell_output]
    program = compiled(degree, cell_output, frames, recurrent=False)
    assert depth(program) == 2 * 2 + PROJECTION + first + ceil(log2(frames)) + VOTE


@pytest.mark.parametrize(("activation_degree", "levels"), [(2, 2), (3, 3)])
def test_levels_of_the_encoder(activation_degree, levels):
    """A block is one convolution and degree − 1 products, by a completed square or by Horner's rule."""
    for count in (1, 2, 3):
        blocks = (BlockConfig(4, activation_degree=activation_degree),) * count
        assert encoder_levels(compiled(frames=1, blocks=blocks)) == levels * count


def test_pooling_costs_no_level():
    """It is multiplied into the next convolution, or into the projection."""
    pooled = (BlockConfig(4, stride=(1, 1), pool=(2, 2)), BlockConfig(6, stride=(1, 1), pool=(2, 2)))
    assert depth(compiled(blocks=pooled)) == depth(compiled())


def test_levels_do_not_depend_on_the_ring():
    options = [Options("standard", 512, special_count=4, security="INSECURE_TEST"), TEST]
    assert len({depth(compiled(options=choice)) for choice in options}) == 1


def test_queries_start_and_results_leave_at_the_lowest_level():
    program = compiled()
    assert program.input_level == program.parameters.max_level == depth(program) + LEVEL_MIN
    assert {op.level for op in program.operations if isinstance(op, Input)} == {program.input_level}
    assert program.result_level == LEVEL_MIN


# ── rotations ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
def test_a_convolution_of_many_frames_has_the_diagonals_of_one(stride):
    """They do not depend on T while all frames share a ciphertext: the frame is innermost. Which of the splits is taken
    may: keys are shared with the cell, whose steps depend on T.
    """
    diagonals = set()
    for frames in (1, 2):
        block = BlockConfig(4, stride=stride)
        config = ModelConfig(frames, 32, 8, 8, (block, block), LstmConfig(4))  # no room for all taps of a pixel
        program = compile_circuit(
            random_model(config, seed=0), Options(ring_degree=4096, special_count=4, security="INSECURE_TEST")
        )
        assert program.input_layout.ciphertexts == 1
        plans = {
            op.layer: len(op.plan.vectors)
            for op in program.operations
            if isinstance(op, LinearTransform) and op.layer.endswith("convolution")
        }
        assert len(plans) == 2
        diagonals.add(tuple(sorted(plans.items())))
    assert len(diagonals) == 1


@pytest.mark.parametrize("frames", [1, 4])
def test_the_rotations_of_one_3x3_convolution(frames):
    """Taps at dy · 8 + dx, and an output that stands 9 cells further on: 0, −1, −2 and 0, −8, −16 need two keys, for
    any T; one more where a single turn by −2 or −16 is cheaper than two.
    """
    block = BlockConfig(1, stride=(1, 1))
    config = ModelConfig(frames, 1, 8, 8, (block,), LstmConfig(4))
    program = compile_circuit(random_model(config, seed=0), TEST)
    first = next(op for op in program.operations if isinstance(op, LinearTransform))
    steps = {step % 512 for op in program.operations if op.layer == first.layer for step in op.rotations} - {0}
    # The image is packed in 64 · T' of 512 slots and repeats; a tap that leaves it multiplies by zero.
    turn = program.input_layout.frame_slots
    back = {-step * turn % 512 for step in (1, 2, 8, 16)}
    assert 2 <= len(steps) <= 4
    assert steps <= back | {512 - step for step in back}
    assert len(first.plan.vectors) == 9


# ── products ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_products_of_a_recurrent_model(degree, frames):
    """Per step i·g (+ f·c) as one sum, o·c, and degree − 1 for each gate; one square per block.

    The candidate gate of `random_models` has no quadratic term, which saves its product at degree two. Nothing
    reads the forget gate of the first step, so it is not computed. Linear gates are projected together here: then
    i·g of the first step is two products, and its o·c a sum of both.
    """
    found = totals(compiled(degree, frames=frames))
    gates = {1: 0, 2: 3, 3: 8}[degree]
    together = degree == 1
    relinearizations = 2 + frames * (2 + gates) - (degree - 1) + together
    assert found["relinearizations"] == relinearizations
    assert found["products"] == relinearizations + (frames - 1) + together


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8])
def test_products_of_a_scan(frames):
    """i·g, o·c, ⌈log2 T⌉ of f·c, one less of f·f, instead of two per step; one square per block."""
    rounds = ceil(log2(frames))
    assert totals(compiled(frames=frames, recurrent=False))["products"] == 2 + 2 + rounds + max(0, rounds - 1)


def test_one_rescale_after_each_sum():
    """Products and transforms are read by one rescale or one further sum, and nothing is rescaled twice."""
    program = compiled(3, "cubic", 4)
    for operation in program.operations:
        readers = [op for op in program.operations if set(operation.outputs) & set(op.operands)]
        if isinstance(operation, LinearTransform | SumOfProducts):
            assert len(readers) == len(operation.outputs)
            assert all(type(op).__name__ in ("Rescale", "Add") for op in readers)
    rescales = [op for op in program.operations if isinstance(op, Rescale)]
    assert len({op.input for op in rescales}) == len(rescales)  # nothing is rescaled twice


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────

VARIANTS = {
    "recurrent": compiled,
    "cubic": lambda: compiled(3, "cubic", 2),
    "frame only": lambda: compiled(2, frames=5, recurrent=False),
    "many ciphertexts": lambda: compiled(options=Options(ring_degree=64, special_count=4, security="INSECURE_TEST")),
    "standard ring": lambda: compiled(options=Options("standard", 512, special_count=4, security="INSECURE_TEST")),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_needed_keys_are_exactly_those_that_an_evaluation_touches(variant, run_clear):
    """Every step that a walk through the plans turns by, at the highest level where it does; no more."""
    program = VARIANTS[variant]()
    config = _config_of(program)
    counting = CountingBackend(program.parameters)
    run_clear(program, random_frames(config, 1, seed=0), counting)
    highest = {}
    for step, level in counting.rotations:
        highest[step] = max(highest.get(step, 0), level)
    assert program.needed_keys.rotations == highest
    assert program.needed_keys.relinearization_level == max(counting.relinearizations)


@pytest.mark.parametrize("variant", VARIANTS)
def test_counts_read_off_the_plans_are_those_of_a_walk(variant, run_clear):
    """Every baby for each input and every giant for each output: an upper bound, exact for one ciphertext."""
    program = VARIANTS[variant]()
    counting = CountingBackend(program.parameters)
    run_clear(program, random_frames(_config_of(program), 1, seed=0), counting)
    found = totals(program)
    walked = sum(counting.rotations.values())
    assert found["relinearizations"] == sum(counting.relinearizations.values())
    assert walked <= found["rotations"] == rotations_of(program)
    estimated = estimate(program)
    assert estimated.depth == found["levels"]
    assert estimated.rotation_keys == found["rotation_keys"]
    assert sum(layer.rotations for layer in estimated.layers) == found["rotations"]
    assert sum(layer.products for layer in estimated.layers) == found["relinearizations"]
    assert sum(layer.rescales for layer in estimated.layers) == found["rescales"]
    assert sum(layer.diagonals for layer in estimated.layers) == found["diagonals"]


def test_more_threads_take_more_memory_and_leave_less_within_a_bound():
    """Each holds a limb of every turned input: a bound on a machine of many cores was passed by a fifth."""
    circuit = compiled()
    few, many = (estimate(circuit, threads=threads) for threads in (2, 8))
    transforms = [operation for operation in circuit.operations if isinstance(operation, LinearTransform)]
    more = max(
        each.working_bytes(circuit.parameters, 8) - each.working_bytes(circuit.parameters, 2) for each in transforms
    )
    assert 0 < many.working_memory - few.working_memory <= more
    kept = [estimate(circuit, memory=few.peak_memory, threads=threads).held_whole for threads in (2, 8)]
    assert kept[1] < kept[0]


def _config_of(program):
    layout = program.input_layout
    return small_config(frames=layout.frames, channels=layout.channels, height=layout.height, width=layout.width)


# ── totals ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_totals_of_whole_models_are_those_of_the_golden_file():
    """Changed on purpose? `make golden` writes the new numbers, and the diff shows the price."""
    assert costs() == json.loads(COSTS.read_text())


def test_the_golden_file_agrees_with_the_formulas():
    """Three quadratic blocks 6, projection 1, T = 4 steps, vote 1."""
    golden = json.loads(COSTS.read_text())
    assert golden["degree1"]["levels"] == 6 + PROJECTION + (2 + 3 * 3) + VOTE
    assert golden["degree2"]["levels"] == 6 + PROJECTION + (3 + 4 * 3) + VOTE
    assert golden["frame_only"]["levels"] == 6 + PROJECTION + (3 + 2) + VOTE
