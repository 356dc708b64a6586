"""Shared by all tests: hypothesis settings, how a program is run on clear slots, and which tests run alone."""

import fcntl
import gc
import signal
import threading
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from heclstm.backend.clear import ClearEvaluator
from heclstm.backend.execute import Executor

# No deadline: times depend on the machine. The blob of a failing example is printed, to run it again.
settings.register_profile("heclstm", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("heclstm")

# A shell's background ignores Ctrl+C, `nohup` a closed terminal, and so would all programs that tests start and end.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(number, usual)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Nothing of what is imported for all tests is garbage: it is not looked through for any, here or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_configure(config):
    config.add_cleanup(gc.unfreeze)  # the last of all, or libraries tell at exit of what is left


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or writes what this user's programs keep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """With several workers (`pytest -n 2`), a test that is marked `alone` waits for the others, and they for it."""
    with ExitStack() as stack:
        if hasattr(item.config, "workerinput"):
            folder = item.config._tmp_path_factory.getbasetemp().parent  # all workers' own
            alone = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
            with _locked(folder / "gate.lock", fcntl.LOCK_EX):  # who waits to be alone lets nobody in before
                stack.enter_context(_locked(folder / "room.lock", alone))
        return (yield)


@contextmanager
def _locked(path, how):
    with open(path, "w") as file:
        fcntl.flock(file, how)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # closing would leave it to processes that the test forked


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
