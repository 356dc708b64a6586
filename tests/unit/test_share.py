"""What may leave a hospital says what it must not be read without, and no score where there is no decision."""

from types import SimpleNamespace

import pytest
from msgspec import structs

from heclstm.deploy.case import Case
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.errors import InputError
from heclstm.report.findings import Findings
from heclstm.usecases.share import UNUSUAL, share
from tiny_program import PURPOSE


@pytest.fixture
def site(tmp_path):
    """Of a hospital that released nothing yet."""
    path = tmp_path / "releases"

    def keep(name, text):
        path.write_text(text)

    state = SimpleNamespace(key="0" * 32, keys={"0" * 32: SimpleNamespace(made="2026-06-01")})
    return SimpleNamespace(state=state, file=lambda name: path if path.exists() else None, keep=keep)


def findings(query="1" * 32, **case):
    whose = Case(program="ab" * 32, key="0" * 32, query=query, images="cd" * 32, frames=2, **case)
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


def test_a_clock_that_was_set_back_hides_no_release(site, monkeypatch):
    """The keys seem to be made after what was released with them, and nothing counted."""
    monkeypatch.setattr("heclstm.usecases.share.now", lambda: "2026-05-01")
    shared = [share(site, findings(query=digit * 32)) for digit in "1234"]
    assert [each.released for each in shared] == [1, 2, 3, 4]
    site.state.keys = {"f" * 32: SimpleNamespace(made="2026-04-01")}  # others, which were made since
    releases = site.file("").read_text().replace("0" * 32, "e" * 32).replace("2026-05-01", "2026-03-01")
    site.keep("", releases)
    assert share(site, findings(query="5" * 32)).released == 1


def test_diagnoses_without_a_case_count_for_the_keys_in_use(site, monkeypatch):
    monkeypatch.setattr("heclstm.usecases.share.now", lambda: "2026-05-01")
    alone = [Findings(Diagnosis((score,), ((score,),), 0.25), PURPOSE, "ab" * 32) for score in (1.0, 2.0)]
    assert [share(site, each).released for each in alone] == [1, 2]
    assert share(site, alone[0]).released == 2
    assert share(site, findings()).released == 3


def test_what_left_once_leaves_again_as_it_did(site):
    """Also with a step that would be too fine today."""
    share(site, findings(), step=0.1)
    larger = structs.replace(PURPOSE, ranges=tuple(structs.replace(each, limit=12.2) for each in PURPOSE.ranges))
    again = Findings(findings().diagnosis, larger, "ab" * 32, case=findings().case)
    assert (share(site, again).step, share(site, again).released) == (0.1, 1)
    with pytest.raises(InputError, match=r"step: got 0\.1, expected at least 0\.13"):
        share(site, Findings(again.diagnosis, larger, "ab" * 32, case=findings(query="3" * 32).case), step=0.1)


def test_keys_that_are_gone_are_not_to_be_rotated(site, monkeypatch):
    monkeypatch.setattr("heclstm.usecases.share.BUDGET", 0.0)
    with pytest.raises(InputError, match="rotate-keys"):
        share(site, findings())
    site.state.keys = {"f" * 32: SimpleNamespace(made="2026-06-01")}
    with pytest.raises(InputError, match="no longer in use, so nothing more of theirs may leave"):
        share(site, findings())
