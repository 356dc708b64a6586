"""The same program by every instruction set and by Lattigo's own transforms: not close, but the same bits."""

import numpy as np
import pytest

from heclstm.backend.execute import Executor
from heclstm.backend.lattigo import Engine, arithmetic
from heclstm.backend.lattigo_secret import Encryptor, KeyGenerator
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.errors import ParameterError
from random_models import random_frames, random_model, small_config

KERNELS = ("avx512", "avx2", "portable")


def available(parameters):
    """The kernels that this processor has; plain C is always among them."""
    names = []
    for name in KERNELS:
        try:
            Engine(parameters, arithmetic=name).close()
            names.append(name)
        except ParameterError:
            continue
    return names


@pytest.mark.parametrize("ring", ["conjugate_invariant", "standard"])
def test_a_whole_program_gives_the_same_bits(ring):
    config = small_config(lstm={"gate_degree": 2})
    program = compile_circuit(
        random_model(config, 0),
        Options(ring=ring, ring_degree=2048, security="INSECURE_TEST", special_count=4),
    )
    parameters = program.parameters
    frames = random_frames(config, 1, 0).reshape(config.frames, -1)
    with Engine(parameters) as engine:
        keys = KeyGenerator(engine)
        secret = keys.secret_key()
        query = [
            Encryptor(engine, secret).encrypt(slots, level=program.input_level)
            for slots in program.input_layout.pack(frames)
        ]
        needed = program.needed_keys
        relinearization = keys.relinearization_key(secret, needed.relinearization_level)
        rotations = [keys.rotation_key(secret, step, level) for step, level in needed.rotations.items()]
    names = available(parameters)
    assert "portable" in names
    results = {}
    for name in (*names, "lattigo", "compact"):
        compact = name == "compact"
        with Engine(parameters, arithmetic="auto" if compact else name, compact=compact) as engine:
            engine.load_relinearization_key(relinearization)
            for key in rotations:
                engine.load_rotation_key(key)
            inputs = [engine.load_ciphertext(blob, level=program.input_level) for blob in query]
            results[name] = Executor(program, engine).run(inputs).serialize()
    assert len(set(results.values())) == 1, f"{ring}: results differ between {sorted(results)}"


def test_an_unknown_arithmetic_is_refused():
    program = compile_circuit(random_model(small_config(), 0), Options(ring_degree=1024, security="INSECURE_TEST"))
    with pytest.raises(ParameterError, match="arithmetic: .*'?abacus"):
        Engine(program.parameters, arithmetic="abacus")


def test_the_processors_best_kernels_are_taken():
    parameters = compile_circuit(
        random_model(small_config(), 0), Options(ring_degree=1024, security="INSECURE_TEST")
    ).parameters
    with Engine(parameters) as engine:
        assert engine.arithmetic == available(parameters)[0]
    with Engine(parameters, arithmetic="lattigo") as engine:
        assert engine.arithmetic == "lattigo"
    assert np.isfinite(parameters.log_qp)


def test_backends_by_name():
    assert arithmetic("simd") == "auto"
    assert arithmetic("lattigo") == "lattigo"
    with pytest.raises(ParameterError, match="backend: got 'gpu', expected one of .*lattigo.*simd"):
        arithmetic("gpu")
