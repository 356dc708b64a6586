"""What `make mutants` changes, and what it takes for known."""

import tomllib
from pathlib import Path

from mutants.targets import MODULES, PLANTED

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "src" / "heclstm"


def test_every_module_that_guards_is_listed_with_its_tests():
    guarding = {path for room in ("storage", "card", "deploy") for path in (PACKAGE / room).glob("*.py")}
    names = {path.relative_to(PACKAGE).as_posix() for path in guarding if path.name != "__init__.py"}
    assert names | {"circuit/check.py"} == set(MODULES)
    for test in {test for tests in MODULES.values() for test in tests}:
        assert (TESTS / test).exists(), test


def test_faults_and_survivors_are_of_code_that_stands_there():
    for fault in PLANTED:
        assert (PACKAGE / fault.file).read_text().count(fault.old) == 1, fault.name
    for reason in tomllib.loads((TESTS / "mutants" / "survivors.toml").read_text())["reason"]:
        assert reason["why"]
        for change in reason["changes"]:
            file, _, text = change.partition(": ")
            source = " ".join((PACKAGE / file).read_text().split())
            assert " ".join(text.partition(" → ")[0].split()) in source, change
