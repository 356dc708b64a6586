"""An engine on a small insecure ring with all that a test needs around it, and precision in bits."""

from dataclasses import dataclass, field

import numpy as np

from heclstm.backend.lattigo import Ciphertext, Engine
from heclstm.backend.lattigo_secret import Decryptor, Encryptor, KeyGenerator, SecretKey
from heclstm.circuit.parameters import Parameters, choose

WORST_BELOW_MEAN = 4  # bits: key switching leaves e·s, whose slots are products of two Gaussians


def small_parameters(ring="conjugate_invariant", depth=6, degree=1 << 10, special_count=None) -> Parameters:
    return choose(
        depth,
        slots_min=8,
        ring=ring,
        ring_degree=degree,
        special_count=special_count,
        security="INSECURE_TEST",
    )


@dataclass
class Kit:
    parameters: Parameters
    engine: Engine = field(init=False)
    secret: SecretKey = field(init=False)
    seed: int = 0

    def __post_init__(self):
        self.engine = Engine(self.parameters, threads=2)
        self.keys = KeyGenerator(self.engine)
        self.secret = self.keys.secret_key()
        self.encryptor = Encryptor(self.engine, self.secret)
        self.decryptor = Decryptor(self.engine, self.secret)
        self.random = np.random.default_rng(self.seed)

    @property
    def top(self) -> int:
        return self.parameters.max_level

    def vector(self, size=None):
        return self.random.uniform(-1, 1, size or self.parameters.slots)

    def encrypt(self, values, level=None, seeded=True) -> Ciphertext:
        level = self.top if level is None else level
        return self.engine.load_ciphertext(self.encryptor.encrypt(values, level=level, seeded=seeded), level=level)

    def decrypt(self, ciphertext):
        return self.decryptor.decrypt(ciphertext)

    def load_relinearization(self, level=None):
        level = self.top if level is None else level
        self.engine.load_relinearization_key(self.keys.relinearization_key(self.secret, level))

    def load_rotations(self, *steps, level=None):
        for step in steps:
            level_of_key = self.top if level is None else level
            self.engine.load_rotation_key(self.keys.rotation_key(self.secret, step, level_of_key))

    def expected_bits(self) -> float:
        """What one operation on values of size 1 keeps, in the mean; Lattigo's own tests ask for this."""
        scale_bits = np.log2(self.parameters.scales[-1])
        return scale_bits - np.log2(self.parameters.ring_degree) - 2

    def assert_close(self, got, expected, lost_bits=0.0):
        """lost_bits: what the circuit's amplification may cost on top of one operation."""
        error = np.abs(np.asarray(got) - expected)
        mean, worst = (-np.log2(max(value, 2.0**-60)) for value in (error.mean(), error.max()))
        bound = self.expected_bits() - lost_bits
        report = f"precision_bits: mean {mean:.1f}, worst {worst:.1f} in slot {error.argmax()}, bound {bound:.1f}"
        assert mean >= bound, report
        assert worst >= bound - WORST_BELOW_MEAN, report
