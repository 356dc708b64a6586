"""What may leave a hospital says what it must not be read without, and no score where there is no decision."""

from types import SimpleNamespace

import pytest

from heclstm.deploy.case import Case
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.report.findings import Findings
from heclstm.usecases.share import UNUSUAL, share
from tiny_program import PURPOSE


@pytest.fixture
def site():
    """Of a hospital that released nothing yet."""
    return SimpleNamespace(state=SimpleNamespace(keys={}), file=lambda name: None, keep=lambda name, text: None)


def findings(**case):
    whose = Case(program="ab" * 32, key="0" * 32, query="1" * 32, images="cd" * 32, frames=2, **case)
    return Findings(Diagnosis((1.52,), ((1.52,), (0.0,)), 0.25, "case 7"), PURPOSE, "ab" * 32, case=whose)


def test_a_decision_about_unusual_images_does_not_leave_without_a_word(site):
    shared = share(site, findings(envelope="inside")).to_json()
    assert (shared["decision"], shared["score"]) == ("positive", 1.5)
    assert "remark" not in shared
    unusual = findings(envelope="outside", outside=("grey levels is below 3",), override="Mr Smith moved")
    shared = share(site, unusual).to_json()
    assert (shared["decision"], shared["remark"]) == ("positive", UNUSUAL)
    assert "Smith" not in str(shared)


def test_no_score_leaves_where_nothing_was_decided(site):
    found = findings(envelope="outside", outside=("grey levels is below 3",))
    undecided = Findings(found.diagnosis.without_decision(), PURPOSE, "ab" * 32, case=found.case)
    shared = share(site, undecided).to_json()
    assert (shared["decision"], shared["score"], shared["remark"]) == ("not assessable", None, UNUSUAL)
