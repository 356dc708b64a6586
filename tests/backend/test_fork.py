"""A fork leaves the engine's threads behind: a call of the child would wait for them for ever, so it is refused."""

import multiprocessing
import os
import subprocess
import sys

import pytest

from heclstm.backend.cpu import library

CHILD = """
import os
from heclstm.backend.cpu import library
from heclstm.backend.cpu.context import available_arithmetics
from heclstm.errors import EngineError

if {loaded}:
    available_arithmetics()
held = library.Handle(12345) if {loaded} else None
child = os.fork()
if child == 0:
    try:
        available_arithmetics()
        said = 10
    except EngineError as error:
        said = 20 if "multiprocessing.get_context('spawn')" in str(error) else 30
    if held:
        held.close()  # the parent's; nothing is called
    os._exit(said)
_, status = os.waitpid(child, 0)
if held:
    available_arithmetics()  # the parent goes on
    held._id = 0
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(("loaded", "code"), [(True, 20), (False, 10)])
def test_a_child_of_a_fork_is_told(loaded, code):
    ran = subprocess.run([sys.executable, "-c", CHILD.format(loaded=loaded)], timeout=60, check=False)
    assert ran.returncode == code


def test_what_the_error_advises_works():
    library.library()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(library.report, ("heclstm_constants",))["operations"] == library.OPERATIONS
