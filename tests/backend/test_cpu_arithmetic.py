"""The same program by every instruction set and by Lattigo's own transforms: not close, but the same bits."""

import pytest

from engine_kit import CpuKit, small_parameters
from heclstm.backend.cpu.backend import CpuBackend
from heclstm.backend.cpu.context import Context, arithmetic, available_arithmetics
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.errors import ParameterError
from random_models import random_frames, random_model, small_config


@pytest.mark.parametrize("ring", ["conjugate_invariant", "standard"])
def test_a_whole_program_gives_the_same_bits(ring):
    """By every arithmetic, compact or not, with one thread or many, from fresh keys or from a file."""
    config = small_config(lstm={"gate_degree": 2})
    options = Options(ring=ring, ring_degree=2048, security="INSECURE_TEST", special_count=4)
    circuit = compile_circuit(random_model(config, 0), options)
    assert sum(operation.work()["giant"] for operation in circuit.operations)  # all kinds of steps take part
    kit = CpuKit(circuit.parameters, steps=())
    frames = random_frames(config, 1, 0).reshape(config.frames, -1)
    query = [kit.encryptor.encrypt(slots, level=circuit.input_level) for slots in circuit.input_layout.pack(frames)]
    blobs = list(kit.key_blobs(circuit))
    names = available_arithmetics()
    variants = {
        **{name: {"arithmetic": name} for name in names},
        **{f"{name} compact": {"arithmetic": name, "memory": 0} for name in names},
        **{f"{threads} threads": {"threads": threads} for threads in (1, 3, 8)},
    }
    results = {}
    for title, chosen in variants.items():
        prepared = CpuBackend(**{"threads": 2, **chosen}).prepare(circuit)
        keys = prepared.load_keys(blobs)
        results[title] = prepared.store(prepared.evaluate(prepared.load(query), keys))
        keys.close()
        prepared.close()
    kit.close()
    assert len(set(results.values())) == 1, f"{ring}: results differ between {sorted(results)}"


def test_plain_c_and_lattigo_are_everywhere():
    names = available_arithmetics()
    assert names[-2:] == ["portable", "lattigo"]


def test_an_unknown_arithmetic_is_refused():
    with pytest.raises(ParameterError, match='arithmetic: .*"abacus"'):
        Context(small_parameters(), arithmetic="abacus")
    with pytest.raises(ParameterError, match="arithmetic: got 'gpu', expected one of auto, avx512, .*, lattigo"):
        arithmetic("gpu")
    assert arithmetic("portable") == "portable"


def test_the_processors_best_kernels_are_taken():
    with Context(small_parameters()) as context:
        assert context.arithmetic == available_arithmetics()[0]
    for name in available_arithmetics():
        with Context(small_parameters(), arithmetic=name) as context:
            assert context.arithmetic == name


def test_too_many_special_primes_are_refused_before_the_engine():
    with pytest.raises(ParameterError, match="special_moduli: got 16, expected at most 15"):
        small_parameters(special_count=16)
