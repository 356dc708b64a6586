"""Heads of blobs as they are told without the engine, beside those that it writes."""

from dataclasses import replace

import pytest

from engine_kit import CpuKit, small_parameters
from heclstm.circuit.heads import ciphertext_head, fingerprint, read_head
from heclstm.circuit.sizes import HEADER_BYTES


@pytest.mark.parametrize("ring", ["conjugate_invariant", "standard"])
@pytest.mark.parametrize("by_level", [False, True])
def test_they_are_those_that_the_engine_writes(ring, by_level):
    parameters = small_parameters(ring, depth=3)
    if by_level:
        parameters = replace(parameters, special_counts=(1,) * len(parameters.moduli))
    kit = CpuKit(parameters, steps=())
    try:
        for level in (1, parameters.max_level):
            for seeded in (True, False):
                blob = kit.encryptor.encrypt(kit.vector(), level=level, seeded=seeded)
                expected = ciphertext_head(parameters, level, seeded=seeded)
                assert bytes(blob[:HEADER_BYTES]) == expected.encode()
                assert read_head(bytes(blob)) == expected
    finally:
        kit.close()


def test_every_parameter_has_a_part_in_the_fingerprint():
    parameters = small_parameters("standard", depth=3)
    others = [
        replace(parameters, moduli=parameters.moduli[::-1]),
        replace(parameters, special_moduli=parameters.special_moduli[::-1]),
        replace(parameters, scales=(*parameters.scales[:-1], 2.0**28)),
        replace(parameters, special_counts=(1,) * len(parameters.moduli)),
        small_parameters("conjugate_invariant", depth=3),
    ]
    assert len({fingerprint(each) for each in (parameters, *others)}) == len(others) + 1
