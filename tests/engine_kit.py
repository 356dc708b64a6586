"""Every backend with all that a test needs around it, on small insecure rings, and what errors it may show.

A kit encrypts, decrypts and evaluates. A *law* (`laws.py`) is written once for any kit; the error that it may show is
predicted by running it on the simulator, which draws the noise of `circuit.noise`.
"""

from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from heclstm.backend.base import key_name
from heclstm.backend.clear import ClearBackend, ClearEvaluator
from heclstm.backend.cpu.backend import CpuBackend
from heclstm.backend.cpu.context import Context, available_arithmetics
from heclstm.backend.cpu.evaluator import CpuEvaluator
from heclstm.backend.cpu.keyset import KeySet
from heclstm.backend.cpu.secret import Decryptor, Encryptor, KeyGenerator
from heclstm.backend.simulate import SimulatedBackend, SimulatedEvaluator
from heclstm.circuit.circuit import NeededKeys
from heclstm.circuit.parameters import Parameters, choose

LEVEL = 5  # where most laws work
STEPS = (*range(1, 20), 100, -1, -2)  # rotation keys of every kit
SEEDS = 8  # simulated runs behind a prediction
SIGMAS = 6.0  # how far a root mean square may lie from the predicted one, in its own standard deviations
CHANCE = 1e-7  # that some slot of a right result is worse than `Prediction.worst`
ROUNDINGS = 2.0**-41  # a few hundred of float64 (2^-53 each) on values below 2^4


@cache
def small_parameters(ring="conjugate_invariant", depth=8, degree=1 << 10, special_count=None) -> Parameters:
    return choose(
        depth,
        slots_min=8,
        ring=ring,
        ring_degree=degree,
        special_count=special_count,
        security="INSECURE_TEST",
    )


def key_level(parameters, step):
    """The level of a kit's key: the top, but where levels have numbers of special primes of their own, keys of odd
    steps are for LEVEL and below, so that both kinds meet in one transform. Step 3 is used at the top.
    """
    return LEVEL if parameters.special_counts and step % 2 and step != 3 else parameters.max_level


class Kit:
    """What is the same for all backends. Values have a level and a scale."""

    exact = False  # without noise
    repeats = True  # the same query gives the same bytes again

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        self.random = np.random.default_rng(0)

    @property
    def top(self) -> int:
        return self.parameters.max_level

    def vector(self, size=None):
        return self.random.uniform(-1, 1, size or self.parameters.slots)

    def close(self):
        pass


