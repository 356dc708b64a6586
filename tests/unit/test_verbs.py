"""A verb is one file in cli/: where it stands, and what is refused."""

import pytest

from heclstm.cli import verb as module
from heclstm.cli.verb import in_order, verb


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.setattr(module, "_VERBS", {})


def declare(name, after):
    def declared():
        pass

    declared.__name__ = name
    return verb(after=after)(declared)


def names():
    return [name for name, _ in in_order()]


def test_a_verb_stands_after_the_one_that_it_names():
    for name, after in (("show_all", "make"), ("take", "make"), ("begin", None), ("make", "begin"), ("last", "take")):
        declare(name, after)
    assert names() == ["begin", "make", "show-all", "take", "last"]


def test_a_verb_after_none_that_exists_is_not_lost_in_silence():
    declare("begin", None)
    declare("make", "beginn")
    with pytest.raises(ValueError, match="make: stand after a verb that does not exist"):
        names()


def test_two_verbs_of_one_name_are_refused():
    declare("make", None)
    with pytest.raises(ValueError, match="two verbs are called make"):
        declare("make", None)


def test_a_group_has_a_name_of_its_own():
    group = object()
    assert verb(after=None, name="token")(group) is group
    assert list(in_order()) == [("token", group)]
