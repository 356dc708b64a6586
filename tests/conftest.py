"""Shared by all tests: hypothesis settings, and how a program is run on clear slots."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from heclstm.backend.clear import ClearEvaluator
from heclstm.backend.execute import Executor

# No deadline: times depend on the machine. The blob of a failing example is printed, to run it again.
settings.register_profile("heclstm", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("heclstm")


@pytest.fixture(scope="session")
def run_clear():
    """(program, frames (B, T, C, H, W)) → the slots of the result, (B, slots), from the clear backend."""

    def run(program, frames, evaluator=None):
        parameters = program.parameters
        evaluator = evaluator or ClearEvaluator(parameters.slots, parameters.moduli)
        packed = program.input_layout.pack(frames.reshape(*frames.shape[:2], -1))
        level = program.input_level
        inputs = [evaluator.value(packed[:, i], level, parameters.scales[level]) for i in range(packed.shape[1])]
        values = Executor(program, evaluator).run(inputs).values
        assert np.isfinite(values).all()
        return values

    return run