class ClearKit(Kit):
    exact = True
    backend = staticmethod(ClearBackend)

    def __init__(self, parameters, steps=STEPS):
        super().__init__(parameters)
        self.evaluator = ClearEvaluator(parameters.slots, parameters.moduli, parameters.scales)

    def encrypt(self, values, level=None):
        level = self.top if level is None else level
        full = np.tile(values, self.parameters.slots // len(values))
        return self.evaluator.value(full, level, self.parameters.scales[level])

    def decrypt(self, value):
        return value.values

    def prepare(self, circuit, **options):
        return self.backend(**options).prepare(circuit)

    def tenant(self, prepared):
        """(keys, packed slots of a query → blobs, blob of a result → slots)"""
        return (
            prepared.load_keys(),
            lambda packed: [row.astype("<f8").tobytes() for row in packed],
            lambda blob: np.frombuffer(blob, "<f8"),
        )


class SimulatedKit(ClearKit):
    exact = repeats = False
    backend = staticmethod(partial(SimulatedBackend, seed=1))

    def __init__(self, parameters, steps=STEPS, seed=12345):
        super().__init__(parameters)
        levels = {step % parameters.slots: key_level(parameters, step) for step in STEPS}
        self.evaluator = SimulatedEvaluator(parameters, seed, NeededKeys(parameters.max_level, levels))


class CpuKit(Kit):
    def __init__(self, parameters, steps=STEPS, threads=2, **options):
        super().__init__(parameters)
        self.options = {"threads": threads, **options}
        self.context = Context(parameters, **self.options)
        self.generator = KeyGenerator(self.context)
        self.secret = self.generator.secret_key()
        self.encryptor, self.decryptor = Encryptor(self.context, self.secret), Decryptor(self.context, self.secret)
        self.keys = KeySet(self.context)
        if steps:
            self.load_relinearization()
            self.load_rotations(*steps)
        self.evaluator = CpuEvaluator(self.context, self.keys)

    def encrypt(self, values, level=None, seeded=True):
        level = self.top if level is None else level
        return self.context.load_ciphertext(self.encryptor.encrypt(values, level=level, seeded=seeded), level=level)

    def decrypt(self, ciphertext):
        return self.decryptor.decrypt(ciphertext)

    def load_relinearization(self, level=None, keys=None):
        blob = self.generator.relinearization_key(self.secret, self.top if level is None else level)
        (keys or self.keys).load(blob)

    def load_rotations(self, *steps, level=None, keys=None):
        for step in steps:
            own = key_level(self.parameters, step) if level is None else level
            blob = self.generator.rotation_key(self.secret, step, own)
            (keys or self.keys).load(blob)

    def key_blobs(self, circuit, generator=None, secret=None):
        """What a hospital sends for a circuit, by name."""
        generator, secret = generator or self.generator, secret or self.secret
        needed = circuit.needed_keys
        for step, level in needed.levels.items():
            made = generator.rotation_key(secret, step, level) if step else generator.relinearization_key(secret, level)
            yield key_name(step), made

    def prepare(self, circuit, **options):
        own = dict(self.options)
        if own.pop("compact", False):
            own["memory"] = 0
        return CpuBackend(**{**own, **options}).prepare(circuit)

    def tenant(self, prepared):
        context, circuit = prepared.context, prepared.circuit
        generator = KeyGenerator(context)
        secret = generator.secret_key()

        def read(blob):
            return Decryptor(context, secret).decrypt(context.load_ciphertext(blob, level=circuit.result_level))

        return (
            prepared.load_keys(self.key_blobs(circuit, generator, secret)),
            lambda packed: [Encryptor(context, secret).encrypt(row, level=circuit.input_level) for row in packed],
            read,
        )

    def close(self):
        for native in (self.keys, self.secret, self.context):
            native.close()


# Every backend that the law suite runs on: a new one is a line here.
KITS = {
    "clear": ClearKit,
    "simulate": SimulatedKit,
    **{f"cpu-{name}": partial(CpuKit, arithmetic=name) for name in available_arithmetics()},
    "cpu-compact": partial(CpuKit, compact=True),
}


@dataclass(frozen=True)
class Prediction:
    """Of the error of one value: its root mean square over slots, and no slot's is beyond `worst`."""

    rms: float
    spread: float  # SIGMAS standard deviations of a measured rms, as a share of the predicted one
    worst: float

    def judge(self, errors):
        rms, worst = float(np.sqrt(np.mean(errors**2))), float(np.abs(errors).max())
        report = (
            f"rms error 2^{np.log2(rms):.2f}, predicted 2^{np.log2(self.rms):.2f} ± {self.spread:.0%}; "
            f"worst 2^{np.log2(worst):.2f} in slot {np.abs(errors).argmax()}, allowed 2^{np.log2(self.worst):.2f}"
        )
        assert rms <= self.rms * (1 + self.spread), report
        assert rms >= self.rms * (1 - self.spread), report
        assert worst <= self.worst, report


def predict(run, expected, parameters, neighbours=1):
    """run(kit) → value: what its error will be, from SEEDS simulated runs.

    neighbours: how many slots share an error, by folds.

    The widest errors are those of a rounding times the secret, whose slots are products of two Gaussians: their mean
    square over n slots has a relative variance of (9 − 1)/n (a Gaussian's: 2/n), its root half that deviation; the
    simulated runs add an 8th of it. And a product of two Gaussians of variance 1 is beyond t with a probability below
    e^-t, so all n slots are within ln(n / CHANCE) but for that chance.
    """
    errors = np.stack(
        [np.atleast_2d(s.decrypt(run(s))) for s in (SimulatedKit(parameters, seed=seed) for seed in range(SEEDS))]
    )
    errors = errors - expected
    count = errors[0].size
    spread = SIGMAS / 2 * np.sqrt(8 * neighbours / count * (1 + 1 / SEEDS))
    worst = np.log(count / CHANCE) * np.sqrt(np.mean(errors**2, axis=0)).max()
    return Prediction(float(np.sqrt(np.mean(errors**2))), float(spread), float(worst))
